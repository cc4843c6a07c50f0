"""Whose usage is meant."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """None asks for nothing, an empty text for what names none. A tag is `name=value`."""

    model: str | None = None
    provider: str | None = None
    user: str | None = None
    session: str | None = None
    agent: str | None = None
    job: str | None = None
    key: str | None = None
    channel: str | None = None
    tag: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """What is asked for, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


ANYTHING = UsageFilter()
