"""`palyra windows show`: where a budget's window begins and ends at an instant."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, place, run
from palyra.cli.output import print_json, say
from palyra.control.queries import BudgetQuery
from palyra.core.errors import BadInputError
from palyra.core.instants import LATEST_MS, parse_instant_ms
from palyra.core.windows import HOUR_MS, ROLLING, Interval, Rolling, load_zone, window_for

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHAT = {
    Interval.HOURLY: "an hour, from each instant at which the local clock reads a full hour",
    Interval.DAILY: "a local day",
    Interval.WEEKLY: "a local week, from Monday",
    Interval.MONTHLY: "a local month",
    Interval.LIFETIME: "all time: it never renews",
}


def windows(launch: Launch) -> typer.Typer:
    """`palyra windows …`."""
    app = typer.Typer(help="The windows that budgets count in.", no_args_is_help=True)

    @app.command("show")
    def show(
        policy_id: Annotated[str, typer.Argument(metavar="POLICY", help="The policy's id.")],
        at: Annotated[
            str | None,
            typer.Option("--at", metavar="TIME", help="An instant like 2026-11-22T12:00:00Z, or a UTC date; else now."),
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Start and end of the window of a policy that holds an instant, in UTC and in the policy's own zone."""

        async def work() -> int:
            moment = None if at is None else _moment(at)
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(BudgetQuery(policy_id))
                if moment is None:
                    moment = (await control.snapshot([])).at
            try:
                shown = window_json(
                    policy_id, Interval(detail.fields["interval_kind"]), detail.fields["timezone"], moment
                )
            except OverflowError:
                raise BadInputError("--at: this window reaches beyond the year 9999.") from None
            if as_json:
                print_json(shown)
            else:
                _tell(shown)
            return DONE

        run(work)

    return app


def _moment(text: str) -> int:
    try:
        return parse_instant_ms(text)
    except ValueError as error:
        raise BadInputError(f"--at: {error}.") from None


def window_json(policy_id: str, interval: Interval, timezone: str, at: int) -> dict[str, Any]:
    """The window that holds an instant. `start` and `end` are UTC unix ms, `end` None never comes; `hours` is None for
    a window without an end; a rolling one has the length of its buckets besides."""
    window = window_for(interval, timezone, at)
    zone = load_zone(timezone)
    rolling = ROLLING.get(interval)
    shown: dict[str, Any] = {
        "policy_id": policy_id,
        "interval_kind": interval.value,
        "timezone": timezone,
        "at": at,
        "start": window.start,
        "end": window.end,
        "hours": None if window.end is None else (window.end - window.start) / HOUR_MS,
    }
    for name in ("at", "start", "end"):
        shown[f"{name}_utc"] = _utc(shown[name])
        shown[f"{name}_local"] = _local(shown[name], zone)
    shown["bucket_ms"] = None if rolling is None else rolling.bucket_ms
    shown["explanation"] = _WHAT[interval] if rolling is None else _rolling(rolling, at)
    return shown


def _rolling(rolling: Rolling, at: int) -> str:
    bucket = at - at % rolling.bucket_ms
    length = "minutes" if rolling.bucket_ms < HOUR_MS else "hours"
    leaves = bucket + (rolling.span + 1) * rolling.bucket_ms
    return (
        f"the last {rolling.span:,} whole UTC {length} and the one that runs; what is charged in this one, from"
        f" {_utc(bucket)}, counts until {_utc(leaves)}: it leaves at most one of them late, never early"
    )


def _utc(at: int | None) -> str | None:
    """RFC 3339 with milliseconds where there are any."""
    if at is None or at > LATEST_MS:
        return None
    moment = _EPOCH + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds").replace("+00:00", "Z")


def _local(at: int | None, zone: ZoneInfo) -> str | None:
    if at is None or at > LATEST_MS:
        return None
    try:
        moment = (_EPOCH + timedelta(milliseconds=at)).astimezone(zone)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds")


def _tell(shown: dict[str, Any]) -> None:
    say(f"{shown['policy_id']} · {shown['interval_kind']} · {shown['timezone']}")
    say(f"  at     {shown['at_utc']}  local {shown['at_local']}")
    say(f"  start  {shown['start_utc']}  local {shown['start_local']}")
    if shown["end"] is None:
        say("  end    never")
    else:
        say(f"  end    {shown['end_utc']}  local {shown['end_local']}")
        say(f"  lasts  {shown['hours']:g} h")
    say(f"  It is {shown['explanation']}.")
