"""What a plan keeps, so that it can be made again."""

from palyra.governance.ledger import Ledger
from tests.governance.plans import CHEAP, PREMIUM, candidate, plan

NOON = 1_795_348_800_000


def test_a_plan_that_nothing_can_serve_keeps_what_was_found_out_of_the_others() -> None:
    named = candidate("b/default", "1", excluded=("capability_missing",))
    made = plan(Ledger(), NOON, candidates=(named, CHEAP, PREMIUM))
    assert made.candidate is None
    assert made.decision.reason_codes == ("capability_missing", "no_candidate")
    assert [one.candidate.model for one in made.tried] == ["a/cheap", "c/premium"]
