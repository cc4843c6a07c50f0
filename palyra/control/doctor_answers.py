"""What an engine answers a doctor."""

from dataclasses import replace

from palyra.control.doctor_queries import JournalExamination, JournalExaminationQuery
from palyra.engine import Engine
from palyra.engine.books import counted_again
from palyra.governance.verify import Difference
from palyra.journal.examination import Asking, Examined, examine


async def examined_journal(engine: Engine, query: JournalExaminationQuery) -> JournalExamination:
    """Everything submitted so far is written first, so that the chain's head is where its rows are. The counters the
    engine works with are compared with its rows too, which nobody else can."""
    await engine.journal.submit(())
    asking = Asking(query.deep, query.limit_s, live=True)
    examined = await examine(engine.state_dir, engine.clock, asking)
    return JournalExamination(engine.boot_id, await _with_counters(engine, examined, query.limit_s))


async def _with_counters(engine: Engine, examined: Examined, limit_s: float | None) -> Examined:
    try:
        async with engine.clock.timeout(limit_s):
            report = await counted_again(engine)
    except TimeoutError:
        late = {"sums": f"counting again took longer than {limit_s:g} s"}
        return replace(examined, problems={**examined.problems, **late})
    return replace(examined, sums=(*examined.sums, *(_told(one) for one in report.differences)))


def _told(one: Difference) -> str:
    return f"{one.policy_id} {one.scope_value} {one.metric}: {one.what} is {one.live}, its rows give {one.rebuilt}"
