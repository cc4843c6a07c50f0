"""Jobs and fires as commands print them."""

from collections.abc import Sequence

from palyra.cli.output import instant, say, table
from palyra.cli.schedule import tell_instants
from palyra.control.jobs_queries import FireView, JobDetail, JobsPage, JobView
from palyra.core.durations import format_duration
from palyra.core.money import format_usd_short
from palyra.core.plural import plural


def tell_jobs(page: JobsPage) -> None:
    """Prints a page of jobs."""
    if not page.jobs:
        say("No jobs. Add one with `palyra jobs add`, or as [[jobs]] in the configuration file.")
        return
    table(
        ("job", "state", "schedule", "zone", "next (UTC)", "now", "last", "when", "fired", "what"),
        [
            (
                view.name,
                view.state,
                schedule_text(view),
                view.timezone if view.schedule == "cron" else "",
                instant(view.next_slot),
                _present(view),
                last_text(view),
                instant(view.last_at),
                f"{view.fired:,}",
                view.what,
            )
            for view in page.jobs
        ],
        right=(8,),
    )


def schedule_text(view: JobView) -> str:
    """A job's schedule as it was written."""
    return view.expression if view.schedule == "cron" else f"{view.schedule} {view.expression}"


def last_text(view: JobView) -> str:
    """How a job's last fire ended."""
    if not view.last_state:
        return "–"
    return view.last_state if view.last_state == "completed" else f"{view.last_state}/{view.last_reason}".rstrip("/")


def _present(view: JobView) -> str:
    parts = [view.active] if view.active else []
    if view.waiting:
        parts.append(f"{view.waiting} waiting")
    if view.review_id:
        parts.append(f"review {view.review_id}")
    return ", ".join(parts) or "–"


def tell_job(detail: JobDetail, *, brief: bool = False) -> None:
    """Prints a job with its next and last fires."""
    view = detail.job
    if not brief:
        say(f"{view.name} · {view.state} · {view.source} · version {view.version}")
        if view.why:
            by = f" by {view.state_by}" if view.state_by else ""
            say(f"{view.state}{by}: {view.why}")
        say(f"job {view.job_id} · owner {view.owner} · session {detail.session}")
        for name, text in detail.fields.items():
            say(f"  {name} = {text}")
        if view.review_id:
            say(f"{plural(view.review_slots, 'slot')} were missed: palyra jobs review {view.review_id} run|replay|skip")
    if detail.upcoming:
        tell_instants(detail.upcoming)
    if detail.fires:
        tell_fires(detail.fires)


def tell_fires(fires: Sequence[FireView]) -> None:
    """Prints fires."""
    if not fires:
        say("No fires.")
        return
    table(
        ("fire", "job", "slot (UTC)", "trigger", "state", "reason", "covers", "late", "tries", "cost", "ended"),
        [
            (
                fire.fire_id,
                fire.job_name,
                instant(fire.slot),
                fire.trigger,
                fire.state,
                fire.reason,
                f"+{fire.coalesced:,}" if fire.coalesced else "",
                "–" if fire.lateness_ms is None else format_duration(fire.lateness_ms),
                str(fire.attempts),
                "–" if fire.cost_nano_usd is None else format_usd_short(fire.cost_nano_usd),
                instant(fire.finished_at),
            )
            for fire in fires
        ],
        right=(6, 7, 8, 9),
    )
