"""Filters of lists as conditions of SQL, so that what does not match is never read."""

from collections.abc import Mapping, Sequence

from palyra.core.errors import BadInputError
from palyra.core.terms import Term


def matching(terms: Sequence[Term], columns: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Conditions that must all hold, and their parameters. `columns` are SQL expressions of text by the field that they
    stand for; a term without a field looks in all. Letters beyond ASCII are found as they were typed and in capitals,
    small letters and with one capital. Raises BadInputError for a field that there is not."""
    conditions: list[str] = []
    parameters: list[str] = []
    for term in terms:
        if term.field and term.field not in columns:
            raise BadInputError(f"There is no field {term.field[:64]!r}.", fix=f"There are {', '.join(columns)}.")
        searched = [columns[term.field]] if term.field else list(columns.values())
        patterns = [_pattern(text) for text in _ways(term.value)]
        found = " OR ".join(f"{column} LIKE ? ESCAPE '!'" for column in searched for _ in patterns)
        conditions.append(f"NOT ({found})" if term.inverted else f"({found})")
        parameters += patterns * len(searched)
    return conditions, parameters


def _pattern(text: str) -> str:
    return "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


def _ways(text: str) -> tuple[str, ...]:
    """The database knows of no capitals beyond ASCII."""
    return (text,) if text.isascii() else tuple(dict.fromkeys((text, text.lower(), text.upper(), text.capitalize())))
