from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.budgets import BudgetConfig
from palyra.config.choices import (
    MetricKind,
    OverrideKind,
    PolicyAction,
    RoutingMode,
    RoutingOverride,
    ScopeKind,
    UnknownPrice,
    UnknownPriceChoice,
)
from palyra.core.money import Usd, decimal_usd
from palyra.core.windows import Interval
from palyra.governance.policy import PolicySource
from palyra.governance.policy_input import PolicyDefaults, PolicyInputError, edit_policy, from_config, parse_policy
from palyra.governance.policy_set import PolicySet
from tests.governance.policies import DOLLAR, policy, scope


def faults(data: dict[str, str]) -> dict[str, str]:
    with pytest.raises(PolicyInputError) as caught:
        parse_policy(data)
    return {fault.field: str(fault) for fault in caught.value.faults}


def test_a_silent_policy_has_the_documented_defaults() -> None:
    made = parse_policy({"policy_id": "team", "hard_limit": "5"}, defaults=PolicyDefaults("Europe/Prague"))
    assert made.name == "team"
    assert made.enabled
    assert (made.scope_kind, made.scope_id) == (ScopeKind.GLOBAL, "*")
    assert (made.metric_kind, made.interval_kind) == (MetricKind.ESTIMATED_COST_USD, Interval.MONTHLY)
    assert made.timezone == "Europe/Prague"
    assert (made.hard_limit, made.soft) == (5 * DOLLAR, 4 * DOLLAR)
    assert made.action is PolicyAction.BLOCK
    assert made.routing_override == RoutingOverride()
    assert made.on_unknown_price == UnknownPrice(UnknownPriceChoice.FLAT, Usd(DOLLAR))
    assert (made.source, made.revision) == (PolicySource.OPERATOR, 1)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("policy_id", "Team Day", "Write 1 to 64 of a-z 0-9"),
        ("policy_id", "a" * 65, "Write 1 to 64 of a-z 0-9"),
        ("name", "n" * 121, "Write text of 1 to 120 characters"),
        ("enabled", "maybe", "true or false"),
        ("scope_kind", "users", 'Did you mean "user"?'),
        ("metric_kind", "dollars", "estimated_cost_usd, total_tokens, requests"),
        ("interval_kind", "dayly", 'Did you mean "daily"?'),
        ("timezone", "Prague", 'Did you mean "Europe/Prague"?'),
        ("hard_limit", "-1", "cannot be negative"),
        ("hard_limit", "0.0000000001", "at most 9 decimals"),
        ("hard_limit", "lots", "Write a number like 12.50"),
        ("soft_limit", "0%", "outside 1%-100%"),
        ("soft_limit", "101%", "outside 1%-100%"),
        ("soft_limit", "x%", 'Write "80%" (1 to 100)'),
        ("soft_limit", "1.5", "Write at most the hard limit"),
        ("action", "stop", "block, approval_required, advise"),
        ("routing_override", "mode:hard", "mode:suggest, mode:dry_run, mode:enforced"),
        ("routing_override", "model:", "model: and a model id"),
        ("on_unknown_price", "flat", "like flat:1.00"),
        ("on_unknown_price", "flat:x", "Write a number like 12.50"),
        ("scope_id", "team", "scope global has one counter"),
        ("hard_limt", "1", 'Did you mean "hard_limit"?'),
    ],
)
def test_a_bad_field_is_refused_with_its_fix(field: str, value: str, says: str) -> None:
    found = faults({"policy_id": "team", "hard_limit": "1.00", field: value})
    assert list(found) == [field]
    assert says in found[field]


def test_every_fault_is_told_at_once() -> None:
    found = faults({"hard_limit": "-1", "timezone": "Prague", "scope_kind": "tag", "action": "stop"})
    assert set(found) == {"policy_id", "hard_limit", "timezone", "scope_id", "action"}
    assert found["timezone"] == 'timezone: "Prague" is no IANA zone. Did you mean "Europe/Prague"?'


def test_a_budget_without_hard_limit_needs_an_absolute_soft_one() -> None:
    assert "limit is missing" in faults({"policy_id": "team"})["hard_limit"]
    warns = parse_policy({"policy_id": "team", "soft_limit": "3"})
    assert (warns.hard_limit, warns.soft) == (None, 3 * DOLLAR)


def test_counts_are_whole_numbers() -> None:
    tokens = policy(hard="200_000", metric_kind="total_tokens", soft_limit="92.5%")
    assert (tokens.hard_limit, tokens.soft) == (200_000, 185_000)
    assert "whole number" in faults({"policy_id": "t", "hard_limit": "1.5", "metric_kind": "requests"})["hard_limit"]


def test_operators_may_type_what_people_type() -> None:
    typed = policy(hard="$1_000.50", enabled="off")
    assert (typed.hard_limit, typed.enabled) == (1_000_500_000_000, False)
    assert policy(hard="none", soft_limit="2").hard_limit is None


def test_a_row_of_the_configuration_becomes_the_same_policy() -> None:
    row = BudgetConfig(policy_id="day", hard_limit=DOLLAR, interval_kind=Interval.DAILY)
    made = from_config(row)
    assert made.source is PolicySource.CONFIG
    assert made.fields() == policy().fields()
    assert made.sha256 == policy().sha256


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("none", RoutingOverride()),
        ("degrade", RoutingOverride(OverrideKind.DEGRADE)),
        ("mode:dry_run", RoutingOverride(OverrideKind.MODE, mode=RoutingMode.DRY_RUN)),
        ("model:openai/gpt-4o-mini", RoutingOverride(OverrideKind.MODEL, model="openai/gpt-4o-mini")),
    ],
)
def test_routing_overrides_are_read(text: str, override: RoutingOverride) -> None:
    assert policy(routing_override=text).routing_override == override


records = st.builds(
    lambda hard, percent, tokens, **fields: policy(
        hard=decimal_usd(hard) if not tokens else hard,
        soft_limit=f"{percent}%",
        metric_kind="total_tokens" if tokens else "estimated_cost_usd",
        **fields,
    ),
    hard=st.integers(0, 10**15),
    percent=st.integers(1, 100),
    tokens=st.booleans(),
    enabled=st.booleans(),
    interval_kind=st.sampled_from(list(Interval)),
    action=st.sampled_from(list(PolicyAction)),
    on_unknown_price=st.sampled_from(["block", "allow", "flat:0.25"]),
    routing_override=st.sampled_from(["none", "degrade", "mode:suggest", "model:a/b"]),
    scope_kind=st.sampled_from(["user", "session", "model", "key"]),
    scope_id=st.sampled_from(["*", "ann"]),
)


@given(records)
def test_a_policy_survives_being_written_and_read(record: Any) -> None:
    again = parse_policy(record.fields())
    assert again == record
    assert again.sha256 == record.sha256


def test_the_hash_changes_with_what_decides_and_with_nothing_else() -> None:
    base = policy()
    assert policy(name="Everyone, each day", revision=7).sha256 == base.sha256
    for changed in (policy(hard="2"), policy(enabled="no"), policy(action="advise"), policy(timezone="Asia/Tokyo")):
        assert changed.sha256 != base.sha256


def test_an_edit_raises_the_revision_and_keeps_the_rest() -> None:
    edited = edit_policy(policy(soft_limit="50%", timezone="Asia/Tokyo"), {"hard_limit": "12"})
    assert edited.revision == 2
    assert (edited.hard_limit, edited.soft) == (12 * DOLLAR, 6 * DOLLAR)
    assert edited.timezone == "Asia/Tokyo"
    assert edit_policy(edited, {"soft_limit": ""}).soft == 12 * DOLLAR * 8 // 10


def test_an_id_cannot_be_edited() -> None:
    with pytest.raises(PolicyInputError, match="cannot be changed"):
        edit_policy(policy("a"), {"policy_id": "b"})


def test_only_edits_of_limits_leave_the_count_alone() -> None:
    base = policy()
    assert base.counts_like(policy(hard="9", soft_limit="1", action="advise", routing_override="degrade", name="x"))
    for changed in (
        policy(interval_kind="weekly"),
        policy(timezone="Asia/Tokyo"),
        policy(scope_kind="user"),
        policy(enabled="no"),
        policy(on_unknown_price="block"),
        policy(hard=1, metric_kind="requests"),
    ):
        assert not base.counts_like(changed)


def test_ids_are_unique_over_both_sources() -> None:
    config = from_config(BudgetConfig(policy_id="day", hard_limit=DOLLAR))
    with pytest.raises(PolicyInputError, match='"day" is used by a budget of the config and one of the operator'):
        PolicySet([config, policy("day")])


def matches(policies: PolicySet, **values: Any) -> list[tuple[str, str]]:
    provider, model = values.pop("provider", "openai"), values.pop("model", "openai/gpt-4o")
    return [(record.policy_id, value) for record, value in policies.match(scope(**values), provider, model)]


@pytest.mark.parametrize(
    ("kind", "value", "values"),
    [
        ("user", "ann", {"principal": "ann"}),
        ("session", "s1", {"session": "s1"}),
        ("channel", "slack:ops", {"channel": "slack:ops"}),
        ("agent", "planner", {"agent": "planner"}),
        ("job", "nightly", {"job": "nightly"}),
        ("key", "k1", {"key_id": "k1"}),
        ("provider", "openai", {"provider": "openai"}),
        ("model", "openai/gpt-4o", {"model": "openai/gpt-4o"}),
        ("tag", "team=red", {"tags": {"team": "red"}}),
    ],
)
def test_every_scope_kind_matches_its_value_and_nothing_else(kind: str, value: str, values: dict[str, Any]) -> None:
    star = "team=*" if kind == "tag" else "*"
    other = "team=blue" if kind == "tag" else "other"
    policies = PolicySet(
        [
            policy("exact", scope_kind=kind, scope_id=value),
            policy("each", scope_kind=kind, scope_id=star),
            policy("other", scope_kind=kind, scope_id=other),
        ]
    )
    assert matches(policies, **values) == [("each", value), ("exact", value)]


def test_an_absent_value_matches_no_policy_of_its_kind() -> None:
    policies = PolicySet([policy("each", scope_kind="agent"), policy("tag", scope_kind="tag", scope_id="team=*")])
    assert matches(policies) == []


def test_a_global_policy_has_one_counter_and_a_disabled_one_none() -> None:
    policies = PolicySet([policy("all"), policy("off", enabled="no")])
    assert matches(policies) == [("all", "*")]
    assert matches(policies, principal="bob") == [("all", "*")]
