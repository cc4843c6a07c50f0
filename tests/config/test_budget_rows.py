"""`[[budgets]]`: limits by metric, scopes by kind, what a row takes from elsewhere."""

import pytest

from palyra.config.budgets import BudgetConfig
from palyra.config.choices import RoutingMode, RoutingOverride, UnknownPriceChoice
from tests.config.loading import found, load, sound

MODELS = '[providers.p]\nkind = "openai_compatible"\ndiscover = false\n[[models]]\nprovider = "p"\nupstream = "u"\n'


def budget(*lines: str) -> str:
    return "\n".join(['[[budgets]]\npolicy_id = "b"', *lines, ""])


def read(*lines: str) -> BudgetConfig:
    return sound(budget(*lines)).budgets[0]


@pytest.mark.parametrize(
    ("metric", "spelled", "limit"),
    [
        ("estimated_cost_usd", "12.5", 12_500_000_000),
        ("estimated_cost_usd", '"12.5"', 12_500_000_000),
        ("estimated_cost_usd", "0", 0),
        ("total_tokens", "5_000_000", 5_000_000),
        ("requests", "0", 0),
    ],
)
def test_limits_are_in_the_metrics_unit(metric: str, spelled: str, limit: int) -> None:
    # The metric is known whichever comes first in the file.
    assert read(f"hard_limit = {spelled}", f'metric_kind = "{metric}"').hard_limit == limit
    assert read(f"soft_limit = {spelled}", f'metric_kind = "{metric}"').soft_limit == limit


@pytest.mark.parametrize("metric", ["total_tokens", "requests"])
@pytest.mark.parametrize(("spelled", "code"), [("1.5", "wrong_type"), ('"5"', "wrong_type"), ("-1", "out_of_range")])
def test_tokens_and_requests_are_whole(metric: str, spelled: str, code: str) -> None:
    assert found(budget(f"hard_limit = {spelled}", f'metric_kind = "{metric}"')) == [(code, "budgets[0].hard_limit")]


def test_a_share_takes_part_of_the_hard_limit_rounded_down() -> None:
    row = read("hard_limit = 0.000000003", 'soft_limit = "50%"')
    assert row.hard_limit == 3
    assert not isinstance(row.soft_limit, int)
    assert [row.soft_limit.of(limit) for limit in (3, 10, 0)] == [1, 5, 0]


def test_a_budget_needs_a_hard_limit_or_an_absolute_soft_one() -> None:
    missing = [("missing", "budgets[0].hard_limit")]
    assert found(budget()) == missing
    assert found(budget('soft_limit = "90%"')) == missing
    assert read("soft_limit = 3").hard_limit is None


def test_the_soft_limit_may_equal_the_hard_one_but_not_pass_it() -> None:
    assert read("hard_limit = 5", "soft_limit = 5").soft_limit == 5_000_000_000
    assert found(budget("hard_limit = 5", "soft_limit = 5.000000001")) == [("conflict", "budgets[0].soft_limit")]


def test_a_broken_limit_is_not_also_called_missing() -> None:
    assert found(budget('hard_limit = "x"')) == [("wrong_type", "budgets[0].hard_limit")]
    assert found(budget("hard_limit = 1", 'metric_kind = "apples"')) == [("unknown_choice", "budgets[0].metric_kind")]


def test_faults_of_several_rows_are_told_together() -> None:
    text = (
        budget("hard_limit = 1", 'timezone = "Prague"', "soft_limit = 2")
        + "[[budgets]]\nhard_limit = 1\nsoft_limit = 2\n"
    )
    assert found(text) == [
        ("unknown_choice", "budgets[0].timezone"),
        ("conflict", "budgets[0].soft_limit"),
        ("missing", "budgets[1].policy_id"),
        ("conflict", "budgets[1].soft_limit"),
    ]


def test_prague_is_in_europe() -> None:
    (problem,) = load(budget("hard_limit = 1", 'timezone = "Prague"')).problems
    assert "Europe/Prague" in problem.suggestions
    assert 'Did you mean "Europe/Prague"?' in str(problem)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("user", "ana@example:1", "a b"),
        ("session", "default:k/1", "a b"),
        ("channel", "slack:ops", "a b"),
        ("agent", "coder", ""),
        ("job", "nightly report", ""),
        ("model", "openai/gpt-4o", "auto"),
        ("provider", "p", "P"),
        ("key", "default", "De fault"),
    ],
)
def test_a_scopes_value_has_its_kinds_form(kind: str, good: str, bad: str) -> None:
    lines = ("hard_limit = 1", f'scope_kind = "{kind}"')
    config = sound(MODELS + budget(*lines, f'scope_id = "{good}"'))
    assert config.budgets[0].scope_id == good
    assert sound(budget(*lines, 'scope_id = "*"')).budgets[0].scope_id == "*"
    assert sound(budget(*lines)).budgets[0].scope_id == "*"
    assert [key for _, key in found(MODELS + budget(*lines, f'scope_id = "{bad}"'))] == ["budgets[0].scope_id"]


@pytest.mark.parametrize("scope", ["team=red", "team=*", "a.b_c-d= x=y"])
def test_a_tag_scope_is_a_name_and_a_value(scope: str) -> None:
    assert read("hard_limit = 1", 'scope_kind = "tag"', f'scope_id = "{scope}"').scope_id == scope


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "missing"),
        ('scope_id = "*"', "wrong_type"),
        ('scope_id = "team"', "wrong_type"),
        ('scope_id = "T=x"', "wrong_type"),
    ],
)
def test_a_tag_scope_without_its_tag_is_refused(line: str, code: str) -> None:
    assert found(budget("hard_limit = 1", 'scope_kind = "tag"', line)) == [(code, "budgets[0].scope_id")]


def test_the_global_scope_has_one_counter() -> None:
    assert found(budget("hard_limit = 1", 'scope_id = "x"')) == [("conflict", "budgets[0].scope_id")]
    assert read("hard_limit = 1", 'scope_id = "*"').scope_id == "*"


def test_a_budget_on_a_provider_that_is_not_there_would_never_bite() -> None:
    lines = ("hard_limit = 1", 'scope_kind = "provider"')
    (problem,) = load(
        "[providers.openai]\nkind = 'openai_compatible'\n" + budget(*lines, 'scope_id = "opnai"')
    ).problems
    assert (problem.code, problem.suggestions) == ("bad_reference", ("openai",))
    assert sound(budget(*lines, 'scope_id = "deterministic"')).budgets[0].scope_id == "deterministic"


def test_a_row_takes_name_zone_and_price_rule_from_elsewhere() -> None:
    above = '[governance]\ntimezone = "Asia/Tokyo"\non_unknown_price = "block"\n'
    row = sound(above + budget("hard_limit = 1")).budgets[0]
    assert (row.name, row.timezone, row.on_unknown_price.choice) == ("b", "Asia/Tokyo", UnknownPriceChoice.BLOCK)
    own = 'name = "Mine"\ntimezone = "UTC"\non_unknown_price = "flat:1.00"\n'
    row = sound(above + budget("hard_limit = 1", own)).budgets[0]
    assert (row.name, row.timezone, str(row.on_unknown_price)) == ("Mine", "UTC", "flat:1.00")


def test_an_override_may_name_a_model_that_is_there() -> None:
    text = MODELS + budget("hard_limit = 1", 'routing_override = "model:{}"')
    assert sound(text.format("p/u")).budgets[0].routing_override.model == "p/u"
    assert found(text.format("p/x")) == [("bad_reference", "budgets[0].routing_override")]
    (problem,) = load(text.format("p/v")).problems
    assert problem.suggestions == ("p/u",)


@pytest.mark.parametrize(
    ("fields", "name", "says"),
    [
        ('aliases = ["fast"]', "fast", "is an alias"),
        ('role = "embeddings"', "p/u", "is for embeddings, not for chat"),
    ],
)
def test_an_override_names_a_chat_model_by_its_id(fields: str, name: str, says: str) -> None:
    """Anything else would never be chosen."""
    (problem,) = load(f"{MODELS}{fields}\n" + budget("hard_limit = 1", f'routing_override = "model:{name}"')).problems
    assert (problem.code, problem.key) == ("bad_reference", "budgets[0].routing_override")
    assert says in problem.message


def test_an_override_says_what_it_is() -> None:
    override = read("hard_limit = 1", 'routing_override = "mode:suggest"').routing_override
    assert override.mode is RoutingMode.SUGGEST
    assert [str(one) for one in (override, RoutingOverride())] == ["mode:suggest", "none"]


def test_an_id_used_three_times_is_told_twice() -> None:
    text = budget("hard_limit = 1") * 3
    assert found(text) == [("duplicate_id", "budgets[1].policy_id"), ("duplicate_id", "budgets[2].policy_id")]


def test_a_broken_id_is_no_duplicate() -> None:
    text = '[[budgets]]\npolicy_id = "B B"\nhard_limit = 1\n' * 2
    assert [code for code, _ in found(text)] == ["wrong_type", "wrong_type"]
