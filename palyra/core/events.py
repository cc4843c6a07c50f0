"""The event hub: engine parts publish, consoles fold. Publishing is synchronous and never waits."""

import logging
from collections.abc import Callable
from dataclasses import field
from typing import Any

from palyra.core.values import value

log = logging.getLogger(__name__)


@value
class Event:
    """Something that happened. `kind` is dotted (`run.started`), `at` is UTC unix ms."""

    kind: str
    at: int
    subject: str = ""
    data: dict[str, Any] = field(default_factory=dict)


Subscriber = Callable[[Event], None]


class EventHub:
    """Hands each event to its subscribers in order; a subscriber that fails is logged and skipped."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[Subscriber, frozenset[str]]] = []
        self._by_kind: dict[str, tuple[Subscriber, ...]] = {}

    def subscribe(self, subscriber: Subscriber, *kinds: str) -> Callable[[], None]:
        """Adds a subscriber, to events of these kinds or to all, and returns the call that removes it."""
        entry = (subscriber, frozenset(kinds))
        self._subscribers.append(entry)
        self._by_kind.clear()

        def unsubscribe() -> None:
            if entry in self._subscribers:
                self._subscribers.remove(entry)
                self._by_kind.clear()

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tells whoever subscribed to its kind, in the order they came; one that fails is logged and hinders nobody."""
        concerned = self._by_kind.get(event.kind)
        if concerned is None:
            concerned = self._by_kind[event.kind] = tuple(
                subscriber for subscriber, kinds in self._subscribers if not kinds or event.kind in kinds
            )
        for subscriber in concerned:
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed on %s", event.kind)
