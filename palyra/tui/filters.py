"""What `/` understands: words that must occur, `field:value` for one column, a leading `!` for the opposite."""

from collections.abc import Collection, Mapping

from palyra.core.terms import Term
from palyra.core.values import value


@value
class Filter:
    """Terms that must all hold. `text` is what was typed; an empty filter lets everything pass."""

    text: str = ""
    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether the fields of a row fit every term."""
        return all(term.matches(fields) for term in self.terms)


def parse_filter(text: str, fields: Collection[str]) -> Filter:
    """A filter over the named fields; a colon after any other word is part of the text.

    `who:maria !state:completed gpt` keeps rows of maria that are not completed and mention gpt anywhere.
    """
    terms: list[Term] = []
    for word in text.casefold().split():
        inverted = word.startswith("!")
        rest = word.removeprefix("!")
        field, colon, value = rest.partition(":")
        if colon and field in fields:
            rest = value
        else:
            field = ""
        if rest:
            terms.append(Term(field, rest, inverted))
    return Filter(text.strip(), tuple(terms))
