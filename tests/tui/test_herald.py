"""The terminal is told what changed: title with counts, bell and notification, in plain ASCII, not too often."""

from dataclasses import replace

from palyra.control.snapshots import AlertView, Snapshot
from palyra.core.clock import ManualClock
from palyra.tui.frame.herald import GIVE_TITLE_BACK, KEEP_TITLE, Herald
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import normal


class Terminal:
    """What was written, and a herald that writes it."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.herald = Herald(self.written.append)

    async def see(self, approvals: int, incidents: int, at: float) -> list[str]:
        snapshot: Snapshot = await FakeControl(normal(), ManualClock(NOW)).snapshot(())
        self.written.clear()
        self.herald.see(replace(snapshot, approvals_pending=approvals, incidents_open=incidents), at)
        return list(self.written)


async def test_the_title_has_the_counts_and_is_given_back() -> None:
    terminal = Terminal()
    terminal.herald.open()
    assert terminal.written == [KEEP_TITLE]
    assert await terminal.see(3, 1, 0.0) == ["\x1b]2;Palyra A 3 I 1\x07"]
    assert await terminal.see(3, 1, 1.0) == []
    terminal.written.clear()
    terminal.herald.close()
    assert terminal.written == [GIVE_TITLE_BACK]


async def test_more_to_decide_rings_and_less_does_not() -> None:
    terminal = Terminal()
    await terminal.see(1, 0, 0.0)
    rung = await terminal.see(2, 0, 1.0)
    assert rung[-1] == "\x07\x1b]9;Palyra: 2 approvals and 0 incidents wait for a person\x07"
    assert len(await terminal.see(1, 0, 30.0)) == 1
    assert len(await terminal.see(1, 1, 60.0)) == 2


async def test_a_storm_rings_once() -> None:
    terminal = Terminal()
    await terminal.see(0, 0, 0.0)
    bells = 0
    for number in range(1, 201):
        bells += len([text for text in await terminal.see(number, 0, number / 100) if text.startswith("\x07")])
    assert bells == 1


async def test_what_waited_before_the_console_opened_does_not_ring() -> None:
    assert len(await Terminal().see(200, 7, 0.0)) == 1


async def test_a_grave_alert_rings_whenever_people_are_told_of_it() -> None:
    terminal = Terminal()
    snapshot: Snapshot = await FakeControl(normal(), ManualClock(NOW)).snapshot(())
    grave = AlertView("a1", "budget_alert", "danger", "day refuses requests", NOW, notified_at=NOW)

    def rung(alert: AlertView | None, at: float) -> list[str]:
        terminal.written.clear()
        terminal.herald.see(replace(snapshot, alerts=() if alert is None else (alert,)), at)
        return [text for text in terminal.written if "\x1b]9;" in text]

    assert rung(None, 0.0) == []
    assert rung(grave, 1.0) == ["\x07\x1b]9;Palyra: day refuses requests\x07"]
    assert rung(replace(grave, occurrences=9), 30.0) == []
    assert rung(None, 40.0) == []
    assert rung(grave, 50.0) == []
    assert rung(replace(grave, notified_at=NOW + 1), 60.0) != []
    assert rung(replace(grave, notified_at=NOW + 2, state="acknowledged"), 80.0) == []
    assert rung(replace(grave, notified_at=NOW + 3, severity="warning"), 90.0) == []
    assert rung(replace(grave, notified_at=NOW + 4), 100.0) != []
    assert rung(replace(grave, notified_at=NOW + 5), 109.0) == []


async def test_what_was_grave_before_the_console_came_does_not_ring() -> None:
    terminal = Terminal()
    snapshot: Snapshot = await FakeControl(normal(), ManualClock(NOW)).snapshot(())
    grave = AlertView("a1", "budget_alert", "danger", "day refuses requests", NOW, notified_at=NOW)
    terminal.herald.see(replace(snapshot, alerts=(grave,)), 0.0)
    assert not any("\x1b]9;" in text for text in terminal.written)
