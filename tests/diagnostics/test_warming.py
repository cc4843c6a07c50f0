"""What a snapshot is made of is ready before the first one is asked for."""

import pytest

from palyra.core.values import compiled, value
from palyra.diagnostics import warming
from palyra.diagnostics.graph import HealthGraph
from palyra.diagnostics.serving import BreakerData
from palyra.diagnostics.snapshot import Diagnosis
from palyra.diagnostics.work import RecentAttempt


@value
class Part:
    name: str


def test_a_value_can_be_given_its_methods_before_they_are_called() -> None:
    before = Part.__init__
    compiled(Part)
    made = Part.__init__
    assert made is not before
    compiled(Part)
    assert Part.__init__ is made
    assert Part("x") == Part("x")


def test_every_model_of_a_snapshot_is_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[type] = []
    monkeypatch.setattr(warming, "compiled", asked.append)
    warming.warm()
    assert {Diagnosis, HealthGraph, BreakerData, RecentAttempt} <= set(asked)
    assert len(asked) == len(set(asked)) > 50
