"""What runs take from the configuration, in the units they use."""

from palyra.config.choices import BoundEstimator
from palyra.core.values import value


@value
class RunSettings:
    """Seconds and tokens. `default_output_tokens` bounds a stream before anything is learned of its model."""

    max_duration_s: float = 3600.0
    default_output_tokens: int = 1024
    slice_tokens: int = 512
    min_output_tokens: int = 64
    clamp_output: bool = True
    estimator: BoundEstimator = BoundEstimator.CALIBRATED
