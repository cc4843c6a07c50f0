"""What the journal would hold: hold rows after every submitted change, and a ledger restored from them."""

from collections.abc import Iterable

from palyra.config.choices import RoutingMode
from palyra.governance.grants import GrantBook
from palyra.governance.holds import HoldRequest, Refusal, ended_row
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import HoldEnded, HoldGrown, HoldTaken, Metered
from palyra.journal.rows import GrantRow, HoldRow

HoldChange = HoldTaken | HoldGrown | Metered | HoldEnded


class Store:
    """Hold rows, changed as the journal changes them."""

    def __init__(self) -> None:
        self.rows: dict[str, HoldRow] = {}

    def submit(self, *changes: HoldChange) -> None:
        for change in changes:
            self._apply(change)

    def _apply(self, change: HoldChange) -> None:
        if isinstance(change, HoldTaken):
            self.rows.setdefault(change.row.hold_id, change.row)
            return
        row = self.rows[change.hold_id]
        if row.state != "held":
            return
        if isinstance(change, HoldGrown):
            row = row._replace(bound_usd=change.bound_usd, bound_tokens=change.bound_tokens, moves=change.moves)
        elif isinstance(change, Metered):
            row = row._replace(
                metered_input=change.metered_input,
                metered_output=change.metered_output,
                metered_usd=change.metered_usd,
            )
        else:
            row = ended_row(row, change)
        self.rows[row.hold_id] = row

    def restore(
        self, policies: PolicySet, at: int, grants: Iterable[GrantRow] = (), mode: RoutingMode = RoutingMode.ENFORCED
    ) -> Ledger:
        """What a start makes of it."""
        ledger = Ledger(default_mode=mode, grants=GrantBook(grants))
        recount = ledger.begin(policies, at, restoring=True)
        for row in self.rows.values():
            if row.created_at >= recount.since or row.state == "held":
                recount.add(row)
        self.submit(*ledger.apply(recount, at))
        return ledger

    def change(self, ledger: Ledger, policies: PolicySet, at: int) -> None:
        """Puts other policies in force, as a running engine does."""
        recount = ledger.begin(policies, at)
        if recount.needs_rows:
            for row in self.rows.values():
                recount.add(row)
        self.submit(*ledger.apply(recount, at))


def request(hold_id: str, at: int, usd: int | None = 0, tokens: int = 0, **fields: object) -> HoldRequest:
    """A hold of ann's on openai/gpt, unless told otherwise."""
    from tests.governance.policies import scope

    given: dict[str, object] = {
        "run_id": f"run-{hold_id}",
        "attempt": 1,
        "boot_id": "boot",
        "scope": scope(),
        "provider": "openai",
        "model": "openai/gpt",
        "expected_input": 0,
        "expected_usd": usd,
        "price_state": "unknown" if usd is None else "known",
        **fields,
    }
    return HoldRequest(hold_id=hold_id, at=at, bound_usd=usd, bound_tokens=tokens, **given)  # type: ignore[arg-type]


def taken(outcome: HoldRow | Refusal) -> HoldRow:
    assert isinstance(outcome, HoldRow), outcome
    return outcome


def refused(outcome: HoldRow | Refusal) -> Refusal:
    assert isinstance(outcome, Refusal), outcome
    return outcome


def statuses(outcome: Refusal) -> dict[str, str]:
    return {evaluation.policy_id: evaluation.status.value for evaluation in outcome.evaluations}
