"""What an engine that died left half written, gone before another one works in its place."""

from contextlib import suppress
from pathlib import Path

from palyra.core.errors import StateError
from palyra.core.private_files import drop_leftovers
from palyra.journal.backups import BACKUP_DIRECTORY
from palyra.vault.vault import DIRECTORY as VAULT_DIRECTORY


def clear_up(state_dir: Path) -> None:
    """Of the state directory and those of ours in it; what cannot be removed keeps no engine from starting. Blocks on
    the disk."""
    for directory in (state_dir, state_dir / VAULT_DIRECTORY, state_dir / BACKUP_DIRECTORY):
        with suppress(StateError):
            drop_leftovers(directory)
