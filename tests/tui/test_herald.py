"""The terminal is told what changed: title with counts, bell and notification, in plain ASCII, not too often."""

from dataclasses import replace

from palyra.control.snapshots import Snapshot
from palyra.core.clock import ManualClock
from palyra.tui.frame.herald import GIVE_TITLE_BACK, KEEP_TITLE, Herald
from tests.tui.fake_control import NOW, FakeControl, normal


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
