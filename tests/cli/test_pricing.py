"""`palyra pricing` on a configuration of its own, with and without a journal."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.cli.output import instant
from palyra.core.money import NANO
from palyra.main import Launcher
from palyra.pricing.pricer import half_even
from tests.pricing.examples import EXAMPLES, PRICING_TOML, Example

CONFIG = """
version = 1
[providers.openai]
kind = "openai_compatible"
[providers.anthropic]
kind = "anthropic"
[providers.deepseek]
kind = "openai_compatible"
base_url = "https://api.deepseek.com/v1"
[providers.private]
kind = "openai_compatible"
base_url = "http://127.0.0.1:8000/v1"
[[models]]
provider = "openai"
upstream = "gpt-4o-mini"
aliases = ["small"]
[[models]]
provider = "private"
upstream = "gpt-4o-mini"
id = "house/mini"
free = true
"""


class Shell:
    """Asks about prices on one installation, which needs no journal."""

    def __init__(self, directory: Path, config: str) -> None:
        self.directory = directory
        self.config = directory / "palyra.toml"
        self.config.write_text(config)
        self._app = build_app(Launcher())

    def __call__(self, *words: str, code: int = 0, given: bytes | None = None) -> str:
        places = ["--state-dir", str(self.directory / "state"), "--config", str(self.config)]
        result = CliRunner().invoke(self._app, ["pricing", *words, *places], input=given)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result.output

    def json(self, *words: str, code: int = 0, given: bytes | None = None) -> Any:
        return json.loads(self(*words, "--json", code=code, given=given))

    def cost(self, body: object, provider: str = "openai", model: str = "gpt-4o-mini", *words: str) -> Any:
        given = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.json("cost", "--provider", provider, "--model", model, *words, "-", given=given)

    def refused(self, body: bytes, *words: str) -> str:
        asked = words or ("--provider", "openai", "--model", "gpt-4o-mini")
        return self("cost", *asked, "-", given=body, code=2)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("prices"), CONFIG + PRICING_TOML)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.number)
def test_what_an_answer_costs(shell: Shell, example: Example) -> None:
    answer = shell.cost(example.body, example.provider, example.model, "--at", example.at)
    assert answer["total_nano_usd"] == example.charge
    assert answer["flags"] == list(example.flags)
    assert answer["precision"] == example.precision
    if example.input is not None:
        assert answer["usage"]["input_total"] == example.input
    if example.output is not None:
        assert answer["usage"]["output_total"] == example.output
    if example.charge is None:
        assert (answer["price_state"], answer["parts"], answer["flat_usd"]) == ("unknown", [], "1.00")
    else:
        exact = sum((Decimal(part["nano"]) for part in answer["parts"]), Decimal(0))
        assert half_even(*exact.as_integer_ratio()) == example.charge
    for part in answer["parts"]:
        assert Decimal(part["nano"]) == Decimal(part["usd"]) * part["count"] * NANO / part["per"]


@pytest.mark.parametrize("example", [one for one in EXAMPLES if not one.text and not one.more], ids=lambda e: e.number)
def test_a_usage_object_alone_costs_the_same(shell: Shell, example: Example) -> None:
    answer = shell.cost(example.usage, example.provider, example.model, "--at", example.at)
    assert (answer["total_nano_usd"], answer["flags"]) == (example.charge, list(example.flags))
    assert answer["raw"] == example.usage


def sse(*events: dict[str, Any], done: bool = False) -> bytes:
    text = "".join(f"event: {event.get('type', 'chunk')}\ndata: {json.dumps(event)}\n\n" for event in events)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


CHUNK = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "x" * 40}}]}
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
CHAT_USAGE = {"choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 500}}


def test_a_chat_stream_costs_its_last_usage(shell: Shell) -> None:
    early = {"choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 1}}
    answer = shell.cost(sse(CHUNK, early, STOP, CHAT_USAGE, done=True))
    assert (answer["total_nano_usd"], answer["flags"], answer["flavour"]) == (450_000, [], "chat")


def test_a_stream_that_broke_off_costs_at_least_what_was_delivered(shell: Shell) -> None:
    early = {"choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 1, "total_tokens": 1_001}}
    answer = shell.cost(sse(early, *[CHUNK] * 200))
    assert answer["usage"]["output_total"] == 2_000
    assert answer["flags"] == ["usage_partial"]
    assert answer["total_nano_usd"] == 150_000 + 2_000 * 600


def test_a_message_stream_counts_the_newest_of_each_number(shell: Shell) -> None:
    body = sse(
        {"type": "message_start", "message": {"model": "claude-haiku-4-5", "usage": {"input_tokens": 310}}},
        {"type": "content_block_delta", "delta": {"text": "hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 1_904, "output_tokens": 57}},
        {"type": "message_stop"},
    )
    answer = shell.cost(body, "anthropic", "claude-haiku-4-5")
    assert (answer["usage"]["input_total"], answer["usage"]["output_total"]) == (1_904, 57)
    assert answer["total_nano_usd"] == 1_904 * 1_000 + 57 * 5_000


def test_a_responses_stream_and_its_tools(shell: Shell) -> None:
    usage = {"input_tokens": 1_000, "output_tokens": 100, "output_tokens_details": {"reasoning_tokens": 40}}
    items = [{"type": "web_search_call"}, {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}]
    done = {"type": "response.completed", "response": {"object": "response", "usage": usage, "output": items}}
    answer = shell.cost(sse({"type": "response.created", "response": {}}, done), "openai", "gpt-5-mini")
    assert answer["flavour"] == "responses"
    assert answer["usage"]["tools"] == {"web_searches": 1}
    assert answer["usage"]["reasoning"] == 40
    assert shell.cost(done["response"], "openai", "gpt-5-mini")["total_nano_usd"] == answer["total_nano_usd"]


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}},
        {"prompt_tokens": 8, "total_tokens": 8},
        {"usage": {"prompt_tokens": 8}},
    ],
)
def test_embeddings_have_no_output(shell: Shell, body: dict[str, Any]) -> None:
    answer = shell.cost(body, "openai", "text-embedding-3-small")
    assert (answer["flavour"], answer["total_nano_usd"], answer["flags"]) == ("embeddings", 160, [])


def test_a_provider_of_the_package_needs_no_configuration(shell: Shell) -> None:
    answer = shell.cost({"prompt_tokens": 32, "completion_tokens": 9}, "x-ai", "grok-4")
    assert answer["configured"] is False
    assert answer["price_state"] == "known"
    reasoned = {"prompt_tokens": 32, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 165}}
    assert shell.cost(reasoned, "x-ai", "grok-4")["usage"]["output_total"] == 174
    assert "not configured" in shell("cost", "--provider", "x-ai", "--model", "grok-4", "-", given=b'{"usage": {}}')


@pytest.mark.parametrize("usage", [{}, None, {"completion_tokens": 0}])
def test_an_input_nobody_told_is_never_free(shell: Shell, usage: object) -> None:
    body = {"choices": [], "usage": usage}
    answer = shell.cost(body)
    assert answer["total_nano_usd"] is None
    assert answer["notes"] == ["input_unmetered"]
    for size, tokens in (("4000", 1_000), ("4001", 1_001)):
        told = shell.cost(body, "openai", "gpt-4o-mini", "--prompt-bytes", size)
        assert (told["total_nano_usd"], told["notes"]) == (tokens * 150, [])


def test_the_tier_that_was_asked_for_counts_until_the_answer_names_its_own(shell: Shell) -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 0}
    asked = ("openai", "gpt-5-mini", "--service-tier", "flex")
    assert shell.cost(usage, *asked)["total_nano_usd"] == 125_000
    assert shell.cost({"usage": usage, "service_tier": "priority"}, *asked)["total_nano_usd"] == 450_000


def test_what_is_known_of_an_answer_without_its_input_is_charged(shell: Shell) -> None:
    answer = shell.cost({"prompt_tokens": -5, "completion_tokens": 500})
    assert (answer["total_nano_usd"], answer["precision"]) == (300_000, "partial")
    assert (answer["flags"], answer["notes"]) == (["identity_U1"], ["input_unmetered"])


def test_a_count_beyond_all_reason_has_no_price(shell: Shell) -> None:
    answer = shell.cost({"prompt_tokens": 2**64, "completion_tokens": 500})
    assert answer["total_nano_usd"] is None
    assert "unpriceable_body" in answer["flags"]


def test_an_unpriced_model_follows_the_configured_rule(tmp_path: Path) -> None:
    config = '[governance]\non_unknown_price = "block"\n'
    answer = Shell(tmp_path, CONFIG + config).cost({"prompt_tokens": 1, "completion_tokens": 2}, "private", "acme")
    assert (answer["total_nano_usd"], answer["flat_nano_usd"], answer["on_unknown_price"]) == (None, None, "block")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "nothing in it"),
        (b"   \n", "nothing in it"),
        (b"[1, 2]", "not a JSON object"),
        (b"17", "not a JSON object"),
        (b"{", "not JSON"),
        (b'{"usage": {"prompt_tokens": ' + b"9" * 5_000 + b"}}", "too long"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"usage": {"x": "' + b"y" * 600_000 + b'"}}', "too large"),
        (b'{"a": ' * 90_000, "nests too deeply"),
        (b"{}", "no usage"),
        (b'{"id": 5}', "no usage"),
        (b'{"error": {"message": "overloaded"}}', "nothing is charged"),
        (b"data: {nonsense}\n\n", "not JSON"),
        (b"data: [DONE]\n\n", "without an event"),
        (b": just a comment", "without an event"),
        (b'data: {"error": {"message": "no"}}\n\n', "nothing is charged"),
    ],
)
def test_what_is_no_answer_is_refused_in_words(shell: Shell, body: bytes, complaint: str) -> None:
    assert complaint in shell.refused(body)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--provider", "opnai", "--model", "m"), "Did you mean openai?"),
        (("--provider", "openai", "--model", "m", "--at", "yesterday"), "--at"),
        (("--provider", "openai", "--model", "m", "--flavour", "soup"), "soup"),
    ],
)
def test_what_is_asked_wrongly_is_refused(shell: Shell, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in shell.refused(b'{"prompt_tokens": 1, "completion_tokens": 1}', *words)


def test_a_file_that_cannot_be_read_is_told(shell: Shell) -> None:
    assert "cannot be read" in shell("cost", "--provider", "openai", "--model", "m", "/nowhere/at.all", code=2)
    body = shell.directory / "answer.json"
    body.write_text('{"prompt_tokens": 1000, "completion_tokens": 500}')
    assert "450,000 nano-dollars" in shell("cost", "--provider", "openai", "--model", "gpt-4o-mini", str(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=6,
)
COUNT = st.integers(-3, 5_000) | JSON
USAGE = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "input_tokens": COUNT,
        "output_tokens": COUNT,
        "total_tokens": COUNT,
        "cache_read_input_tokens": COUNT,
        "prompt_tokens_details": st.fixed_dictionaries({}, optional={"cached_tokens": COUNT}) | JSON,
        "completion_tokens_details": st.fixed_dictionaries({}, optional={"reasoning_tokens": COUNT}) | JSON,
        "cost": COUNT,
    },
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "usage": USAGE | JSON,
        "choices": JSON,
        "content": JSON,
        "output": JSON,
        "model": JSON,
        "service_tier": JSON,
        "object": JSON,
        "type": st.sampled_from(["message", "message_start", "response.completed"]) | JSON,
        "response": JSON,
        "message": JSON,
        "error": JSON,
    },
)


@given(
    body=BODY | USAGE | JSON,
    asked=st.sampled_from([("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("perplexity", "sonar")]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_has_a_cost_or_is_refused_in_words(shell: Shell, body: object, asked: tuple[str, str]) -> None:
    places = ["--config", str(shell.config), "--state-dir", str(shell.directory / "state")]
    words = ["pricing", "cost", "--json", "--provider", asked[0], "--model", asked[1], *places, "-"]
    result = CliRunner().invoke(build_app(Launcher()), words, input=json.dumps(body).encode())
    assert result.exit_code in (0, 2), (body, result.output)
    assert "fault of its own" not in result.output
    if result.exit_code == 0:
        answer = json.loads(result.stdout)
        assert answer["total_nano_usd"] is None or answer["total_nano_usd"] >= 0


def test_show_tells_source_rates_tiers_and_label(shell: Shell) -> None:
    (price,) = shell.json("show", "claude-sonnet-4-5", "--provider", "anthropic")["prices"]
    assert (price["source"], price["state"], price["label"], price["configured"]) == (
        "package",
        "known",
        "premium",
        True,
    )
    rates = {rate["unit"]: rate for rate in price["rates"]}
    assert (rates["input_tokens"]["usd"], rates["input_tokens"]["per"]) == ("3", 1_000_000)
    assert rates["input_tokens"]["tiers"] == [{"above": 200_000, "usd": "6"}]
    told = shell("show", "claude-sonnet-4-5")
    assert "anthropic/claude-sonnet-4-5" in told
    assert "200,000" in told


@pytest.mark.parametrize("name", ["small", "openai/gpt-4o-mini"])
def test_show_finds_a_model_by_any_of_its_names(shell: Shell, name: str) -> None:
    (price,) = shell.json("show", name)["prices"]
    assert (price["provider"], price["model"], price["model_id"]) == ("openai", "gpt-4o-mini", "openai/gpt-4o-mini")


def test_show_tells_every_provider_that_has_the_model(shell: Shell) -> None:
    prices = shell.json("show", "gpt-4o-mini")["prices"]
    assert [(price["provider"], price["state"]) for price in prices] == [("openai", "known"), ("private", "free")]


@pytest.mark.parametrize(("at", "rate"), [("2026-06-30", "1"), ("2026-07-01", "2")])
def test_show_takes_the_row_of_the_day(shell: Shell, at: str, rate: str) -> None:
    (price,) = shell.json("show", "dated", "--provider", "openai", "--at", at)["prices"]
    assert (price["source"], price["rates"][0]["usd"]) == ("override", rate)
    edge = {"2026-06-30": "valid_to", "2026-07-01": "valid_from"}[at]
    assert price[edge] == 1_782_864_000_000


@pytest.mark.parametrize(
    ("asked", "change"),
    [
        (("deepseek-chat", "--provider", "deepseek", "--at", "2026-11-22T12:00:00Z"), "2026-11-22 16:30:00Z"),
        (("deepseek-chat", "--provider", "deepseek", "--at", "2026-11-22T16:30:00Z"), "2026-11-23 00:30:00Z"),
        (("dated", "--provider", "openai", "--at", "2026-06-01"), "2026-07-01 00:00:00Z"),
    ],
)
def test_show_says_when_it_will_cost_something_else(shell: Shell, asked: tuple[str, ...], change: str) -> None:
    assert f"costs something else from {change} on" in shell("show", *asked)
    (price,) = shell.json("show", *asked)["prices"]
    assert instant(price["next_change"]) == change


def test_show_of_a_price_that_stays_says_nothing_of_a_change(shell: Shell) -> None:
    (price,) = shell.json("show", "dated", "--provider", "openai", "--at", "2026-07-01")["prices"]
    assert price["next_change"] is None


def test_show_finds_what_no_provider_here_serves_in_the_package(tmp_path: Path) -> None:
    bare = Shell(tmp_path, "version = 1\n")
    (price,) = bare.json("show", "gpt-4o-mini")["prices"]
    assert (price["provider"], price["configured"]) == ("openai", False)


@pytest.mark.parametrize(
    "words", [("acme-7b",), ("acme-7b", "--provider", "private"), ("gpt-4o", "--provider", "private")]
)
def test_show_exits_1_for_what_nobody_has_priced(shell: Shell, words: tuple[str, ...]) -> None:
    assert "unpriced" in shell("show", *words, code=1)
    assert all(price["state"] == "unknown" for price in shell.json("show", *words, code=1)["prices"])


def test_check_finds_rows_that_ended(shell: Shell) -> None:
    found = shell.json("check", code=1)
    assert [(finding["kind"], finding["subject"]) for finding in found["findings"]] == [
        ("override_ended", "pricing[0]")
    ]
    assert found["ok"] is False
    assert "override_ended" in shell("check", code=1)


def test_check_finds_models_without_a_price(tmp_path: Path) -> None:
    model = '[[models]]\nprovider = "private"\nupstream = "acme-7b"\n'
    half = '[[models]]\nprovider = "private"\nupstream = "half"\n'
    half += '[[pricing]]\nprovider = "private"\nmodel = "half"\ninput = 1\n'
    found = Shell(tmp_path, CONFIG + model + half).json("check", code=1)
    assert [finding["subject"] for finding in found["findings"]] == ["private/acme-7b", "private/half"]


def test_check_finds_a_price_list_nobody_has(tmp_path: Path) -> None:
    config = CONFIG.replace('kind = "anthropic"', 'kind = "anthropic"\npricing_provider = "antropic"')
    (finding,) = Shell(tmp_path, config).json("check", code=1)["findings"]
    assert (finding["kind"], finding["subject"]) == ("unknown_pricing_provider", "anthropic")
    assert "anthropic" in finding["fix"]


def test_check_passes_where_all_is_well(tmp_path: Path) -> None:
    assert Shell(tmp_path, CONFIG).json("check")["ok"] is True
    assert "in order" in Shell(tmp_path, CONFIG)("check")


def test_check_names_both_rows_that_clash(tmp_path: Path) -> None:
    row = '[[pricing]]\nprovider = "openai"\nmodel = "m"\ninput = 1\n'
    found = Shell(tmp_path, CONFIG + row + row).json("check", code=1)
    (finding,) = found["findings"]
    assert finding["kind"] == "configuration"
    assert "pricing[0]" in finding["message"]
    assert "pricing[1]" in finding["message"]
