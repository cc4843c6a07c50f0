"""The log files of engines and of consoles, as `[logging]` says."""

from pathlib import Path

from palyra.config.model import LoadedConfig
from palyra.config.operations import LoggingConfig
from palyra.core.errors import StateError
from palyra.core.logs import EngineLog, LogSettings
from palyra.core.private_files import private_dir
from palyra.core.reasons import reason_of
from palyra.vault.access import STATE_FILES


def open_log(config: LoadedConfig, state_dir: Path, *, attached: bool = False) -> EngineLog:
    """The engine's log file, as configured, or the one of consoles `attached` to an engine elsewhere, beside it.

    The state directory is made if it is not there. Raises StateError where that, or the log, cannot be written.
    """
    private_dir(state_dir, ours=STATE_FILES)
    settings = config.logging
    path = state_dir / settings.file
    path = path.with_stem(f"{path.stem}-console") if attached else path
    try:
        return EngineLog(path, log_settings(settings))
    except OSError as error:
        raise StateError(
            f"The log {path} cannot be written: {reason_of(error)}.",
            fix="Clear what is in its way, or name another file in logging.file.",
        ) from None


def log_settings(config: LoggingConfig) -> LogSettings:
    """How the log is kept, as configured."""
    return LogSettings(config.level.value, config.format.value, config.max_size, config.keep)
