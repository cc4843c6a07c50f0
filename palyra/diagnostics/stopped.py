"""Diagnostics where no engine runs: there is nothing to observe, and nobody is served."""

from typing import Any

from palyra.diagnostics.reasons import ReasonCode, State, reason
from palyra.diagnostics.section import NAMES, CollectorState, Section, Sections
from palyra.diagnostics.snapshot import Diagnosis, EngineData, diagnosis


def stopped_diagnosis(engine: EngineData, now: int) -> Diagnosis:
    """Every part is told as stopped; the gateway has failed, since clients are not served. `now` in unix ms."""
    rests = dict.fromkeys(NAMES, _section(State.DISABLED))
    return diagnosis(engine, Sections(**{**rests, "gateway": _section(State.FAILED)}), now, 0)


def _section(state: State) -> Section[Any]:
    return Section(state, (reason(ReasonCode.ENGINE_STOPPED),), CollectorState.OK, None, 0, stale=False, data=None)
