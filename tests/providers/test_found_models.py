"""Models that only their providers list can be named, and are chosen only where the operator wants that."""

from pathlib import Path

import pytest

from palyra.config.choices import ProviderModelRole
from palyra.config.load import load_config
from palyra.config.problem import Code
from palyra.providers.entries import ModelSource
from palyra.providers.found import FoundModel
from palyra.providers.registry import ModelNotFoundError, Registry
from palyra.providers.wires import Wire

TWO = """
[providers.a]
kind = "openai_compatible"
base_url = "http://127.0.0.1:8001/v1"
[providers.b]
kind = "openai_compatible"
base_url = "http://127.0.0.1:8002/v1"
discover_route = true
[[models]]
provider = "a"
upstream = "declared"
aliases = ["mine"]
[[models]]
provider = "a"
upstream = "off"
enabled = false
"""


def registry(tmp_path: Path, toml: str = TWO) -> Registry:
    path = tmp_path / "palyra.toml"
    path.write_text("version = 1\n" + toml, encoding="utf-8")
    result = load_config(path, {}, {})
    assert result.config is not None, result.problems
    return Registry.from_config(result.config)


def found(*names: str) -> list[FoundModel]:
    return [FoundModel(name) for name in names]


def test_found_models_are_listed_and_named_and_only_some_are_routed(tmp_path: Path) -> None:
    models = registry(tmp_path)
    models.learn("a", found("declared", "other", "off"))
    models.learn("b", found("third"))
    assert [model.id for model in models.listed] == ["a/declared", "a/other", "b/third"]
    assert [model.id for model in models.routed] == ["a/declared", "b/third"]
    assert [model.id for model in models.models] == ["a/declared"]
    assert [model.id for model in models.disabled] == ["a/off"]
    for name in ("a/other", "other"):
        assert models.resolve(name).source is ModelSource.DISCOVERY
    assert models.resolve("auto").id == "a/declared"


@pytest.mark.parametrize("name", ["a/off", "off"])
def test_what_the_operator_switched_off_is_not_found_again(tmp_path: Path, name: str) -> None:
    models = registry(tmp_path)
    models.learn("a", found("off"))
    with pytest.raises(ModelNotFoundError):
        models.resolve(name)


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("mine", "a/declared"),
        ("declared", "a/declared"),
        ("b/mine", "b/mine"),
        ("unique", "b/unique"),
        ("a/both", "a/both"),
    ],
)
def test_what_is_declared_comes_before_what_is_found(tmp_path: Path, name: str, resolved: str) -> None:
    models = registry(tmp_path)
    models.learn("a", found("both"))
    models.learn("b", found("mine", "declared", "unique", "both"))
    assert models.resolve(name).id == resolved


def test_a_name_two_providers_list_is_not_guessed(tmp_path: Path) -> None:
    models = registry(tmp_path)
    models.learn("a", found("both"))
    models.learn("b", found("both"))
    with pytest.raises(ModelNotFoundError, match="Several providers") as refusal:
        models.resolve("both", Wire.CHAT)
    assert refusal.value.near == ("a/both", "b/both")


def test_near_names_are_looked_for_among_found_ones_too(tmp_path: Path) -> None:
    models = registry(tmp_path)
    models.learn("b", found("llama-3.1-70b", "llama-3.1-8b", "llama-3.2-8b", "llama-3.3-8b", "llama-3.4-8b"))
    with pytest.raises(ModelNotFoundError) as refusal:
        models.resolve("llama-3.1-8c")
    assert refusal.value.near == ("b/llama-3.1-8b", "b/llama-3.2-8b", "b/llama-3.3-8b")


def test_what_is_listed_no_more_is_gone(tmp_path: Path) -> None:
    models = registry(tmp_path)
    models.learn("b", found("third", "fourth"))
    before = models.listed
    models.learn("b", found("third", "fourth"))
    assert models.listed == before
    models.learn("b", found("fourth"))
    assert [model.id for model in models.found] == ["b/fourth"]


def test_with_nothing_declared_auto_begins_with_what_may_be_routed(tmp_path: Path) -> None:
    only = TWO[: TWO.index("[[models]]")]
    models = registry(tmp_path, only)
    models.learn("a", found("first"))
    with pytest.raises(ModelNotFoundError, match="No model for chat"):
        models.resolve("auto")
    models.learn("b", [FoundModel("embed", ProviderModelRole.EMBEDDINGS), FoundModel("second")])
    assert models.resolve("auto").id == "b/second"
    assert models.resolve("auto", role=ProviderModelRole.EMBEDDINGS).id == "b/embed"


def test_what_a_found_model_is_for_is_a_guess_that_refuses_nobody(tmp_path: Path) -> None:
    models = registry(tmp_path)
    models.learn("b", [FoundModel("embed-chat", ProviderModelRole.EMBEDDINGS)])
    assert models.resolve("embed-chat").role is ProviderModelRole.CHAT
    assert models.resolve("embed-chat", role=ProviderModelRole.EMBEDDINGS).role is ProviderModelRole.EMBEDDINGS


TOLD = FoundModel("declared", None, 32_000, 2_000, tools=False, json=False, vision=False, reasoning=True)


@pytest.mark.parametrize(
    ("row", "told", "packaged", "able"),
    [
        ("", None, None, (True, True, True, False, 128_000, None)),
        ("", None, 64_000, (True, True, True, False, 64_000, None)),
        ("", TOLD, 64_000, (False, False, False, True, 32_000, 2_000)),
        ("", FoundModel("declared", tools=False), 64_000, (False, True, True, False, 64_000, None)),
        (
            "tools = true\njson = true\nvision = true\nreasoning = false\nmax_context = 8000\nmax_output = 100",
            TOLD,
            64_000,
            (True, True, True, False, 8_000, 100),
        ),
    ],
)
def test_the_operator_comes_before_discovery_before_the_price_package_before_the_kind(
    tmp_path: Path,
    row: str,
    told: FoundModel | None,
    packaged: int | None,
    able: tuple[bool, bool, bool, bool, int, int | None],
) -> None:
    models = registry(tmp_path, TWO.replace('aliases = ["mine"]', row))
    if told is not None:
        models.learn("a", [told])
    models.consult(lambda provider, upstream: packaged if (provider, upstream) == ("a", "declared") else None)
    entry = models.resolve("declared")
    assert able == (entry.tools, entry.json, entry.vision, entry.reasoning, entry.max_context, entry.max_output)


def test_a_found_model_is_as_its_provider_says(tmp_path: Path) -> None:
    models = registry(tmp_path)
    models.learn("b", [FoundModel("m", None, 5_000, 50, vision=False)])
    entry = models.resolve("b/m")
    assert (entry.max_context, entry.max_output, entry.vision, entry.tools) == (5_000, 50, False, True)


def test_looking_up_makes_nothing(tmp_path: Path) -> None:
    models = registry(tmp_path)
    models.learn("b", found("third"))
    assert models.resolve("b/third") is models.resolve("third") is models.found[0]
    assert models.resolve("mine") is models.resolve("auto") is models.default_chat


WRONG = """
[providers.a]
kind = "openai_compatible"
base_url = "http://127.0.0.1:8001/v1"
[[models]]
provider = "a"
upstream = "m"
aliases = ["same"]
[[models]]
provider = "a"
upstream = "n"
id = "same"
[[models]]
provider = "nobody"
upstream = "o"
[[models]]
provider = "a"
upstream = "e"
role = "embeddings"
failover = ["a/m"]
[defaults]
chat = "a/e"
embeddings = "a/m"
"""


def test_duplicates_unknown_providers_and_wrong_roles_are_refused_together(tmp_path: Path) -> None:
    path = tmp_path / "palyra.toml"
    path.write_text("version = 1\n" + WRONG, encoding="utf-8")
    result = load_config(path, {}, {})
    assert result.config is None
    assert {(problem.key, problem.code) for problem in result.problems} == {
        ("models[1].id", Code.DUPLICATE_ID),
        ("models[2].provider", Code.BAD_REFERENCE),
        ("models[3].failover", Code.BAD_REFERENCE),
        ("defaults.chat", Code.BAD_REFERENCE),
        ("defaults.embeddings", Code.BAD_REFERENCE),
    }
