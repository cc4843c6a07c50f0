"""The agreed examples of what an answer is charged, as one table for every way to ask."""

from dataclasses import dataclass, field
from typing import Any

from tests.pricing.house import ANTHROPIC, DEEPSEEK, OPENAI, PRIVATE, nano

NOON = "2026-11-22T12:00:00Z"

PRICING_TOML = """
[[pricing]]
provider = "openai"
model = "dated"
to = 2026-07-01
input = 1
output = 1
[[pricing]]
provider = "openai"
model = "dated"
from = 2026-07-01
input = 2
output = 2
[[pricing]]
provider = "openai"
model = "tiny"
input = 0.0365
output = 0
"""
"""The rows that examples 6 and 14 are about."""


@dataclass(frozen=True)
class Example:
    """`charge` is nano-dollars, None where the price is unknown; `text` was delivered; `output` is what was used."""

    number: str
    provider: str
    model: str
    usage: dict[str, Any]
    charge: int | None
    at: str = NOON
    flags: tuple[str, ...] = ()
    input: int | None = None
    output: int | None = None
    precision: str = "exact"
    text: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """The whole response as it came from the wire."""
        if self.provider == ANTHROPIC:
            return {"type": "message", "content": [{"type": "text", "text": self.text}], "usage": self.usage}
        message = {"role": "assistant", "content": self.text}
        return {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": self.usage,
            **self.more,
        }


def chat(prompt: int, completion: int, *, cached: int = 0, reasoning: int = 0, **more: object) -> dict[str, Any]:
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    if cached:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    if reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return usage


def claude(given: int, output: int, *, read: int = 0, short: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
    }


SONNET = "claude-sonnet-4-5"
EXAMPLES = (
    Example("1", OPENAI, "gpt-4o-mini", chat(1_000, 500), 450_000),
    Example("2", OPENAI, "gpt-4.1-mini", chat(5_000, 250, cached=4_000), 1_200_000),
    Example("3", ANTHROPIC, SONNET, claude(1_200, 800, read=30_000, short=2_000), 32_100_000, input=33_200),
    Example("4, at the tier", ANTHROPIC, SONNET, claude(200_000, 1_000), nano("0.615")),
    Example("4, over it", ANTHROPIC, SONNET, claude(200_001, 1_000), nano("1.222506")),
    Example("5, off peak", DEEPSEEK, "deepseek-chat", chat(10_000, 1_000), nano("0.0019"), at="2026-11-22T00:29:59Z"),
    Example("5, peak", DEEPSEEK, "deepseek-chat", chat(10_000, 1_000), nano("0.0038"), at="2026-11-22T00:30:00Z"),
    Example("6, before", OPENAI, "dated", chat(1_000_000, 0), nano("1"), at="2026-06-30T23:59:59.999Z"),
    Example("6, from", OPENAI, "dated", chat(1_000_000, 0), nano("2"), at="2026-07-01T00:00:00Z"),
    Example("7", PRIVATE, "acme-7b", chat(1, 2), None, input=1, output=2, precision="unknown"),
    Example("8", OPENAI, "gpt-4.1-mini", chat(40, 60, reasoning=300, total_tokens=400), 592_000, output=360),
    Example(
        "9",
        OPENAI,
        "gpt-4.1-mini",
        chat(40, 60, reasoning=10, total_tokens=130),
        160_000,
        flags=("identity_U5",),
        output=90,
    ),
    Example("10", OPENAI, "gpt-4.1-mini", chat(100, 0, cached=250), 65_000, flags=("identity_U2",)),
    Example(
        "11",
        OPENAI,
        "gpt-4.1-mini",
        chat(40, 0),
        416_000,
        flags=("usage_zero",),
        output=250,
        text="x" * 1_000,
    ),
    Example("14", OPENAI, "tiny", chat(1, 0), 36),
    Example(
        "15",
        OPENAI,
        "gpt-5-mini",
        chat(900, 1_500),
        nano("0.003225"),
        flags=("tier_unpriced",),
        precision="partial",
        more={"service_tier": "scale"},
    ),
)
