"""What runs take from the configuration, in the units they use."""

from palyra.config.choices import BoundEstimator, StoreContent
from palyra.config.model import LoadedConfig
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
    store_content: StoreContent = StoreContent.NONE


def run_settings(config: LoadedConfig) -> RunSettings:
    """How runs are carried out, as configured; durations in seconds."""
    return RunSettings(
        max_duration_s=config.runs.max_duration / 1000,
        default_output_tokens=config.runs.default_output_tokens,
        slice_tokens=config.runs.slice_tokens,
        min_output_tokens=config.governance.min_output_tokens,
        clamp_output=config.governance.clamp_output,
        estimator=config.governance.bound_estimator,
        store_content=config.runs.store_content,
    )
