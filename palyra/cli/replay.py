"""`palyra replay`: what other policies and prices would have made of the requests of the past."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.moments import moment_back
from palyra.cli.options import DONE, Config, Json, StateDir, place, run
from palyra.cli.output import complain, instant, print_json, say, table
from palyra.cli.progress import ProgressBar, escapable
from palyra.cli.usage_options import Since, Until
from palyra.config.trial_file import Row, trial_rows
from palyra.control.protocol import Control
from palyra.control.replays import ReplayAnswer, ReplayQuery, replay
from palyra.core.clock import SystemClock
from palyra.core.errors import ManyProblemsError
from palyra.core.ids import IdSource
from palyra.core.money import format_usd
from palyra.core.plural import plural

CANCELLED = 130
EXAMPLES_SHOWN = 12


def add_replay(app: typer.Typer, launch: Launch) -> None:
    """Adds `palyra replay`."""

    @app.command("replay")
    def replay_(
        policies: Annotated[
            Path | None, typer.Option("--policies", metavar="FILE", help="TOML with [[budgets]] to try.")
        ] = None,
        prices: Annotated[
            Path | None, typer.Option("--prices", metavar="FILE", help="TOML with [[pricing]] to try.")
        ] = None,
        without: Annotated[
            list[str] | None,
            typer.Option("--without", metavar="POLICY", help="Leave this policy out. May be repeated."),
        ] = None,
        only: Annotated[bool, typer.Option("--only", help="Try nothing but the budgets of the file.")] = False,
        since: Since = "30d",
        until: Until = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Decides recorded requests again: with the file's budgets in place of those of the same id, beside the others
        as they were. Nothing is sent and nothing changes."""

        async def work() -> int:
            budgets, budget_faults = _rows(policies, "budgets")
            priced, price_faults = _rows(prices, "pricing")
            if budget_faults or price_faults:
                raise ManyProblemsError([*budget_faults, *price_faults])
            tried = ReplayQuery(
                replay_id=IdSource(SystemClock()).new(),
                policies=tuple(budgets),
                removed=tuple(without or ()),
                only=only,
                pricing=tuple(priced),
            )
            async with launch.reading(place(config, state_dir)) as control:
                now = (await control.snapshot([])).at
                ends = None if until is None else moment_back("--until", until, now)
                begins = moment_back("--since", since, now if ends is None else ends)
                answer = await _followed(control, tried.during(begins, ends))
            if answer is None:
                complain("The replay was cancelled.")
                return CANCELLED
            if as_json:
                print_json(answer)
            else:
                print_answer(answer)
            return DONE

        run(work)


def _rows(path: Path | None, name: str) -> tuple[list[Row], list[str]]:
    """The rows of a file, and in words everything that is wrong with it."""
    if path is None:
        return [], []
    try:
        data = path.read_bytes()
    except OSError as error:
        return [], [f"{path} cannot be read: {error.strerror}. Name a file you may read."]
    rows, problems = trial_rows(data, path, name)
    if problems:
        return [], [f"{path} has {plural(len(problems), 'problem')}:", *(f"  {problem}" for problem in problems)]
    return rows, [] if rows else [f"{path} has no [[{name}]]. Write at least one."]


async def _followed(control: Control, query: ReplayQuery) -> ReplayAnswer | None:
    """The answer; None when somebody pressed Esc."""
    clock = SystemClock()
    bar = ProgressBar("replaying", "events", clock)
    work = asyncio.ensure_future(
        replay(control, query, clock, lambda progress: bar.show(progress.done, progress.total))
    )
    try:
        with escapable(work.cancel):
            await asyncio.wait([work])
    except BaseException:
        work.cancel()
        await asyncio.wait([work])
        raise
    finally:
        bar.clear()
    return None if work.cancelled() else work.result()


def print_answer(answer: ReplayAnswer) -> None:
    """Prints what a replay came to."""
    say(f"{plural(answer.requests, 'request')} from {instant(answer.since)} to {instant(answer.until)}")
    say(f"{answer.differences:,} would have gone another way")
    table(
        ("", "then", "tried"),
        [
            ("denied", f"{answer.denied_before:,}", f"{answer.denied_after:,}"),
            ("asked for approval", f"{answer.approvals_before:,}", f"{answer.approvals_after:,}"),
            ("clamped", f"{answer.clamped_before:,}", f"{answer.clamped_after:,}"),
            ("streams cut", f"{answer.cut_before:,}", f"{answer.cut_after:,}"),
            ("unpriced", f"{answer.unpriced_before:,}", f"{answer.unpriced_after:,}"),
            ("cost", format_usd(answer.cost_before_nano_usd), format_usd(answer.cost_after_nano_usd)),
        ],
        right=(1, 2),
    )
    say(f"rerouted {answer.rerouted:,} · saved {format_usd(answer.saved_nano_usd)}")
    biting = [one for one in answer.policies if one.added or one.refused]
    if biting:
        say("")
        rows = [
            (
                one.policy_id,
                "tried" if one.added else "as it was",
                f"{one.refused:,}",
                f"{one.approvals:,}",
                f"{one.would_refuse:,}",
                f"{one.over_soft:,}",
                one.first_day or "never",
            )
            for one in biting
        ]
        headings = ("policy", "", "refused", "of them asking", "would refuse", "over soft", "first bites")
        table(headings, rows, right=(2, 3, 4, 5))
    if answer.examples:
        say("")
    for item in answer.examples[:EXAMPLES_SHOWN]:
        models = (
            item.model_before if item.model_before == item.model_after else f"{item.model_before} → {item.model_after}"
        )
        say(f"{instant(item.at)}  {item.principal}  {models or '–'}  {item.before} → {item.after}  run {item.run_id}")
        for reason in item.reasons:
            say(f"    {reason}")
    for note in answer.notes:
        say(f"note: {note}")
