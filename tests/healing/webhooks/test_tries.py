"""What becomes of a delivery after a try."""

import pytest

from palyra.healing.webhooks.rules import BACKOFF_S, JITTER, TRIES, Fate, Outcome, Verdict, answered, judge


def exact(low: float, high: float) -> float:
    return (low + high) / 2


def test_six_tries_with_growing_pauses() -> None:
    failed = Outcome(503, "answered 503")
    verdicts = [judge(failed, tries, exact) for tries in range(1, TRIES + 1)]
    assert [one.fate for one in verdicts] == [Fate.AGAIN] * 5 + [Fate.DEAD]
    assert [one.wait_s for one in verdicts[:5]] == [1, 4, 16, 64, 256]


def test_pauses_are_spread() -> None:
    failed = Outcome(error="refused")
    assert judge(failed, 2, lambda low, high: low).wait_s == pytest.approx(BACKOFF_S[1] * (1 - JITTER))
    assert judge(failed, 2, lambda low, high: high).wait_s == pytest.approx(BACKOFF_S[1] * (1 + JITTER))


def test_what_the_webhook_asks_for_is_waited_unless_it_asks_for_too_much() -> None:
    def wait(seconds: float) -> float:
        return judge(answered(429, "", seconds), 1, exact).wait_s

    assert (wait(0.2), wait(30), wait(100_000)) == (1, 30, 3600)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_these_may_pass(status: int) -> None:
    assert judge(answered(status, "busy", None), 1, exact).fate is Fate.AGAIN


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 410, 413, 422])
def test_these_never_pass(status: int) -> None:
    assert judge(answered(status, "no", 30.0), 1, exact) == Verdict(Fate.DEAD)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_these_have_arrived(status: int) -> None:
    assert judge(answered(status, "", None), 1, exact) == Verdict(Fate.ARRIVED)


def test_the_answer_is_told_and_a_redirect_explained() -> None:
    assert answered(400, "invalid_payload", None).error == "answered 400: invalid_payload"
    assert "redirects are not followed" in answered(302, "moved", None).error
