"""What is told of a budget's fields while they are typed is what the engine would say."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.control.policy_check import decides_otherwise, policy_faults
from palyra.governance.policy_input import PolicyInputError, parse_policy
from tests.governance.policies import policy

FIELDS = policy().fields()
TEXTS = st.sampled_from(
    ["", "none", "5", "80%", "x", "UTC", "Prague", "user", "*", "bob", "true", "degrade", "a" * 200]
)


def test_every_fault_is_told_with_what_was_meant() -> None:
    faults = policy_faults({**FIELDS, "timezone": "Prague", "hard_limit": "x", "interval_kind": "dayly"})
    told = {fault.field: fault.fix for fault in faults}
    assert set(told) == {"timezone", "hard_limit", "interval_kind"}
    assert told["timezone"] == 'Did you mean "Europe/Prague"?'
    assert told["interval_kind"] == 'Did you mean "daily"?'


def test_an_id_in_use_is_a_fault_and_another_is_none() -> None:
    assert [fault.field for fault in policy_faults(FIELDS, taken={"day"})] == ["policy_id"]
    assert policy_faults(FIELDS, taken={"other"}) == ()


@given(st.dictionaries(st.sampled_from([*FIELDS, "colour"]), TEXTS, max_size=5))
def test_the_engine_says_the_same(changes: dict[str, str]) -> None:
    fields = {**FIELDS, **changes}
    said: list[tuple[str, str]] = []
    try:
        parse_policy(fields)
    except PolicyInputError as error:
        said = [(one.field, one.message) for one in error.faults]
    assert [(one.field, one.message) for one in policy_faults(fields)] == said


def test_a_name_decides_nothing_and_everything_else_does() -> None:
    assert not decides_otherwise(FIELDS, {**FIELDS, "name": "Other"})
    assert not decides_otherwise(FIELDS, {**FIELDS, "hard_limit": "1.0"})
    for name, text in (
        ("hard_limit", "2"),
        ("enabled", "false"),
        ("action", "advise"),
        ("routing_override", "degrade"),
    ):
        assert decides_otherwise(FIELDS, {**FIELDS, name: text}), name
