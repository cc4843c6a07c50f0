"""How variables are named and read."""

import re

import pytest

from palyra.config.environment import RESERVED
from palyra.config.problem import Code
from tests.config.key_table import TABLES
from tests.config.loading import found, load, sound

PROVIDER = '[providers.my-own]\nkind = "openai_compatible"\n'


@pytest.mark.parametrize("text", ["true", "TRUE", "True", "1", " true "])
def test_true_is_spelled_in_four_ways(text: str) -> None:
    assert sound("", {"PALYRA_FAILOVER__ENABLED": text}).failover.enabled is True
    assert sound("", {"PALYRA_GATEWAY__ALLOW_REMOTE": text}).gateway.allow_remote is True


@pytest.mark.parametrize("text", ["false", "FALSE", "False", "0"])
def test_false_is_spelled_in_four_ways(text: str) -> None:
    assert sound("", {"PALYRA_FAILOVER__ENABLED": text}).failover.enabled is False


@pytest.mark.parametrize("text", ["yes", "on", "2", "t", "01", "none"])
def test_other_words_are_no_booleans(text: str) -> None:
    assert found("", {"PALYRA_FAILOVER__ENABLED": text}) == [("env_invalid", "failover.enabled")]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (" a , b ", ("a", "b")),
        ('["a", "b"]', ("a", "b")),
        (" [] ", ()),
        ("", ()),
    ],
)
def test_lists_are_separated_by_commas_or_json(text: str, hosts: tuple[str, ...]) -> None:
    assert sound("", {"PALYRA_GATEWAY__ALLOWED_HOSTS": text}).gateway.allowed_hosts == hosts


@pytest.mark.parametrize("text", ["[", "[1]", '["a", null]', "a,,b", "[" * 100_000, '{"a": 1}', "[" + "9" * 5000 + "]"])
def test_what_is_no_list_is_refused(text: str) -> None:
    assert found("", {"PALYRA_GATEWAY__ALLOWED_HOSTS": text}) == [("env_invalid", "gateway.allowed_hosts")]


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("PALYRA_GATEWAY__IDLE_TIMEOUT", "90s", "idle_timeout", 90_000),
        ("PALYRA_GATEWAY__IDLE_TIMEOUT", "90", "idle_timeout", 90_000),
        ("PALYRA_GATEWAY__MAX_BODY", "1MiB", "max_body", 1024**2),
        ("PALYRA_GATEWAY__MAX_BODY", "2048", "max_body", 2048),
        ("PALYRA_GATEWAY__MAX_RUNS", "7", "max_runs", 7),
        ("PALYRA_GATEWAY__BIND", "localhost:1", "bind", "localhost:1"),
    ],
)
def test_a_variable_is_read_by_what_its_key_accepts(name: str, text: str, key: str, value: object) -> None:
    assert getattr(sound("", {name: text}).gateway, key) == value


def test_numbers_thresholds_and_amounts_are_read_exactly() -> None:
    env = {"PALYRA_SMART_ROUTING__COMPLEXITY_LOW": "0.25", "PALYRA_GOVERNANCE__SPIKE_USD": "0.000000001"}
    config = sound("", env)
    assert (config.smart_routing.complexity_low, config.governance.spike_usd) == (0.25, 1)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("PALYRA_GATEWAY__MAX_RUNS", "7.0", "env_invalid"),
        ("PALYRA_GATEWAY__MAX_RUNS", "1_0", "env_invalid"),
        ("PALYRA_GATEWAY__MAX_RUNS", "９", "env_invalid"),
        ("PALYRA_GATEWAY__MAX_RUNS", "9" * 5000, "env_invalid"),
        ("PALYRA_GATEWAY__MAX_RUNS", "0", "out_of_range"),
        ("PALYRA_GATEWAY__IDLE_TIMEOUT", "soon", "env_invalid"),
        ("PALYRA_GATEWAY__IDLE_TIMEOUT", "11m", "out_of_range"),
        ("PALYRA_SMART_ROUTING__COMPLEXITY_LOW", "low", "env_invalid"),
        ("PALYRA_GOVERNANCE__SPIKE_USD", "0.0000000001", "precision"),
        ("PALYRA_GOVERNANCE__TIMEZONE", "Prague", "unknown_choice"),
        ("PALYRA_LOGGING__LEVEL", "loud", "unknown_choice"),
        ("PALYRA_GATEWAY__BIND", "\udcff", "env_invalid"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(name: str, text: str, code: str) -> None:
    (problem,) = load("", {name: text}).problems
    assert problem.code == code
    assert problem.origin.name == name


def test_blank_unsets_an_optional_key_and_only_that() -> None:
    text = 'version = 1\n[gateway]\ntls_cert = "/c"\n[approvals]\nmax_grant_usd = 5\n'
    result = load(text, {"PALYRA_GATEWAY__TLS_CERT": "", "PALYRA_APPROVALS__MAX_GRANT_USD": "  "})
    assert result.config is not None
    assert result.config.gateway.tls_cert is None
    assert result.config.approvals.max_grant_usd is None
    origin = result.origins["gateway.tls_cert"]
    assert [str(origin), *map(str, origin.shadows)] == ["env PALYRA_GATEWAY__TLS_CERT", "file:3", "default"]
    assert found("", {"PALYRA_GATEWAY__BIND": ""}) == [("env_invalid", "gateway.bind")]
    assert found("", {"PALYRA_FAILOVER__ENABLED": " "}) == [("env_invalid", "failover.enabled")]


def test_reserved_variables_are_no_keys() -> None:
    result = load("", dict.fromkeys(RESERVED, "x"))
    assert (result.problems, result.warnings) == ((), ())
    assert set(RESERVED) == {"PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_VAULT_KEY", "PALYRA_OPERATOR"}


def test_an_unknown_name_is_an_error_with_two_underscores_and_a_warning_without() -> None:
    result = load("", {"PALYRA_NO__SUCH": "1", "PALYRA_DEBUG": "1", "PALYRAX": "1", "OTHER__THING": "1"})
    assert [(problem.code, problem.origin.name) for problem in result.problems] == [
        (Code.ENV_UNKNOWN, "PALYRA_NO__SUCH")
    ]
    assert [(warning.code, warning.origin.name) for warning in result.warnings] == [(Code.ENV_UNKNOWN, "PALYRA_DEBUG")]


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("PALYRA_GATEWAY_BIND", "PALYRA_GATEWAY__BIND"),
        ("PALYRA_GATEWAY__PORT", "PALYRA_GATEWAY__BIND"),
        ("PALYRA_LOG_LEVEL", "PALYRA_LOGGING__LEVEL"),
        ("PALYRA_gateway__bind", "PALYRA_GATEWAY__BIND"),
        ("PALYRA_CONFG", "PALYRA_CONFIG"),
        ("PALYRA_HEALING__FEATURES__RUN", "PALYRA_HEALING__FEATURES__RUNS"),
        ("PALYRA_PROVIDERS__MY_OWN__KND", "PALYRA_PROVIDERS__MY_OWN__KIND"),
        ("PALYRA_PROVIDERS__MY_WON__KIN", "PALYRA_PROVIDERS__MY_WON__KIND"),
    ],
)
def test_the_nearest_name_is_suggested(name: str, suggested: str) -> None:
    result = load(PROVIDER, {name: "x"})
    (problem,) = [*result.problems, *result.warnings]
    assert problem.suggestions[0] == suggested


@pytest.mark.parametrize(
    "name",
    [
        "PALYRA_BUDGETS__0__HARD_LIMIT",
        "PALYRA_MODELS__X__PROVIDER",
        "PALYRA_PRICING__INPUT",
        "PALYRA_NOTIFICATIONS__WEBHOOK__URL",
        "PALYRA_PROVIDERS__MY_OWN__SCRIPT",
        "PALYRA_PROVIDERS__MY__OWN__KIND",
        "PALYRA_PROVIDERS__my_own__KIND",
        "PALYRA_PROVIDERS____KIND",
        "PALYRA_CONSOLE__KEYS__",
        "PALYRA__VERSION",
    ],
)
def test_rows_and_impossible_names_cannot_be_set(name: str) -> None:
    result = load(PROVIDER, {name: "x"})
    assert [problem.code for problem in result.problems] == [Code.ENV_UNKNOWN]


def test_a_dash_is_written_as_an_underscore() -> None:
    config = sound(PROVIDER, {"PALYRA_PROVIDERS__MY_OWN__BASE_URL": "https://x.example"})
    assert list(config.providers) == ["my-own"]
    assert config.providers["my-own"].base_url == "https://x.example"


def test_a_whole_provider_may_come_from_the_environment() -> None:
    env = {"PALYRA_PROVIDERS__NEW_ONE__KIND": "anthropic", "PALYRA_PROVIDERS__NEW_ONE__API_KEY_ENV": "K"}
    config = sound("", env)
    assert config.providers["new_one"].api_key_env == "K"


def test_half_a_provider_lacks_its_kind() -> None:
    (problem,) = load("", {"PALYRA_PROVIDERS__NEW__API_KEY_ENV": "K"}).problems
    assert (problem.code, problem.key) == (Code.MISSING, "providers.new.kind")
    assert "PALYRA_PROVIDERS__NEW__API_KEY_ENV" in str(problem)


def test_an_id_may_end_in_an_underscore() -> None:
    config = sound('[providers.x_]\nkind = "anthropic"\n', {"PALYRA_PROVIDERS__X___API_KEY_ENV": "K"})
    assert config.providers["x_"].api_key_env == "K"


def test_ids_the_environment_cannot_tell_apart_are_refused() -> None:
    text = 'version = 1\n[providers.a-b]\nkind = "anthropic"\n[providers.a_b]\nkind = "anthropic"\n'
    (problem,) = load(text).problems
    assert (problem.code, problem.key, problem.origin.line) == (Code.CONFLICT, "providers.a_b", 4)
    assert "palyra.toml:2" in problem.message


def test_console_keys_can_be_remapped() -> None:
    assert sound("", {"PALYRA_CONSOLE__KEYS__APPROVE": "f2"}).console.keys == {"approve": "f2"}


def test_nested_tables_are_reached() -> None:
    config = sound("", {"PALYRA_HEALING__SILENT_AFTER__APPROVAL": "20m", "PALYRA_HEALING__MODE": "disabled"})
    assert config.healing.silent_after.approval == 1_200_000
    assert config.healing.features.runs == "disabled"


def as_variable(spelled: str) -> str:
    """What a variable holds for what a file spells so."""
    return spelled[1:-1] if spelled.startswith('"') else spelled


def test_every_key_of_a_plain_table_is_set_by_its_variable_as_by_the_file() -> None:
    tried = set()
    for before, rows in TABLES:
        for section, key, _, accepted, _ in rows:
            if before:
                continue
            name = f"PALYRA_{section.replace('.', '__')}__{key}".upper()
            for spelled in accepted:
                if re.fullmatch(r"[0-9.]+e[0-9]+", spelled):
                    # Only a file can write a number so.
                    continue
                by_file = load(f"[{section}]\n{key} = {spelled}\n")
                by_variable = load("", {name: as_variable(spelled)})
                assert by_file.config == by_variable.config is not None, (name, spelled)
                origin = by_variable.origins[f"{section}.{key}"]
                assert str(origin) == f"env {name}"
                assert [str(one) for one in origin.shadows] == ["default"]
                tried.add(name)
    assert len(tried) > 100


def test_every_key_of_a_plain_table_refuses_in_a_variable_what_its_file_refuses() -> None:
    for before, rows in TABLES:
        for section, key, _, _, refused in rows:
            if before:
                continue
            name = f"PALYRA_{section.replace('.', '__')}__{key}".upper()
            for code in ("out_of_range", "unknown_choice", "precision", "bad_reference", "bad_schedule"):
                for spelled in refused.get(code, ()):
                    if not spelled.startswith('"') or not as_variable(spelled).strip() or "\\u0000" in spelled:
                        # A number is text there, and no variable holds a zero byte.
                        continue
                    (problem,) = load("", {name: as_variable(spelled)}).problems
                    assert (problem.code, str(problem.origin)) == (code, f"env {name}"), (name, spelled)
