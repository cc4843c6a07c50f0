"""Other models for requests that named theirs.

Where no budget of then asked for another model, nobody looked at one. What the rest of the log tells of other models
stands in for that: which there are, and the price recorded nearest to the request. Whether they could have served it
(its key, its tools, its pictures) is not known, so they are taken to.
"""

import json
from bisect import bisect_right
from typing import Protocol

from palyra.governance.candidates import Course
from palyra.governance.replay_input import Decoder, ModelShape


class Examples(Protocol):
    """Plans that were recorded."""

    def first_of_shapes(self) -> list[tuple[int, int]]:
        """The first plan of each shape, as (seq, shape), in order."""
        ...

    def body(self, seq: int) -> str:
        """What is kept of a request beside its numbers, as JSON."""
        ...


class Others:
    """What the log tells of them, read when it is first asked for."""

    def __init__(self, log: Examples, decoder: Decoder) -> None:
        self._log = log
        self._decoder = decoder
        self._known: dict[tuple[str, bool], list[tuple[int, ModelShape]]] | None = None
        """By model, and whether it answers in words: how it was looked at, from which event on."""
        self._changes: list[int] = []
        """Events at which that changes."""
        self._wider: dict[tuple[int, int], int] = {}
        self.guessed = self.alone = False
        """Whether others stood in for such a request; whether there were none to."""

    def wider(self, shape: int, seq: int, body: str) -> int:
        """The shape to decide a request by that a tried policy may ask another model for: with others where it named
        its own and nobody looked at any."""
        looked_at = self._decoder.shape(shape)
        if len(looked_at.models) != 1 or not looked_at.explicit or looked_at.course is not Course.FIRST:
            return shape
        if self._known is None:
            self._known = self._read()
        era = bisect_right(self._changes, seq)
        found = self._wider.get((shape, era))
        if found is None:
            named = looked_at.models[0].model
            words = _in_words(body)
            others = [
                _nearest(seen, seq)
                for (model, in_words), seen in self._known.items()
                if model != named and in_words is words
            ]
            found = self._wider[shape, era] = self._decoder.widened(shape, others) if others and words else shape
        if found == shape:
            self.alone = True
        else:
            self.guessed = True
        return found

    def _read(self) -> dict[tuple[str, bool], list[tuple[int, ModelShape]]]:
        known: dict[tuple[str, bool], list[tuple[int, ModelShape]]] = {}
        for seq, shape in self._log.first_of_shapes():
            words = _in_words(self._log.body(seq))
            for model in self._decoder.shape(shape).models:
                seen = known.setdefault((model.model, words), [])
                if not seen or seen[-1][1].card_name != model.card_name or seen[-1][1].tier is not model.tier:
                    seen.append((seq, model))
                    self._changes.append(seq)
        return known


def _nearest(seen: list[tuple[int, ModelShape]], seq: int) -> ModelShape:
    """As it stood at an event; before the first, as it stood then."""
    known = [model for first, model in seen if first <= seq]
    return known[-1] if known else seen[0][1]


def _in_words(body: str) -> bool:
    """Whether a plan holds tokens for an answer: a vector has none."""
    return any(option[5][0] > 0 for option in json.loads(body)[4])
