"""What an engine answers a doctor."""

from palyra.control.doctor_queries import JournalExamination, JournalExaminationQuery
from palyra.engine import Engine
from palyra.journal.examination import Asking, examine


async def examined_journal(engine: Engine, query: JournalExaminationQuery) -> JournalExamination:
    """Everything submitted so far is written first, so that the chain's head is where its rows are."""
    await engine.journal.submit(())
    asking = Asking(query.deep, query.limit_s, live=True)
    return JournalExamination(engine.boot_id, await examine(engine.state_dir, engine.clock, asking))
