"""Providers and models as an operator reads them on the command line."""

from dataclasses import replace

import pytest

from palyra.cli.serving_tables import print_models, print_provider, print_selection, print_status
from palyra.control.serving import BreakerView, CredentialView, LeaseView, ModelView, ProviderView
from palyra.control.serving_queries import CandidateView, SelectionAnswer, ServingAnswer

NOW = 1_795_348_800_000
RESTS = CredentialView("env:KEY", "cooling_down", NOW + 7_000)
ENDS = CredentialView("token", "eligible", expires_at=NOW + 60_000, expiring=True, expiry="le_5m")
DOWN = ProviderView(
    "acme",
    "openai_compatible",
    "down",
    1,
    "https://models.acme.example/v1",
    "it failed too often",
    BreakerView("open", 3, NOW + 30_000),
    LeaseView(1, 4, 2),
    (RESTS, ENDS),
    50.0,
    last_error="rate_limited",
    last_error_at=NOW,
)
ANSWER = ServingAnswer(
    live=True,
    providers=(DOWN,),
    models=(),
    default_chat="acme/m",
    default_embeddings="",
    failover=True,
    failover_candidates=3,
    cache_ttl_ms=None,
    cache_entries=0,
    credential_expiry={"expired": 0, "le_5m": 1, "gt_24h": 2, "no_expiry": 1, "unavailable": 0},
)
MODEL = ModelView("acme/m", "acme", "m", "chat", "config", max_context=8_192)

Told = pytest.CaptureFixture[str]


def test_a_status_says_until_when_things_are_as_they_are(capsys: Told) -> None:
    print_status(ANSWER)
    told = capsys.readouterr().out
    assert "open (3 failures) until 12:00:30Z" in told
    assert "env:KEY cooling_down until 12:00:07Z, token expiring" in told
    assert "1/4, 2 waiting" in told
    assert "credentials end: 1 within 5 min, 2 later\n" in told
    print_status(replace(ANSWER, credential_expiry={"no_expiry": 2}))
    assert "credentials end" not in capsys.readouterr().out


def test_without_an_engine_nobody_knows_how_a_provider_does(capsys: Told) -> None:
    unknown = ProviderView("acme", "anthropic", "unknown", 1, "https://acme.example")
    print_status(replace(ANSWER, live=False, providers=(unknown,)))
    assert "closed" not in capsys.readouterr().out
    print_provider(unknown, (), live=False)
    told = capsys.readouterr().out
    assert not any(word in told for word in ("success", "breaker", "leases", "first byte"))
    print_provider(unknown, (), live=True)
    told = capsys.readouterr().out
    assert all(word in told for word in ("success", "breaker", "leases", "first byte"))


def test_what_a_provider_calls_a_model_is_told_where_it_is_another_name(capsys: Told) -> None:
    print_models((MODEL,))
    assert "upstream" not in capsys.readouterr().out
    print_models((MODEL, replace(MODEL, model_id="big", upstream="m-large-2026")))
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("upstream")
    assert told[2].endswith("m-large-2026")


def test_a_candidate_without_a_price_is_told_from_one_that_was_passed_over(capsys: Told) -> None:
    able, passed = CandidateView("acme/m", "acme", "standard"), CandidateView("b/m", "b", "", ("breaker_open",))
    print_selection(
        SelectionAnswer(
            at=NOW,
            live=True,
            score=0.1,
            parts={},
            mode="enforced",
            outcome="ok",
            action="proceed",
            requested_model="auto",
            recommended_model="acme/m",
            actual_model="acme/m",
            candidates=(able, passed),
            reason_codes=(),
            sentences=(),
            evaluations=(),
            counterfactual=(),
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("unpriced") for line in lines if "/m" in line] == [2, 0]
