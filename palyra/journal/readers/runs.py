"""Runs, their notes and their decisions."""

from collections.abc import AsyncIterator

from palyra.journal.readers.matching import matching
from palyra.journal.readers.run_pages import FIELDS, MAX_PAGE, RunPages, Turn
from palyra.journal.rows import DecisionRow, NoteRow, RunFilter, RunPage, RunRow
from palyra.journal.tables import DECISIONS, NOTES, RUNS, decision_row, run_row

REFUSED_SEARCHED = 5_000
TEXT_COLUMNS = ("run_id", "principal", "session", "model", "model_asked", "reason", "message", "decision_id")
EVERYTHING = RunFilter()


class RunReaders(RunPages):
    """Reads runs and decisions."""

    async def run(self, run_id: str) -> RunRow | None:
        """The run of that id."""
        return await self._row(RUNS, run_row, "WHERE run_id = ?", (run_id,))

    async def runs(
        self, wanted: RunFilter = EVERYTHING, *, cursor: str = "", limit: int = 50, upward: bool = False
    ) -> RunPage:
        """At most `limit` (500) runs, newest first; `cursor` comes from the page before, `upward` goes to newer ones.

        Raises BadInputError for a cursor that no page gave, and for a field that runs do not have.
        """
        conditions, parameters = _conditions(wanted)
        return await self._page_of_runs("accepted_at", conditions, parameters, Turn(cursor, limit, upward))

    async def count_runs(self, wanted: RunFilter = EVERYTHING) -> int:
        """How many there are. Raises BadInputError for a field that runs do not have."""
        return await self._count_of_runs(*_conditions(wanted))

    async def runs_refused_by(self, policy_id: str, *, limit: int = 50) -> tuple[RunRow, ...]:
        """The newest runs that one budget refused, newest first, among the newest that were refused at all."""
        sql = (
            f"SELECT json_group_array({RUNS.array()}) FROM (SELECT r.* FROM"
            " (SELECT * FROM runs INDEXED BY runs_by_state WHERE state = 'refused' AND state <> 'completed'"
            f" ORDER BY accepted_at DESC LIMIT {REFUSED_SEARCHED}) AS r"
            " JOIN decisions AS d ON d.decision_id = r.decision_id WHERE EXISTS (SELECT 1"
            " FROM json_each(d.body, '$.evaluations') AS e WHERE e.value ->> 'policy_id' = ?"
            " AND e.value ->> 'status' IN ('blocked', 'approval_required')) ORDER BY r.accepted_at DESC LIMIT ?)"
        )
        return await self._listed(sql, run_row, (policy_id, max(1, min(limit, MAX_PAGE))))

    def orphan_runs(self, boot_id: str) -> AsyncIterator[tuple[RunRow, ...]]:
        """Runs that are not terminal and belong to another boot than this one, in chunks."""
        return self._chunks(
            RUNS,
            run_row,
            "state <> 'completed' AND state IN ('pending', 'parked', 'running') AND boot_id <> ?",
            (boot_id,),
            index="runs_by_state",
        )

    async def run_notes(self, run_id: str) -> tuple[NoteRow, ...]:
        """The run's timeline, oldest first."""
        return await self._rows(
            NOTES, lambda values: NoteRow(*values), "WHERE run_id = ? ORDER BY seq LIMIT 10000", (run_id,)
        )

    async def decision(self, decision_id: str) -> DecisionRow | None:
        """The decision of that id."""
        return await self._row(DECISIONS, decision_row, "WHERE decision_id = ?", (decision_id,))

    async def decisions(self, limit: int = 50) -> tuple[DecisionRow, ...]:
        """The newest decisions, newest first."""
        return await self._rows(DECISIONS, decision_row, "ORDER BY seq DESC LIMIT ?", (max(1, min(limit, MAX_PAGE)),))

    async def decisions_of_run(self, run_id: str) -> tuple[DecisionRow, ...]:
        """Oldest first."""
        return await self._rows(DECISIONS, decision_row, "WHERE run_id = ? ORDER BY seq LIMIT 1000", (run_id,))


def _conditions(wanted: RunFilter) -> tuple[list[str], list[str | int]]:
    conditions: list[str] = []
    parameters: list[str | int] = []

    def ask(condition: str, *values: str | int) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if wanted.states:
        ask(f"state IN ({', '.join('?' * len(wanted.states))})", *wanted.states)
        if "completed" not in wanted.states:
            ask("state <> 'completed'")
    if wanted.principal:
        ask("principal = ?", wanted.principal)
    if wanted.session:
        ask("session = ?", wanted.session)
    if wanted.job:
        ask("job = ? AND job <> ''", wanted.job)
    if wanted.model:
        ask("? IN (model, model_asked)", wanted.model)
    if wanted.text:
        pattern = "%" + wanted.text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
        matches = " OR ".join(f"{name} LIKE ? ESCAPE '!'" for name in TEXT_COLUMNS)
        ask(f"({matches})", *[pattern] * len(TEXT_COLUMNS))
    if wanted.since is not None:
        ask("accepted_at >= ?", wanted.since)
    if wanted.until is not None:
        ask("accepted_at < ?", wanted.until)
    matched, patterns = matching(wanted.terms, FIELDS)
    conditions += matched
    parameters += patterns
    return conditions, parameters
