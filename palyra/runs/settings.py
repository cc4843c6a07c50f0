"""What runs take from the configuration, in the units they use."""

from dataclasses import dataclass

from palyra.config.choices import BoundEstimator


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Seconds and tokens. `default_output_tokens` bounds a stream before anything is learned of its model."""

    max_duration_s: float = 3600.0
    default_output_tokens: int = 1024
    slice_tokens: int = 512
    min_output_tokens: int = 64
    clamp_output: bool = True
    estimator: BoundEstimator = BoundEstimator.CALIBRATED
