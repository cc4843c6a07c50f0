"""What earlier answers used: who goes on from one makes its provider read it all again."""

from collections import OrderedDict

KEPT_AT_MOST = 20_000


class EarlierAnswers:
    """Input and output tokens of the newest answers, by the ids their providers gave them. Of any other nothing is
    known, and the most a model can read is held for it."""

    def __init__(self, kept: int = KEPT_AT_MOST) -> None:
        self._kept = kept
        self._tokens: OrderedDict[str, int] = OrderedDict()

    def remember(self, answer_id: str, tokens: int) -> None:
        """What an answer used; of two with one id the greater, since ids are told by providers."""
        if not answer_id:
            return
        self._tokens[answer_id] = max(tokens, self._tokens.pop(answer_id, 0))
        if len(self._tokens) > self._kept:
            self._tokens.popitem(last=False)

    def tokens(self, answer_id: str | None) -> int | None:
        """Input and output tokens of an answer; None where it is not known, or not named."""
        return None if answer_id is None else self._tokens.get(answer_id)
