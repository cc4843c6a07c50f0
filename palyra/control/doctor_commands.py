"""What a console has the doctor do."""

from typing import Literal

from palyra.core.values import value


@value
class ApplyRepairs:
    """Applies the plan of this digest, or those of its steps that were chosen (None: all). `force`: also what loses
    something. `only` and `skip` are what the plan was narrowed to, ids of checks and repairs. `stop_engine`: the engine
    of this console is stopped for steps that need it, and started again; any other engine answers `needs_stop`."""

    digest: str
    steps: tuple[str, ...] | None = None
    force: bool = False
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    stop_engine: bool = False
    kind: Literal["apply_repairs"] = "apply_repairs"


@value
class RollBack:
    """Takes a recovery run back; by `force` also over what was changed since. `stop_engine` as in ApplyRepairs."""

    run_id: str
    force: bool = False
    stop_engine: bool = False
    kind: Literal["roll_back"] = "roll_back"


DoctorCommand = ApplyRepairs | RollBack
