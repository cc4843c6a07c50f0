"""A real backend of the package `keyring` that keeps its entries in one file, each change in one rename."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FileRing(KeyringBackend):
    """Nothing is secret in it."""

    priority = 0.1

    def __init__(self, path: Path) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path = path

    def entries(self) -> dict[str, str]:
        """By service and account, separated by a bar."""
        found: dict[str, str] = json.loads(self.path.read_text()) if self.path.exists() else {}
        return found

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries().get(f"{service}|{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self.entries(), f"{service}|{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self.entries()
        if entries.pop(f"{service}|{username}", None) is None:
            raise PasswordDeleteError(username)
        self._write(entries)

    def _write(self, entries: dict[str, str]) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(entries))
        os.rename(beside, self.path)
