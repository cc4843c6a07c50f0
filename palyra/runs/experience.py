"""What settled attempts teach: better estimates, and how far estimates are off."""

from palyra.journal.readers import Readers
from palyra.journal.rows import UsageSample
from palyra.pricing.drift import DriftBook, Estimated, EstimateDrift
from palyra.pricing.learn import Learner
from palyra.providers.registry import Registry
from palyra.runs.attempt import CACHE, Attempt, Charged, lesson, recalled
from palyra.runs.earlier import EarlierAnswers


class Experience:
    """Takes every attempt in as it settles, and those of earlier engines at the start."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.earlier = EarlierAnswers()
        self._drift = DriftBook()

    def take(self, attempt: Attempt, charged: Charged, latency_ms: int, overrun: int) -> None:
        """Learns from an attempt that has just been settled, `latency_ms` after it began.

        `overrun` are the nano-dollars above its bound.
        """
        self.earlier.remember(charged.answer_id, charged.tokens)
        learned = lesson(attempt, charged, latency_ms)
        self.learner.add(learned)
        if learned.reported and learned.plain:
            sample = Estimated(attempt.estimate.expected_input, learned.input_tokens, overrun > 0)
            self._drift.add(learned.provider, attempt.hold.model, sample)

    def recall(self, sample: UsageSample, upstream: str) -> None:
        """Learns from an attempt as the journal tells of it. `upstream` is the provider's own name of the model.

        A request that was served by a kept answer teaches nothing.
        """
        if sample.usage_source == CACHE:
            return
        learned = recalled(sample, upstream)
        self.learner.add(learned)
        self.earlier.remember(sample.answer_id, sample.input_total + sample.output_total)
        if learned.reported and learned.plain:
            self._drift.add(sample.provider, sample.model, _beside_estimate(sample))

    def drift(self, provider: str, model: str) -> EstimateDrift:
        """How far the estimates of a model, by its public id, are off."""
        return self._drift.drift(provider, model)

    def drifts(self) -> tuple[EstimateDrift, ...]:
        """How far the estimates of each model are off; models by their public ids."""
        return self._drift.drifts()


async def recall_all(experience: Experience, readers: Readers, registry: Registry) -> None:
    """Takes in what the journal tells of earlier attempts."""
    upstream = {entry.id: entry.upstream for entry in registry.models}
    async for samples in readers.samples():
        for sample in samples:
            model = upstream.get(sample.model, sample.model.removeprefix(f"{sample.provider}/"))
            experience.recall(sample, model)


def estimated(sample: UsageSample) -> Estimated | None:
    """An attempt beside its estimate, as the journal tells of it; None where that teaches nothing."""
    learned = recalled(sample, sample.model)
    if not (learned.reported and learned.plain):
        return None
    return _beside_estimate(sample)


def _beside_estimate(sample: UsageSample) -> Estimated:
    return Estimated(sample.expected_input, sample.input_total, sample.overrun > 0)
