"""What a doctor asks the engine whose files it looks at."""

from typing import Literal

from palyra.core.values import value
from palyra.journal.examination import Examined


@value
class JournalExaminationQuery:
    """Has the engine examine its journal; `limit_s` is for each part, None for no limit."""

    deep: bool = False
    limit_s: float | None = 30.0
    kind: Literal["journal_examination"] = "journal_examination"


@value
class JournalExamination:
    """`boot_id` is what the engine's own rows carry, empty without one."""

    boot_id: str
    examined: Examined
