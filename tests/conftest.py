"""What holds for every test."""

import faulthandler
import gc
import signal
from collections.abc import Generator, Iterable

import pytest
from hypothesis import settings

settings.register_profile("palyra", deadline=None)
settings.load_profile("palyra")
"""How long an example takes is no property of the code: machines are busy at times."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Begun in the background by a shell that keeps Ctrl+C from it: what tests begin shall hear it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """What hangs is ended and told, but long runs take what they need."""
    for item in items:
        if item.get_closest_marker("soak") is not None:
            item.add_marker(pytest.mark.timeout(0))


def pytest_collection_finish() -> None:
    """What was collected stays to the end: looking through it again and again would be a tenth of the whole run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


TEARDOWN_S = 240
"""A teardown that takes longer waits for something that will never be: its process is ended."""


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Once a test has failed, its limit of time no longer holds, and what its fixtures wait for would hold up all."""
    if item.get_closest_marker("soak") is not None:
        return (yield)
    faulthandler.dump_traceback_later(TEARDOWN_S, exit=True, file=2)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
