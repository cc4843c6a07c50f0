"""A plan or a rollback from its planning to its end, whoever asked for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from palyra.core.clock import Clock
from palyra.doctor.applying import RunResult, Site, Terms, Tools, apply_plan
from palyra.doctor.execution import PlanChangedError, Work, Worked
from palyra.doctor.plan import Plan
from palyra.doctor.repairs import journal
from palyra.doctor.rolling_back import roll_back
from palyra.doctor.runs import Who
from palyra.journal.mending import bring_up_to_date, count_sums_anew, settle
from palyra.journal.salvaging import Lost, salvage


def journal_works(clock: Clock) -> Mapping[str, Work]:
    """What makes a new journal out of the one there is, by the names plans use."""

    def salvaged(source: Path, product: Path) -> Worked:
        done = salvage(source, product, clock.now_ms())
        return Worked(_told(done.lost) or (journal.NOTHING_LOST,), done.gap)

    return {
        journal.SETTLE: lambda source, product: Worked(settle(source, product)),
        journal.MIGRATE: lambda source, product: Worked(bring_up_to_date(source, product)),
        journal.ROLLUPS: lambda source, product: Worked(count_sums_anew(source, product)),
        journal.SALVAGE: salvaged,
    }


def _told(lost: Sequence[Lost]) -> tuple[str, ...]:
    """By table; those of which nobody knows how many rows are gone together."""
    counted = tuple(str(one) for one in lost if one.rows is not None)
    unknown = [one.table for one in lost if one.rows is None]
    if not unknown:
        return counted
    return (*counted, f"rows are lost, nobody knows how many, of {', '.join(unknown)}")


def carry_out(plan: Plan, terms: Terms, site: Site, who: Who, tools: Tools, *, digest: str = "") -> RunResult:
    """Applies a plan; `digest`, where one is given, has to be its own.

    A plan whose step takes a run back does that. Raises what `apply_plan` and `roll_back` raise.
    """
    if digest:
        check_digest(plan, digest)
    undoing = next((step for step in plan.steps if step.undoes), None)
    if undoing is not None and undoing.force <= terms.force and terms.steps in (None, (undoing.repair_id,)):
        return roll_back(undoing.undoes, site, who, tools, force=terms.force, live=terms.live)
    return apply_plan(plan, terms, site, who, tools)


def check_digest(plan: Plan, digest: str) -> None:
    """Raises PlanChangedError where the plan is another than the one of this digest."""
    if digest != plan.digest:
        raise PlanChangedError(
            f"The plan is not {digest} any more; nothing was written.",
            fix="Look at the new plan first.",
        )
