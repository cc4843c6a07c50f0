"""What is noted of providers' credentials."""

from palyra.journal.readers.query import Query
from palyra.journal.rows import CredentialRow
from palyra.journal.tables import CREDENTIALS, credential_row


class CredentialReaders(Query):
    async def credentials(self) -> tuple[CredentialRow, ...]:
        """All notes, also of credentials that are no longer in use."""
        return await self._rows(CREDENTIALS, credential_row, "ORDER BY provider, credential, fingerprint LIMIT -1")
