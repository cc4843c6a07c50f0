"""What runs were asked and answered."""

from palyra.journal.readers.query import Query
from palyra.journal.text_rows import RUN_TEXTS, RunText


class TextReaders(Query):
    """Reads kept texts of runs."""

    async def run_texts(self, run_id: str) -> tuple[RunText, ...]:
        """The prompt and the answer, those of them that were kept."""
        return await self._saved(RUN_TEXTS, "WHERE run_id = ? ORDER BY part DESC LIMIT 2", (run_id,))
