"""Which credential serves next, what failures do to it, and that notes outlive an engine but not a changed key."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from palyra.core.clock import ManualClock
from palyra.core.redact import Secret
from palyra.journal.changes import Change, CredentialNoted
from palyra.journal.rows import CredentialRow
from palyra.providers.credentials import (
    Credential,
    CredentialHealth,
    Credentials,
    Offer,
    Pool,
    Unavailable,
    Why,
)
from palyra.providers.errors import ErrorClass

MINUTE = 60_000
HOUR = 60 * MINUTE


class Desk:
    """One provider `p` with some credentials, and all that was written down."""

    def __init__(self, *names: str, clock: ManualClock | None = None, values: str = "first") -> None:
        self.clock = clock or ManualClock()
        self.saved: list[CredentialRow] = []
        self.credentials = Credentials(self.clock, self._save, lambda secret: secret.reveal()[-12:])
        self.offers = [Offer(name, Secret(f"{values} key of {name}")) for name in names]

    def _save(self, changes: Sequence[Change]) -> None:
        for change in changes:
            assert isinstance(change, CredentialNoted)
            self.saved.append(change.row)

    def open(self) -> "Desk":
        self.credentials.configure({"p": Pool(tuple(self.offers))})
        return self

    @property
    def now(self) -> int:
        return self.clock.now_ms()

    def choose(self) -> str:
        """The id of the one chosen, or why there is none."""
        chosen = self.choice()
        return chosen.why.value if isinstance(chosen, Unavailable) else chosen.id

    def choice(self) -> Credential | Unavailable:
        chosen = self.credentials.choose("p", self.now)
        assert chosen is not None
        return chosen

    def take(self) -> Credential:
        chosen = self.choice()
        assert isinstance(chosen, Credential)
        return chosen

    def states(self) -> dict[str, str]:
        return {one.id: one.state for one in self.credentials.standings("p", self.now)}


def test_the_one_used_longest_ago_serves_and_ties_go_as_listed() -> None:
    desk = Desk("c", "a", "b").open()
    assert [desk.choose() for _ in range(7)] == ["c", "a", "b", "c", "a", "b", "c"]


def test_those_without_room_are_passed_over_and_keep_their_turn() -> None:
    desk = Desk("a", "b").open()
    chosen = desk.credentials.choose("p", desk.now, lambda name: name != "a")
    assert isinstance(chosen, Credential)
    assert (chosen.id, desk.choose()) == ("b", "a")
    told = desk.credentials.choose("p", desk.now, lambda name: False)
    assert told == Unavailable(Why.NO_ROOM)


@pytest.mark.parametrize(
    ("error", "retry_after_ms", "cools_ms"),
    [
        (ErrorClass.RATE_LIMITED, 7_000, 7_000),
        (ErrorClass.RATE_LIMITED, None, 30_000),
        (ErrorClass.RATE_LIMITED, 2 * HOUR, HOUR),
        (ErrorClass.QUOTA_EXCEEDED, None, 30 * MINUTE),
        (ErrorClass.QUOTA_EXCEEDED, 5_000, 30 * MINUTE),
    ],
)
async def test_some_failures_make_a_credential_rest(
    error: ErrorClass, retry_after_ms: int | None, cools_ms: int
) -> None:
    desk = Desk("a").open()
    begun = desk.now
    told = desk.credentials.report(desk.take(), error, retry_after_ms)
    assert told is not None
    assert (told.state, told.until, told.last_error) == ("cooling_down", begun + cools_ms, error.value)
    assert desk.choice() == Unavailable(Why.COOLING_DOWN, begun + cools_ms)
    assert desk.credentials.missing("p", desk.now) == ""
    await desk.clock.advance(cools_ms / 1000 - 0.001)
    assert desk.choose() == "cooling_down"
    await desk.clock.advance(0.001)
    assert desk.choose() == "a"


@pytest.mark.parametrize(
    ("error", "health"),
    [
        (ErrorClass.AUTH_INVALID, "rejected"),
        (ErrorClass.PERMISSION_DENIED, "rejected"),
        (ErrorClass.AUTH_EXPIRED, "expired"),
    ],
)
async def test_a_refused_credential_stays_unusable_until_somebody_acts(error: ErrorClass, health: str) -> None:
    desk = Desk("a").open()
    used = desk.take()
    desk.credentials.report(used, error)
    await desk.clock.advance(24 * 3600)
    assert desk.states() == {"a": health}
    assert desk.choose() == "missing_auth"
    assert error.value in desk.credentials.missing("p", desk.now)
    desk.credentials.report(used, None)
    assert desk.states() == {"a": health}
    assert desk.credentials.clear("p", "a")
    assert desk.choose() == "a"
    assert not desk.credentials.clear("p", "b")


@pytest.mark.parametrize(
    "error",
    [
        ErrorClass.TRANSIENT_UPSTREAM,
        ErrorClass.PROVIDER_TIMEOUT,
        ErrorClass.NETWORK_UNAVAILABLE,
        ErrorClass.CONTEXT_WINDOW_EXCEEDED,
        ErrorClass.CONTENT_POLICY_BLOCKED,
        ErrorClass.PERMANENT_UPSTREAM,
        ErrorClass.MALFORMED_RESPONSE,
    ],
)
def test_other_failures_are_remembered_and_change_nothing(error: ErrorClass) -> None:
    desk = Desk("a").open()
    assert desk.credentials.report(desk.take(), error, 90_000) is None
    (standing,) = desk.credentials.standings("p", desk.now)
    assert (standing.state, standing.last_error, standing.last_error_at) == ("eligible", error.value, desk.now)
    assert desk.choose() == "a"


def test_every_error_class_has_its_row() -> None:
    rows = {error: Desk("a").open() for error in ErrorClass}
    for error, desk in rows.items():
        desk.credentials.report(desk.take(), error)
    assert {error for error, desk in rows.items() if desk.choose() != "a"} == {
        ErrorClass.RATE_LIMITED,
        ErrorClass.QUOTA_EXCEEDED,
        ErrorClass.AUTH_INVALID,
        ErrorClass.AUTH_EXPIRED,
        ErrorClass.PERMISSION_DENIED,
    }


def test_success_ends_only_its_own_rest() -> None:
    desk = Desk("a", "b").open()
    first, second = desk.take(), desk.take()
    for one in (first, second):
        desk.credentials.report(one, ErrorClass.RATE_LIMITED)
    desk.credentials.report(second, None)
    assert desk.states() == {"a": "cooling_down", "b": "eligible"}


def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    desk = Desk("a").open()
    used, begun = desk.take(), desk.now
    desk.credentials.report(used, ErrorClass.QUOTA_EXCEEDED)
    desk.credentials.report(used, ErrorClass.RATE_LIMITED, 1_000)
    assert desk.choice() == Unavailable(Why.COOLING_DOWN, begun + 30 * MINUTE)


def test_the_first_that_is_back_tells_when_to_ask_again() -> None:
    desk = Desk("a", "b").open()
    desk.credentials.report(desk.take(), ErrorClass.RATE_LIMITED, 9_000)
    desk.credentials.report(desk.take(), ErrorClass.RATE_LIMITED, 4_000)
    assert desk.choice() == Unavailable(Why.COOLING_DOWN, desk.now + 4_000)


def test_notes_survive_a_restart_and_a_new_key_starts_afresh() -> None:
    desk = Desk("a", "b").open()
    desk.credentials.report(desk.take(), ErrorClass.AUTH_INVALID)
    desk.credentials.report(desk.take(), ErrorClass.RATE_LIMITED, HOUR)
    again = Desk("a", "b", clock=desk.clock)
    again.credentials.restore(desk.saved)
    assert again.open().states() == {"a": "rejected", "b": "cooling_down"}
    changed = Desk("a", "b", clock=desk.clock, values="newer")
    changed.offers[1] = again.offers[1]
    changed.credentials = Credentials(desk.clock, changed._save, lambda secret: secret.reveal()[:5])
    changed.credentials.restore(replace(row, fingerprint="first") for row in desk.saved)
    assert changed.open().states() == {"a": "eligible", "b": "cooling_down"}


def test_a_key_that_comes_back_is_still_refused() -> None:
    desk = Desk("a").open()
    old = desk.offers
    used = desk.take()
    desk.credentials.report(used, ErrorClass.AUTH_INVALID)
    desk.offers = [Offer("a", Secret("a new key, ends otherwise"))]
    assert desk.open().choose() == "a"
    desk.credentials.report(used, ErrorClass.AUTH_INVALID)
    assert desk.choose() == "a", "what the old key came to is not the new one's fault"
    desk.offers = old
    assert desk.open().choose() == "missing_auth"


def test_who_was_used_last_is_known_after_a_restart() -> None:
    desk = Desk("a", "b", "c").open()
    desk.take()
    desk.clock.tick(1)
    desk.take()
    desk.credentials.keep()
    desk.credentials.keep()
    assert [row.credential for row in desk.saved] == ["a", "b"]
    again = Desk("a", "b", "c", clock=desk.clock)
    again.credentials.restore(desk.saved)
    again.open()
    assert [again.choose() for _ in range(4)] == ["c", "a", "b", "c"]


@pytest.mark.parametrize(
    ("offer", "state", "eligible"),
    [
        (Offer("a", None, CredentialHealth.DISABLED), "disabled", False),
        (Offer("a", None, CredentialHealth.UNREADABLE, "the vault is locked"), "unreadable", False),
        (Offer("a", None, CredentialHealth.MISSING), "missing", False),
        (Offer("a", Secret("the key of a"), expires_at=0), "expired", False),
        (Offer("a", Secret("the key of a"), expires_at=1), "eligible", True),
    ],
)
def test_what_is_wrong_by_itself_is_told(offer: Offer, state: str, eligible: bool) -> None:
    desk = Desk(clock=ManualClock(0))
    desk.offers = [offer]
    desk.open()
    (standing,) = desk.credentials.standings("p", 0)
    assert standing.state == state
    assert (desk.choose() == "a") is eligible
    assert (desk.credentials.missing("p", 0) == "") is eligible


@pytest.mark.parametrize(
    ("left_ms", "health"),
    [
        (None, "static"),
        (-1, "expired"),
        (0, "expired"),
        (1, "expiring"),
        (15 * MINUTE, "expiring"),
        (15 * MINUTE + 1, "ok"),
    ],
)
def test_tokens_end(left_ms: int | None, health: str) -> None:
    desk = Desk()
    ends = None if left_ms is None else desk.now + left_ms
    desk.offers = [Offer("a", Secret("the key of a"), expires_at=ends)]
    (standing,) = desk.open().credentials.standings("p", desk.now)
    assert standing.health == health
    told = desk.credentials.ending(desk.now)
    minutes = {1: 1, 15 * MINUTE: 15}.get(left_ms or 0)
    assert told == (() if minutes is None else (f"The credential a of p ends in {minutes} min: renew it.",))


def test_a_provider_that_takes_no_credential_has_none_to_choose() -> None:
    desk = Desk()
    desk.credentials.configure({"local": Pool(required=False), "vendor": Pool(detail="no credential is set")})
    assert desk.credentials.choose("local", desk.now) is None
    assert desk.credentials.choose("built_in", desk.now) is None
    assert desk.credentials.choose("vendor", desk.now) == Unavailable(Why.MISSING_AUTH, None, "no credential is set")


def test_no_value_is_shown_or_written() -> None:
    desk = Desk("a").open()
    desk.credentials.report(desk.take(), ErrorClass.RATE_LIMITED)
    for shown in (desk.offers, desk.credentials.standings("p", desk.now), desk.saved):
        assert "first key" not in repr(shown)
