"""What a console may do with jobs. A `version` of None takes whatever version is current."""

from dataclasses import field
from typing import Literal

from palyra.core.values import value

ReviewDecision = Literal["run", "replay", "skip"]


@value
class AddJob:
    """`fields` are a job's fields as text, as an operator types them."""

    fields: dict[str, str] = field(default_factory=dict)
    kind: Literal["add_job"] = "add_job"


@value
class EditJob:
    """`job` is a name or an id."""

    job: str
    fields: dict[str, str] = field(default_factory=dict)
    version: int | None = None
    kind: Literal["edit_job"] = "edit_job"


@value
class PauseJob:
    """A job fires no more until it is resumed, if it is still of that version."""

    job: str
    reason: str = ""
    cancel_active: bool = False
    version: int | None = None
    kind: Literal["pause_job"] = "pause_job"


@value
class ResumeJob:
    """A paused job fires again, if it is still of that version."""

    job: str
    version: int | None = None
    kind: Literal["resume_job"] = "resume_job"


@value
class ResetJob:
    """Plans a faulted job again."""

    job: str
    version: int | None = None
    kind: Literal["reset_job"] = "reset_job"


@value
class DeleteJob:
    """A job goes, if it is still of that version; what it did stays."""

    job: str
    version: int | None = None
    kind: Literal["delete_job"] = "delete_job"


@value
class TriggerJob:
    """Fires beside the schedule. With a key, asking again answers with the first fire."""

    job: str
    key: str = ""
    kind: Literal["trigger_job"] = "trigger_job"


@value
class CancelFire:
    """Stops the active fire of a job."""

    job: str
    kind: Literal["cancel_fire"] = "cancel_fire"


@value
class ReviewFire:
    """Decides on missed slots: one fire for all, one for each in order, or none."""

    fire_id: str
    decision: ReviewDecision
    kind: Literal["review_fire"] = "review_fire"


JobCommand = AddJob | EditJob | PauseJob | ResumeJob | ResetJob | DeleteJob | TriggerJob | CancelFire | ReviewFire
