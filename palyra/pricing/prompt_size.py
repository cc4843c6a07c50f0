"""How much a request makes its provider read: input tokens expected, and bounded, from bytes and media."""

from typing import Protocol

from palyra.config.choices import BoundEstimator, ModelProviderKind
from palyra.core.values import value
from palyra.pricing.card import ServiceContext
from palyra.pricing.learn import Learned, unraised_bound

OVERHEAD = 30
OVERHEAD_ANTHROPIC_TOOLS = 700
"""Tokens a provider adds to a prompt by itself."""

IMAGE_EXPECTED, IMAGE_BOUND = 1_000, 5_000
DOCUMENT_LEAST = 5_000
REMOTE_DOCUMENT_EXPECTED, REMOTE_DOCUMENT_BOUND = 10_000, 50_000
TOOL_USE_TOKENS = 10_000
TOOL_USES_UNLIMITED = 5
CONTEXT_UNKNOWN = 200_000
"""The context assumed for a model of which nobody says how much it takes."""


class MediaPiece(Protocol):
    """One piece of media: kind image, document or audio; `size` is decoded bytes, None if given by address or id."""

    @property
    def kind(self) -> str:
        """What it is."""
        ...

    @property
    def size(self) -> int | None:
        """How large it is; None: nobody knows."""
        ...


class ToolRunByProvider(Protocol):
    """A tool the provider runs itself, by the type it is asked for with; `max_uses` None means unlimited."""

    @property
    def name(self) -> str:
        """The tool's name."""
        ...

    @property
    def max_uses(self) -> int | None:
        """How often it may be used; None: as often as it likes."""
        ...


@value
class PromptSize:
    """What a request makes its provider read and do, as far as it costs.

    `prompt_bytes` is B: the UTF-8 bytes of the compact JSON of all that is tokenised, without media payloads.
    `cache_marks`: it sets a cache point; `cache_one_hour`: one that lasts an hour. `continues`: it goes on from an
    earlier response, which had `previous_tokens` of input and output (None: not recorded).
    """

    prompt_bytes: int = 0
    media: tuple[MediaPiece, ...] = ()
    server_tools: tuple[ToolRunByProvider, ...] = ()
    has_tools: bool = False
    cache_marks: bool = False
    cache_one_hour: bool = False
    audio_output: bool = False
    continues: bool = False
    previous_tokens: int | None = None
    service_tier: str | None = None
    speed: str | None = None

    @property
    def plain(self) -> bool:
        """Whether bytes alone explain the input, so that an attempt teaches how bytes become tokens."""
        return not (self.media or self.server_tools or self.continues)

    @property
    def context(self) -> ServiceContext:
        """Tokens of the input, as they count against the model's window."""
        return ServiceContext(self.service_tier, self.speed)


@value
class ModelFacts:
    """What estimates need of a model: our provider id, the upstream name, and what media and context may be."""

    provider: str
    model: str
    kind: ModelProviderKind
    image_tokens_bound: int = IMAGE_BOUND
    max_context: int | None = None


@value
class InputTokens:
    """Input tokens by the rate they may be charged at."""

    text: int
    image: int = 0
    audio: int = 0

    @property
    def total(self) -> int:
        """All of them, cached or not."""
        return self.text + self.image + self.audio


def overhead(size: PromptSize, kind: ModelProviderKind) -> int:
    """Tokens the provider adds by itself to what is sent."""
    return OVERHEAD_ANTHROPIC_TOOLS if kind is ModelProviderKind.ANTHROPIC and size.has_tools else OVERHEAD


def bound_input(size: PromptSize, model: ModelFacts, learned: Learned, estimator: BoundEstimator) -> InputTokens:
    """Input tokens that are held. The proven bound rests on a token being at least one byte."""
    added = overhead(size, model.kind)
    if estimator is BoundEstimator.PROVEN:
        text = size.prompt_bytes + added
    else:
        unraised = unraised_bound(size.prompt_bytes, added)
        text = _ceil(unraised * learned.r.numerator, learned.r.denominator)
    image = audio = 0
    for piece in size.media:
        if piece.kind == "image":
            image += model.image_tokens_bound
        elif piece.size is None:
            text += REMOTE_DOCUMENT_BOUND
        elif piece.kind == "audio":
            audio += _ceil(piece.size, 50)
        else:
            text += max(DOCUMENT_LEAST, _ceil(piece.size, 4))
    for tool in size.server_tools:
        text += TOOL_USE_TOKENS * uses_bound(tool)
    if size.continues:
        text += _previous(size, model)
    return InputTokens(text, image, audio)


def expected_input(size: PromptSize, model: ModelFacts, learned: Learned) -> int:
    """Input tokens that are likely: shown, used to route, and charged when nothing is reported."""
    tokens = _ceil(size.prompt_bytes * learned.c.numerator, 4 * learned.c.denominator)
    for piece in size.media:
        if piece.kind == "image":
            tokens += min(IMAGE_EXPECTED, model.image_tokens_bound)
        elif piece.size is None:
            tokens += REMOTE_DOCUMENT_EXPECTED
        elif piece.kind == "audio":
            tokens += _ceil(piece.size, 100)
        else:
            tokens += _ceil(max(DOCUMENT_LEAST, _ceil(piece.size, 4)), 2)
    for tool in size.server_tools:
        tokens += TOOL_USE_TOKENS * min(1, uses_bound(tool))
    if size.continues:
        previous = _previous(size, model)
        tokens += previous if size.previous_tokens is not None else _ceil(previous, 2)
    return tokens


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def uses_bound(tool: ToolRunByProvider) -> int:
    """How often a tool may run at most."""
    return TOOL_USES_UNLIMITED if tool.max_uses is None else tool.max_uses


def _previous(size: PromptSize, model: ModelFacts) -> int:
    if size.previous_tokens is not None:
        return size.previous_tokens
    return CONTEXT_UNKNOWN if model.max_context is None else model.max_context
