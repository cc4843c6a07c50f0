"""How well estimates fit what was used: per model, over its newest attempts that the provider reported."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from fractions import Fraction

from palyra.core.values import value

WINDOW, LEAST = 200, 50
OFF_AT_MOST = Fraction(1, 4)
OVERRUNS_AT_MOST = Fraction(1, 1000)
MODELS_AT_MOST = 1_024


@value
class Estimated:
    """One settled attempt beside its estimate: input tokens expected and used, and whether it cost more than its
    bound."""

    expected: int
    actual: int
    overrun: bool = False


@value
class EstimateDrift:
    """How far the estimates of one model are off. `expected` and `actual` are sums of input tokens over `samples`
    attempts, `overruns` how many of those went over their bound."""

    provider: str
    model: str
    samples: int
    expected: int
    actual: int
    overruns: int

    @property
    def ratio(self) -> Fraction | None:
        """Σ actual ÷ Σ expected; None where nothing was expected."""
        return Fraction(self.actual, self.expected) if self.expected else None

    @property
    def drifting(self) -> bool:
        """Whether somebody should know: enough attempts, and sums off by more than a quarter or too many overruns."""
        if self.samples < LEAST:
            return False
        off = abs(self.actual - self.expected) > OFF_AT_MOST * self.expected
        return off or self.overruns > OVERRUNS_AT_MOST * self.samples


def estimate_drift(provider: str, model: str, samples: Iterable[Estimated]) -> EstimateDrift:
    """The drift over the newest `WINDOW` of these attempts, given oldest first."""
    newest = deque(samples, maxlen=WINDOW)
    return EstimateDrift(
        provider=provider,
        model=model,
        samples=len(newest),
        expected=sum(one.expected for one in newest),
        actual=sum(one.actual for one in newest),
        overruns=sum(one.overrun for one in newest),
    )


class DriftBook:
    """The newest attempts of every model; over `MODELS_AT_MOST` models the one used longest ago is forgotten."""

    def __init__(self) -> None:
        self._newest: OrderedDict[tuple[str, str], deque[Estimated]] = OrderedDict()

    def add(self, provider: str, model: str, sample: Estimated) -> None:
        """Takes one attempt in. Only attempts of plain text whose usage the provider reported belong here."""
        key = (provider, model)
        found = self._newest.get(key)
        if found is None:
            found = self._newest[key] = deque(maxlen=WINDOW)
            if len(self._newest) > MODELS_AT_MOST:
                self._newest.popitem(last=False)
        self._newest.move_to_end(key)
        found.append(sample)

    def drift(self, provider: str, model: str) -> EstimateDrift:
        """One model's; of one that nothing is known of, no attempts."""
        return estimate_drift(provider, model, self._newest.get((provider, model), ()))

    def drifts(self) -> tuple[EstimateDrift, ...]:
        """Every model's, by provider and model; `drifting` says of which to warn."""
        return tuple(estimate_drift(*key, samples) for key, samples in sorted(self._newest.items()))
