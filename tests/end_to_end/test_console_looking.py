"""What operators' tools get to see over HTTP: the same numbers as every console, in pages, never a secret."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from palyra.control.usage_queries import InsightsQuery, UsageQuery
from palyra.core.redact import remember
from tests.end_to_end.asking import ask
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import DAY_MS, MINI, UPSTREAM_KEY, Premises
from tests.end_to_end.tools import Tool, error_of, pending_approval, tools


async def everything(tool: Tool, path: str, name: str, limit: int) -> list[dict[str, Any]]:
    """All pages of a list, each of which is as long as it may be."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        sign = "&" if "?" in path else "?"
        page = await tool.data(f"{path}{sign}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        found += page[name]
        cursor = page["next_cursor"]
        if not cursor:
            assert len(page[name]) <= limit
            return found
        assert len(page[name]) == limit


async def test_runs_come_in_pages_and_by_what_is_asked_for(here: Premises) -> None:
    sessions = [f"s{number}" for number in range(5)]
    for session in sessions:
        assert (await ask(here, session=session)).status == 200
    runs = await here.runs()
    async with tools(here) as tool:
        for limit in (1, 2, 5):
            found = await everything(tool["viewer"], "runs", "runs", limit)
            assert [run["run_id"] for run in found] == [run.run_id for run in runs]
        (one,) = (await tool["viewer"].data("runs?session=s3&status=completed"))["runs"]
        run = next(run for run in runs if run.session == "s3")
        assert (one["run_id"], one["cost_nano_usd"], one["model"]) == (run.run_id, run.cost_nano_usd, run.model)
        assert one["cost_usd"].startswith("0.")
        middle = runs[2].accepted_at
        assert (await tool["viewer"].data("runs?status=refused"))["runs"] == []
        later = await tool["viewer"].data(f"runs?since={middle + 1}")
        assert all(run["accepted_at"] > middle for run in later["runs"])
        full = await tool["viewer"].data(f"runs/{run.run_id}")
        assert full["run"] == one
        assert [attempt["actual_nano_usd"] for attempt in full["attempts"]] == [run.cost_nano_usd]
        decision = await tool["viewer"].data(f"decisions/{run.decision_id}")
        assert (decision["decision_id"], decision["run_id"]) == (run.decision_id, run.run_id)
        assert decision["actual_model"] == MINI
        assert decision["sentences"] == full["decision"]["sentences"] != []


async def test_usage_is_what_every_console_says(here: Premises) -> None:
    for session in ("a", "b"):
        assert (await ask(here, session=session)).status == 200
    await here.rest()
    now = here.clock.now_ms()
    truth = await here.control.ask(UsageQuery(now - DAY_MS, now + 1))
    async with tools(here) as tool:
        look = tool["viewer"].data
        period = f"since={now - DAY_MS}&until={now + 1}"
        summary = await look(f"usage/summary?{period}")
        assert (summary["since"], summary["until"]) == (truth.since, truth.until)
        assert summary["total"]["cost_nano_usd"] == truth.total.cost_nano_usd > 0
        assert (summary["total"]["requests"], summary["total"]["ok"]) == (2, 2)
        timeline = await look(f"usage/timeline?{period}&bucket=hour&timezone=Europe/Prague")
        assert (timeline["bucket"], timeline["timezone"], len(timeline["timeline"])) == ("hour", "Europe/Prague", 25)
        assert sum(step["total"]["cost_nano_usd"] for step in timeline["timeline"]) == truth.total.cost_nano_usd
        entries = (await look(f"usage/breakdown?{period}&by=session&limit=1"))["breakdown"]
        pages = await everything(tool["viewer"], f"usage/breakdown?{period}&by=session", "breakdown", 1)
        assert entries == pages[:1]
        assert {entry["key"]: entry["numbers"]["requests"] for entry in pages} == {"a": 1, "b": 1}
        part = await look(f"usage/summary?{period}&session=a&key_id=default")
        assert part["total"]["requests"] == 1
        insights = (await look("usage/insights?limit=1"))["insights"]
        known = await here.control.ask(InsightsQuery(limit=1))
        assert [one["decision_id"] for one in insights["decisions"]] == [one.decision_id for one in known.decisions]
        assert insights["reasons"] == known.reasons


async def test_instants_may_be_written_in_either_way(here: Premises) -> None:
    async with tools(here) as tool:
        asked = "usage/summary?since={}&until={}"
        by_number = await tool["viewer"].data(asked.format(1_790_000_000_000, 1_790_000_060_000))
        by_text = await tool["viewer"].data(asked.format("2026-09-21T14:13:20Z", "2026-09-21T16:14:20%2B02:00"))
    assert by_number == by_text


WRONG: list[tuple[str, str]] = [
    ("runs?limit=0", "limit"),
    ("runs?limit=501", "limit"),
    ("runs?limit=ten", "limit"),
    ("runs?limit=", "limit"),
    ("runs?limit=%D9%A3", "limit"),
    ("runs?limit=5&limit=6", "limit"),
    ("runs?cursor=nonsense", "cursor"),
    ("runs?status=happy", "status"),
    ("runs?stauts=failed", "stauts"),
    ("runs?since=yesterday", "since"),
    ("runs?since=-5", "since"),
    ("runs?since=999999999999999", "since"),
    ("runs?since=2026-02-30", "since"),
    ("runs/x?limit=5", "limit"),
    ("approvals?status=open", "status"),
    ("approvals?cursor=p.1", "cursor"),
    ("approvals?cursor=q.1.x", "cursor"),
    ("grants?status=gone", "status"),
    ("grants?cursor=gone", "cursor"),
    ("alerts?status=gone", "status"),
    ("alerts?cursor=gone", "cursor"),
    ("policies?status=gone", "status"),
    ("models?cursor=gone", "cursor"),
    ("providers?limit=-1", "limit"),
    ("usage/summary?by=model", "by"),
    ("usage/summary?since=2026-01-02&until=2026-01-01", "since"),
    ("usage/summary?since=2020-01-01", "since"),
    ("usage/summary?tag=blue", "tag"),
    ("usage/timeline?bucket=week", "bucket"),
    ("usage/timeline?by=colour", "by"),
    ("usage/timeline?timezone=Prague", "timezone"),
    ("usage/breakdown?limit=51", "limit"),
    ("usage/breakdown?cursor=x", "cursor"),
    ("usage/insights?limit=501", "limit"),
    ("usage/export?format=xml", "format"),
    ("usage/export?since=2020-01-01", "since"),
]


async def test_what_an_address_asks_wrongly_is_named(here: Premises) -> None:
    async with tools(here) as tool:
        for path, field in WRONG:
            answer = await tool["viewer"]("GET", path)
            error = error_of(answer)
            assert (path, answer.status_code, error["code"], error["param"]) == (path, 400, "invalid_field", field)


async def test_approvals_come_in_pages_pending_first_and_newest_first(here: Premises) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    for number in range(7):
        await ask(here, session=f"s{number}", park="0")
        await here.advance(1)
    asked = sorted(await here.approvals(), key=lambda view: view.requested_at)
    for view in asked[:4]:
        await here.deny(view.approval_id)
    wanted = [view.approval_id for view in (*reversed(asked[4:]), *reversed(asked[:4]))]
    async with tools(here) as tool:
        for limit in (1, 2, 3, 4, 7, 500):
            found = await everything(tool["viewer"], "approvals", "approvals", limit)
            assert [view["approval_id"] for view in found] == wanted, limit
        pending = await everything(tool["viewer"], "approvals?status=pending", "approvals", 2)
        assert [view["approval_id"] for view in pending] == wanted[:3]
        resolved = await everything(tool["viewer"], "approvals?status=resolved", "approvals", 3)
        assert [view["approval_id"] for view in resolved] == wanted[3:]
        detail = await tool["viewer"].data(f"approvals/{wanted[0]}")
        assert detail["approval"] == found[0]


async def test_grants_policies_models_and_providers_are_listed(opened: Opener) -> None:
    here = await opened('[[budgets]]\npolicy_id = "house"\nhard_limit = 100\n')
    approval_id = await pending_approval(here)
    grant_id = (await here.allow(approval_id, scope="session")).data["grant_ids"]
    await here.add_budget("words", "1000", metric_kind="total_tokens", soft_limit="90%")
    async with tools(here) as tool:
        (grant,) = await everything(tool["viewer"], "grants", "grants", 1)
        assert (grant["grant_id"], grant["state"]) == (grant_id, "active")
        assert (await tool["viewer"].data("grants?status=revoked"))["grants"] == []
        policies = await everything(tool["viewer"], "policies", "policies", 1)
        assert [(one["policy_id"], one["source"]) for one in policies] == [
            ("desk", "operator"),
            ("house", "config"),
            ("words", "operator"),
        ]
        assert (policies[1]["hard_limit_usd"], policies[2]["hard_limit"]) == ("100.00", 1000)
        answer = await tool["viewer"]("GET", "policies/words")
        told = answer.json()
        assert (answer.headers["etag"], told["revision"], told["fields"]["soft_limit"]) == ('"1"', 1, "90%")
        assert (await tool["viewer"]("GET", "policies/nothing")).status_code == 404
        models = await everything(tool["viewer"], "models", "models", 1)
        assert MINI in [model["model_id"] for model in models]
        providers = await everything(tool["viewer"], "providers", "providers", 2)
        assert {"anthropic", "openai", "own"} <= {provider["provider_id"] for provider in providers}


async def test_no_secret_is_ever_told(here: Premises) -> None:
    word = "correct-horse-battery-staple"
    remember(word)
    approval_id = await pending_approval(here)
    await here.deny(approval_id, f"the api_key: sk-0123456789abcdef, and {word}")
    paths = ["usage/summary", "usage/insights", "runs", "approvals", f"approvals/{approval_id}", "grants", "alerts"]
    paths += ["policies", "policies/desk", "models", "providers", "usage/export", "approvals?status=x", f"runs/{word}"]
    async with tools(here) as tool:
        secrets = [UPSTREAM_KEY, here.key, word, "sk-0123456789abcdef", *(one.token for one in tool.values())]
        for path in paths:
            answer = await tool["viewer"]("GET", path)
            for secret in secrets:
                assert secret not in answer.text, path
            assert (answer.headers.get("cache-control") == "no-store") == (answer.status_code == 200), path
        shown = await tool["viewer"].data(f"approvals/{approval_id}")
        assert "[redacted]" in shown["approval"]["reason"]


# Export


async def test_usage_is_downloaded_in_both_forms(here: Premises) -> None:
    for number in range(3):
        assert (await ask(here, session=f"s{number}")).status == 200
    await here.rest()
    async with tools(here) as tool:
        table = await tool["viewer"]("GET", "usage/export")
        data = await tool["viewer"]("GET", "usage/export?format=json&session=s1")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["session"] for row in rows] == ["s0", "s1", "s2"]
    (one,) = json.loads(data.text)
    assert (one["session"], one["charge_nano_usd"]) == ("s1", int(rows[1]["charge_nano_usd"]))
    assert one["charge_usd"] == rows[1]["charge_usd"]


async def test_a_download_of_many_pages_is_whole_and_its_connection_serves_on(
    here: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        assert (await ask(here, session=f"s{number}")).status == 200
    await here.rest()
    readers = type(here.engine.journal.readers)
    rows = readers.usage_rows

    async def short_pages(self: Any, since: int, until: int, **options: Any) -> Any:
        return await rows(self, since, until, **{**options, "limit": 2})

    monkeypatch.setattr(readers, "usage_rows", short_pages)
    async with tools(here) as tool:
        whole = await tool["viewer"]("GET", "usage/export?format=json")
        assert [one["session"] for one in whole.json()] == [f"s{number}" for number in range(7)]
        assert whole.headers["transfer-encoding"] == "chunked"
        assert (await tool["viewer"]("GET", "usage/summary")).status_code == 200


async def test_a_download_that_fails_half_way_ends_without_its_last_chunk(
    here: Premises, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        assert (await ask(here, session=f"s{number}")).status == 200
    await here.rest()
    readers = type(here.engine.journal.readers)
    rows = readers.usage_rows

    async def one_page(self: Any, since: int, until: int, **options: Any) -> Any:
        if options["cursor"]:
            raise OSError("the disk is gone")
        return await rows(self, since, until, **{**options, "limit": 1})

    monkeypatch.setattr(readers, "usage_rows", one_page)
    async with tools(here) as tool:
        with pytest.raises(httpx.RemoteProtocolError):
            await tool["viewer"]("GET", "usage/export")
        assert (await tool["viewer"]("GET", "usage/summary")).status_code == 200
