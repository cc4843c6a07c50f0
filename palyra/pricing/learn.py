"""Learning from what attempts really used: how many tokens a byte is, how far bounds fall short, how long answers are.

Everything is a function of the newest samples per key, so that rebuilding from stored attempts, oldest first, gives
the same numbers. Ratios are kept as whole millionths, rounded up: no float, and never too low by rounding.
"""

from array import array
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from palyra.pricing.meter import DEFAULT_Q, DEFAULT_SLICE_Q

C_WINDOW, C_LEAST = 500, 20
C_LOWEST, C_HIGHEST = Fraction(1, 4), Fraction(4)
R_WINDOW, R_LEAST = 10_000, 1_000
R_HIGHEST = Fraction(8)
Q_WINDOW, Q_LEAST = 1_000, 50
OUTPUT_WINDOW, OUTPUT_LEAST = 200, 20
MODELS_AT_MOST = 1_024
ANSWERS_AT_MOST = 4_096

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One settled attempt. `prompt_bytes` and `overhead` are those its estimate was made from, tokens those charged.

    `reported`: the provider gave the usage; `plain`: nothing but text was sent (no media, server tools or earlier
    response), so that bytes explain the input; `visible_bytes` is what a streamed answer showed, 0 for others.
    """

    provider: str
    model: str
    principal: str
    prompt_bytes: int
    overhead: int
    input_tokens: int
    output_tokens: int
    visible_bytes: int = 0
    reported: bool = True
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a principal's use of a model.

    `c` corrects the expected input of B ÷ 4, `r` ≥ 1 raises the calibrated bound; `output_p50` and `output_p95` are
    tokens per answer, None before there are enough; `q` and `slice_q` are output tokens per visible byte.
    """

    c: Fraction = Fraction(1)
    r: Fraction = Fraction(1)
    output_p50: int | None = None
    output_p95: int | None = None
    q: Fraction = DEFAULT_Q
    slice_q: Fraction = DEFAULT_SLICE_Q


UNLEARNED = Learned()


def unraised_bound(prompt_bytes: int, overhead: int) -> int:
    """The calibrated bound on plain text before `r`: ⌈B ÷ 2⌉ + overhead, in tokens."""
    return -(-prompt_bytes // 2) + overhead


class _Window:
    """The newest `size` whole numbers, in order of arrival and in order of size.

    Keeping order costs a binary search and one move of at most 8 × `size` bytes per number.
    """

    __slots__ = ("_newest", "_ordered", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._newest: deque[int] = deque()
        self._ordered = array("q")

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, value: int) -> None:
        if len(self._newest) == self._size:
            oldest = self._newest.popleft()
            del self._ordered[bisect_left(self._ordered, oldest)]
        self._newest.append(value)
        insort(self._ordered, value)

    def quantile(self, per_mille: int) -> int:
        """The smallest number that at least that share of all is not above (nearest rank). The window is not empty."""
        rank = -(-len(self._ordered) * per_mille // 1000)
        return self._ordered[max(0, rank - 1)]


class _Model:
    """What one model of one provider has shown, whoever used it."""

    __slots__ = ("_bytes", "_pairs", "_per_byte", "_shortfalls", "_tokens")

    def __init__(self) -> None:
        self._pairs: deque[tuple[int, int]] = deque()
        self._bytes = 0
        self._tokens = 0
        self._shortfalls = _Window(R_WINDOW)
        self._per_byte = _Window(Q_WINDOW)

    def add(self, sample: Sample) -> None:
        if sample.plain and sample.prompt_bytes:
            if len(self._pairs) == C_WINDOW:
                old_bytes, old_tokens = self._pairs.popleft()
                self._bytes -= old_bytes
                self._tokens -= old_tokens
            self._pairs.append((sample.prompt_bytes, sample.input_tokens))
            self._bytes += sample.prompt_bytes
            self._tokens += sample.input_tokens
            bound = unraised_bound(sample.prompt_bytes, sample.overhead)
            self._shortfalls.add(-(-sample.input_tokens * MICRO // bound))
        if sample.visible_bytes:
            self._per_byte.add(-(-sample.output_tokens * MICRO // sample.visible_bytes))

    @property
    def c(self) -> Fraction:
        if len(self._pairs) < C_LEAST:
            return UNLEARNED.c
        tokens = 4 * self._tokens
        if tokens * C_HIGHEST.denominator >= self._bytes * C_HIGHEST.numerator:
            return C_HIGHEST
        if tokens * C_LOWEST.denominator <= self._bytes * C_LOWEST.numerator:
            return C_LOWEST
        return Fraction(tokens, self._bytes)

    @property
    def r(self) -> Fraction:
        if not self._shortfalls:
            return UNLEARNED.r
        share = 999 if len(self._shortfalls) >= R_LEAST else 1000
        raised = self._shortfalls.quantile(share)
        return min(R_HIGHEST, Fraction(raised, MICRO)) if raised > MICRO else UNLEARNED.r

    def q(self, per_mille: int, default: Fraction) -> Fraction:
        if len(self._per_byte) < Q_LEAST:
            return default
        return Fraction(self._per_byte.quantile(per_mille), MICRO)


Key = TypeVar("Key")
Kept = TypeVar("Kept")


def _newest(kept: OrderedDict[Key, Kept], key: Key, make: Callable[[], Kept], most: int) -> Kept:
    """The entry of a key, made if new; over `most` keys, the one that learned longest ago is forgotten."""
    found = kept.get(key)
    if found is None:
        found = kept[key] = make()
        if len(kept) > most:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return found


def _answers() -> _Window:
    return _Window(OUTPUT_WINDOW)


class Learner:
    """Learns from attempts as they settle; bounded in memory by keys and by samples per key."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[str, str], _Model] = OrderedDict()
        self._answers: OrderedDict[tuple[str, str, str], _Window] = OrderedDict()

    def add(self, sample: Sample) -> None:
        """Takes one attempt in. What the provider did not report teaches nothing."""
        if not sample.reported:
            return
        model_key = (sample.provider, sample.model)
        answer_key = (sample.principal, *model_key)
        _newest(self._models, model_key, _Model, MODELS_AT_MOST).add(sample)
        _newest(self._answers, answer_key, _answers, ANSWERS_AT_MOST).add(sample.output_tokens)

    def learned(self, provider: str, model: str, principal: str) -> Learned:
        """What is known now; the defaults for what is not."""
        about = self._models.get((provider, model))
        answers = self._answers.get((principal, provider, model))
        if answers is not None and len(answers) < OUTPUT_LEAST:
            answers = None
        return Learned(
            c=about.c if about else UNLEARNED.c,
            r=about.r if about else UNLEARNED.r,
            output_p50=answers.quantile(500) if answers else None,
            output_p95=answers.quantile(950) if answers else None,
            q=about.q(500, DEFAULT_Q) if about else DEFAULT_Q,
            slice_q=about.q(990, DEFAULT_SLICE_Q) if about else DEFAULT_SLICE_Q,
        )
