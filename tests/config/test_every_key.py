"""Every key of every table: its default, what it accepts up to its limits, what it refuses beyond them."""

import tomllib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from palyra.config.choices import Percent, RoutingOverride, UnknownPrice
from palyra.config.kinds import Kind
from palyra.config.model import RELOADABLE, LoadedConfig
from palyra.config.section import Section
from palyra.config.shape import entries, key_names
from tests.config.key_table import ID_ACCEPTED, ID_REFUSED, TABLES, Row
from tests.config.loading import found, sound

CASES = [pytest.param(before, row, id=f"{row[0]}.{row[1]}") for before, rows in TABLES for row in rows]

# Keys whose meaning needs others beside them have tests of their own; these are the rest of the list.
ELSEWHERE = {
    "version",
    "gateway.tls_cert",
    "gateway.tls_key",
    "console.keys",
    "memory.embeddings_model",
    "defaults.chat",
    "defaults.embeddings",
    "budgets.policy_id",
    "budgets.scope_kind",
    "budgets.scope_id",
    "budgets.metric_kind",
    "budgets.hard_limit",
    "pricing.provider",
    "pricing.model",
    "pricing.per_request",
    "pricing.discount",
    "providers.kind",
    "providers.base_url",
    "providers.api_key",
    "models.provider",
    "models.upstream",
    "jobs.name",
    "jobs.cron",
    "jobs.every",
    "jobs.at",
    "jobs.action",
    "jobs.prompt",
    "jobs.task",
    "jobs.input",
    "jobs.maintenance",
    "notifications.webhook.name",
    "notifications.webhook.url",
    "probes.id",
    "probes.target",
    "probes.kind",
}


def written(before: str, section: str, key: str, value: str) -> str:
    """A file that sets the key; a table that is there already is continued."""
    table = section.rsplit(".", maxsplit=1)[-1] if before else ""
    return f"{before}{key} = {value}\n" if table else f"[{section}]\n{key} = {value}\n"


def typed(config: LoadedConfig, section: str, key: str) -> Any:
    attribute = {"json": "json_mode", "from": "valid_from", "to": "valid_to"}.get(key, key)
    here: Any = config
    for part in section.split("."):
        here = here[part] if isinstance(here, dict) else getattr(here, part)
        here = here[0] if isinstance(here, tuple) else here
    return getattr(here, attribute)


@pytest.mark.parametrize(("before", "row"), CASES)
def test_a_key_left_out_has_its_default(before: str, row: Row) -> None:
    section, key, default, _, _ = row
    assert typed(sound(before), section, key) == default


@pytest.mark.parametrize(("before", "row"), CASES)
def test_a_key_takes_what_it_should_up_to_its_limits(before: str, row: Row) -> None:
    section, key, _, accepted, _ = row
    for spelled, value in accepted.items():
        got = typed(sound(written(before, section, key, spelled)), section, key)
        if isinstance(got, UnknownPrice | RoutingOverride | Percent) and isinstance(value, str):
            got = str(got)
        assert got == value, spelled
        assert type(got) is type(value) or isinstance(got, type(value)), spelled


@pytest.mark.parametrize(("before", "row"), CASES)
def test_a_key_refuses_what_lies_beyond(before: str, row: Row) -> None:
    section, key, _, _, refused = row
    name = {
        "budgets": "budgets[0]",
        "models": "models[0]",
        "pricing": "pricing[0]",
        "jobs": "jobs[0]",
        "probes": "probes[0]",
    }
    table = name.get(section, section).replace("webhook", "webhook[0]").replace("script", "script[0]")
    for code, spellings in refused.items():
        for spelled in spellings:
            assert found(written(before, section, key, spelled)) == [(code, f"{table}.{key}")], spelled


def test_the_list_of_keys_is_complete() -> None:
    listed = {f"{row[0]}.{row[1]}".replace(".p.", ".") for _, rows in TABLES for row in rows}
    assert set(key_names(LoadedConfig)) == listed | ELSEWHERE
    assert not listed & ELSEWHERE


def test_sections_that_a_reload_applies() -> None:
    waiting = {
        "version",
        "gateway",
        "journal",
        "cache",
        "providers",
        "models",
        "scheduler",
        "tasks",
        "memory",
        "vault",
    }
    assert set(LoadedConfig.model_fields) - RELOADABLE == waiting


def test_ids_have_one_form() -> None:
    for spelled, value in ID_ACCEPTED.items():
        assert sound(f"[[budgets]]\npolicy_id = {spelled}\nhard_limit = 1\n").budgets[0].policy_id == value
    for spelled in ID_REFUSED["wrong_type"]:
        assert found(f"[[budgets]]\npolicy_id = {spelled}\nhard_limit = 1\n") == [
            ("wrong_type", "budgets[0].policy_id")
        ]


def unknown_keys() -> Iterator[str]:
    yield from (f"{before}nonsense_key = 1\n" for before, _ in TABLES if before)
    yield from (f"[{row[0]}]\nnonsense_key = 1\n" for before, rows in TABLES if not before for row in rows)
    yield "nonsense_key = 1\n"


@pytest.mark.parametrize("text", sorted(set(unknown_keys())))
def test_every_table_refuses_unknown_keys(text: str) -> None:
    ((code, key),) = found(text)
    assert code == "unknown_key"
    assert key.endswith("nonsense_key")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("gateway = 3\n", "gateway"),
        ("[[gateway]]\n", "gateway"),
        ("budgets = 3\n", "budgets"),
        ("[budgets]\n", "budgets"),
        ("budgets = [1]\n", "budgets[0]"),
        ("providers = []\n", "providers"),
        ("[providers]\nx = 1\n", "providers.x"),
        ("[healing]\nsilent_after = 3\n", "healing.silent_after"),
        ("[console]\nkeys = 3\n", "console.keys"),
        ("[console.keys]\napprove = 3\n", "console.keys.approve"),
        ('[console.keys]\n"Bad Id" = "a"\n', 'console.keys."Bad Id"'),
    ],
)
def test_a_value_where_a_table_belongs_is_refused(text: str, key: str) -> None:
    assert found(text) == [("wrong_type", key)]


def test_remapped_keys_are_kept() -> None:
    assert sound('[console.keys]\n"triage.allow" = "f2"\n').console.keys == {"triage.allow": "f2"}


def test_numbers_of_the_file_are_never_floats() -> None:
    tree = tomllib.loads("x = 0.1", parse_float=Decimal)
    assert tree["x"] == Decimal("0.1")
    assert sound("[governance]\nspike_usd = 0.1\n").governance.spike_usd == 100_000_000


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[gateway]\n"[key]" = 1\n', 'gateway."[key]"'),
        ('["[key]"]\n', '"[key]"'),
        ('[providers."[key]"]\nkind = "anthropic"\n', 'providers."[key]"'),
        ('[console.keys]\n"[key]" = "x"\n', 'console.keys."[key]"'),
    ],
)
def test_a_key_that_looks_like_a_mark_of_ours_is_a_key(text: str, key: str) -> None:
    assert [where for _, where in found(f"{text}\n[tasks]\nconcurrency = 0\n")] == [key, "tasks.concurrency"]


def required_kinds(model: type[Section]) -> Iterator[Kind]:
    for entry in entries(model).values():
        if entry.table is not None:
            yield from required_kinds(entry.table)
        elif entry.required:
            assert entry.kind is not None
            yield entry.kind


def test_what_stands_in_for_a_broken_required_value_can_be_read() -> None:
    kinds = list(required_kinds(LoadedConfig))
    assert len(kinds) > 10
    for kind in kinds:
        kind.read(kind.example)
