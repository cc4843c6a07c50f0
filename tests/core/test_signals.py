"""The first signal asks, the second one insists."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from palyra.core.clock import ManualClock
from palyra.core.signals import StopSignals


class Ending:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.heard: list[str] = []
        self.arrived = asyncio.Event()
        self.signals = StopSignals(
            self.clock,
            on_stop=lambda: self.note("stop"),
            on_hangup=lambda: self.note("hangup"),
            drain_seconds=lambda: 30,
            last_words=lambda: self.note("last words"),
            end=lambda code: self.note(f"end {code}"),
        )

    def note(self, word: str) -> None:
        self.heard.append(word)
        self.arrived.set()

    async def send(self, number: signal.Signals) -> None:
        """Sends it to this process and returns after the loop has handled it."""
        handled = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, handled.set)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGUSR1)
        await handled.wait()
        loop.remove_signal_handler(signal.SIGUSR1)


@pytest.fixture
async def ending() -> AsyncIterator[Ending]:
    ending = Ending()
    ending.signals.install()
    yield ending
    ending.signals.remove()


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        ([signal.SIGTERM], ["stop"]),
        ([signal.SIGINT], ["stop"]),
        ([signal.SIGHUP], ["hangup"]),
        ([signal.SIGHUP, signal.SIGHUP], ["hangup"]),
        ([signal.SIGTERM, signal.SIGHUP], ["stop"]),
        ([signal.SIGTERM, signal.SIGTERM], ["stop", "last words", "end 130"]),
        ([signal.SIGTERM, signal.SIGINT], ["stop", "last words", "end 130"]),
        ([signal.SIGHUP, signal.SIGTERM], ["hangup", "last words", "end 130"]),
    ],
    ids=str,
)
async def test_signals_and_what_follows(ending: Ending, sent: list[signal.Signals], heard: list[str]) -> None:
    for number in sent:
        await ending.send(number)
    assert ending.heard == heard


async def test_without_a_use_for_it_a_lost_terminal_is_no_reason_to_end() -> None:
    heard: list[str] = []
    signals = StopSignals(
        ManualClock(),
        on_stop=lambda: heard.append("stop"),
        on_hangup=None,
        drain_seconds=lambda: 0,
        end=lambda code: heard.append(f"end {code}"),
    )
    signals._on_lost_terminal()
    signals._on_demand()
    assert heard == ["stop"]
    signals._on_lost_terminal()
    assert heard == ["stop"]


async def test_once_the_end_has_begun_by_itself_a_first_signal_insists(ending: Ending) -> None:
    ending.signals.stopping()
    ending.signals.stopping()
    assert ending.heard == []
    await ending.send(signal.SIGINT)
    assert ending.heard == ["last words", "end 130"]


async def test_an_end_that_began_by_itself_takes_no_longer_than_another(ending: Ending) -> None:
    ending.signals.stopping()
    ending.clock.tick(33)
    assert ending.heard == ["last words", "end 130"]


async def test_an_end_that_takes_too_long_becomes_a_hard_one(ending: Ending) -> None:
    await ending.send(signal.SIGTERM)
    ending.clock.tick(32.9)
    assert ending.heard == ["stop"]
    ending.clock.tick(0.2)
    assert ending.heard == ["stop", "last words", "end 130"]


async def test_an_orderly_end_gives_the_signals_and_the_deadline_back(ending: Ending) -> None:
    await ending.send(signal.SIGTERM)
    ending.signals.remove()
    assert ending.clock.waiting == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_the_process_ends_even_if_the_last_words_fail() -> None:
    codes: list[int] = []

    def fail() -> None:
        raise RuntimeError

    signals = StopSignals(
        ManualClock(),
        on_stop=lambda: None,
        on_hangup=lambda: None,
        drain_seconds=lambda: 0,
        last_words=fail,
        end=codes.append,
    )
    signals._on_demand()
    with pytest.raises(RuntimeError):
        signals._on_demand()
    assert codes == [130]
