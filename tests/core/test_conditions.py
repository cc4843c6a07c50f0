"""Conditions of one kind have one family, and severities an order."""

import pytest

from palyra.core.conditions import Condition, Domain, Severity


@pytest.mark.parametrize(
    ("key", "family"),
    [
        ("job:01ABC:faulted", "job:faulted"),
        ("task:01ABC:poison", "task:poison"),
        ("approval:01ABC", "approval"),
        ("provider:openai", "provider"),
        ("webhook:pager", "webhook"),
        ("probe:site", "probe"),
        ("heartbeat:run:01ABC", "heartbeat:run"),
        ("heartbeat:external:ops:etl:nightly", "heartbeat:external"),
        ("storage:journal", "storage:journal"),
        ("queue:stuck", "queue:stuck"),
        ("engine:collector:memory", "engine:collector"),
        ("engine:clock", "engine:clock"),
    ],
)
def test_a_key_without_its_id_is_its_family(key: str, family: str) -> None:
    assert Condition(Domain.ENGINE, key, Severity.LOW, "wrong").kin == family


def test_a_family_that_is_told_counts() -> None:
    assert Condition(Domain.ENGINE, "a:b:c", Severity.LOW, "wrong", family="mine").kin == "mine"


def test_severities_go_up_step_by_step_to_the_strongest() -> None:
    assert [severity.next_up for severity in Severity] == ["medium", "high", "critical", "critical"]
    assert sorted(Severity, key=lambda severity: severity.rank) == ["low", "medium", "high", "critical"]
