"""Which layer a value comes from, and what it hides."""

import pytest

from palyra.config.problem import Code
from tests.config.loading import found, load, sound


def origin(
    key: str, text: str, env: dict[str, str] | None = None, flags: dict[str, str | None] | None = None
) -> list[str]:
    result = load(text, env, flags)
    here = result.origins[key]
    return [str(here), *(str(shadow) for shadow in here.shadows)]


def test_a_flag_wins_over_everything() -> None:
    env = {"PALYRA_GATEWAY__BIND": "127.0.0.1:3"}
    text = 'version = 1\n[gateway]\nbind = "127.0.0.1:2"\n'
    flags: dict[str, str | None] = {"gateway.bind": "127.0.0.1:4"}
    assert sound(text, env, flags).gateway.bind == "127.0.0.1:4"
    assert origin("gateway.bind", text, env, flags) == ["flag", "env PALYRA_GATEWAY__BIND", "file:3", "default"]


def test_a_flag_that_is_not_given_changes_nothing() -> None:
    assert sound("", flags={"gateway.bind": None}).gateway.bind == "127.0.0.1:7142"
    assert origin("gateway.bind", "", flags={"gateway.bind": None}) == ["default"]


def test_a_wrong_flag_is_a_problem_of_the_flag() -> None:
    result = load("", flags={"gateway.bind": "nowhere"})
    (problem,) = result.problems
    assert (problem.code, problem.key, str(problem.origin)) == (Code.WRONG_TYPE, "gateway.bind", "flag")
    assert found("", flags={"gateway.max_runs": "many"}) == [("wrong_type", "gateway.max_runs")]


def test_tables_merge_key_by_key_and_lists_are_replaced() -> None:
    config = sound(
        '[gateway]\nmax_runs = 5\nmax_waiting = 6\nallowed_hosts = ["a", "b"]\n',
        {"PALYRA_GATEWAY__MAX_RUNS": "7", "PALYRA_GATEWAY__ALLOWED_HOSTS": "c"},
    )
    assert (config.gateway.max_runs, config.gateway.max_waiting) == (7, 6)
    assert config.gateway.allowed_hosts == ("c",)


def test_a_required_key_shadows_no_default() -> None:
    text = 'version = 1\n[[budgets]]\npolicy_id = "b"\nhard_limit = 1\n'
    assert origin("budgets[0].policy_id", text) == ["file:3"]
    assert origin("budgets[0].hard_limit", text) == ["file:4", "default"]
    assert origin("budgets[0].timezone", text) == ["default"]


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("version = 1\n\n\n[tasks]\n# note\n\nconcurrency = 5\n", "tasks.concurrency", 7),
        ("version = 1\ntasks.concurrency = 5\n", "tasks.concurrency", 2),
        ("version = 1\ntasks = { retention_days = 3, concurrency = 5 }\n", "tasks.concurrency", 2),
        ('version = 1\n[console]\ntheme = """\\\n  ansi-dark"""\nrefresh_hz = 2\n', "console.refresh_hz", 5),
        ("version = 1\r\n[tasks]\r\nconcurrency = 5\r\n", "tasks.concurrency", 3),
        ('version = 1\n["tasks"]\n"concurrency" = 5\n', "tasks.concurrency", 3),
        ("version = 1\n[healing.silent_after]\nrun = 5\n", "healing.silent_after.run", 3),
        ("version = 1\n[gateway]\nallowed_hosts = [\n 'a',\n 'b',\n]\nmax_runs = 3\n", "gateway.max_runs", 7),
    ],
)
def test_the_line_is_that_of_the_key(text: str, key: str, line: int) -> None:
    assert origin(key, text)[0] == f"file:{line}"


def test_free_names_have_origins_of_their_own() -> None:
    text = 'version = 1\n[console.keys]\napprove = "f2"\n[providers.p]\nkind = "anthropic"\n'
    assert origin("console.keys.approve", text)[0] == "file:3"
    assert origin("providers.p.kind", text) == ["file:5"]
    assert origin("providers.p.enabled", text) == ["default"]


def test_rows_have_origins_of_their_own() -> None:
    text = 'version = 1\n[[budgets]]\npolicy_id = "a"\nhard_limit = 1\n\n[[budgets]]\nhard_limit = 2\npolicy_id = "b"\n'
    assert origin("budgets[0].policy_id", text)[0] == "file:3"
    assert origin("budgets[1].policy_id", text)[0] == "file:8"


PROVIDER = 'version = 1\n[providers.p]\nkind = "anthropic"\n'
WAYS = {
    "auth_profiles": ('auth_profiles = ["a"]', "a"),
    "api_key_vault_ref": ('api_key_vault_ref = "global/x"', "global/x"),
    "api_key_env": ('api_key_env = "X_KEY"', "X_KEY"),
    "api_key": ('api_key = "sk-12345678"', "sk-12345678"),
}


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
def test_one_layer_gives_a_credential_in_one_way(first: str, second: str) -> None:
    if first == second:
        assert found(f"{PROVIDER}{WAYS[first][0]}\n") == []
        return
    assert found(f"{PROVIDER}{WAYS[first][0]}\n{WAYS[second][0]}\n") == [("conflict", f"providers.p.{second}")]
    env = {f"PALYRA_PROVIDERS__P__{key.upper()}": WAYS[key][1] for key in (first, second)}
    assert [code for code, _ in found(PROVIDER, env)] == ["conflict"]


@pytest.mark.parametrize("above", WAYS)
@pytest.mark.parametrize("below", WAYS)
def test_a_higher_layers_credential_drops_the_lower_ones(below: str, above: str) -> None:
    config = sound(f"{PROVIDER}{WAYS[below][0]}\n", {f"PALYRA_PROVIDERS__P__{above.upper()}": WAYS[above][1]})
    given = {key for key in WAYS if getattr(config.providers["p"], key)}
    assert given == {above}


def test_a_conflict_below_is_told_although_it_is_displaced() -> None:
    text = f"{PROVIDER}{WAYS['api_key'][0]}\n{WAYS['api_key_env'][0]}\n"
    env = {"PALYRA_PROVIDERS__P__API_KEY": "sk-from-env"}
    assert found(text, env) == [("conflict", "providers.p.api_key_env")]


def test_a_blank_or_empty_credential_sets_none() -> None:
    text = f"{PROVIDER}{WAYS['api_key_env'][0]}\nauth_profiles = []\n"
    assert sound(text).providers["p"].api_key_env == "X_KEY"
    result = load(text, {"PALYRA_PROVIDERS__P__API_KEY": ""})
    assert result.config is not None
    assert result.config.providers["p"].api_key_env == "X_KEY"


def test_a_plain_value_below_a_table_of_another_layer_is_a_problem() -> None:
    result = load("version = 1\ntasks = 3\n", {"PALYRA_TASKS__CONCURRENCY": "5"})
    (problem,) = result.problems
    assert (problem.code, problem.key, problem.origin.line) == (Code.WRONG_TYPE, "tasks", 2)


def test_loading_is_repeatable_and_leaves_its_input_alone() -> None:
    env = {"PALYRA_TASKS__CONCURRENCY": "5", "PALYRA_PROVIDERS__P__API_KEY": "sk-from-env-2"}
    text = f"{PROVIDER}{WAYS['api_key_env'][0]}\n"
    before = dict(env)
    assert load(text, env) == load(text, env)
    assert env == before


def test_problems_come_in_the_order_of_lines_then_the_environment() -> None:
    result = load(
        "version = 1\n[tasks]\nretention_days = 0\nconcurrency = 0\n[gateway]\nmax_runs = 0\n",
        {"PALYRA_RUNS__SLICE_TOKENS": "0", "PALYRA_MEMORY__TTL_DAYS": "x"},
        {"gateway.max_url": "x"},
    )
    assert [problem.origin.place for problem in result.problems] == [
        "palyra.toml:3",
        "palyra.toml:4",
        "palyra.toml:6",
        "env PALYRA_MEMORY__TTL_DAYS",
        "env PALYRA_RUNS__SLICE_TOKENS",
        "flag",
    ]
