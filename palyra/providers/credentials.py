"""The credentials of every provider: which one serves next, and which have to rest or are no good any more.

What is noted of a credential goes by its fingerprint: a changed key starts afresh, the old one's notes wait for it.
Instants are UTC unix ms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from palyra.core.clock import Clock
from palyra.core.redact import Secret
from palyra.core.values import value
from palyra.journal.changes import Change, CredentialNoted
from palyra.journal.rows import CredentialRow
from palyra.providers.errors import ErrorClass

RATE_LIMITED_MS = 30_000
RATE_LIMITED_MOST_MS = 3_600_000
QUOTA_MS = 1_800_000
EXPIRING_MS = 900_000
"""A token that ends within this time is expiring."""

REFUSED = frozenset({ErrorClass.AUTH_INVALID, ErrorClass.AUTH_EXPIRED, ErrorClass.PERMISSION_DENIED})
"""What a provider says of a credential that it will never take."""


@value
class Credential:
    """A secret a provider accepts. `id` says where it came from (`api_key`, `env:NAME`, a profile's id) and never
    holds any of it."""

    provider: str
    id: str
    secret: Secret
    fingerprint: str


class Why(StrEnum):
    """Why there is no credential, or no place."""

    COOLING_DOWN = "cooling_down"
    MISSING_AUTH = "missing_auth"
    """None can be used before somebody does something."""
    NO_ROOM = "no_room"
    """Some could be used, if they had a place free."""
    LEASE_TIMEOUT = "lease_timeout"
    LEASE_DEFERRED = "lease_deferred"
    TOO_MANY_WAITING = "too_many_waiting"


@value
class Unavailable:
    """`until` is the instant from which it is worth asking again; None where only a person can help."""

    why: Why
    until: int | None = None
    detail: str = ""


Room = Callable[[str], bool]
"""Whether a credential, by its id, has a place free."""

Choice = Callable[[Room], "Credential | Unavailable | None"]
"""Picks a credential among those with room; None where the provider takes none."""


class CredentialHealth(StrEnum):
    """How a credential is; the first that fits, in this order."""

    DISABLED = "disabled"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    REJECTED = "rejected"
    EXPIRED = "expired"
    EXPIRING = "expiring"
    OK = "ok"
    STATIC = "static"

    @property
    def usable(self) -> bool:
        """Whether calls may go out with it."""
        return self in (CredentialHealth.EXPIRING, CredentialHealth.OK, CredentialHealth.STATIC)


@value
class Offer:
    """A credential as it is configured. Without a `secret`, `flaw` says which health it has and `detail` why."""

    id: str
    secret: Secret | None
    flaw: CredentialHealth | None = None
    detail: str = ""
    expires_at: int | None = None

    def health(self, now: int) -> CredentialHealth:
        """How it is by its configuration alone, at an instant (UTC unix ms): whatever a provider said of it."""
        if self.flaw is not None:
            return self.flaw
        if self.expires_at is None:
            return CredentialHealth.STATIC
        left = self.expires_at - now
        if left <= 0:
            return CredentialHealth.EXPIRED
        return CredentialHealth.EXPIRING if left <= EXPIRING_MS else CredentialHealth.OK


@value
class Pool:
    """A provider's credentials in the order they are listed. `required` is whether it answers nobody without one."""

    offers: tuple[Offer, ...] = ()
    required: bool = True
    detail: str = ""
    """Why there is no offer."""


@value
class CredentialStanding:
    """How a credential stands. `state` is eligible, cooling_down (`until`), or its health."""

    id: str
    state: str
    health: CredentialHealth
    until: int | None = None
    expires_at: int | None = None
    last_used: int | None = None
    last_error: str = ""
    last_error_at: int | None = None
    detail: str = ""
    fingerprint: str = ""


@dataclass(slots=True)
class _Slot:
    """One credential of a pool, and what is noted of it."""

    offer: Offer
    credential: Credential | None
    noted: CredentialRow
    """What was last written down, or is to be."""
    turn: int = 0
    """Which use of all this was; 0 before the first."""
    used_at: int | None = None
    """When it was used last, which is written down later."""
    unsaved: bool = False

    @property
    def plain(self) -> bool:
        """Whether it can be used without a look at the clock."""
        noted, offer = self.noted, self.offer
        return not noted.refused and noted.cooling_until is None and offer.flaw is None and offer.expires_at is None

    @property
    def row(self) -> CredentialRow:
        return replace(self.noted, last_used=self.used_at)

    def health(self, now: int) -> CredentialHealth:
        refused = self.noted.refused
        if not refused or self.offer.flaw is not None:
            return self.offer.health(now)
        return CredentialHealth.EXPIRED if refused == ErrorClass.AUTH_EXPIRED else CredentialHealth.REJECTED

    def cooling_until(self, now: int) -> int | None:
        until = self.noted.cooling_until
        return until if until is not None and now < until else None


Save = Callable[[Sequence[Change]], None]


class Credentials:
    """Every provider's credentials. Choosing reads memory only; what failures teach is handed to `save`."""

    def __init__(self, clock: Clock, save: Save, fingerprint: Callable[[Secret], str]) -> None:
        self._clock = clock
        self._save = save
        self._fingerprint = fingerprint
        self._pools: dict[str, Pool] = {}
        self._slots: dict[str, list[_Slot]] = {}
        self._known: dict[tuple[str, str, str], CredentialRow] = {}
        self._turns = 0

    def restore(self, rows: Iterable[CredentialRow]) -> None:
        """What an earlier engine noted; to be told before `configure`."""
        self._known |= {(row.provider, row.credential, row.fingerprint): row for row in rows}

    def configure(self, pools: Mapping[str, Pool]) -> None:
        """The providers' credentials, at start and whenever they change. Notes stay with their fingerprints."""
        for slots in self._slots.values():
            for slot in slots:
                row = slot.row
                self._known[row.provider, row.credential, row.fingerprint] = row
        self._pools = dict(pools)
        self._slots = {
            provider: [self._slot(provider, offer) for offer in pool.offers] for provider, pool in pools.items()
        }
        used = [slot for slots in self._slots.values() for slot in slots if slot.used_at is not None]
        for slot in sorted(used, key=lambda one: one.used_at or 0):
            self._turns += 1
            slot.turn = self._turns

    def choose(
        self, provider_id: str, now: int, room: Room = lambda credential_id: True
    ) -> Credential | Unavailable | None:
        """The usable credential with room that was used longest ago, the first listed among equals; it counts as used.

        None where the provider takes none and has none. Unavailable is cooling_down with the instant at which the
        first is back, no_room, or missing_auth.
        """
        best: _Slot | None = None
        full = False
        back: int | None = None
        for slot in self._slots.get(provider_id, ()):
            credential = slot.credential
            if credential is None:
                continue
            until: int | None = None
            if not slot.plain:
                if not slot.health(now).usable:
                    continue
                until = slot.cooling_until(now)
            if until is not None:
                back = until if back is None else min(back, until)
            elif not room(credential.id):
                full = True
            elif best is None or slot.turn < best.turn:
                best = slot
        if best is not None:
            self._turns += 1
            best.turn = self._turns
            best.used_at = now
            best.unsaved = True
            return best.credential
        if full:
            return Unavailable(Why.NO_ROOM)
        return self._none_eligible(provider_id, back, now)

    def unavailable(self, provider_id: str, now: int) -> Unavailable | None:
        """Why no credential can be chosen now; None where one can, or none is needed. Changes nothing."""
        back: int | None = None
        for slot in self._slots.get(provider_id, ()):
            if slot.credential is not None and slot.health(now).usable:
                until = slot.cooling_until(now)
                if until is None:
                    return None
                back = until if back is None else min(back, until)
        return self._none_eligible(provider_id, back, now)

    def spare(self, used: Credential, now: int) -> bool:
        """Whether its provider has another one that can be chosen now."""
        return any(
            slot.credential is not None
            and slot.offer.id != used.id
            and slot.health(now).usable
            and slot.cooling_until(now) is None
            for slot in self._slots.get(used.provider, ())
        )

    def _none_eligible(self, provider_id: str, back: int | None, now: int) -> Unavailable | None:
        if back is not None:
            return Unavailable(Why.COOLING_DOWN, back)
        missing = self.missing(provider_id, now)
        return Unavailable(Why.MISSING_AUTH, None, missing) if missing else None

    def missing(self, provider_id: str, now: int) -> str:
        """Why a provider has no usable credential and will not have one by waiting; empty where it has, or needs none.

        One that cools down counts as usable.
        """
        pool = self._pools.get(provider_id, _NOBODY)
        slots = self._slots.get(provider_id, ())
        if any(slot.health(now).usable for slot in slots):
            return ""
        if not slots:
            return pool.detail if pool.required else ""
        return "; ".join(_flaw(slot, now) for slot in slots)

    def report(
        self, credential: Credential, error_class: ErrorClass | None, retry_after_ms: int | None = None
    ) -> CredentialStanding | None:
        """What an attempt with a credential came to; None as the class is success.

        Returns how it stands where that changed what it may do.
        """
        slot = self._find(credential)
        if slot is None:
            return None
        now = self._clock.now_ms()
        noted = slot.noted
        if error_class is None:
            if noted.cooling_until is None:
                return None
            noted = replace(noted, cooling_until=None)
        else:
            noted = replace(noted, last_error=error_class.value, last_error_at=now)
            if error_class in REFUSED:
                noted = replace(noted, refused=error_class.value)
            elif (rest := _rest(error_class, retry_after_ms)) is not None:
                noted = replace(noted, cooling_until=max(now + rest, slot.cooling_until(now) or 0))
            else:
                slot.noted, slot.unsaved = noted, True
                return None
        self._note(slot, noted)
        return _standing(slot, now)

    def clear(self, provider_id: str, credential_id: str) -> bool:
        """An operator's word that a credential is good again. Whether there is one of that id."""
        for slot in self._slots.get(provider_id, ()):
            if slot.offer.id == credential_id:
                self._note(slot, replace(slot.noted, refused="", cooling_until=None))
                return True
        return False

    def standings(self, provider_id: str, now: int) -> tuple[CredentialStanding, ...]:
        """A provider's credentials in the order they are listed; never any value."""
        return tuple(_standing(slot, now) for slot in self._slots.get(provider_id, ()))

    def ending(self, now: int) -> tuple[str, ...]:
        """What ends within minutes and nobody renews by itself, in words."""
        return tuple(
            f"The credential {name} of {provider} ends in {-(-(ends - now) // 60_000)} min: renew it."
            for provider in self._slots
            for name, ends in self.ending_of(provider, now)
        )

    def ending_of(self, provider_id: str, now: int) -> tuple[tuple[str, int], ...]:
        """The ids of a provider's credentials that end within minutes, each with when."""
        return tuple(
            (slot.offer.id, slot.offer.expires_at)
            for slot in self._slots.get(provider_id, ())
            if slot.offer.expires_at is not None and slot.health(now) is CredentialHealth.EXPIRING
        )

    def keep(self) -> None:
        """Hands what is not written yet (when each was used last) to `save`."""
        changes: list[Change] = []
        for slots in self._slots.values():
            for slot in slots:
                if slot.unsaved and slot.credential is not None:
                    slot.unsaved = False
                    slot.noted = slot.row
                    changes.append(CredentialNoted(slot.noted))
        if changes:
            self._save(changes)

    def _note(self, slot: _Slot, noted: CredentialRow) -> None:
        slot.noted = noted = replace(noted, last_used=slot.used_at)
        slot.unsaved = False
        self._save([CredentialNoted(noted)])

    def _slot(self, provider: str, offer: Offer) -> _Slot:
        if offer.secret is None:
            return _Slot(offer, None, CredentialRow(provider, offer.id, ""))
        fingerprint = self._fingerprint(offer.secret)
        noted = self._known.get((provider, offer.id, fingerprint), CredentialRow(provider, offer.id, fingerprint))
        credential = Credential(provider, offer.id, offer.secret, fingerprint)
        return _Slot(offer, credential, noted, used_at=noted.last_used)

    def _find(self, credential: Credential) -> _Slot | None:
        """The slot of the very credential that was used: one that was changed meanwhile is not blamed for the old."""
        for slot in self._slots.get(credential.provider, ()):
            if slot.offer.id == credential.id and slot.noted.fingerprint == credential.fingerprint:
                return slot
        return None


_NOBODY = Pool(required=False)


def _rest(error_class: ErrorClass, retry_after_ms: int | None) -> int | None:
    """For how many ms a credential cools after a failure; None: not at all."""
    if error_class is ErrorClass.QUOTA_EXCEEDED:
        return QUOTA_MS
    if error_class is ErrorClass.RATE_LIMITED:
        return RATE_LIMITED_MS if retry_after_ms is None else min(retry_after_ms, RATE_LIMITED_MOST_MS)
    return None


def _standing(slot: _Slot, now: int) -> CredentialStanding:
    health, until, noted = slot.health(now), slot.cooling_until(now), slot.noted
    state = health.value
    if health.usable:
        state = "eligible" if until is None else "cooling_down"
    return CredentialStanding(
        id=slot.offer.id,
        state=state,
        health=health,
        until=until,
        expires_at=slot.offer.expires_at,
        last_used=slot.used_at,
        last_error=noted.last_error,
        last_error_at=noted.last_error_at,
        detail=slot.offer.detail,
        fingerprint=noted.fingerprint,
    )


def _flaw(slot: _Slot, now: int) -> str:
    """What is wrong with a credential that cannot be used, in words."""
    if slot.offer.detail:
        return slot.offer.detail
    if slot.noted.refused:
        return f"{slot.offer.id} was refused by the provider ({slot.noted.refused})"
    return f"{slot.offer.id} is {slot.health(now).value}"
