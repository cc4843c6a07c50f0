"""`[providers]`, `[[models]]`, `[defaults]`: what they take by kind, and that every name leads somewhere."""

import pytest

from palyra.config.choices import AuthScheme, MaxTokensField, ModelProviderKind, ProviderModelRole
from tests.config.loading import found, load, sound

PROVIDERS = """
[providers.p]
kind = "openai_compatible"
discover = false
[providers.q]
kind = "anthropic"
discover = false
[providers.off]
kind = "anthropic"
enabled = false
"""


def model(provider: str = "p", upstream: str = "u", *lines: str) -> str:
    return "\n".join(["[[models]]", f'provider = "{provider}"', f'upstream = "{upstream}"', *lines, ""])


def problems(*rows: str) -> list[tuple[str, str]]:
    return found(PROVIDERS + "".join(rows))


def test_addresses_and_keys_go_by_kind() -> None:
    providers = sound(PROVIDERS + '[providers.d]\nkind = "deterministic"\n').providers
    assert {key: one.base_url for key, one in providers.items()} == {
        "p": "https://api.openai.com/v1",
        "q": "https://api.anthropic.com",
        "off": "https://api.anthropic.com",
        "d": None,
    }
    assert {key: one.auth_scheme for key, one in providers.items()} == {
        "p": AuthScheme.BEARER,
        "q": AuthScheme.X_API_KEY,
        "off": AuthScheme.X_API_KEY,
        "d": AuthScheme.BEARER,
    }
    assert providers["p"].kind is ModelProviderKind.OPENAI_COMPATIBLE


def test_a_scheme_that_is_given_stays() -> None:
    text = '[providers.q]\nkind = "anthropic"\nauth_scheme = "bearer"\nmax_tokens_field = "max_completion_tokens"\n'
    assert sound(text).providers["q"].auth_scheme is AuthScheme.BEARER
    assert sound(text).providers["q"].max_tokens_field is MaxTokensField.MAX_COMPLETION_TOKENS


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("", MaxTokensField.MAX_COMPLETION_TOKENS),
        ('base_url = "https://api.openai.com/v1/"', MaxTokensField.MAX_COMPLETION_TOKENS),
        ('base_url = "https://api.openai.com.example/v1"', MaxTokensField.MAX_TOKENS),
        ('base_url = "http://localhost:8000/v1"', MaxTokensField.MAX_TOKENS),
    ],
)
def test_the_limits_name_goes_by_the_address(line: str, field: MaxTokensField) -> None:
    config = sound(f'[providers.p]\nkind = "openai_compatible"\n{line}\n')
    assert config.providers["p"].max_tokens_field is field


@pytest.mark.parametrize("provider_id", ["a", "0", "a-b_c", "x" * 64])
def test_an_id_has_no_dots(provider_id: str) -> None:
    assert list(sound(f'[providers.{provider_id}]\nkind = "anthropic"\n').providers) == [provider_id]


@pytest.mark.parametrize("provider_id", ['"a.b"', "A", "a__b", '""', "-a", "x" * 65, '"ä"'])
def test_other_ids_are_refused(provider_id: str) -> None:
    ((code, key),) = found(f'[providers.{provider_id}]\nkind = "anthropic"\n')
    assert code == "wrong_type"
    assert key.startswith("providers.")


def test_a_kind_is_required_and_known() -> None:
    assert found("[providers.p]\n") == [("missing", "providers.p.kind")]
    assert found("[providers.p]\nkind = 'openai'\n") == [("unknown_choice", "providers.p.kind")]
    (problem,) = load("[providers.p]\nkind = 'antropic'\n").problems
    assert problem.suggestions == ("anthropic",)


def test_only_the_deterministic_kind_follows_a_script() -> None:
    script = 'script = [{ status = 503, retry_after = 2 }, { text = "hi" }]\n'
    config = sound(f'[providers.d]\nkind = "deterministic"\n{script}')
    assert [step.status for step in config.providers["d"].script] == [503, None]
    assert found(f'[providers.p]\nkind = "anthropic"\n{script}') == [("conflict", "providers.p.script")]
    assert found('[providers.d]\nkind = "deterministic"\nscript = [{ sttus = 5 }]\n') == [
        ("unknown_key", "providers.d.script[0].sttus")
    ]


def test_a_models_id_is_made_of_provider_and_upstream() -> None:
    models = sound(PROVIDERS + model("p", "gpt") + model("q", "c", 'id = "mine"')).models
    assert [one.id for one in models] == ["p/gpt", "mine"]


@pytest.mark.parametrize("upstream", ["a b", "ü", "x" * 200])
def test_an_upstream_name_that_makes_no_id_needs_one(upstream: str) -> None:
    assert problems(model("p", upstream)) == [("missing", "models[0].id")]
    assert problems(model("p", upstream, 'id = "mine"')) == []


def test_required_keys_of_a_model_are_asked_for() -> None:
    assert problems("[[models]]\n") == [("missing", "models[0].provider"), ("missing", "models[0].upstream")]
    assert problems(model("p", "")) == [("out_of_range", "models[0].upstream")]


def test_a_model_needs_a_declared_provider() -> None:
    assert problems(model("pp")) == [("bad_reference", "models[0].provider")]
    assert found(model("deterministic")) == [("bad_reference", "models[0].provider")]
    (problem,) = load("[providers.openai]\nkind = 'anthropic'\n" + model("opnai")).problems
    assert problem.suggestions == ("openai",)


def test_a_model_of_a_broken_provider_is_not_blamed() -> None:
    assert found("[providers.p]\nkind = 'x'\n" + model("p")) == [("unknown_choice", "providers.p.kind")]


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        (model("p", "u"), model("p", "u"), "models[1].upstream"),
        (model("p", "u"), model("q", "v", 'id = "p/u"'), "models[1].id"),
        (model("p", "u"), model("q", "v", 'aliases = ["x", "p/u"]'), "models[1].aliases[1]"),
        (model("p", "u", 'aliases = ["x"]'), model("q", "v", 'id = "x"'), "models[1].id"),
        (model("p", "u", 'aliases = ["x"]'), model("q", "v", 'aliases = ["x"]'), "models[1].aliases[0]"),
        (model("p", "u", 'aliases = ["x", "x"]'), "", "models[0].aliases[1]"),
    ],
)
def test_a_model_name_leads_to_one_model(first: str, second: str, key: str) -> None:
    assert problems(first, second) == [("duplicate_id", key)]


NAMED = PROVIDERS + model("p", "chatty", 'aliases = ["small"]') + model("q", "vec", 'role = "embeddings"')


@pytest.mark.parametrize("name", ["p/chatty", "small"])
def test_a_default_names_an_id_or_alias(name: str) -> None:
    assert sound(f'{NAMED}[defaults]\nchat = "{name}"\nembeddings = "q/vec"\n').defaults.chat == name


def test_without_defaults_nothing_is_chosen_here() -> None:
    defaults = sound(NAMED).defaults
    assert (defaults.chat, defaults.embeddings) == (None, None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('chat = "q/vec"', "is for embeddings"),
        ('embeddings = "small"', "is for chat"),
        ('chat = "p/other"', "no model has"),
        ('chat = "chatty"', "no model has"),
        ('chat = "deterministic/echo"', "no model has"),
    ],
)
def test_a_default_of_the_wrong_role_or_none_is_refused(line: str, why: str) -> None:
    (problem,) = load(f"{NAMED}[defaults]\n{line}\n").problems
    assert problem.code == "bad_reference"
    assert why in problem.message


def test_the_right_name_is_suggested() -> None:
    (problem,) = load(f'{NAMED}[defaults]\nchat = "smal"\n').problems
    assert problem.suggestions == ("small",)
    (problem,) = load(f'{NAMED}[defaults]\nchat = "chatty"\n').problems
    assert problem.suggestions == ("p/chatty",)


@pytest.mark.parametrize(
    "row",
    [model("p", "new", "enabled = false"), model("off", "new", 'id = "p/new"')],
)
def test_a_default_that_is_switched_off_is_refused(row: str) -> None:
    (problem,) = load(f'{PROVIDERS}{row}[defaults]\nchat = "p/new"\n').problems
    assert (problem.code, problem.key) == ("bad_reference", "defaults.chat")
    assert "switched off" in problem.message


def test_the_built_in_models_exist_while_no_provider_is_enabled() -> None:
    text = '[defaults]\nchat = "deterministic/echo"\nembeddings = "deterministic/embed"\n'
    assert sound(text).defaults.chat == "deterministic/echo"
    assert sound('[providers.off]\nkind = "anthropic"\nenabled = false\n' + text).defaults.chat
    problems = load(PROVIDERS + text).problems
    assert [problem.key for problem in problems] == ["defaults.chat", "defaults.embeddings"]
    assert "exists only while no provider is enabled" in problems[0].fix
    assert found('[defaults]\nchat = "deterministic/embed"\n') == [("bad_reference", "defaults.chat")]


def test_a_name_below_a_discovering_provider_is_believed() -> None:
    text = '[providers.p]\nkind = "openai_compatible"\n[defaults]\nchat = "p/found-later"\n'
    assert sound(text).defaults.chat == "p/found-later"
    assert found(text.replace("p/found-later", "found-later")) == [("bad_reference", "defaults.chat")]


def test_failover_names_models_of_the_same_role() -> None:
    rows = model("p", "a", 'failover = ["q/b"]'), model("q", "b"), model("q", "e", 'role = "embeddings"')
    assert problems(*rows) == []
    assert problems(rows[0].replace("q/b", "q/e"), *rows[1:]) == [("bad_reference", "models[0].failover")]
    assert problems(rows[0].replace("q/b", "q/x"), *rows[1:]) == [("bad_reference", "models[0].failover")]


def test_a_broken_model_row_is_not_also_missed_elsewhere() -> None:
    text = PROVIDERS + model("p", "a", 'role = "chatt"') + '[defaults]\nchat = "elsewhere"\n'
    assert found(text) == [("unknown_choice", "models[0].role")]


def test_memory_and_jobs_name_models_of_their_role() -> None:
    job = '[[jobs]]\nname = "j"\nevery = "1h"\naction = "prompt"\nprompt = "x"\nmodel = "{}"\n'
    memory = '[memory]\nembeddings_model = "{}"\n'
    assert sound(NAMED + job.format("small") + memory.format("q/vec")).jobs[0].model == "small"
    assert found(NAMED + job.format("q/vec") + memory.format("small")) == [
        ("bad_reference", "jobs[0].model"),
        ("bad_reference", "memory.embeddings_model"),
    ]


def test_roles_are_three() -> None:
    assert [role.value for role in ProviderModelRole] == ["chat", "embeddings", "audio_transcription"]
