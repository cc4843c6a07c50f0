"""Tasks in lines and columns."""

from collections.abc import Sequence

from palyra.cli.output import amount, instant, say, say_text, table
from palyra.control.plain import USD_METRIC
from palyra.control.task_queries import TaskDetail, TaskStats, TaskView
from palyra.core.durations import format_duration


def print_tasks(tasks: Sequence[TaskView]) -> None:
    """Prints a page of tasks."""
    if not tasks:
        say("No tasks.")
        return
    table(
        ("task", "state", "kind", "owner", "priority", "attempt", "created", "why"),
        [
            (
                task.task_id,
                task.state,
                task.task_kind,
                task.owner,
                str(task.priority),
                f"{task.attempt}/{task.max_attempts}",
                instant(task.created_at),
                f"waiting: {task.waits}" if task.waits else task.reason,
            )
            for task in tasks
        ],
        right=(4, 5),
    )


def print_detail(detail: TaskDetail) -> None:
    """Prints a task with its text and result."""
    task = detail.task
    rows = [
        ("task", task.task_id),
        ("state", f"{task.state}{f' ({task.reason})' if task.reason else ''}"),
        ("waiting", task.waits),
        ("kind", task.task_kind),
        ("owner", f"{task.owner} · {task.session}"),
        ("model", task.model),
        ("priority", str(task.priority)),
        ("below", " · ".join(one for one in (task.parent_task_id, task.parent_run_id) if one)),
        ("job", task.job),
        ("attempt", f"{task.attempt} of {task.max_attempts}"),
        ("interruptions", str(task.interruptions) if task.interruptions else ""),
        ("created", instant(task.created_at)),
        ("not before", instant(task.not_before) if task.not_before != task.created_at else ""),
        ("expires", instant(task.expires_at) if task.expires_at is not None else ""),
        ("started", instant(task.started_at) if task.started_at is not None else ""),
        ("finished", instant(task.finished_at) if task.finished_at is not None else ""),
        ("lease", f"until {instant(task.lease_until)}, fence {task.fence}" if task.lease_until is not None else ""),
        ("last beat", "" if detail.heartbeat_age_ms is None else f"{detail.heartbeat_age_ms / 1000:.1f} s ago"),
        ("decision", task.decision_id),
        ("error", task.error),
    ]
    for name, text in rows:
        if text:
            say(f"{name:<14}{text}")
    if detail.runs:
        say("")
        table(
            ("run", "attempt", "state", "reason", "model", "cost"),
            [
                (
                    one.run_id,
                    str(one.attempt),
                    one.state,
                    one.reason,
                    one.model,
                    amount(one.cost_nano_usd, USD_METRIC, exact=True),
                )
                for one in detail.runs
            ],
            right=(1, 5),
        )
    if detail.result is not None:
        say("")
        print_result(detail.result, cut=detail.result_cut)


def print_result(result: str, *, cut: bool) -> None:
    """Prints what a task answered, in the lines it has; `cut`: it had more."""
    say_text(f"{result}{' … (cut)' if cut else ''}")


def print_stats(stats: TaskStats) -> None:
    """Prints sums of the background queue."""
    states = ("queued", "running", "paused", "cancel_requested")
    if stats.depth:
        rows = [(kind, *(f"{counts.get(state, 0):,}" for state in states)) for kind, counts in stats.depth.items()]
        table(("kind", *states), rows, right=(1, 2, 3, 4))
    else:
        say("No task is open.")
    oldest = ""
    if stats.oldest_ready_ms is not None:
        oldest = f", the oldest, {stats.oldest_ready_id}, for {format_duration(stats.oldest_ready_ms)}"
    say(f"{stats.ready:,} ready{oldest}")
    ended = ", ".join(f"{count:,} {state}" for state, count in sorted(stats.ended.items()))
    say(f"{stats.ended_last_hour:,} ended in the last hour{f'; kept: {ended}' if ended else ''}")
    if stats.live:
        say(f"{stats.working} of {stats.workers} workers are at work; {stats.stale_writes} stale writes")
    else:
        say("No engine runs on this state directory; this is what its journal tells.")
