"""What a console sees while no engine runs: why there is none, and where it would be."""

import os

from palyra import __version__
from palyra.control.snapshots import EngineView, OperatorView, Snapshot
from palyra.core.values import value

RECOVERY = "recovery"


@value
class Standstill:
    """Why no engine runs. `trouble` is a line without a full stop, `problems` say more where there is more to say;
    `code` is that of the error. `phase`: recovery; draining or starting while one is stopped or started here."""

    trouble: str
    problems: tuple[str, ...] = ()
    code: str = ""
    phase: str = RECOVERY


@value
class Premises:
    """What is known of an installation without its engine: paths as they are shown, and when this began (unix ms)."""

    state_dir: str
    config_path: str
    key_file: str
    log_file: str
    timezone: str
    since: int


def standing(why: Standstill, premises: Premises, operator: OperatorView, at: int) -> Snapshot:
    """All that there is to see at `at` (unix ms)."""
    engine = EngineView(
        phase=why.phase,
        mode="",
        version=__version__,
        boot_id="",
        pid=os.getpid(),
        started_at=premises.since,
        timezone=premises.timezone,
        gateway_url="",
        socket="",
        key_file=premises.key_file,
        state_dir=premises.state_dir,
        config_path=premises.config_path,
        demo=False,
        journal_ok=True,
        lag_ms=0.0,
        problems=why.problems,
        log_file=premises.log_file,
        trouble=why.trouble,
    )
    return Snapshot(
        version=0,
        at=at,
        engine=engine,
        operator=operator,
        spend_today_nano_usd=0,
        tightest=None,
        approvals_pending=0,
        incidents_open=0,
        runs_live=0,
        requests_total=0,
        providers=(),
    )
