"""What is noted of providers' credentials."""

from palyra.journal.readers.query import Query
from palyra.journal.rows import CredentialRow
from palyra.journal.tables import CREDENTIALS


class CredentialReaders(Query):
    """Reads what is known of credentials."""

    async def credentials(self) -> tuple[CredentialRow, ...]:
        """All notes, also of credentials that are no longer in use."""
        order = "ORDER BY provider, credential, fingerprint LIMIT -1"
        return await self._rows(CREDENTIALS, lambda values: CredentialRow(*values), order)
