"""Places at providers: how many attempts may be under way at once, per provider and per credential, and who is next.

A limit begins at its start and moves by what attempts come to: one more for each success while somebody waits, half
for an answer that says too many (429, 529), never above its ceiling and never below one. A start that is the ceiling
makes a fixed limit.

The foreground waits in the order in which it came. Everything else may hold one place less than there are, so that the
foreground finds one, and stands back at once while the foreground waits. A limit of one has no place to spare: there
the background may hold it while the foreground neither waits nor works, since it would never be done otherwise.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import StrEnum

from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.providers.credentials import Choice, Credential, Room, Unavailable, Why

FOREGROUND = "primary_interactive"

LONGEST_WAIT_S: Mapping[str, float] = {
    FOREGROUND: 30.0,
    "background_automation": 0.2,
    "auxiliary_vision": 0.2,
    "auxiliary_summary": 0.15,
    "auxiliary_recall": 0.15,
    "auxiliary_extraction": 0.15,
    "auxiliary_classification": 0.1,
}
"""Seconds each task class waits for a place."""

AGAIN_S = 1.0
"""When a caller may ask again who found every place taken, or too many waiting."""


class Outcome(StrEnum):
    """What an attempt came to, as far as limits move by it."""

    SUCCESS = "success"
    LIMITED = "limited"
    """The provider said that there was too much: 429 or 529."""
    OTHER = "other"


@value
class LeaseSettings:
    """The `[leases]` keys, and how many may wait at once over all providers."""

    provider_start: int = 4
    provider_max: int = 64
    credential_start: int = 2
    credential_max: int = 32
    max_waiting: int = 256


@value
class LeaseCount:
    """A limit as it stands."""

    in_use: int
    limit: int


@value
class LeaseQueue:
    """Who waits for a place at a provider, and the most places there will ever be."""

    foreground: int
    background: int
    ceiling: int


class Lease:
    """A place that is held until `release`."""

    __slots__ = ("_leases", "background", "credential", "provider_id", "released")

    def __init__(
        self, leases: "Leases | None", provider_id: str, credential: Credential | None, *, background: bool
    ) -> None:
        self._leases = leases
        self.provider_id = provider_id
        self.credential = credential
        self.background = background
        self.released = False

    def release(self, outcome: Outcome = Outcome.OTHER) -> None:
        """Gives the place back and tells the limits what became of it. Only the first call counts."""
        if self.released:
            return
        self.released = True
        if self._leases is not None:
            self._leases.give_back(self, outcome)


Granted = Lease | Unavailable


class _Limit:
    """One adaptive limit and what is held of it."""

    __slots__ = ("background", "ceiling", "in_use", "limit", "start")

    def __init__(self, start: int, ceiling: int) -> None:
        self.start = self.limit = start
        self.ceiling = ceiling
        self.in_use = 0
        self.background = 0

    def has_room(self, background: bool) -> bool:
        if self.in_use >= self.limit:
            return False
        return not background or self.background < max(1, self.limit - 1)

    def take(self, background: bool) -> None:
        self.in_use += 1
        self.background += background

    def give(self, background: bool) -> None:
        self.in_use -= 1
        self.background -= background

    def learn(self, outcome: Outcome, *, wanted: bool) -> None:
        if self.start == self.ceiling:
            return
        if outcome is Outcome.LIMITED:
            self.limit = max(1, self.limit // 2)
        elif outcome is Outcome.SUCCESS and wanted:
            self.limit = min(self.ceiling, self.limit + 1)

    def configure(self, start: int, ceiling: int) -> None:
        fixed = start == ceiling
        moved = (start, ceiling) != (self.start, self.ceiling)
        self.start, self.ceiling = start, ceiling
        if moved:
            self.limit = start if fixed else max(1, min(max(self.limit, start), ceiling))

    @property
    def count(self) -> LeaseCount:
        return LeaseCount(self.in_use, self.limit)


class _Waiter:
    """Somebody who waits for a place."""

    __slots__ = ("background", "choose", "told")

    def __init__(self, choose: Choice, *, background: bool) -> None:
        self.choose = choose
        self.background = background
        self.told: asyncio.Future[Granted] = asyncio.get_running_loop().create_future()

    def tell(self, granted: Granted) -> None:
        if not self.told.done():
            self.told.set_result(granted)

    def leave(self) -> None:
        """Gives back what was granted in the very moment in which it stopped waiting."""
        if self.told.done() and not self.told.cancelled() and isinstance(granted := self.told.result(), Lease):
            granted.release()


class _Desk:
    """One provider: its limit, its credentials' limits, and who waits."""

    __slots__ = ("background", "credentials", "foreground", "provider", "provider_id")

    def __init__(self, provider_id: str, provider: _Limit) -> None:
        self.provider_id = provider_id
        self.provider = provider
        self.credentials: dict[str, _Limit] = {}
        self.foreground: deque[_Waiter] = deque()
        self.background: deque[_Waiter] = deque()

    @property
    def waiting(self) -> int:
        return len(self.foreground) + len(self.background)


class Leases:
    """All places of one engine."""

    def __init__(self, clock: Clock, settings: LeaseSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or LeaseSettings()
        self._desks: dict[str, _Desk] = {}
        self._waiting = 0

    def take(self, provider_id: str, task_class: str, choose: Choice) -> Granted | None:
        """As `acquire`, in one step: None where a place would have to be waited for."""
        return self._attempt(self._desk(provider_id), choose, task_class != FOREGROUND)

    async def acquire(self, provider_id: str, task_class: str, choose: Choice) -> Granted:
        """A place at a provider, with the credential `choose` picks among those that have room.

        Waits as long as the task class may; cancelling it leaves nothing held. Unavailable tells why there is no
        place: lease_timeout (the foreground's wait is over), lease_deferred (the background's, or it stands back),
        too_many_waiting, or what `choose` said of the credentials.
        """
        background = task_class != FOREGROUND
        desk = self._desk(provider_id)
        granted = self._attempt(desk, choose, background)
        if granted is not None:
            return granted
        if background and desk.foreground:
            return self._refused(Why.LEASE_DEFERRED)
        if self._waiting >= self._settings.max_waiting:
            return self._refused(Why.TOO_MANY_WAITING)
        if not background:
            self._stand_back(desk)
        return await self._wait(desk, choose, task_class, background=background)

    async def _wait(self, desk: _Desk, choose: Choice, task_class: str, *, background: bool) -> Granted:
        waiter = _Waiter(choose, background=background)
        queue = desk.background if background else desk.foreground
        queue.append(waiter)
        self._waiting += 1
        over = Why.LEASE_DEFERRED if background else Why.LEASE_TIMEOUT
        limit = LONGEST_WAIT_S.get(task_class, LONGEST_WAIT_S["background_automation"])
        timer = self._clock.call_later(limit, lambda: waiter.tell(self._refused(over)))
        # A credential that has rested long enough since is for who has waited for it.
        self._serve(desk)
        try:
            return await waiter.told
        except asyncio.CancelledError:
            waiter.leave()
            raise
        finally:
            timer.cancel()
            self._waiting -= 1
            if waiter in queue:
                queue.remove(waiter)
            self._serve(desk)

    def give_back(self, lease: Lease, outcome: Outcome) -> None:
        """The end of a lease, called once by the lease itself."""
        desk = self._desks[lease.provider_id]
        limits = [desk.provider]
        if lease.credential is not None:
            limits.append(desk.credentials[lease.credential.id])
        for limit in limits:
            limit.give(lease.background)
            limit.learn(outcome, wanted=desk.waiting > 0)
        self._serve(desk)

    def serve(self, provider_id: str) -> None:
        """Looks again at who waits, after a credential became usable or unusable."""
        if (desk := self._desks.get(provider_id)) is not None:
            self._serve(desk)

    def configure(self, settings: LeaseSettings) -> None:
        """New `[leases]` keys. What is held stays held; a lower ceiling takes effect as places come back."""
        self._settings = settings
        for desk in self._desks.values():
            desk.provider.configure(settings.provider_start, settings.provider_max)
            for limit in desk.credentials.values():
                limit.configure(settings.credential_start, settings.credential_max)
            self._serve(desk)

    # What consoles and metrics see

    def of_provider(self, provider_id: str) -> LeaseCount:
        """Calls under way at a provider, and how many may be; its start while it was never asked."""
        desk = self._desks.get(provider_id)
        return LeaseCount(0, self._settings.provider_start) if desk is None else desk.provider.count

    def of_credential(self, provider_id: str, credential_id: str) -> LeaseCount:
        """Calls under way with a credential, and how many may be."""
        desk = self._desks.get(provider_id)
        limit = None if desk is None else desk.credentials.get(credential_id)
        return LeaseCount(0, self._settings.credential_start) if limit is None else limit.count

    def queue(self, provider_id: str) -> LeaseQueue:
        """Calls that wait for their turn at a provider."""
        desk = self._desks.get(provider_id)
        if desk is None:
            return LeaseQueue(0, 0, self._settings.provider_max)
        return LeaseQueue(len(desk.foreground), len(desk.background), desk.provider.ceiling)

    def waiting(self, provider_id: str | None = None) -> int:
        """How many wait at a provider, or at all of them."""
        if provider_id is None:
            return self._waiting
        desk = self._desks.get(provider_id)
        return 0 if desk is None else desk.waiting

    # Granting

    def _desk(self, provider_id: str) -> _Desk:
        desk = self._desks.get(provider_id)
        if desk is None:
            settings = self._settings
            limit = _Limit(settings.provider_start, settings.provider_max)
            desk = self._desks[provider_id] = _Desk(provider_id, limit)
        return desk

    def _attempt(self, desk: _Desk, choose: Choice, background: bool) -> Granted | None:
        """A place if one is free for it now, or why there will be none; None: it has to wait.

        Who comes while others of its kind wait has to wait behind them.
        """
        if desk.background if background else desk.foreground:
            return _hopeless(choose)
        if background and desk.foreground:
            return _hopeless(choose)
        return self._grant(desk, choose, background)

    def _grant(self, desk: _Desk, choose: Choice, background: bool) -> Granted | None:
        if not desk.provider.has_room(background):
            return _hopeless(choose)
        chosen = choose(self._room(desk, background))
        if isinstance(chosen, Unavailable):
            return None if chosen.why is Why.NO_ROOM else chosen
        desk.provider.take(background)
        if chosen is not None:
            self._credential(desk, chosen.id).take(background)
        return Lease(self, desk.provider_id, chosen, background=background)

    def _room(self, desk: _Desk, background: bool) -> Room:
        return lambda credential_id: self._credential(desk, credential_id).has_room(background)

    def _credential(self, desk: _Desk, credential_id: str) -> _Limit:
        limit = desk.credentials.get(credential_id)
        if limit is None:
            settings = self._settings
            limit = desk.credentials[credential_id] = _Limit(settings.credential_start, settings.credential_max)
        return limit

    def _serve(self, desk: _Desk) -> None:
        """Gives free places to who has waited longest, the foreground first."""
        for queue in (desk.foreground, desk.background):
            while queue:
                waiter = queue[0]
                if waiter.told.done():
                    queue.popleft()
                    continue
                granted = self._grant(desk, waiter.choose, waiter.background)
                if granted is None:
                    return
                queue.popleft()
                waiter.tell(granted)

    def _stand_back(self, desk: _Desk) -> None:
        while desk.background:
            desk.background.popleft().tell(self._refused(Why.LEASE_DEFERRED))

    def _refused(self, why: Why) -> Unavailable:
        return Unavailable(why, until=self._clock.now_ms() + round(AGAIN_S * 1000))


def _hopeless(choose: Choice) -> Unavailable | None:
    """Why waiting cannot help, where no credential is usable at all; None where it may."""
    chosen = choose(lambda credential_id: False)
    return chosen if isinstance(chosen, Unavailable) and chosen.why is not Why.NO_ROOM else None
