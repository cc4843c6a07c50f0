"""Whose usage is meant."""

from dataclasses import fields

from palyra.core.values import value


@value
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
        return {name: asked for name in _FACTS if (asked := getattr(self, name)) is not None}


_FACTS = tuple(fact.name for fact in fields(UsageFilter))

ANYTHING = UsageFilter()
