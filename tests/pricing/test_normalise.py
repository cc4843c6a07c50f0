"""Usage of every dialect in one shape, and what happens to bodies that contradict themselves."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.choices import ModelProviderKind, UsageDialect
from palyra.pricing.book import PriceBook, PricedProvider
from palyra.pricing.dialect import Dialect, Flavour
from palyra.pricing.estimate import PromptSize
from palyra.pricing.meter import Metered
from palyra.pricing.normalise import normalise
from palyra.pricing.settle import price_response
from palyra.pricing.usage import Normalised, NormalisedUsage, UsageSource
from tests.pricing.house import ANTHROPIC, NOON, OPENAI, PRIVATE, book

BOOK = book()
METER = Metered(111, 222)
SILENT = Metered(111, 0)


def read(
    usage: object, provider: str = OPENAI, flavour: Flavour = Flavour.CHAT, metered: Metered = SILENT
) -> Normalised:
    return normalise(BOOK.dialect(provider, flavour), {"usage": usage}, metered)


def only(normalised: Normalised) -> NormalisedUsage:
    assert len(normalised.readings) == 1
    return normalised.readings[0].usage


def chat(prompt: object, completion: object, **more: object) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


@pytest.mark.parametrize(
    ("provider", "flavour", "usage", "expected"),
    [
        pytest.param(
            OPENAI,
            Flavour.CHAT,
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10, "audio_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 7},
            },
            NormalisedUsage(100, 50, 40, 10, 0, reasoning=20, audio_in=5, audio_out=7),
            id="chat",
        ),
        pytest.param(
            OPENAI,
            Flavour.RESPONSES,
            {
                "input_tokens": 100,
                "output_tokens": 50,
                "total_tokens": 150,
                "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
                "output_tokens_details": {"reasoning_tokens": 20},
            },
            NormalisedUsage(100, 50, 40, 10, 0, reasoning=20),
            id="responses",
        ),
        pytest.param(
            ANTHROPIC,
            Flavour.MESSAGES,
            {
                "input_tokens": 100,
                "cache_read_input_tokens": 40,
                "cache_creation_input_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 20},
                "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
            },
            NormalisedUsage(150, 50, 40, 4, 6, reasoning=20, tools=(("web_searches", 2), ("web_fetches", 1))),
            id="messages",
        ),
        pytest.param(
            OPENAI,
            Flavour.EMBEDDINGS,
            {"prompt_tokens": 8, "total_tokens": 8},
            NormalisedUsage(8, 0),
            id="embeddings",
        ),
        pytest.param(
            ANTHROPIC,
            Flavour.CHAT,
            {"prompt_tokens": 100, "completion_tokens": 50, "cached_tokens": 40},
            NormalisedUsage(100, 50, 40),
            id="chat at a vendor with its own place for cached tokens",
        ),
        pytest.param(
            PRIVATE,
            Flavour.MESSAGES,
            {"input_tokens": 100, "cache_read_input_tokens": 40, "output_tokens": 50},
            NormalisedUsage(140, 50, 40),
            id="messages at a provider the package does not know",
        ),
        pytest.param(
            "xai",
            Flavour.CHAT,
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 41 + 165,
                "completion_tokens_details": {"reasoning_tokens": 165},
            },
            NormalisedUsage(32, 174, reasoning=165),
            id="reasoning beside the output, by the total",
        ),
        pytest.param(
            "xai",
            Flavour.CHAT,
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 165},
            },
            NormalisedUsage(32, 174, reasoning=165),
            id="reasoning beside the output, by what the package knows of the vendor",
        ),
        pytest.param(
            "perplexity",
            Flavour.CHAT,
            chat(10, 20, total_tokens=10 + 20 + 300 + 40, reasoning_tokens=300, citation_tokens=40),
            NormalisedUsage(10, 360, reasoning=300, citation=40),
            id="citations beside the output, by the total",
        ),
        pytest.param(
            OPENAI,
            Flavour.CHAT,
            {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": None},
            NormalisedUsage(3, 4),
            id="null details",
        ),
    ],
)
def test_dialects(provider: str, flavour: Flavour, usage: dict[str, Any], expected: NormalisedUsage) -> None:
    heard = read(usage, provider, flavour)
    assert only(heard) == expected
    assert heard.flags == ()
    assert heard.source is UsageSource.PROVIDER
    assert heard.raw == usage


@pytest.mark.parametrize("bad", [-1, 1.0, "7", True, [], {}])
def test_u1_a_count_that_is_none_is_metered(bad: object) -> None:
    heard = read(chat(bad, 50), metered=METER)
    assert only(heard) == NormalisedUsage(111, 50)
    assert heard.flags == ("identity_U1",)
    assert heard.source is UsageSource.PROVIDER


def test_a_count_beyond_all_reason_makes_the_body_unpriceable() -> None:
    heard = read(chat(10**12 + 1, 50), metered=METER)
    assert only(heard) == NormalisedUsage(111, 50)
    assert heard.flags == ("unpriceable_body",)
    assert read(chat(10**12, 50)).flags == ()


def test_u1_a_part_that_is_no_count_earns_no_discount() -> None:
    heard = read(chat(100, 50, prompt_tokens_details={"cached_tokens": -40}))
    assert only(heard) == NormalisedUsage(100, 50)
    assert heard.flags == ("identity_U1",)


def test_u1_a_lost_part_of_a_sum_leaves_at_least_the_meters_input() -> None:
    usage = {"input_tokens": 5, "cache_read_input_tokens": "many", "output_tokens": 1}
    heard = read(usage, ANTHROPIC, Flavour.MESSAGES)
    assert only(heard) == NormalisedUsage(111, 1)
    assert heard.flags == ("identity_U1",)


def test_u1_details_that_are_no_object_are_flagged() -> None:
    heard = read(chat(100, 50, prompt_tokens_details=[1, 2]))
    assert only(heard) == NormalisedUsage(100, 50)
    assert heard.flags == ("identity_U1",)


def test_u2_two_readings_of_more_cached_than_prompt() -> None:
    heard = read(chat(100, 5, prompt_tokens_details={"cached_tokens": 90, "cache_write_tokens": 30}))
    assert [(reading.name, reading.usage) for reading in heard.readings] == [
        ("cache_capped", NormalisedUsage(100, 5, 70, 30)),
        ("cache_besides", NormalisedUsage(220, 5, 90, 30)),
    ]
    assert heard.flags == ("identity_U2",)


def test_u2_what_is_capped_keeps_its_dearest_part() -> None:
    """No dialect today counts one-hour writes inside its input, but one may."""
    told = replace(BOOK.dialect(ANTHROPIC, Flavour.MESSAGES), cache_outside=False)
    split = {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 70}
    usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 50, "cache_creation": split}
    capped, besides = (reading.usage for reading in normalise(told, {"usage": usage}, SILENT).readings)
    assert capped == NormalisedUsage(100, 1, 0, 30, 70)
    assert besides == NormalisedUsage(280, 1, 50, 60, 70)
    usage["cache_creation"] = {"ephemeral_1h_input_tokens": 150}
    assert normalise(told, {"usage": usage}, SILENT).readings[0].usage == NormalisedUsage(100, 1, 0, 0, 100)


def test_u2_a_total_that_confirms_one_reading_is_no_further_fault() -> None:
    heard = read(chat(100, 5, total_tokens=225, prompt_tokens_details={"cached_tokens": 120}))
    assert heard.flags == ("identity_U2",)


@pytest.mark.parametrize(
    ("written", "short", "long", "expected", "flags"),
    [
        (10, 4, 6, (4, 6), ()),
        (10, 4, 0, (4, 6), ("identity_U3",)),
        (10, 9, 9, (9, 9), ("identity_U3",)),
        (10, 0, 0, (0, 10), ("identity_U3",)),
        (10, None, None, (10, 0), ()),
        (None, 4, 6, (4, 6), ()),
        (0, 0, 0, (0, 0), ()),
        (0, 4, 6, (4, 6), ("identity_U3",)),
    ],
)
def test_u3_lifetimes_make_up_the_writes(
    written: int | None, short: int | None, long: int | None, expected: tuple[int, int], flags: tuple[str, ...]
) -> None:
    split = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "cache_creation_input_tokens": written,
        "cache_creation": None if short is None else split,
    }
    heard = read(usage, ANTHROPIC, Flavour.MESSAGES)
    used = only(heard)
    assert (used.write_5m, used.write_1h) == expected
    assert used.input_total == 1 + sum(expected)
    assert heard.flags == flags


def test_u3_is_not_asked_where_the_writes_are_no_count() -> None:
    split = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6}
    usage = {"input_tokens": 200, "output_tokens": 1, "cache_creation_input_tokens": -1, "cache_creation": split}
    heard = read(usage, ANTHROPIC, Flavour.MESSAGES)
    assert only(heard) == NormalisedUsage(210, 1, 0, 4, 6)
    assert heard.flags == ("identity_U1",)


def test_u4_wholes_grow_to_their_parts() -> None:
    usage = chat(10, 20, prompt_tokens_details={"audio_tokens": 30}, completion_tokens_details={"reasoning_tokens": 50})
    heard = read(usage)
    assert only(heard) == NormalisedUsage(30, 50, audio_in=30, reasoning=50)
    assert heard.flags == ("identity_U4",)


def test_u5_a_total_below_the_sum_credits_nobody() -> None:
    heard = read(chat(40, 60, total_tokens=50))
    assert only(heard) == NormalisedUsage(40, 60)
    assert heard.flags == ("identity_U5",)


def test_u5_a_total_is_believed_even_of_an_additive_vendor() -> None:
    usage = chat(40, 500, total_tokens=540, completion_tokens_details={"reasoning_tokens": 60})
    heard = read(usage, "xai")
    assert only(heard) == NormalisedUsage(40, 500, reasoning=60)
    assert heard.flags == ()


def test_u5_what_cannot_lie_inside_is_read_both_ways_where_the_vendor_is_additive() -> None:
    """Deep research is billed for reasoning and citations on top of a total that leaves them out."""
    usage = chat(19, 500, total_tokens=519, reasoning_tokens=2_000, citation_tokens=200, num_search_queries=21)
    heard = read(usage, "perplexity")
    assert [(reading.name, reading.usage.output_total) for reading in heard.readings] == [
        ("inclusive", 2_200),
        ("additive", 2_700),
    ]
    assert heard.flags == ("identity_U5",)
    assert heard.readings[0].usage.tools == (("web_searches", 21),)


@pytest.mark.parametrize(("total", "output"), [(500, 389), (111, 0), (20, 0)])
def test_u5_a_total_alone_is_used_up(total: int, output: int) -> None:
    heard = read({"total_tokens": total})
    assert only(heard) == NormalisedUsage(111, output)
    assert heard.flags == ("usage_partial",)


@pytest.mark.parametrize(
    ("total", "tokens", "flags"), [(8, 8, ()), (90, 90, ("identity_U5",)), (3, 8, ("identity_U5",))]
)
def test_u5_without_an_output_the_whole_total_is_input(total: int, tokens: int, flags: tuple[str, ...]) -> None:
    heard = read({"prompt_tokens": 8, "total_tokens": total}, flavour=Flavour.EMBEDDINGS)
    assert only(heard) == NormalisedUsage(tokens, 0)
    assert heard.flags == flags


def test_u5_is_not_asked_of_a_metered_whole() -> None:
    heard = read(chat(None, 60, total_tokens=500), metered=METER)
    assert only(heard) == NormalisedUsage(440, 60)
    assert heard.flags == ("usage_partial",)


@pytest.mark.parametrize(("dialect", "output"), [("inclusive", 500), ("additive", 560), ("auto", 500)])
def test_the_operator_settles_where_reasoning_lies_when_no_total_does(dialect: str, output: int) -> None:
    provider = PricedProvider(ModelProviderKind.OPENAI_COMPATIBLE, usage_dialect=UsageDialect(dialect))
    told = PriceBook((), {"p": provider}).dialect("p", Flavour.CHAT)
    usage = chat(40, 500, completion_tokens_details={"reasoning_tokens": 60})
    assert only(normalise(told, {"usage": usage}, SILENT)).output_total == output


def test_the_operator_can_call_an_additive_vendor_inclusive() -> None:
    provider = PricedProvider(
        ModelProviderKind.OPENAI_COMPATIBLE, "https://api.x.ai/v1", usage_dialect=UsageDialect.INCLUSIVE
    )
    told = PriceBook((), {"p": provider}).dialect("p", Flavour.CHAT)
    usage = chat(40, 500, completion_tokens_details={"reasoning_tokens": 60})
    assert only(normalise(told, {"usage": usage}, SILENT)).output_total == 500


def test_u6_text_is_never_free() -> None:
    heard = read(chat(40, 0), metered=METER)
    assert only(heard) == NormalisedUsage(40, 222)
    assert heard.flags == ("usage_zero",)


def test_u6_an_empty_answer_is_believed() -> None:
    heard = read(chat(40, 0), metered=SILENT)
    assert only(heard) == NormalisedUsage(40, 0)
    assert heard.flags == ()


@pytest.mark.parametrize(
    "body", [None, "no", 5, [], {}, {"usage": None}, {"usage": {}}, {"usage": [1]}, {"usage": {"x": 1}}]
)
def test_no_usage_at_all_is_metered(body: object) -> None:
    heard = normalise(BOOK.dialect(OPENAI, Flavour.CHAT), body, METER)
    assert only(heard) == NormalisedUsage(111, 222)
    assert heard.source is UsageSource.METERED
    assert heard.flags == ("usage_missing",)


def test_a_missing_part_is_metered() -> None:
    heard = read({"prompt_tokens": 40}, metered=METER)
    assert only(heard) == NormalisedUsage(40, 222)
    assert heard.source is UsageSource.PROVIDER
    assert heard.flags == ("usage_partial",)


def test_embeddings_have_no_output_to_meter() -> None:
    dialect = BOOK.dialect(OPENAI, Flavour.EMBEDDINGS)
    assert only(normalise(dialect, {"usage": {"prompt_tokens": 7}}, METER)) == NormalisedUsage(7, 0)
    assert only(normalise(dialect, {}, METER)) == NormalisedUsage(111, 0)


@pytest.mark.parametrize(
    ("flavour", "body"),
    [
        (Flavour.CHAT, chat(40, 60)),
        (Flavour.RESPONSES, {"response": {"usage": {"input_tokens": 40, "output_tokens": 60}}}),
        (Flavour.RESPONSES, {"usage": {"input_tokens": 40, "output_tokens": 60}}),
        (Flavour.MESSAGES, {"message": {"usage": {"input_tokens": 40, "output_tokens": 60}}}),
        (Flavour.MESSAGES, {"input_tokens": 40, "output_tokens": 60}),
    ],
)
def test_usage_is_found_bare_and_wrapped(flavour: Flavour, body: dict[str, Any]) -> None:
    provider = ANTHROPIC if flavour is Flavour.MESSAGES else OPENAI
    assert only(normalise(BOOK.dialect(provider, flavour), body, SILENT)) == NormalisedUsage(40, 60)


def test_the_responses_wire_counts_tools_by_output_items() -> None:
    items = [
        {"type": "web_search_call"},
        {"type": "message"},
        {"type": "web_search_call"},
        {"type": "file_search_call"},
    ]
    body = {"usage": {"input_tokens": 1, "output_tokens": 1}, "output": [*items, None, {"type": 5}]}
    used = only(normalise(BOOK.dialect(OPENAI, Flavour.RESPONSES), body, SILENT))
    assert dict(used.tools) == {"web_searches": 2, "storage_searches": 1}
    assert used.tool_uses == 3


def test_what_the_answer_says_of_itself() -> None:
    body = {"model": "gpt-x", "service_tier": "flex", "usage": chat(1, 1)}
    heard = normalise(BOOK.dialect(OPENAI, Flavour.CHAT), body, SILENT)
    assert (heard.model, heard.service_tier, heard.speed) == ("gpt-x", "flex", None)
    claude = {"model": 5, "usage": {"input_tokens": 1, "output_tokens": 1, "service_tier": "priority", "speed": "fast"}}
    heard = normalise(BOOK.dialect(ANTHROPIC, Flavour.MESSAGES), claude, SILENT)
    assert (heard.model, heard.service_tier, heard.speed) == (None, "priority", "fast")


@pytest.mark.parametrize(("name", "believed"), [("m" * 256, True), ("m" * 257, False), ("", False), (None, False)])
def test_only_what_can_be_a_name_is_one(name: object, believed: bool) -> None:
    heard = normalise(BOOK.dialect(OPENAI, Flavour.CHAT), {"model": name, "usage": chat(1, 1)}, SILENT)
    assert heard.model == (name if believed else None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
COUNTS = st.integers(0, 500) | st.just(10**9) | JSON
MEMBERS = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "reasoning_tokens",
    "citation_tokens",
    "audio_tokens",
    "image_tokens",
    "cache_write_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "thinking_tokens",
    "web_search_requests",
    "cost",
    "cost_in_usd_ticks",
]
HOLDERS = [
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "cache_creation",
    "server_tool_use",
]
FLAT = st.dictionaries(st.sampled_from(MEMBERS), COUNTS, max_size=8)
USAGE = st.builds(
    lambda flat, held: flat | held, FLAT, st.dictionaries(st.sampled_from(HOLDERS), FLAT | JSON, max_size=4)
)
BODY = JSON | st.fixed_dictionaries(
    {"usage": USAGE | JSON},
    optional={"model": JSON, "service_tier": JSON, "output": JSON, "message": JSON, "response": JSON},
)
DIALECTS = [
    BOOK.dialect(provider, flavour)
    for provider in (OPENAI, ANTHROPIC, PRIVATE, "xai", "perplexity")
    for flavour in Flavour
]
METERED = st.builds(Metered, st.integers(0, 1_000), st.integers(0, 1_000))


@given(dialect=st.sampled_from(DIALECTS), body=BODY, metered=METERED)
def test_any_json_gives_readings_whose_parts_fit(dialect: Dialect, body: object, metered: Metered) -> None:
    heard = normalise(dialect, body, metered)
    assert heard.readings
    for reading in heard.readings:
        used = reading.usage
        assert min(used.counts().values()) >= 0
        assert used.cache_read + used.cache_write <= used.input_total
        assert used.audio_in + used.image_in <= used.input_total
        assert used.reasoning + used.citation <= used.output_total
        assert used.audio_out <= used.output_total
        if metered.output_tokens and dialect.output is not None:
            assert used.output_total > 0
    if heard.source is UsageSource.METERED:
        assert heard.flags == ("usage_missing",)


@given(
    dialect=st.sampled_from(DIALECTS),
    body=BODY,
    metered=METERED,
    model=st.sampled_from(
        [(OPENAI, "gpt-realtime"), (ANTHROPIC, "claude-sonnet-4-5"), ("perplexity", "sonar-deep-research")]
    ),
)
def test_any_json_is_charged_the_dearest_reading(
    dialect: Dialect, body: object, metered: Metered, model: tuple[str, str]
) -> None:
    priced = price_response(BOOK.card(*model, NOON), dialect, body, metered, PromptSize())
    assert priced.charge is not None
    assert priced.charge >= 0
    assert priced.charge == max(reading.amount or 0 for reading in priced.readings)
    assert priced.reported_cost is None or 0 <= priced.reported_cost < math.inf
