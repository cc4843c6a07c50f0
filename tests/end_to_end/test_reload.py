"""The configuration is read again under way: what may change applies at once, and nothing that was spent is lost."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from palyra.config.choices import RoutingMode
from palyra.config.model import RELOADABLE, LoadedConfig
from palyra.config.operations import Switch
from palyra.control.commands import Reload
from palyra.control.config_queries import ConfigQuery
from palyra.control.queries import AuditQuery
from palyra.control.replays import ReplayQuery, replay
from palyra.control.secrets_queries import AuthQuery
from palyra.control.snapshots import Topic
from palyra.control.usage_queries import UsageQuery
from palyra.core.clock import SystemClock
from palyra.core.errors import ConflictError
from palyra.core.private_files import write_private
from palyra.engine import Engine, Installation
from palyra.engine.settings import (
    alert_settings,
    approval_settings,
    breaker_settings,
    failover_settings,
    policy_defaults,
    retry_rule,
)
from palyra.runs.settings import run_settings
from palyra.vault.records import Role
from tests.config.loading import sound
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, Premises, chat, usd
from tests.end_to_end.test_journal_away import Disk, back, disk
from tests.support.upstream import Reply, Upstream

__all__ = ["disk"]

UNCLAMPED = "[governance]\nclamp_output = false\n"
ASKED = chat(max_tokens=100)


def budget(limit: str, policy_id: str = "all", **fields: str) -> str:
    more = "".join(f"{name} = {text}\n" for name, text in fields.items())
    return f'[[budgets]]\npolicy_id = "{policy_id}"\nhard_limit = {limit}\n{more}'


async def status(here: Premises) -> int:
    return (await here.ask(ASKED)).status


async def test_a_budget_of_the_file_holds_from_the_next_plan_on(opened: Opener) -> None:
    here = await opened(UNCLAMPED)
    assert await status(here) == 200
    told = await here.reload(UNCLAMPED + budget("0"))
    assert (told.ok, told.data["applied"], told.data["pending"]) == (True, "budgets", "")
    refused = await here.ask(ASKED)
    assert (refused.status, refused.headers["x-palyra-reason"][:6]) == (402, "budget")
    assert (await here.budget("all")).source == "config"
    assert (await here.reload(UNCLAMPED + budget('"5.00"'))).ok
    assert await status(here) == 200
    spent, _ = here.counted("all", "*")
    assert spent > 0
    assert (await here.reload(UNCLAMPED)).ok
    assert here.engine.ledger.budget("all") is None
    assert await status(here) == 200


async def test_auth_profiles_that_were_written_by_hand_are_taken_up(opened: Opener) -> None:
    here = await opened(UNCLAMPED)
    assert (await here.control.ask(AuthQuery())).profiles == ()
    provider = next(iter(here.engine.config.providers))
    profile = (
        f'version = 1\n[[profile]]\nid = "first"\nprovider = "{provider}"\ntype = "api_key"\nvault_ref = "global/x"\n'
    )
    write_private(here.state_dir / "auth_profiles.toml", profile.encode())
    assert (await here.reload(UNCLAMPED)).ok
    (row,) = (await here.control.ask(AuthQuery())).profiles
    assert (row.profile_id, row.state) == ("first", "missing")


async def test_what_was_spent_counts_on_when_a_limit_changes_and_is_counted_again_when_the_window_does(
    opened: Opener,
) -> None:
    here = await opened(UNCLAMPED + budget("5", interval_kind='"daily"'))
    assert await status(here) == 200
    await here.rest()
    spent, held = here.counted("all", "*")
    assert (spent > 0, held) == (True, 0)
    for text in (budget("6", interval_kind='"daily"'), budget("6"), budget("6", "other"), budget("6", "other")):
        assert (await here.reload(UNCLAMPED + text)).ok
        assert here.counted("other" if '"other"' in text else "all", "*") == (spent, 0)
        assert (await here.ledger()).ok


async def test_an_operators_budget_gives_way_to_one_of_the_file(opened: Opener) -> None:
    here = await opened(UNCLAMPED)
    await here.add_budget("all", "3")
    assert await status(here) == 200
    told = await here.reload(UNCLAMPED + budget("4"))
    assert "gave way: all" in told.message
    view = await here.budget("all")
    assert (view.source, view.hard_limit) == ("config", 4 * 10**9)
    # It is removed for good: without the file's there is none.
    assert (await here.reload(UNCLAMPED)).ok
    assert here.engine.ledger.budget("all") is None
    await here.add_budget("all", "2")
    assert (await here.budget("all")).revision == 3


async def test_open_holds_stay_right_while_budgets_change(opened: Opener, upstream: Upstream) -> None:
    here = await opened(UNCLAMPED + budget("5"))
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate)
    asked = [asyncio.create_task(here.ask(ASKED)) for _ in range(3)]
    await here.until(lambda: len(here.engine.ledger.open_holds()) == 3)
    _, held = here.counted("all", "*")
    assert held > 0
    assert (await here.reload(UNCLAMPED + budget("0.000001") + budget("7", "fresh"))).ok
    assert here.counted("all", "*") == (0, held)
    assert here.counted("fresh", "*") == (0, held)
    assert (await here.ask(ASKED)).status == 402
    gate.set()
    answers = await asyncio.gather(*asked)
    assert [answer.status for answer in answers] == [200] * 3
    await here.rest()
    cost = sum(usd(answer.headers["x-palyra-cost-usd"]) for answer in answers)
    assert here.counted("all", "*") == here.counted("fresh", "*") == (cost, 0)
    books = await here.ledger()
    assert (books.ok, books.differences, books.orphan_holds) == (True, (), ())
    # One that lowered limit stands below what was spent.
    assert (await here.reload(UNCLAMPED + budget("7"))).ok


@pytest.mark.parametrize("seed", range(3))
async def test_books_are_right_whatever_is_read_again_amid_traffic(opened: Opener, seed: int) -> None:
    chance = random.Random(seed)
    texts = [
        UNCLAMPED + budget(chance.choice(["2", "0.00005", '"9"']), name, scope_kind=kind, interval_kind=interval)
        for name in ("all", "each")
        for kind, interval in [
            ('"global"', '"daily"'),
            ('"session"', '"rolling_24h"'),
            ('"model"', '"hourly"'),
            ('"user"', '"lifetime"'),
        ]
    ]
    texts += [UNCLAMPED, '[smart_routing]\ndefault_mode = "suggest"\n' + budget("0.00001", "all")]
    here = await opened(UNCLAMPED)

    async def one(number: int) -> int:
        body = chat(max_tokens=chance.randint(1, 200), stream=chance.random() < 0.5)
        return (await here.ask(body, {"X-Palyra-Session": f"s{number % 3}"})).status

    for _ in range(6):
        asked = [asyncio.create_task(one(number)) for number in range(6)]
        for text in chance.sample(texts, 2):
            assert (await here.reload(text)).ok
        assert set(await asyncio.gather(*asked)) <= {200, 402}
        await here.rest()
        books = await here.ledger()
        assert (books.differences, books.open_holds, books.orphan_holds, books.rollup_differences) == ((), 0, (), ())
    # Limits that were lowered below what had been spent are no fault: the last file has none.
    assert (await here.reload(UNCLAMPED)).ok


async def test_a_replay_goes_by_the_terms_each_request_was_planned_under(opened: Opener) -> None:
    here = await opened(UNCLAMPED + budget("2", metric_kind='"requests"', soft_limit="2"))
    found = [await status(here)]
    for limit in ("1", "9"):
        assert (await here.reload(UNCLAMPED + budget(limit, metric_kind='"requests"', soft_limit="1"))).ok
        found.append(await status(here))
    assert found == [200, 402, 200]
    await here.rest()
    now = here.clock.now_ms()
    policy = here.engine.policies.current.get("all")
    assert policy is not None
    for name, fields, after in (("01KASITWAS", [], 1), ("01KSTRICT", [("hard_limit", "1")], 2)):
        trial = tuple({**policy.fields(), **dict(fields)} for _ in fields)
        query = ReplayQuery(name, trial, since=now - 86_400_000, until=now + 1)
        # The replay runs in a process of its own, which takes real time.
        answer = await replay(here.control, query, SystemClock())
        assert (answer.requests, answer.denied_before, answer.denied_after) == (3, 1, after)
        assert answer.differences == after - 1


async def test_an_invalid_file_changes_nothing_and_is_an_incident_until_it_is_right(opened: Opener) -> None:
    here = await opened(UNCLAMPED + budget("5"))
    before = here.engine.config
    told = await here.reload(budget("4", actoin='"block"') + "[runs]\nslice_tokens = 3\n")
    assert (told.status, told.code, len(told.faults)) == ("conflict", "config_invalid", 2)
    assert "actoin" in told.faults[0].message
    assert here.engine.config is before
    state = here.engine.reloading.state
    assert (state.reload_ok, state.reloaded_at, len(state.problems)) == (False, here.clock.now_ms(), 2)
    await here.advance(15)
    (incident,) = [one for one in (await here.control.snapshot([])).incidents if "not applied" in one.summary]
    assert "palyra.toml" not in incident.summary
    assert any("2 problems" in text for text in here.engine.problems())
    answer = await here.control.ask(ConfigQuery())
    assert ([one.key for one in answer.problems], answer.reload_ok) == (
        ["budgets[0].actoin", "runs.slice_tokens"],
        False,
    )
    assert (await here.reload(UNCLAMPED + budget("4"))).ok
    await here.advance(30)
    assert not [one for one in (await here.control.snapshot([])).incidents if "not applied" in one.summary]
    assert here.engine.reloading.state.problems == ()
    assert not here.engine.problems()


async def test_what_waits_for_a_restart_is_listed(opened: Opener) -> None:
    here = await opened()
    here.rewrite('[tasks]\nconcurrency = 9\n[gateway]\nmax_body = "1MiB"\n[approvals]\nttl = "20m"\n')
    answer = await here.control.ask(ConfigQuery())
    assert answer.waiting == {
        "gateway.max_body": "restart",
        "approvals.ttl": "reload",
        "tasks.concurrency": "restart",
    }
    told = await here.control.send(Reload())
    assert (told.data["applied"], told.data["pending"]) == ("approvals", "gateway,tasks")
    assert "Waiting for a restart: gateway, tasks." in told.message
    assert here.engine.reloading.state.pending_restart == ("gateway", "tasks")
    assert here.engine.config.tasks.concurrency == 4
    answer = await here.control.ask(ConfigQuery())
    assert answer.pending_restart == ("gateway", "tasks")
    assert set(answer.waiting.values()) == {"restart"}
    again = await here.control.send(Reload())
    assert (again.data["applied"], again.data["pending"]) == ("", "gateway,tasks")


async def test_a_default_model_that_is_not_there_yet_waits_with_it(opened: Opener) -> None:
    here = await opened()
    new = '[[models]]\nprovider = "own"\nupstream = "newer"\nid = "fresh"\n'
    told = await here.reload(f'[defaults]\nchat = "fresh"\n{new}')
    assert (told.ok, told.data["pending"]) == (True, "defaults,models")
    job = '[[jobs]]\nname = "j"\nevery = "1h"\naction = "prompt"\nprompt = "x"\nmodel = "fresh"\n'
    told = await here.reload(f"{new}{job}")
    assert (told.data["pending"], here.engine.jobs.roster.find("j")) == ("models,scheduler,jobs", None)
    told = await here.reload(f'[defaults]\nchat = "{ACME}"\n')
    assert told.data["applied"] == "defaults"
    default = here.engine.registry.default_chat
    assert default is not None
    assert default.id == ACME


async def test_who_waits_for_a_person_is_planned_again_when_the_budget_changes(opened: Opener) -> None:
    tight = UNCLAMPED + budget("0.000001", action='"approval_required"')
    here = await opened(tight)
    waits = asyncio.create_task(here.ask(ASKED))
    pending = await here.parked()
    assert (await here.reload(tight.replace("clamp_output = false", "clamp_output = false\nspike_usd = 3"))).ok
    assert (await here.pending()).approval_id == pending.approval_id
    assert (await here.reload(UNCLAMPED + budget("5", action='"approval_required"'))).ok
    assert (await waits).status == 200
    (ended,) = await here.approvals()
    assert (ended.status, ended.decision, ended.reason) == ("resolved", "error", "policy_edited")
    # A grant holds until the terms it was given for change.
    assert (await here.reload(tight)).ok
    again = asyncio.create_task(here.ask(ASKED))
    await here.allow((await here.parked()).approval_id, scope="timeboxed", duration_seconds=600)
    assert (await again).status == 200
    assert [grant.state for grant in (await here.control.snapshot([Topic.APPROVALS])).grants] == ["active"]
    assert (await here.reload(tight.replace("0.000001", "0.000002"))).ok
    assert [grant.state for grant in (await here.control.snapshot([Topic.APPROVALS])).grants] == ["void"]


async def test_two_at_once_come_one_after_the_other(opened: Opener) -> None:
    here = await opened()
    here.rewrite(budget("5") + budget("6", "other"))
    told = await asyncio.gather(*(here.control.send(Reload()) for _ in range(4)))
    assert sorted(one.data["applied"] for one in told) == ["", "", "", "budgets"]
    assert [policy.policy_id for policy in here.engine.policies.current] == ["all", "other"]


async def test_with_a_journal_that_cannot_be_written_nothing_is_applied(opened: Opener, disk: Disk) -> None:
    here = await opened(UNCLAMPED + budget("5"))
    before = here.engine.config
    disk.down = True
    told = await here.reload(UNCLAMPED + budget("0") + '[approvals]\nttl = "20m"\n')
    assert (told.status, told.code) == ("denied", "journal_unavailable")
    assert here.engine.config is before
    assert (await here.budget("all")).hard_limit == 5 * 10**9
    await back(here, disk)
    assert (await here.control.send(Reload())).data["applied"] == "budgets,approvals"
    assert await status(here) == 402


EVERYTHING = f"""
[governance]
timezone = "Europe/Prague"
spike_usd = 3
alert_cooldown = "1m"
bound_estimator = "proven"
[runs]
slice_tokens = 64
max_duration = "10m"
[smart_routing]
default_mode = "dry_run"
complexity_low = 0.1
{budget("9")}
[[pricing]]
provider = "own"
model = "acme-7b"
input = 3
output = 4
[approvals]
ttl = "30m"
four_eyes = true
park_seconds = 7
[defaults]
chat = "{ACME}"
[breaker]
failures = 7
[retries]
max = 1
base_ms = 20
[failover]
max_candidates = 2
[leases]
provider_start = 3
[healing]
mode = "observe_only"
silent_after.approval = "20m"
[notifications]
bell = "off"
[[notifications.webhook]]
name = "ops"
url = "https://ops.example"
[[probes]]
id = "browser"
target = "http://127.0.0.1:9"
[[jobs]]
name = "morning"
cron = "0 8 * * *"
action = "maintenance"
maintenance = "health_check"
[console]
theme = "palyra-light"
[logging]
level = "debug"
"""


def in_force(engine: Engine) -> dict[str, object]:
    """What the rooms themselves work with."""
    runner, planner, hooks = engine.runner, engine.runner.planner, engine.notices.courier.webhooks
    card = engine.book.card("own", "acme-7b", engine.clock.now_ms())
    job = engine.jobs.roster.find("morning")
    default = engine.registry.default_chat
    return {
        "governance": (engine.watch._settings.spike_usd, planner._settings.estimator.value),
        "runs": (runner._settings.max_duration_s, runner._means.attempts._settings.slice_tokens),
        "smart_routing": (engine.ledger.default_mode, planner._routing.complexity_low),
        "budgets": [policy.policy_id for policy in engine.policies.current],
        "pricing": None if card is None else card.source.value,
        "approvals": (engine.desk.settings.ttl_ms, engine.desk.settings.four_eyes),
        "defaults": None if default is None else default.id,
        "breaker": engine.breakers.of("own")._settings.failures,
        "retries": (runner._means.rule.settings.max, runner._means.rule.settings.base_ms),
        "failover": runner._means.failover.max_candidates,
        "leases": engine.leases.of_provider("own").limit,
        "healing": engine.healing.modes.of("runs").value,
        "notifications": sorted(hooks),
        "jobs": None if job is None else job.job.expression,
    }


async def test_every_room_works_with_what_the_file_says_now(opened: Opener) -> None:
    """Sections whose rooms are above the engine (the log, the bell) have tests of their own."""
    here = await opened()
    before = in_force(here.engine)
    told = await here.reload(EVERYTHING)
    assert told.ok, told
    assert set(told.data["applied"].split(",")) == RELOADABLE
    assert in_force(here.engine) == {
        "governance": (3 * 10**9, "proven"),
        "runs": (600.0, 64),
        "smart_routing": (RoutingMode.DRY_RUN, 0.1),
        "budgets": ["all"],
        "pricing": "override",
        "approvals": (1_800_000, True),
        "defaults": ACME,
        "breaker": 7,
        "retries": (1, 20),
        "failover": 2,
        "leases": 3,
        "healing": "observe_only",
        "notifications": ["ops"],
        "jobs": "0 8 * * *",
    }
    shot = await here.control.snapshot([Topic.BUDGETS])
    assert (shot.engine.timezone, shot.engine.mode) == ("Europe/Prague", "dry_run")
    assert (shot.engine.bell, shot.engine.osc9) == (Switch.OFF, Switch.AUTO)
    config, engine = here.engine.config, here.engine
    runner, planner = engine.runner, engine.runner.planner
    assert runner._settings == planner._settings == runner._means.attempts._settings == run_settings(config)
    assert planner._routing == config.smart_routing
    assert runner._means.rule.settings == retry_rule(config).settings
    assert runner._means.failover == failover_settings(config)
    assert engine.watch._settings == alert_settings(config)
    assert engine.desk.settings == approval_settings(config)
    assert engine.breakers.of("own")._settings == breaker_settings(config)
    assert engine.policies._defaults == policy_defaults(config)
    assert engine.healing.modes._config == config.healing
    assert (await here.reload("")).ok
    assert in_force(here.engine) == before | {"leases": in_force(here.engine)["leases"]}


async def test_one_that_cannot_follow_keeps_nobody_else_from_it(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    here = await opened()
    heard: list[int] = []

    async def broken(config: LoadedConfig) -> None:
        raise OSError("no space left")

    async def sound_one(config: LoadedConfig) -> None:
        heard.append(config.approvals.park_seconds)

    here.engine.reloading.listen(broken)
    here.engine.reloading.listen(sound_one)
    told = await here.reload("[approvals]\npark_seconds = 7\n")
    assert (told.ok, told.data["applied"], heard) == (True, "approvals", [7])
    assert "no space left" in caplog.text


async def test_spending_of_today_is_told_by_the_days_of_the_zone_in_force(opened: Opener) -> None:
    here = await opened()
    assert await status(here) == 200
    await here.rest()
    spent = (await here.control.snapshot([])).spend_today_nano_usd
    assert spent > 0
    assert (await here.reload('[governance]\ntimezone = "Asia/Tokyo"\n')).ok
    assert (await here.control.snapshot([])).spend_today_nano_usd == spent
    now = here.clock.now_ms()
    usage = await here.control.ask(UsageQuery(now - 86_400_000, now + 1))
    assert usage.total.cost_nano_usd == spent


async def test_it_is_audited_and_only_admins_may(opened: Opener) -> None:
    here = await opened(UNCLAMPED)
    for role in (Role.VIEWER, Role.APPROVER):
        refused = await here.operator("bo", role).send(Reload())
        assert (refused.status, refused.code) == ("denied", "role_missing")
    await here.reload(UNCLAMPED + budget("5"))
    await here.reload("[gateway]\nmax_runs = 0\n")
    await here.written()
    rows = [row for row in reversed(await here.engine.journal.readers.audit()) if row.kind == "config"]
    payloads = [row.payload for row in rows]
    assert [(row.actor, payload["verb"]) for row, payload in zip(rows, payloads, strict=True)] == [
        ("ada", "reloaded"),
        ("ada", "reload_refused"),
    ]
    assert (payloads[0]["applied"], payloads[0]["budgets"]["added"]) == (["budgets"], ["all"])
    assert payloads[1]["codes"] == ["out_of_range"]
    assert (await here.control.ask(AuditQuery())).ok


async def test_an_engine_that_ends_or_has_no_file_reads_nothing(opened: Opener, tmp_path: Path) -> None:
    here = await opened()
    await here.engine.drain()
    refused = await here.control.send(Reload())
    assert (refused.status, refused.code) == ("conflict", "wrong_state")
    made_up = await Engine.open(Installation(sound(""), tmp_path / "other"), here.clock, {})
    try:
        with pytest.raises(ConflictError, match="no file"):
            await made_up.reloading.look()
    finally:
        await made_up.close()


async def test_operators_tools_reload_over_http(opened: Opener) -> None:
    here = await opened()
    access = here.engine.access
    access.set_flag("console_write", True)
    token = access.issue_token("ci", owner="ci", role=Role.ADMIN)
    weak = access.issue_token("look", owner="look", role=Role.APPROVER)
    here.rewrite('[tasks]\nconcurrency = 9\n[approvals]\nttl = "20m"\n')

    async def post(shown: str) -> tuple[int, dict[str, object]]:
        caller = await here.caller()
        caller.request("POST", "/console/v1/config/reload", {"Authorization": f"Bearer {shown}"}, None)
        answer = await caller.answer()
        return answer.status, json.loads(answer.body)

    assert (await post(weak))[0] == 403
    code, told = await post(token)
    assert (code, told["applied"], told["pending_restart"]) == (200, ["approvals"], ["tasks"])
    here.rewrite("[gateway]\nmax_runs = 0\n")
    code, told = await post(token)
    assert code == 409
    assert "max_runs" in json.dumps(told)
