"""What programs read: money named as what it is, and answers of any shape told without a fault."""

import json
from typing import Any

import httpx
import pytest

from palyra.cli import output
from palyra.cli.app import tell_reply
from palyra.cli.verify import ledger_json
from palyra.control.plain import decision_json, plain
from palyra.control.queries import (
    ApprovalDetail,
    DecisionDetail,
    LedgerAnswer,
    LedgerDifference,
)
from palyra.control.snapshots import CounterfactualView
from palyra.core.money import decimal_usd
from tests.tui.fake_views import approval, grant

CENT = 10_000_000
USD, TOKENS = "estimated_cost_usd", "total_tokens"


def members(data: Any) -> list[tuple[str, Any]]:
    """Every member of JSON data, however deep."""
    if isinstance(data, list):
        return [found for item in data for found in members(item)]
    if not isinstance(data, dict):
        return []
    return [*data.items(), *(found for item in data.values() for found in members(item))]


def an_approval(metric: str) -> ApprovalDetail:
    allowance = CounterfactualView("grant", "a grant", "research-day", 5 * CENT, metric)
    view = approval(
        1, "ada", "m", "research-day", 5 * CENT, excess_metric=metric, evaluations=(), counterfactual=(allowance,)
    )
    return ApprovalDetail(view, (grant(1, "once", 6 * CENT, CENT, metric_kind=metric),), 1, CENT, 0, (0, 2 * CENT))


def test_an_approvals_money_is_named_in_nano_dollars_beside_a_text() -> None:
    data = plain(an_approval(USD))
    shown = data["approval"]
    assert (shown["excess_nano_usd"], shown["excess_usd"]) == (5 * CENT, "0.05")
    assert (shown["once_cap_nano_usd"], shown["once_cap_usd"]) == (55_000_000, "0.055")
    assert (shown["counterfactual"][0]["amount_nano_usd"], shown["counterfactual"][0]["amount_usd"]) == (
        5 * CENT,
        "0.05",
    )
    assert (data["daily_cost_nano_usd"], data["daily_cost_usd"]) == ([0, 2 * CENT], ["0.00", "0.02"])
    named = dict(members(data))
    assert not {"excess", "once_cap", "amount", "daily_cost", "cap", "drawn"} & set(named)
    for name, content in members(data):
        if name.endswith("_nano_usd") and isinstance(content, int):
            assert (name.removesuffix("_nano_usd") + "_usd", decimal_usd(content)) in members(data)


def test_what_counts_tokens_keeps_its_names() -> None:
    data = plain(an_approval(TOKENS))
    assert (data["approval"]["excess"], data["approval"]["counterfactual"][0]["amount"]) == (5 * CENT, 5 * CENT)
    assert (data["grants"][0]["cap"], "cap_nano_usd" in data["grants"][0]) == (6 * CENT, False)


def test_a_decisions_numbers_are_named_by_what_their_budget_counts() -> None:
    def evaluation(policy_id: str, metric: str) -> dict[str, Any]:
        amounts = dict.fromkeys(("settled", "held", "bound", "projected", "soft", "hard", "grants"), CENT)
        return {"policy_id": policy_id, "metric_kind": metric, **amounts}

    def allowance(policy_id: str) -> dict[str, Any]:
        return {"kind": "grant", "text": "a grant", "value": None, "policy_id": policy_id, "amount": CENT}

    body = {
        "evaluations": [evaluation("day", USD), evaluation("words", TOKENS)],
        "counterfactual": [
            allowance("day"),
            allowance("words"),
            {"kind": "max_tokens", "text": "", "value": 9, "policy_id": "", "amount": None},
        ],
    }
    data = plain(decision_json(DecisionDetail("d", "r", 1, "blocked", "enforced", ("Said.",), (), body)))
    day, words = data["evaluations"]
    for name in ("settled", "held", "bound", "projected", "soft", "hard", "grants"):
        assert (day[f"{name}_nano_usd"], day[f"{name}_usd"], name in day) == (CENT, "0.01", False)
        assert words[name] == CENT
    assert [item.get("amount_nano_usd") for item in data["counterfactual"]] == [CENT, None, None]
    assert data["counterfactual"][0]["amount_usd"] == "0.01"
    assert data["counterfactual"][1]["amount"] == CENT
    assert data["sentences"] == ["Said."]


def test_a_difference_of_money_is_named_so() -> None:
    differences = (
        LedgerDifference("day", "*", 0, USD, "held", CENT, 0),
        LedgerDifference("w", "*", 0, TOKENS, "x", 2, 1),
    )
    data = plain(ledger_json(LedgerAnswer(False, True, 1, 1, 0, (), (), differences)))
    money, words = data["differences"]
    assert (money["live_nano_usd"], money["live_usd"], money["rebuilt_nano_usd"]) == (CENT, "0.01", 0)
    assert (words["live"], words["rebuilt"]) == (2, 1)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"null",
        b"7",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": {"0": 1}}',
        b'{"choices": [null]}',
        b'{"choices": [{"message": "x"}]}',
        b'{"choices": [{"message": {"content": [1]}}], "cost_nano_usd": "dear"}',
        b'{"error": "no"}',
        b'{"error": {"message": null}}',
        b'{"error": ["\\ud800"]}',
    ],
)
@pytest.mark.parametrize(("status", "code"), [(200, 0), (400, 2), (404, 3), (402, 1), (500, 1)])
def test_an_answer_of_any_shape_is_told(
    content: bytes, status: int, code: int, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell_reply(httpx.Response(status, content=content), as_json=as_json) == code
    told = capsys.readouterr()
    if as_json:
        assert json.loads(told.out)["status"] == status
    else:
        assert told.err


HEADINGS = ("provider", "health", "breaker", "", "p50", "last error")
ROWS = (
    ("openai", "down", "open until 12:00:30Z", "alone", "–", "transient_upstream"),
    ("a-rather-long-name", "ok", "closed", "", "1,200 ms", "–"),
)


@pytest.mark.parametrize(
    ("room", "told"),
    [
        (
            None,
            "provider            health  breaker                           p50  last error\n"
            "openai              down    open until 12:00:30Z  alone         –  transient_upstream\n"
            "a-rather-long-name  ok      closed                       1,200 ms  –\n",
        ),
        (
            48,
            "provider            health  breaker\n"
            "openai              down    open until 12:00:30Z\n"
            "    alone · last error transient_upstream\n"
            "a-rather-long-name  ok      closed\n"
            "    p50 1,200 ms\n",
        ),
        (
            30,
            "provider            health\n"
            "openai              down\n"
            "    breaker open until 12:00:30Z\n"
            "    alone\n"
            "    last error transient_upstream\n"
            "a-rather-long-name  ok\n"
            "    breaker closed\n"
            "    p50 1,200 ms\n",
        ),
    ],
)
def test_what_does_not_fit_a_terminal_follows_below_with_its_name(
    room: int | None, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_terminal_cells", lambda: room)
    output.table(HEADINGS, ROWS, right=(4,))
    assert capsys.readouterr().out == told
