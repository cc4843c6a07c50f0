"""`palyra explain` and `palyra ledger verify`: the books, opened."""

from dataclasses import replace
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, REFUSED, Config, Json, StateDir, place, run
from palyra.cli.output import amount, instant, print_json, say
from palyra.cli.progress import ProgressBar
from palyra.control.plain import decision_json, plain
from palyra.control.protocol import Control
from palyra.control.queries import (
    DecisionQuery,
    LedgerAnswer,
    LedgerQuery,
)
from palyra.core.clock import SystemClock
from palyra.core.plural import plural

MOST_TOLD = 1_000
"""Sums at fault that are listed."""
WHOLE = 10_000
"""Steps of the progress bar."""


def add_explain(app: typer.Typer, launch: Launch) -> None:
    """Adds `palyra explain`."""

    @app.command("explain")
    def explain(
        decision_id: Annotated[str, typer.Argument(metavar="DECISION", help="A decision's or a run's id.")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Why a request was let through, changed, held back or refused, and what would have passed."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(DecisionQuery(decision_id))
            if as_json:
                print_json(decision_json(detail))
                return DONE
            say(f"decision {detail.decision_id} · run {detail.run_id} · {instant(detail.at)}")
            say(f"{detail.outcome} · mode {detail.mode} · {', '.join(detail.reason_codes)}")
            for sentence in detail.sentences:
                say(f"  {sentence}")
            return DONE

        run(work)


def ledger(launch: Launch) -> typer.Typer:
    """`palyra ledger …`."""
    app = typer.Typer(help="The ledger of holds.", no_args_is_help=True)

    @app.callback()
    def group() -> None:
        """The ledger of holds."""

    @app.command("verify")
    def verify(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Rebuilds every counter from the journal and compares; exit 1 on any fault."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await _checked(control)
            if as_json:
                print_json(ledger_json(answer))
            else:
                _print(answer)
            return DONE if answer.ok else REFUSED

        run(work)

    return app


async def _checked(control: Control) -> LedgerAnswer:
    """The counters, then the sums of usage a stretch after another: nobody waits without seeing how far it is."""
    bar = ProgressBar("checking sums of usage", "", SystemClock())
    answer = await control.ask(LedgerQuery("counters"))
    cursor, more = "", True
    try:
        while more:
            stretch = await control.ask(LedgerQuery("sums", cursor))
            answer = replace(
                answer,
                ok=answer.ok and stretch.ok,
                rollup_differences=(*answer.rollup_differences, *stretch.rollup_differences)[:MOST_TOLD],
                sums_share=stretch.sums_share,
            )
            bar.show(int(stretch.sums_share * WHOLE), WHOLE)
            cursor = stretch.sums_cursor
            more = bool(cursor)
    finally:
        bar.clear()
    return answer


def ledger_json(answer: LedgerAnswer) -> dict[str, object]:
    """The report as JSON data; overshoot of money budgets is named in nano-dollars."""
    data: dict[str, object] = plain(answer)
    del data["sums_share"], data["sums_cursor"]
    data["overshoot"] = [
        {
            "policy_id": item.policy_id,
            "scope_value": item.scope_value,
            "window_start": item.window_start,
            "metric_kind": item.metric_kind,
            **(
                {"overshoot_nano_usd": item.amount}
                if item.metric_kind == "estimated_cost_usd"
                else {"overshoot": item.amount}
            ),
        }
        for item in answer.overshoot
    ]
    return data


def _print(answer: LedgerAnswer) -> None:
    against = "the live counters" if answer.live else "what each hold recorded (no engine runs)"
    say(f"{plural(answer.holds, 'hold')} rebuilt into {plural(answer.counters, 'counter')}, compared with {against}")
    say(f"open holds of live runs: {answer.open_holds}")
    for hold_id in answer.orphan_holds:
        say(f"✖ hold {hold_id} is open and nobody's: the next start ends it")
    for item in answer.overshoot:
        if item.amount:
            say(f"✖ {item.policy_id} {item.scope_value}: over its limit by {amount(item.amount, item.metric_kind)}")
    for difference in answer.differences:
        counted, rebuilt = (
            amount(number, difference.metric_kind, exact=True) for number in (difference.live, difference.rebuilt)
        )
        say(
            f"✖ {difference.policy_id} {difference.scope_value} {difference.what}: counted {counted}, rebuilt {rebuilt}"
        )
    for text in answer.rollup_differences:
        say(f"✖ {text}")
    say("ledger is clean" if answer.ok else "ledger has faults")
