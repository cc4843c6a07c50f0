"""The terminal is told what changed: title with counts, bell and notification, in plain ASCII, not too often."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.operations import Switch
from palyra.control.notice_queries import NoticeView
from palyra.control.snapshots import Snapshot
from palyra.core.clock import ManualClock
from palyra.tui.frame.herald import GIVE_TITLE_BACK, KEEP_TITLE, Herald, Ringing, ringing
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import normal


def notice(number: int, summary: str = "run r1 is silent", severity: str = "high", **fields: object) -> NoticeView:
    view = NoticeView(number, NOW, "opened", severity, f"incident:i{number}", summary, urgent=True)
    return replace(view, **fields)  # type: ignore[arg-type]


class Terminal:
    """What was written, and a herald that writes it."""

    def __init__(self, snapshot: Snapshot, ringing: Ringing | None = None) -> None:
        self.written: list[str] = []
        self.herald = Herald(self.written.append, ringing)
        self._snapshot = snapshot

    def see(self, at: float, *notices: NoticeView, boot: str = "boot", counts: tuple[int, int] = (0, 0)) -> list[str]:
        engine = replace(self._snapshot.engine, boot_id=boot)
        shot = replace(
            self._snapshot, engine=engine, notices=notices, approvals_pending=counts[0], incidents_open=counts[1]
        )
        self.written.clear()
        self.herald.see(shot, at)
        return list(self.written)

    def rung(self, at: float, *notices: NoticeView, boot: str = "boot") -> list[str]:
        """The rings alone."""
        return [text for text in self.see(at, *notices, boot=boot) if not text.startswith("\x1b]2;")]


@pytest.fixture
async def snapshot() -> Snapshot:
    return await FakeControl(normal(), ManualClock(NOW)).snapshot(())


@pytest.fixture
def terminal(snapshot: Snapshot) -> Terminal:
    return Terminal(snapshot)


def test_the_title_has_the_counts_and_is_given_back(terminal: Terminal) -> None:
    terminal.herald.open()
    assert terminal.written == [KEEP_TITLE]
    assert terminal.see(0.0, counts=(3, 1)) == ["\x1b]2;Palyra A 3 I 1\x07"]
    assert terminal.see(1.0, counts=(3, 1)) == []
    terminal.written.clear()
    terminal.herald.close()
    assert terminal.written == [GIVE_TITLE_BACK]


def test_what_is_grave_rings_once(terminal: Terminal) -> None:
    assert terminal.rung(0.0) == []
    assert terminal.rung(1.0, notice(1)) == ["\x07\x1b]9;Palyra: run r1 is silent\x07"]
    assert terminal.rung(60.0, notice(1)) == []
    assert terminal.rung(120.0, notice(1), notice(2, urgent=False)) == []
    assert len(terminal.rung(180.0, notice(2, urgent=False), notice(3))) == 1


def test_from_now_on_it_rings_as_it_is_told_to(terminal: Terminal) -> None:
    terminal.herald.ring(Ringing(bell=False, notification=False))
    assert (terminal.rung(0.0), terminal.rung(60.0, notice(1))) == ([], [])
    terminal.herald.ring(Ringing(bell=True, notification=False))
    assert terminal.rung(120.0, notice(2)) == ["\x07"]


def test_what_was_told_before_the_console_opened_does_not_ring(terminal: Terminal) -> None:
    assert terminal.rung(0.0, notice(1), notice(2)) == []
    assert terminal.rung(60.0, notice(1), notice(2)) == []
    assert len(terminal.rung(61.0, notice(2), notice(3))) == 1


def test_a_storm_rings_every_ten_seconds_at_most_and_names_the_gravest(terminal: Terminal) -> None:
    terminal.rung(0.0)
    assert len(terminal.rung(1.0, notice(1))) == 1
    for number in range(2, 100):
        severity = "critical" if number == 50 else "high"
        assert terminal.rung(1 + number / 11, notice(number, f"run {number}", severity)) == []
    assert terminal.rung(10.999, notice(99)) == []
    assert terminal.rung(11.0, notice(99)) == ["\x07\x1b]9;Palyra: run 50 (+97)\x07"]
    assert terminal.rung(60.0, notice(99)) == []


def test_who_waits_for_a_person_is_named_before_all_but_the_worst(terminal: Terminal) -> None:
    terminal.rung(0.0)
    asked = notice(2, "bea asks", "medium", event="approval_requested")
    assert terminal.rung(1.0, notice(1), asked, notice(3)) == ["\x07\x1b]9;Palyra: bea asks (+2)\x07"]
    (text,) = terminal.rung(20.0, asked, replace(asked, number=4), notice(5, "it burns", "critical"))
    assert "it burns" in text


def test_another_engine_counts_from_the_beginning(terminal: Terminal) -> None:
    terminal.rung(0.0, notice(7))
    assert len(terminal.rung(30.0, notice(1), boot="other")) == 1
    assert terminal.rung(60.0, notice(1), boot="other") == []


def test_words_are_printable_ascii_and_short(terminal: Terminal) -> None:
    terminal.rung(0.0)
    (text,) = terminal.rung(1.0, notice(1, "\x1b]52;c;eA==\x07é\u202e\n" + "x" * 500), notice(2, "small"))
    assert re.fullmatch(r"\x07\x1b\]9;[ -~]{1,80}\x07", text)


@given(st.text(max_size=300), st.integers(1, 20_000))
def test_whatever_comes_from_outside_stays_within_the_notification(summary: str, count: int) -> None:
    written: list[str] = []
    herald = Herald(written.append)
    herald._heard, herald._boot = 0, "boot"
    herald._owed = (notice(1, summary), count)
    herald._ring(0.0)
    assert re.fullmatch(r"\x07\x1b\]9;[ -~]{1,80}\x07", written[0])


@pytest.mark.parametrize(
    ("wanted", "rings"),
    [
        (Ringing(bell=False), "\x1b]9;Palyra: run r1 is silent\x07"),
        (Ringing(notification=False), "\x07"),
        (Ringing(bell=False, notification=False), None),
    ],
)
def test_each_can_be_switched_off(snapshot: Snapshot, wanted: Ringing, rings: str | None) -> None:
    terminal = Terminal(snapshot, wanted)
    terminal.rung(0.0)
    assert terminal.rung(1.0, notice(1)) == ([] if rings is None else [rings])


@pytest.mark.parametrize(
    ("bell", "osc9", "term", "expected"),
    [
        (Switch.AUTO, Switch.AUTO, "xterm-256color", Ringing()),
        (Switch.AUTO, Switch.AUTO, "", Ringing()),
        (Switch.AUTO, Switch.AUTO, "linux", Ringing(notification=False)),
        (Switch.AUTO, Switch.AUTO, "vt100", Ringing(notification=False)),
        (Switch.ON, Switch.ON, "linux", Ringing()),
        (Switch.OFF, Switch.OFF, "xterm-256color", Ringing(bell=False, notification=False)),
    ],
)
def test_by_itself_a_terminal_gets_what_it_understands(
    bell: Switch, osc9: Switch, term: str, expected: Ringing
) -> None:
    assert ringing(bell, osc9, {"TERM": term}) == expected
