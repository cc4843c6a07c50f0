"""What filters of lists are made of: words that must occur, in any field or in one, or that must not."""

from collections.abc import Mapping

from palyra.core.values import value


@value
class Term:
    """One word of a filter, without regard to case; `field` empty looks everywhere."""

    field: str
    value: str
    inverted: bool = False

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether it holds for texts by the names of their fields."""
        texts = fields.values() if not self.field else [fields.get(self.field, "")]
        return any(self.value.casefold() in text.casefold() for text in texts) is not self.inverted
