"""How demanding a request is, from what was said after the last answer: 0 is a greeting, 1 a day's work."""

import re

from palyra.core.values import value

KEYWORDS = ("analyze", "architecture", "investigate", "regression", "security")
_WHOLE = {word: re.compile(rf"{word}(?!\w)(?<!\w{word})") for word in KEYWORDS}
_LONGEST = max(map(len, KEYWORDS))
_TELLING_BYTES = 12_000
"""Beyond these the parts that count bytes and tokens do not grow."""
_PIECE = 64 * 1024
"""Characters that are searched at a time, so that a thread that searches much lets others run."""


@value
class Complexity:
    """The score in 0..1 and its parts, which add up to it unless they pass 1."""

    bytes_part: float
    tokens_part: float
    json_part: float
    images_part: float
    keywords_part: float

    @property
    def score(self) -> float:
        """The sum of its parts, within 0 and 1."""
        parts = self.bytes_part + self.tokens_part + self.json_part + self.images_part + self.keywords_part
        return min(1.0, max(0.0, parts))


def complexity(text: str, *, wants_json: bool = False, images: int = 0) -> Complexity:
    """0.35·min(1, bytes/4000) + 0.35·min(1, tokens/3000) + 0.20·json + min(0.30, 0.15·images) + 0.05 per keyword.

    Tokens are ⌈bytes/4⌉; a keyword counts once, as a whole word, in any case.
    """
    size = len(text[:_TELLING_BYTES].encode("utf-8", "surrogatepass"))
    return Complexity(
        bytes_part=0.35 * min(1.0, size / 4000),
        tokens_part=0.35 * min(1.0, -(-size // 4) / 3000),
        json_part=0.20 if wants_json else 0.0,
        images_part=min(0.30, 0.15 * images),
        keywords_part=0.05 * len(_keywords_in(text)),
    )


def _keywords_in(text: str) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(text), _PIECE):
        stop = start + _PIECE + _LONGEST + 1
        piece = text[max(0, start - 1) : stop].lower()
        # What touches a cut edge is seen whole in the piece before or after.
        piece = f"{'_' if start else ''}{piece}{'_' if stop < len(text) else ''}"
        found.update(word for word in KEYWORDS if word not in found and word in piece and _WHOLE[word].search(piece))
    return found
