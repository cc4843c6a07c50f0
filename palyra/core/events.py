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
    """Hands each event to every subscriber in order; a subscriber that fails is logged and skipped."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Adds a subscriber and returns the call that removes it."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    def publish(self, event: Event) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed on %s", event.kind)
