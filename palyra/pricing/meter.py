"""The stream meter: tokens from the bytes a caller was given, for answers whose usage is not (yet) reported."""

from fractions import Fraction

from palyra.core.values import value

DEFAULT_Q = Fraction(1, 4)
"""Output tokens per visible byte while a model has too few streams to learn from."""

DEFAULT_SLICE_Q = Fraction(1, 2)
"""The same for deciding how far a slice of budget reaches, where erring low would overspend."""


@value
class Metered:
    """What the meter says of one answer, in tokens; zero output means that no text was delivered."""

    input_tokens: int
    output_tokens: int = 0


def output_tokens(visible_bytes: int, q: Fraction = DEFAULT_Q) -> int:
    """⌈visible bytes × q⌉. Text, tool-call arguments and thinking text are visible, all as UTF-8 bytes."""
    return -(-visible_bytes * q.numerator // q.denominator)
