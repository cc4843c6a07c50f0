"""Allowing more than one request: a grant for a session, for a time, or of an amount."""

from typing import Literal, get_args

from textual.app import ComposeResult

from palyra.control.commands import DecideApproval
from palyra.control.snapshots import ApprovalView
from palyra.core.durations import parse_duration_ms
from palyra.core.money import decimal_usd, parse_usd
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.words import breached, counter_words
from palyra.tui.dialogs.base import sentences
from palyra.tui.dialogs.watched import ApprovalDialog
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Cycle, Field, Labelled, Push
from palyra.tui.widgets.lines import BLANK, line, part

Serves = Literal["session", "timebox", "amount"]
SESSION_MS = show.DAY
LONGEST_MS = 30 * show.DAY


class AllowDialog(ApprovalDialog[DecideApproval]):
    """Says what the grant would let pass while it is put together."""

    AUTO_FOCUS = "#serves"

    def __init__(self, approval: ApprovalView, zone: str, now: int) -> None:
        what = approval.model or "more room"
        super().__init__(f"Allow {approval.principal} {what} {glyphs.SEPARATOR} how far?", approval)
        self._zone = zone
        self._now = now

    def compose_content(self) -> ComposeResult:
        yield Labelled("scope", Cycle(get_args(Serves), id="serves"))
        yield Labelled("for", Field("1h", id="for", placeholder="30m, 2h, 3d"), id="row-for")
        yield Labelled("up to", Field(self._suggested(), id="amount", placeholder="5.00"), id="row-amount")
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Keep it waiting", id="keep")
        yield Push("Allow", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    @property
    def serves(self) -> str:
        """Whether the choices as they stand can be sent."""
        return self.query_one("#serves", Cycle).value

    def on_cycle_changed(self) -> None:
        self.explain()

    def on_input_changed(self) -> None:
        self.explain()

    def on_input_submitted(self) -> None:
        self.query_one("#act", Push).focus()

    def explain(self) -> None:
        self.query_one("#row-for").display = self.serves == "timebox"
        self.query_one("#row-amount").display = self.serves == "amount"
        try:
            text = self._consequence()
        except ValueError as error:
            self.say([BLANK, line(part(f"{glyphs.BAD} {error}", Tone.BAD)), *self.warning()])
        else:
            self.say([BLANK, *sentences(text), *self.warning()])

    def act(self) -> None:
        try:
            command = self._command()
        except ValueError:
            self.query_one("#for" if self.serves == "timebox" else "#amount", Field).focus()
        else:
            self.dismiss(command)

    def _command(self) -> DecideApproval:
        approval = self.approval
        if self.serves == "timebox":
            seconds = self._duration_ms() // 1_000
            return DecideApproval(
                approval.approval_id, "allow", approval.version, scope="timeboxed", duration_seconds=seconds
            )
        if self.serves == "amount":
            return DecideApproval(
                approval.approval_id, "allow", approval.version, scope="amount", amount=self._amount()
            )
        return DecideApproval(approval.approval_id, "allow", approval.version, scope="session")

    def _consequence(self) -> str:
        approval = self.approval
        items = breached(approval)
        where = f"session {approval.session}" if approval.session else "every session"
        who = f"{approval.principal} in {where}"
        if self.serves == "amount":
            amount = show.quantity(approval.excess_metric, self._amount())
            each = " each" if len(items) > 1 else ""
            ends = ", ".join(
                f"{counter_words(item)} until {show.renewal(item.window_end, item.timezone, self._now)}"
                for item in items
            )
            return f"Anybody may draw up to {amount}{each} over {ends}. You can revoke it with u."
        budgets = ", ".join(
            f"{counter_words(item)} by up to {show.quantity(item.metric_kind, item.session_cap)}" for item in items
        )
        lasting = self._duration_ms() if self.serves == "timebox" else SESSION_MS
        until = show.instant(self._now + lasting, self._zone, self._now)
        return f"{who} may go over {budgets}, until {until}. You can revoke it with u."

    def _duration_ms(self) -> int:
        lasting = parse_duration_ms(self.query_one("#for", Field).value)
        if not 1_000 <= lasting <= LONGEST_MS:
            raise ValueError("a grant lasts between 1 s and 30 days")
        return lasting

    def _amount(self) -> int:
        if len({item.metric_kind for item in breached(self.approval)}) > 1:
            raise ValueError("these budgets count different things: use session or timebox")
        text = self.query_one("#amount", Field).value
        if self.approval.excess_metric == "estimated_cost_usd":
            amount = int(parse_usd(text))
        else:
            digits = text.strip().replace("_", "").replace(",", "")
            if not (digits.isascii() and digits.isdigit()):
                raise ValueError("write a whole number")
            amount = int(digits)
        if amount == 0:
            raise ValueError("an amount of nothing lets nothing pass")
        return amount

    def _suggested(self) -> str:
        """What was asked for in words, else twice what the request is over, in round numbers."""
        if self.approval.wanted is not None:
            wanted = self.approval.wanted
            return decimal_usd(wanted) if self.approval.excess_metric == "estimated_cost_usd" else str(wanted)
        if self.approval.excess_metric == "estimated_cost_usd":
            dollars = -(-2 * self.approval.excess // 1_000_000_000)
            return f"{max(1, dollars)}.00"
        return str(2 * self.approval.excess)
