"""What settled attempts teach: better estimates, how far estimates are off, and which models nobody has priced."""

from collections import OrderedDict
from dataclasses import dataclass

from palyra.core.events import Event, EventHub
from palyra.journal.rows import UsageSample
from palyra.pricing.drift import DriftBook, Estimated, EstimateDrift
from palyra.pricing.learn import Learner
from palyra.runs.attempt import Attempt, Charged, lesson, recalled

PRICE_UNKNOWN = "price.unknown"
"""The event of the first attempt on a model without a price; its subject is the model, its data name the provider."""

UNPRICED_AT_MOST = 1_024


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """A model that was used though nobody has said what it costs. `at` is its first use since the start, unix ms."""

    provider: str
    model: str
    at: int


class Experience:
    """Takes every attempt in as it settles, and those of earlier engines at the start."""

    def __init__(self, learner: Learner, events: EventHub) -> None:
        self.learner = learner
        self._events = events
        self._drift = DriftBook()
        self._unpriced: OrderedDict[tuple[str, str], UnpricedModel] = OrderedDict()

    def take(self, attempt: Attempt, charged: Charged, overrun: int, at: int) -> None:
        """Learns from an attempt that has just been settled; `overrun` are the nano-dollars above its bound."""
        learned = lesson(attempt, charged)
        self.learner.add(learned)
        if learned.reported and learned.plain:
            sample = Estimated(attempt.estimate.expected_input, learned.input_tokens, overrun > 0)
            self._drift.add(learned.provider, attempt.hold.model, sample)
        if charged.usd is None:
            self._use_unpriced(UnpricedModel(attempt.hold.provider, attempt.hold.model, at))

    def recall(self, sample: UsageSample, upstream: str) -> None:
        """Learns from an attempt as the journal tells of it. `upstream` is the provider's own name of the model."""
        self.learner.add(recalled(sample, upstream))
        if (told := estimated(sample)) is not None:
            self._drift.add(sample.provider, sample.model, told)

    def drift(self, provider: str, model: str) -> EstimateDrift:
        """How far the estimates of a model, by its public id, are off."""
        return self._drift.drift(provider, model)

    def drifts(self) -> tuple[EstimateDrift, ...]:
        """How far the estimates of each model are off; models by their public ids."""
        return self._drift.drifts()

    def unpriced(self) -> tuple[UnpricedModel, ...]:
        """The models used without a price since the start, the first used first."""
        return tuple(self._unpriced.values())

    def _use_unpriced(self, used: UnpricedModel) -> None:
        key = (used.provider, used.model)
        if key in self._unpriced:
            return
        if len(self._unpriced) >= UNPRICED_AT_MOST:
            self._unpriced.popitem(last=False)
        self._unpriced[key] = used
        self._events.publish(Event(PRICE_UNKNOWN, used.at, used.model, {"provider": used.provider}))


def estimated(sample: UsageSample) -> Estimated | None:
    """An attempt beside its estimate, as the journal tells of it; None where that teaches nothing."""
    learned = recalled(sample, sample.model)
    if not (learned.reported and learned.plain):
        return None
    return Estimated(sample.expected_input, sample.input_total, sample.overrun > 0)
