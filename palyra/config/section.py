"""What every table of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen table whose unknown keys are refused.

    Fields carry the names of the file's keys and typed values: durations are int milliseconds, sizes int bytes,
    dollars int nano-dollars, instants UTC unix milliseconds. Keys named `…_seconds`, `…_ms` and `…_days` keep the
    unit of their name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)
