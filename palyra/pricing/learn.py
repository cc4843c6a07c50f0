"""Learning from what attempts really used: how many tokens a byte is, how far bounds fall short, how long answers are.

Everything known of a model is a function of its newest attempts, so that rebuilding from stored ones, oldest first,
gives the same numbers. Ratios are kept as whole millionths, rounded up: no float, and never too low by rounding.
"""

import math
from array import array
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from dataclasses import replace
from fractions import Fraction

from palyra.core.values import value
from palyra.pricing.meter import DEFAULT_Q, DEFAULT_SLICE_Q

HORIZON = 10_000
"""Attempts of a model that anything is learned from, the newest ones, those that teach nothing counted too."""
C_WINDOW, C_LEAST = 500, 20
C_LOWEST, C_HIGHEST = Fraction(1, 4), Fraction(4)
R_LEAST = 1_000
R_HIGHEST = Fraction(8)
Q_WINDOW, Q_LEAST = 1_000, 50
FEW_LEAST, FEW_MARGIN = 8, Fraction(5, 4)
"""From so many streams on, slices reach as far as the dearest of them tells, with this margin, until there are enough
for a quantile. Of replayed streams cut by a budget before, a median of 0.44 of what it affords was used, then 0.73."""
OUTPUT_WINDOW, OUTPUT_LEAST = 200, 20
MODELS_AT_MOST = 1_024

PROVEN_SLICE_Q = Fraction(1)
PROVEN_UNSEEN = 30
"""Output tokens that mark the beginning and the end of an answer and its parts."""

MICRO = 1_000_000

NOT_COUNTED = frozenset({"usage_partial", "usage_zero", "identity_U1"})
"""Flags of usage some part of which the provider did not report and the meter stands for."""


@value
class Sample:
    """One settled attempt. `prompt_bytes` and `overhead` are those its estimate was made from, tokens those charged.

    `reported`: the provider gave all of the usage, otherwise it teaches nothing; `plain`: nothing but text was sent (no
    media, server tools or earlier response), so that bytes explain the input; `visible_bytes` is what a streamed
    answer showed, 0 for others; `latency_ms` the whole of its time.
    """

    provider: str
    model: str
    principal: str
    prompt_bytes: int
    overhead: int
    input_tokens: int
    output_tokens: int
    visible_bytes: int = 0
    latency_ms: int = 0
    reported: bool = True
    plain: bool = True


@value
class Learned:
    """What is known of a principal's use of a model.

    `c` corrects the expected input of B ÷ 4, `r` ≥ 1 raises the calibrated bound; `output_p50` and `output_p95` are
    tokens per answer, None before there are enough; `q` and `slice_q` are output tokens per visible byte, and `unseen`
    those a slice covers besides. `latency_p50` is the model's median time to a whole answer (ms), None before there are
    enough, whoever asked.
    """

    c: Fraction = Fraction(1)
    r: Fraction = Fraction(1)
    output_p50: int | None = None
    output_p95: int | None = None
    q: Fraction = DEFAULT_Q
    slice_q: Fraction = DEFAULT_SLICE_Q
    unseen: int = 0
    latency_p50: int | None = None

    @property
    def usual_cover(self) -> int | None:
        """Output tokens that must be covered for half of the answers to pass whole; None before there are enough."""
        if self.output_p50 is None:
            return None
        return math.ceil(self.output_p50 * self.slice_q / self.q) + self.unseen if self.q else None

    def proven(self) -> "Learned":
        """The same with slices that text cannot outrun: a token shows at least one byte, whatever was seen so far."""
        return replace(self, slice_q=PROVEN_SLICE_Q, unseen=PROVEN_UNSEEN)


UNLEARNED = Learned()


def unraised_bound(prompt_bytes: int, overhead: int) -> int:
    """The calibrated bound on plain text before `r`: ⌈B ÷ 2⌉ + overhead, in tokens."""
    return -(-prompt_bytes // 2) + overhead


class _Window:
    """The newest `size` whole numbers, in order of arrival and in order of size, each with the attempt it came with.

    Keeping order costs a binary search and one move of at most 8 × `size` bytes per number.
    """

    __slots__ = ("_newest", "_ordered", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._newest: deque[tuple[int, int]] = deque()
        self._ordered = array("q")

    def __len__(self) -> int:
        return len(self._ordered)

    def add(self, attempt: int, value: int) -> None:
        if len(self._newest) == self._size:
            self._drop()
        self._newest.append((attempt, value))
        insort(self._ordered, value)

    def forget(self, last: int) -> None:
        """Drops what came with attempts up to this one."""
        while self._newest and self._newest[0][0] <= last:
            self._drop()

    def _drop(self) -> None:
        _, oldest = self._newest.popleft()
        del self._ordered[bisect_left(self._ordered, oldest)]

    def quantile(self, per_mille: int) -> int:
        """The smallest number that at least that share of all is not above (nearest rank). The window is not empty."""
        rank = -(-len(self._ordered) * per_mille // 1000)
        return self._ordered[max(0, rank - 1)]


class _Model:
    """What one model of one provider has shown, and how long its answers were to each principal."""

    __slots__ = (
        "_answers",
        "_bytes",
        "_count",
        "_latencies",
        "_pairs",
        "_per_byte",
        "_shortfalls",
        "_tokens",
        "_told",
    )

    def __init__(self) -> None:
        self._count = 0
        self._pairs: deque[tuple[int, int, int]] = deque()
        self._bytes = 0
        self._tokens = 0
        self._shortfalls = _Window(HORIZON)
        self._per_byte = _Window(Q_WINDOW)
        self._latencies = _Window(OUTPUT_WINDOW)
        self._answers: OrderedDict[str, _Window] = OrderedDict()
        """By principal, the one who was answered longest ago first."""
        self._told: tuple[str, Learned] | None = None
        """What was asked for last, until the next attempt: one request asks more than once."""

    def add(self, sample: Sample) -> None:
        self._count += 1
        self._told = None
        if sample.reported:
            self._learn(sample)
        self._forget(self._count - HORIZON)

    def _learn(self, sample: Sample) -> None:
        if sample.plain and sample.prompt_bytes:
            if len(self._pairs) == C_WINDOW:
                self._drop_pair()
            self._pairs.append((self._count, sample.prompt_bytes, sample.input_tokens))
            self._bytes += sample.prompt_bytes
            self._tokens += sample.input_tokens
            bound = unraised_bound(sample.prompt_bytes, sample.overhead)
            self._shortfalls.add(self._count, -(-sample.input_tokens * MICRO // bound))
        if sample.visible_bytes:
            self._per_byte.add(self._count, -(-sample.output_tokens * MICRO // sample.visible_bytes))
        self._latencies.add(self._count, sample.latency_ms)
        answers = self._answers.get(sample.principal)
        if answers is None:
            answers = self._answers[sample.principal] = _Window(OUTPUT_WINDOW)
        answers.add(self._count, sample.output_tokens)
        self._answers.move_to_end(sample.principal)

    def _forget(self, last: int) -> None:
        if last <= 0:
            return
        while self._pairs and self._pairs[0][0] <= last:
            self._drop_pair()
        self._shortfalls.forget(last)
        self._per_byte.forget(last)
        self._latencies.forget(last)
        while self._answers:
            principal, answers = next(iter(self._answers.items()))
            answers.forget(last)
            if answers:
                break
            del self._answers[principal]

    def _drop_pair(self) -> None:
        _, old_bytes, old_tokens = self._pairs.popleft()
        self._bytes -= old_bytes
        self._tokens -= old_tokens

    def learned(self, principal: str) -> Learned:
        """What is known now of a principal's use of it."""
        if self._told is None or self._told[0] != principal:
            self._told = principal, self._work_out(principal)
        return self._told[1]

    def _work_out(self, principal: str) -> Learned:
        answers = self._answers_to(principal)
        return Learned(
            c=self.c,
            r=self.r,
            output_p50=answers.quantile(500) if answers else None,
            output_p95=answers.quantile(950) if answers else None,
            q=self.q(500, DEFAULT_Q),
            slice_q=self.slice_q,
            latency_p50=self.latency_p50,
        )

    def _answers_to(self, principal: str) -> _Window | None:
        """How long the answers to a principal were; None while there are too few."""
        answers = self._answers.get(principal)
        if answers is None:
            return None
        answers.forget(self._count - HORIZON)
        return answers if len(answers) >= OUTPUT_LEAST else None

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

    @property
    def latency_p50(self) -> int | None:
        return self._latencies.quantile(500) if len(self._latencies) >= OUTPUT_LEAST else None

    @property
    def slice_q(self) -> Fraction:
        """While streams are few, the most seen of them and a margin: never below what the meter would charge, nor above
        what is taken where nothing was seen."""
        seen = len(self._per_byte)
        if seen >= Q_LEAST:
            return self.q(990, DEFAULT_SLICE_Q)
        if seen < FEW_LEAST:
            return DEFAULT_SLICE_Q
        most = Fraction(self._per_byte.quantile(1000), MICRO) * FEW_MARGIN
        return min(DEFAULT_SLICE_Q, max(DEFAULT_Q, most))

    def q(self, per_mille: int, default: Fraction) -> Fraction:
        if len(self._per_byte) < Q_LEAST:
            return default
        return Fraction(self._per_byte.quantile(per_mille), MICRO)


class Learner:
    """Learns from attempts as they settle; bounded in memory by models and by attempts of each."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[str, str], _Model] = OrderedDict()

    def add(self, sample: Sample) -> None:
        """Takes one attempt in; over `MODELS_AT_MOST` models, the one that was used longest ago is forgotten."""
        key = (sample.provider, sample.model)
        about = self._models.get(key)
        if about is None:
            about = self._models[key] = _Model()
            if len(self._models) > MODELS_AT_MOST:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        about.add(sample)

    def learned(self, provider: str, model: str, principal: str) -> Learned:
        """What is known now; the defaults for what is not."""
        about = self._models.get((provider, model))
        return UNLEARNED if about is None else about.learned(principal)
