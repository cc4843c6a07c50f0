"""The identities written down once more, as plainly as they are agreed, and compared on bodies of every fault."""

from dataclasses import dataclass
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from palyra.pricing.dialect import Flavour
from palyra.pricing.estimate import PromptSize
from palyra.pricing.meter import Metered
from tests.pricing.house import ANTHROPIC, NOON, OPENAI, book, sum_of_parts

BOOK = book()
INPUT, CACHED, OUTPUT = 400, 100, 1_600
"""Nano-dollars per token of gpt-4.1-mini, which prices nothing else apart."""
COUNT = st.integers(0, 12)


@dataclass(frozen=True)
class Chat:
    """The numbers of one chat answer; None is left out."""

    prompt: int
    completion: int
    cached: int | None = None
    written: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None
    total: int | None = None

    @property
    def usage(self) -> dict[str, Any]:
        given = {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.total,
            "prompt_tokens_details": {
                "cached_tokens": self.cached,
                "cache_write_tokens": self.written,
                "audio_tokens": self.audio_in,
            },
            "completion_tokens_details": {"reasoning_tokens": self.reasoning, "audio_tokens": self.audio_out},
        }
        return {name: value for name, value in given.items() if value is not None}


def readings(chat: Chat) -> tuple[set[str], list[tuple[int, int, int]]]:
    """The identities that are broken, and each reading as input, cached input and output."""
    broken: set[str] = set()
    cached, written, reasoning = chat.cached or 0, chat.written or 0, chat.reasoning or 0
    inputs = [(chat.prompt, cached)]
    if cached + written > chat.prompt:
        broken.add("identity_U2")
        kept = max(0, chat.prompt - written)
        inputs = [(chat.prompt, min(kept, cached)), (chat.prompt + cached + written, cached)]
    output = chat.completion
    if chat.total is not None and chat.total != chat.prompt + output:
        confirms_a_reading = "identity_U2" in broken and chat.total == chat.prompt + cached + written + output
        if reasoning and chat.total == chat.prompt + output + reasoning:
            output += reasoning
        elif not confirms_a_reading:
            broken.add("identity_U5")
            output = max(output, chat.total - chat.prompt)
    if max(reasoning, chat.audio_out or 0) > output or any((chat.audio_in or 0) > whole for whole, _ in inputs):
        broken.add("identity_U4")
    output = max(output, reasoning, chat.audio_out or 0)
    return broken, [(max(whole, chat.audio_in or 0), inside, output) for whole, inside in inputs]


@given(chat=st.builds(Chat, COUNT, COUNT, *[st.none() | COUNT] * 5, st.none() | st.integers(0, 40)))
@example(chat=Chat(40, 60, reasoning=300, total=400))
@example(chat=Chat(40, 60, reasoning=10, total=130))
@example(chat=Chat(100, 0, cached=250))
@settings(max_examples=600)
def test_chat(chat: Chat) -> None:
    broken, ways = readings(chat)
    card = BOOK.card(OPENAI, "gpt-4.1-mini", NOON)
    body = {"usage": chat.usage}
    priced = BOOK.settle(card, OPENAI, "gpt-4.1-mini", NOON, Flavour.CHAT, body, Metered(0, 0), PromptSize())
    assert priced.charge == max(
        (whole - cached) * INPUT + cached * CACHED + output * OUTPUT for whole, cached, output in ways
    )
    assert set(priced.flags) == broken
    assert sum_of_parts(priced.rates) == priced.charge


@dataclass(frozen=True)
class Message:
    """The numbers of one message; cached tokens are beside the input."""

    given: int
    output: int
    read: int | None = None
    written: int | None = None
    short: int | None = None
    long: int | None = None
    thinking: int | None = None


@given(message=st.builds(Message, COUNT, COUNT, *[st.none() | COUNT] * 5))
@settings(max_examples=400)
def test_messages(message: Message) -> None:
    """claude-haiku-4-5: $1 in, $0.10 read, $1.25 and $2 written for 5 minutes and an hour, $5 out per million."""
    split = {"ephemeral_5m_input_tokens": message.short, "ephemeral_1h_input_tokens": message.long}
    usage = {
        "input_tokens": message.given,
        "output_tokens": message.output,
        "cache_read_input_tokens": message.read,
        "cache_creation_input_tokens": message.written,
        "cache_creation": split,
        "output_tokens_details": {"thinking_tokens": message.thinking},
    }
    read, written, short, long = message.read or 0, message.written, message.short or 0, message.long or 0
    broken: set[str] = set()
    if written is not None:
        if message.short is None and message.long is None:
            short = written
        elif short + long != written:
            broken.add("identity_U3")
            long += max(0, written - short - long)
    output = max(message.output, message.thinking or 0)
    if output != message.output:
        broken.add("identity_U4")
    card = BOOK.card(ANTHROPIC, "claude-haiku-4-5", NOON)
    priced = BOOK.settle(
        card, ANTHROPIC, "claude-haiku-4-5", NOON, Flavour.MESSAGES, {"usage": usage}, Metered(0, 0), PromptSize()
    )
    assert set(priced.flags) == broken
    assert priced.normalised.input_total == message.given + read + short + long
    assert priced.charge == message.given * 1_000 + read * 100 + short * 1_250 + long * 2_000 + output * 5_000
    assert sum_of_parts(priced.rates) == priced.charge
