"""Asking for room from the command line, and everything that can be said of a budget there."""

import json
from pathlib import Path

import httpx
import pytest

from palyra.cli.requests import tell
from tests.cli.test_commands import Shell, shell

__all__ = ["shell"]


def full(shell: Shell, action: str = "block") -> None:
    """A budget of one request that is used up."""
    shell("budgets", "add", "calls", "--hard-limit", "1", "--metric-kind", "requests", "--action", action)
    shell("run", "one")
    shell("run", "two", code=1)


def request(shell: Shell, *words: str, code: int = 0) -> str:
    return shell("approvals", "request", "--reason", "the release waits", *words, code=code)


def test_an_operator_asks_allows_and_the_next_run_passes(shell: Shell) -> None:
    full(shell)
    asked = json.loads(request(shell, "--policy", "calls", "--amount", "2", "--json"))
    approval_id = asked["data"]["approval_id"]
    assert (asked["status"], asked["data"]["fresh"]) == ("accepted", "true")
    assert "is pending already: 2 requests in calls for local" in request(shell, "--policy", "calls")
    shown = shell("approvals", "show", approval_id)
    assert "wants    2 more than the limit" in shown
    assert "reason   the release waits" in shown
    assert "prompt" not in shown
    assert shell.json("approvals", "show", approval_id)["approval"]["wanted"] == 2
    listed = shell("approvals", "list")
    assert "2 over calls" in listed
    allowed = shell.json("approvals", "allow", approval_id, "--scope", "amount", "--amount", "2")
    assert allowed["status"] == "accepted"
    late = shell.json("approvals", "deny", approval_id, "--reason", "no", code=4)
    assert (late["status"], late["data"]["decision"], late["data"]["status"]) == ("conflict", "allow", "resolved")
    shell("run", "three")
    detail = shell.json("approvals", "show", approval_id)
    assert [(grant["cap"], grant["drawn"]) for grant in detail["grants"]] == [(2, 1)]
    grant_id = detail["grants"][0]["grant_id"]
    in_force = f"grant {grant_id} amount on calls for local in any session: 1 of 2 drawn, until "
    assert in_force in shell("approvals", "list")
    shell("approvals", "revoke", grant_id)
    assert "already revoked" in shell("approvals", "revoke", grant_id, code=4)
    shell("run", "four", code=1)
    assert [grant["drawn"] for grant in shell.json("approvals", "show", approval_id)["grants"]] == [1]


def test_a_key_asks_for_itself(shell: Shell, tmp_path: Path) -> None:
    full(shell)
    key_file = shell.state_dir / "gateway-key.txt"
    asked = json.loads(request(shell, "--policy", "calls", "--key-file", str(key_file), "--json"))
    assert (asked["http_status"], asked["principal"], asked["policy_ids"]) == (201, "local", ["calls"])
    said = request(shell, "--policy", "calls", "--key-file", str(key_file))
    assert said.startswith(f"Approval {asked['approval_id']} is pending already until ")
    other = ("--policy", "calls", "--principal", "bea", "--key-file", str(key_file))
    assert "may not act for bea" in request(shell, *other, code=1)
    wrong = ("--policy", "cals", "--amount", "x", "--key-file", str(key_file))
    told = request(shell, *wrong, code=2)
    assert 'Did you mean "calls"?' in told
    unread = request(shell, "--policy", "calls", "--key-file", str(tmp_path / "none"), code=2)
    assert "cannot be read: no such file or directory. Check --key-file." in unread
    (tmp_path / "bad").write_text("plk_nobody")
    assert "no longer valid" in request(shell, "--policy", "calls", "--key-file", str(tmp_path / "bad"), code=1)
    shell("approvals", "deny", asked["approval_id"], "--reason", "no")
    assert "denied less than 60 s ago" in request(shell, "--policy", "calls", "--key-file", str(key_file), code=4)


def test_faults_of_a_request_have_their_code(shell: Shell) -> None:
    full(shell)
    for words in (("--policy", "nobody"), ("--policy", "calls", "--amount", "1.5"), ("--policy", "calls=x")):
        request(shell, *words, code=2)
    shell("approvals", "request", "--policy", "calls", "--reason", " ", code=2)


def test_a_budget_is_shown_switched_off_and_on(shell: Shell) -> None:
    full(shell)
    request(shell, "--policy", "calls")
    shown = shell.json("budgets", "show", "calls")
    assert (shown["fields"]["hard_limit"], shown["fields"]["soft_limit"]) == ("1", "80%")
    assert [view["settled"] for view in shown["counters"]] == [1]
    assert [view["principal"] for view in shown["approvals"]] == ["local"]
    assert [run["state"] for run in shown["refusals"]] == ["refused"]
    said = shell("budgets", "show", "calls")
    for words in ("interval_kind     monthly", "pending 01", "refused 01", "revision 1 "):
        assert words in said
    assert shell.json("budgets", "disable", "calls")["data"]["revision"] == "2"
    shell("run", "three")
    assert shell.json("budgets", "show", "calls")["approvals"] == []
    shell("budgets", "enable", "calls", "--revision", "1", code=4)
    shell("budgets", "enable", "calls", "--revision", "2")
    shell("run", "four", code=1)
    revisions = shell.json("budgets", "show", "calls")["revisions"]
    assert [revision["changes"].get("enabled") for revision in revisions] == [
        ["false", "true"],
        ["true", "false"],
        ["", "true"],
    ]
    shell("budgets", "show", "nobody", code=3)
    shell("budgets", "disable", "house", code=4)
    money = shell.json("budgets", "show", "house")
    assert (money["fields"]["hard_limit"], money["counters"][0]["hard_limit_nano_usd"]) == ("100.00", 10**11)


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (201, {"approval_id": "01A", "expires_at": "soon"}, 0, "Approval 01A is open until soon."),
        (
            200,
            {"approval_id": "01A", "expires_at": "soon", "amount": "2", "amount_not_taken": "3"},
            4,
            "It stands with the amount 2; 3 was not taken.",
        ),
        (429, {"error": {"message": "Too often."}}, 4, "Too often."),
        (503, {"error": {"message": "Stopping."}}, 5, "Stopping."),
        (500, None, 1, "HTTP 500"),
        (403, {"error": "odd"}, 1, "HTTP 403"),
    ],
)
def test_answers_of_a_gateway_have_their_code(
    status: int, body: object, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = b"<html>" if body is None else json.dumps(body).encode()
    assert tell(httpx.Response(status, content=content), as_json=False) == code
    said = capsys.readouterr()
    assert says in said.out + said.err
    assert tell(httpx.Response(status, content=content), as_json=True) == code
    assert json.loads(capsys.readouterr().out)["http_status"] == status


def test_an_edit_of_the_budget_ends_what_waits_and_says_so(shell: Shell) -> None:
    full(shell)
    approval_id = json.loads(request(shell, "--policy", "calls", "--json"))["data"]["approval_id"]
    assert "  ended " not in shell("approvals", "show", approval_id)
    shell("budgets", "edit", "calls", "--hard-limit", "7")
    told = shell("approvals", "show", approval_id)
    assert "resolved/error" in told
    (ended,) = [line for line in told.splitlines() if line.startswith("  ended ")]
    assert ended.endswith(" policy_edited")
