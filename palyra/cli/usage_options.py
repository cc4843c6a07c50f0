"""The options that the commands of `palyra usage` share, written once, and what they say."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from palyra.cli.moments import moment_back
from palyra.cli.options import Config, Json, StateDir
from palyra.core.errors import BadInputError
from palyra.core.usage_filter import UsageFilter
from palyra.core.values import value

BY = ("model", "provider", "user", "session", "channel", "agent", "job", "key", "tag")

Since = Annotated[
    str, typer.Option("--since", metavar="WHEN", help="How far back, like 24h or 30d, or an instant or UTC date.")
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="An instant or UTC date, or how long ago; else now.")
]
Of = Annotated[
    list[str] | None,
    typer.Option("--of", metavar="KEY=NAME", help=f"Only this work; KEY is one of {', '.join(BY)}. May be repeated."),
]
Model = Annotated[str | None, typer.Option("--model", help="Only this model.")]
User = Annotated[str | None, typer.Option("--user", help="Only this user.")]
Session = Annotated[str | None, typer.Option("--session", help="Only this session.")]


@value
class Asked:
    """What the shared options of a command say: of which time, whose usage, where from, and for whom to print."""

    since: str
    until: str | None
    config: Path | None
    state_dir: Path | None
    as_json: bool
    of: list[str] | None = None
    model: str | None = None
    user: str | None = None
    session: str | None = None

    def period(self, now: int) -> tuple[int, int]:
        """[since, until) in unix ms. Raises BadInputError naming the option at fault."""
        until = now + 1 if self.until is None else moment_back("--until", self.until, now)
        return moment_back("--since", self.since, until if self.until is not None else now), until

    @property
    def where(self) -> UsageFilter:
        """Raises BadInputError for a key that usage is not known by."""
        where = UsageFilter(model=self.model, user=self.user, session=self.session)
        for text in self.of or ():
            key, equals, name = text.partition("=")
            if key not in BY or not equals or (key == "tag" and "=" not in name):
                raise BadInputError(
                    f"--of {text!r} is unknown.", fix=f"Write KEY=NAME with one of {', '.join(BY)}, or tag=NAME=VALUE."
                )
            where = replace(where, **{key: name})
        return where


_PERIOD = {"since": Since, "until": Until}
_FILTERS = {"of": Of, "model": Model, "user": User, "session": Session}
_PLACE = {"config": Config, "state_dir": StateDir, "as_json": Json}


def asking(since: str, *, filtered: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command that takes `Asked` first, then options of its own, the shared options in the former's place.

    `since` is how far back it looks unless told; without `filtered` it is about everybody's usage.
    """
    shared = {**_PERIOD, **(_FILTERS if filtered else {}), **_PLACE}
    defaults: dict[str, Any] = {"since": since, "as_json": False}

    def given(command: Callable[..., None]) -> Callable[..., None]:
        own = [*signature(command, eval_str=True).parameters.values()][1:]

        @wraps(command)
        def wrapper(**values: Any) -> None:
            command(Asked(**{name: values.pop(name) for name in shared}), **values)

        options = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=kind)
            for name, kind in shared.items()
        ]
        parameters = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in own] + options
        wrapper.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {one.name: one.annotation for one in parameters}
        return wrapper

    return given
