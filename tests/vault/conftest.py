"""What holds for the tests of what is secret at rest."""

import os

import pytest

from palyra.core import redact


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power here, and disks of busy machines take seconds to prove that they could bear it. In which
    order things reach the disk is tested where they are written."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of these tests are nobody's elsewhere."""
    monkeypatch.setattr(redact, "_known", redact.KnownSecrets())
