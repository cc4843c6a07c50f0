"""How demanding a request is, from what was said after the last answer: 0 is a greeting, 1 a day's work."""

import re
from dataclasses import dataclass

KEYWORDS = ("analyze", "architecture", "investigate", "regression", "security")
_WORDS = re.compile(rf"\b({'|'.join(KEYWORDS)})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complexity:
    """The score in 0..1 and its parts, which add up to it unless they pass 1."""

    bytes_part: float
    tokens_part: float
    json_part: float
    images_part: float
    keywords_part: float

    @property
    def score(self) -> float:
        parts = self.bytes_part + self.tokens_part + self.json_part + self.images_part + self.keywords_part
        return min(1.0, max(0.0, parts))


def complexity(text: str, *, wants_json: bool = False, images: int = 0) -> Complexity:
    """0.35·min(1, bytes/4000) + 0.35·min(1, tokens/3000) + 0.20·json + min(0.30, 0.15·images) + 0.05 per keyword.

    Tokens are ⌈bytes/4⌉; a keyword counts once, as a whole word, in any case.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    found = {match.lower() for match in _WORDS.findall(text)}
    return Complexity(
        bytes_part=0.35 * min(1.0, size / 4000),
        tokens_part=0.35 * min(1.0, -(-size // 4) / 3000),
        json_part=0.20 if wants_json else 0.0,
        images_part=min(0.30, 0.15 * images),
        keywords_part=0.05 * len(found),
    )
