"""What settled attempts teach: bytes per token, raised bounds, usual answers."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.pricing import learn
from palyra.pricing.learn import UNLEARNED, Learned, Learner, Sample, unraised_bound
from palyra.pricing.meter import output_tokens

BASE = Sample("p", "m", "ada", prompt_bytes=400, overhead=30, input_tokens=120, output_tokens=50)


def taught(*samples: Sample) -> Learner:
    learner = Learner()
    for sample in samples:
        learner.add(sample)
    return learner


def known(learner: Learner) -> Learned:
    return learner.learned("p", "m", "ada")


def test_nothing_is_known_at_first() -> None:
    assert known(Learner()) == UNLEARNED == Learned()


@pytest.mark.parametrize(("count", "c"), [(19, Fraction(1)), (20, Fraction(6, 5))])
def test_c_needs_twenty_samples(count: int, c: Fraction) -> None:
    assert known(taught(*[BASE] * count)).c == c


@pytest.mark.parametrize(("actual", "c"), [(1, Fraction(1, 4)), (4_000, Fraction(4))])
def test_c_is_kept_within_reason(actual: int, c: Fraction) -> None:
    assert known(taught(*[replace(BASE, input_tokens=actual)] * 20)).c == c


def test_c_is_a_ratio_of_sums_over_the_last_five_hundred() -> None:
    old = [replace(BASE, input_tokens=400)] * 300
    short = [replace(BASE, prompt_bytes=40, input_tokens=40)] * 250
    long = [replace(BASE, prompt_bytes=4_000, input_tokens=1_000)] * 250
    assert known(taught(*old, *short, *long)).c == Fraction(4 * (250 * 40 + 250 * 1_000), 250 * 40 + 250 * 4_000)


def test_r_is_the_worst_shortfall_while_samples_are_few() -> None:
    assert unraised_bound(400, 30) == 230
    samples = [BASE] * 998 + [replace(BASE, input_tokens=460)]
    assert known(taught(*samples)).r == 2


def test_r_is_the_99_9th_percentile_of_many() -> None:
    worst = replace(BASE, input_tokens=2 * 230)
    second = replace(BASE, input_tokens=3 * 230 // 2)
    assert known(taught(worst, *[BASE] * 999)).r == 1
    assert known(taught(worst, second, *[BASE] * 998)).r == Fraction(3, 2)


def test_r_never_lowers_a_bound_and_is_at_most_eight() -> None:
    assert known(taught(BASE)).r == 1
    assert known(taught(replace(BASE, input_tokens=230 * 50))).r == 8


def test_r_forgets_after_ten_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "HORIZON", 100)
    learner = taught(replace(BASE, input_tokens=460), *[BASE] * 99)
    assert known(learner).r == 2
    learner.add(BASE)
    assert known(learner).r == 1


def test_a_raised_bound_covers_the_sample_that_raised_it() -> None:
    sample = replace(BASE, prompt_bytes=997, input_tokens=1_699)
    raised = known(taught(sample)).r
    assert math.ceil(unraised_bound(997, 30) * raised) >= 1_699


@pytest.mark.parametrize("sample", [replace(BASE, plain=False), replace(BASE, prompt_bytes=0)])
def test_prompts_that_bytes_do_not_explain_teach_nothing_about_bytes(sample: Sample) -> None:
    learner = taught(*[replace(sample, input_tokens=9_000)] * 30)
    assert known(learner).c == known(learner).r == 1
    assert known(learner).output_p50 == 50


def test_what_was_metered_teaches_nothing() -> None:
    assert known(taught(*[replace(BASE, reported=False, visible_bytes=10)] * 2_000)) == UNLEARNED


@pytest.mark.parametrize(
    ("count", "p50", "p95"),
    [(19, None, None), (20, 10, 19), (100, 50, 95)],
)
def test_usual_answers_need_twenty_runs(count: int, p50: int | None, p95: int | None) -> None:
    learner = taught(*[replace(BASE, output_tokens=number) for number in range(count, 0, -1)])
    assert (known(learner).output_p50, known(learner).output_p95) == (p50, p95)


def test_usual_answers_are_of_one_principal_and_the_newest_two_hundred() -> None:
    learner = taught(*[replace(BASE, output_tokens=9)] * 300, *[replace(BASE, output_tokens=7)] * 200)
    assert (known(learner).output_p50, known(learner).output_p95) == (7, 7)
    assert learner.learned("p", "m", "bob").output_p50 is None
    assert learner.learned("p", "m", "bob").c == known(learner).c
    assert learner.learned("q", "m", "ada") == UNLEARNED


@pytest.mark.parametrize(
    ("count", "q", "slice_q"), [(49, Fraction(1, 4), Fraction(1, 2)), (50, Fraction(1, 8), Fraction(1, 2))]
)
def test_the_meters_ratio_needs_fifty_streams(count: int, q: Fraction, slice_q: Fraction) -> None:
    learner = taught(
        replace(BASE, output_tokens=500, visible_bytes=1_000),
        *[replace(BASE, output_tokens=125, visible_bytes=1_000)] * (count - 1),
    )
    assert (known(learner).q, known(learner).slice_q) == (q, slice_q)


def test_slices_reach_for_the_99th_percentile() -> None:
    usual = [replace(BASE, output_tokens=125, visible_bytes=1_000)] * 98
    rare = [replace(BASE, output_tokens=900, visible_bytes=1_000)] * 2
    assert known(taught(*usual, *rare)).slice_q == Fraction(9, 10)


@pytest.mark.parametrize(
    ("streams", "tokens", "slice_q"),
    [
        (7, 30, Fraction(1, 2)),
        (8, 30, Fraction(3, 8)),
        (49, 30, Fraction(3, 8)),
        (8, 60, Fraction(1, 2)),
        (8, 5, Fraction(1, 4)),
    ],
)
def test_a_few_streams_tell_how_far_slices_reach(streams: int, tokens: int, slice_q: Fraction) -> None:
    """The dearest of them and a quarter more, between what the meter charges and what is taken of the unknown."""
    cheap = replace(BASE, output_tokens=10, visible_bytes=100)
    dear = replace(BASE, output_tokens=tokens, visible_bytes=100)
    assert known(taught(dear, *[cheap] * (streams - 1))).slice_q == slice_q
    assert known(taught(dear, *[cheap] * (streams - 1))).q == Fraction(1, 4)


def test_answers_that_were_not_streamed_say_nothing_about_bytes_shown() -> None:
    assert known(taught(*[BASE] * 100)).q == UNLEARNED.q


@pytest.mark.parametrize(
    ("visible", "q", "tokens"),
    [(1_000, Fraction(1, 4), 250), (1, Fraction(1, 4), 1), (0, Fraction(1, 4), 0), (9, Fraction(2, 3), 6)],
)
def test_the_meter_rounds_up(visible: int, q: Fraction, tokens: int) -> None:
    assert output_tokens(visible, q) == tokens


SAMPLES = st.lists(
    st.builds(
        Sample,
        provider=st.sampled_from(["p", "q"]),
        model=st.just("m"),
        principal=st.sampled_from(["ada", "bob"]),
        prompt_bytes=st.integers(0, 500),
        overhead=st.just(30),
        input_tokens=st.integers(0, 2_000),
        output_tokens=st.integers(0, 50),
        visible_bytes=st.integers(0, 100),
        reported=st.booleans(),
        plain=st.booleans(),
    ),
    max_size=120,
)


@given(samples=SAMPLES)
def test_everything_learned_follows_from_the_newest_samples(samples: list[Sample]) -> None:
    """The incremental answer equals one computed from scratch by the definitions."""
    learner = taught(*samples)
    heard = [one for one in samples if one.reported and one.provider == "p"]
    explained = [one for one in heard if one.plain and one.prompt_bytes]
    seen = known(learner)
    if len(explained) >= 20:
        ratio = Fraction(4 * sum(one.input_tokens for one in explained), sum(one.prompt_bytes for one in explained))
        assert seen.c == min(4, max(Fraction(1, 4), ratio))
    else:
        assert seen.c == 1
    worst = max((Fraction(one.input_tokens, unraised_bound(one.prompt_bytes, 30)) for one in explained), default=0)
    assert 0 <= seen.r - min(8, max(1, worst)) <= Fraction(1, 10**6)
    answers = sorted(one.output_tokens for one in heard if one.principal == "ada")
    if len(answers) >= 20:
        assert seen.output_p50 == answers[math.ceil(len(answers) * 0.5) - 1]
        assert seen.output_p95 == answers[-(-len(answers) * 95 // 100) - 1]
    else:
        assert seen.output_p50 is None


@pytest.mark.parametrize("last", [BASE, replace(BASE, reported=False), replace(BASE, plain=False)])
def test_every_attempt_takes_its_place_among_the_newest(monkeypatch: pytest.MonkeyPatch, last: Sample) -> None:
    """Also one that teaches nothing pushes the oldest out of everything that was learned from it."""
    monkeypatch.setattr(learn, "HORIZON", 60)
    worst = replace(BASE, principal="bob", input_tokens=460, output_tokens=500, visible_bytes=1_000)
    usual = replace(BASE, principal="bob", output_tokens=125, visible_bytes=1_000)
    learner = taught(worst, *[usual] * 49, *[replace(last, principal="ada")] * 10)
    bob = learner.learned("p", "m", "bob")
    assert (bob.r, bob.slice_q) == (Fraction(2), Fraction(1, 2))
    assert bob.c > Fraction(6, 5)
    learner.add(last)
    bob = learner.learned("p", "m", "bob")
    assert (bob.r, bob.q, bob.c) == (Fraction(1), UNLEARNED.q, Fraction(6, 5))
    assert bob.output_p50 == 125
    for _ in range(29):
        learner.add(last)
    assert learner.learned("p", "m", "bob").output_p50 == 125
    learner.add(last)
    assert learner.learned("p", "m", "bob").output_p50 is None


def test_old_answers_are_forgotten_whoever_was_answered_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "HORIZON", 22)
    bob, carl = replace(BASE, principal="bob"), replace(BASE, principal="carl")
    learner = taught(*[bob] * 20, carl, bob)
    for p50 in (50, None):
        learner.add(BASE)
        assert learner.learned("p", "m", "bob").output_p50 == p50


def test_memory_is_bounded_by_models_and_the_longest_unused_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "MODELS_AT_MOST", 2)
    learner = Learner()
    for model in ("a", "b", "a", "c"):
        for _ in range(20):
            learner.add(replace(BASE, model=model))
    assert learner.learned("p", "a", "ada").c == Fraction(6, 5)
    assert learner.learned("p", "b", "ada") == UNLEARNED
    assert learner.learned("p", "c", "ada").output_p50 == 50


@given(samples=SAMPLES, horizon=st.integers(20, 60))
def test_what_is_known_of_a_model_is_what_its_newest_attempts_teach(samples: list[Sample], horizon: int) -> None:
    """A learner that lived through everything knows what one knows that is told the newest attempts of each model:
    those that teach nothing take their place too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "HORIZON", horizon)
        lived = taught(*samples)
        newest = {provider: [one for one in samples if one.provider == provider][-horizon:] for provider in ("p", "q")}
        rebuilt = taught(*newest["q"], *newest["p"])
        for provider in ("p", "q"):
            for principal in ("ada", "bob"):
                known = lived.learned(provider, "m", principal)
                assert known == rebuilt.learned(provider, "m", principal)
                alone = taught(*[one for one in newest[provider] if one.reported])
                assert known == alone.learned(provider, "m", principal)


def test_how_long_a_model_takes_is_the_median_of_twenty_or_more() -> None:
    quick = [replace(BASE, principal=f"u{number}", latency_ms=10 * number) for number in range(19)]
    assert known(taught(*quick)).latency_p50 is None
    assert known(taught(*quick, replace(BASE, latency_ms=9_000))).latency_p50 == 90
    unsaid = [replace(BASE, latency_ms=1, reported=False)] * 50
    assert known(taught(*quick, *unsaid)).latency_p50 is None
    newest = [replace(BASE, latency_ms=7)] * 200
    assert known(taught(*quick, *newest)).latency_p50 == 7
