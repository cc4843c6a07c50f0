"""What if a budget had another limit? The shown span is decided again with it, and the difference told."""

import secrets
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from textual.app import ComposeResult

from palyra.control.protocol import Control
from palyra.control.queries import BudgetQuery
from palyra.control.replays import ReplayAnswer, ReplayBite, ReplayProgress, ReplayQuery, replay
from palyra.control.snapshots import BudgetView
from palyra.core.clock import Clock
from palyra.core.ids import encode
from palyra.core.money import decimal_usd, parse_usd
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.dialogs.base import sentences
from palyra.tui.dialogs.long_work import LongWorkDialog
from palyra.tui.inquiry import Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Cycle, Field, Labelled, Push
from palyra.tui.widgets.lines import BLANK, Line, column, line, muted, part, strong

USD_METRIC = "estimated_cost_usd"
_UNITS = {"total_tokens": "token", "requests": "request"}
COLUMN = 12
NAME = 14


class WhatIfDialog(LongWorkDialog):
    """Replays what a span's requests would have met under one changed limit; changes nothing."""

    UNIT = "requests"
    AUTO_FOCUS = "#policy"

    def __init__(
        self,
        control: Control,
        spawn: Spawn,
        clock: Clock,
        *,
        budgets: Sequence[BudgetView],
        span: tuple[int, int],
        title: str,
    ) -> None:
        super().__init__(f"What if {glyphs.SEPARATOR} {title}", spawn, clock)
        self._control = control
        self._budgets = {view.policy_id: view for view in budgets}
        self._span = span
        self._limit = ""

    def compose_content(self) -> ComposeResult:
        first = next(iter(self._budgets.values()))
        yield Labelled("budget", Cycle(list(self._budgets), id="policy"))
        yield Labelled("limit", Field(_limit_text(first), id="limit", placeholder="45.00"))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Close", id="keep")
        yield Push("Replay", id="act")

    @property
    def budget(self) -> BudgetView:
        """The budget that is chosen."""
        return self._budgets[self.query_one("#policy", Cycle).value]

    @property
    def limit(self) -> str:
        """The limit as it was typed."""
        return self.query_one("#limit", Field).value.strip()

    def on_cycle_changed(self) -> None:
        self.query_one("#limit", Field).value = _limit_text(self.budget)
        self.start_over()

    def on_input_changed(self) -> None:
        if self.is_mounted and self.limit != self._limit:
            self.start_over()

    def on_input_submitted(self) -> None:
        self.act()

    def about(self) -> list[Line]:
        budget = self.budget
        fault = self._fault()
        if fault:
            return [tuple(part(piece.text, Tone.WARN) for piece in row) for row in sentences(fault)]
        now = show.quantity(budget.metric_kind, budget.hard_limit)
        return sentences(
            f"Decides every request of this time again as if {budget.policy_id} had this limit instead of {now}."
            " Nothing is changed."
        )

    def _fault(self) -> str:
        try:
            if self.budget.metric_kind == USD_METRIC:
                parse_usd(self.limit)
            elif not (self.limit.isascii() and self.limit.isdigit()):
                raise ValueError(f"{self.limit!r} is no whole number")
        except ValueError as error:
            return f"{glyphs.ATTENTION} limit: {error}."
        return ""

    def act(self) -> None:
        if self._fault():
            self.query_one("#limit", Field).focus()
            return
        self._limit = self.limit
        super().act()

    async def work(self) -> list[Line]:
        budget, limit = self.budget, self.limit
        detail = await self._control.ask(BudgetQuery(budget.policy_id))
        fields = tried(detail.fields, limit)
        since, until = self._span
        now = self._clock.now_ms()
        query = ReplayQuery(encode(now, secrets.randbits(80)), (fields,), since=since, until=min(until, now + 1))

        def told(far: ReplayProgress) -> None:
            self.progress(far.done, far.total)

        answer = await replay(self._control, query, self._clock, told)
        return result_lines(answer, budget, limit)


def tried(fields: dict[str, str], limit: str) -> dict[str, str]:
    """A policy's fields with another limit; a soft limit that would stand above it is left to its default."""
    changed = {**fields, "hard_limit": limit}
    soft = changed.get("soft_limit", "")
    if soft and not soft.endswith("%"):
        try:
            above = Decimal(soft.replace("_", "")) > Decimal(limit.replace("_", "").removeprefix("$"))
        except InvalidOperation:
            above = True
        if above:
            del changed["soft_limit"]
    return changed


def result_lines(answer: ReplayAnswer, budget: BudgetView, limit: str) -> list[Line]:
    """What would have been different, in words and numbers."""
    if not answer.requests:
        return [line(muted("No request of this time is recorded, so there is nothing to decide again."))]
    saved = answer.saved_nano_usd
    words = f"none of {plural(answer.requests, 'recorded request')} would have gone otherwise"
    if answer.differences:
        words = f"{plural(answer.differences, 'request')} of {answer.requests:,} would have gone otherwise"
    lines = [
        *sentences(f"With {_amount_text(budget, limit)} for {budget.policy_id}, {words}."),
        BLANK,
        line(
            column("", NAME),
            column("as it was", COLUMN, Tone.MUTED, right=True),
            column("with it", COLUMN, Tone.MUTED, right=True),
        ),
        _row("denied", show.count(answer.denied_before), show.count(answer.denied_after)),
        _row("approvals", show.count(answer.approvals_before), show.count(answer.approvals_after)),
        _row("cost", show.money(answer.cost_before_nano_usd), show.money(answer.cost_after_nano_usd)),
        line(
            column("saved" if saved >= 0 else "costs more", NAME, Tone.MUTED),
            column("", COLUMN),
            column(show.money(abs(saved)), COLUMN, Tone.GOOD if saved > 0 else Tone.PLAIN, right=True, bold=True),
        ),
        BLANK,
    ]
    lines += _bite(next((one for one in answer.policies if one.policy_id == budget.policy_id), None))
    if answer.rerouted:
        lines.append(line(f"{plural(answer.rerouted, 'request')} would have gone to another model."))
    for note in answer.notes[:2]:
        lines += [tuple(muted(piece.text) for piece in row) for row in sentences(note)]
    return lines


def _bite(bite: ReplayBite | None) -> list[Line]:
    if bite is None or not bite.first_day:
        return [line(muted("It would have stopped nothing."))]
    return [line("It first bites on ", strong(bite.first_day), f" and stops {plural(bite.refused, 'request')}.")]


def _row(name: str, before: str, after: str) -> Line:
    return line(column(name, NAME, Tone.MUTED), column(before, COLUMN, right=True), column(after, COLUMN, right=True))


def _amount_text(budget: BudgetView, limit: str) -> str:
    """`$20`, `1 request`, `4,000 tokens`."""
    if budget.metric_kind == USD_METRIC:
        return f"${limit.removeprefix('$')}"
    return plural(int(limit), _UNITS[budget.metric_kind])


def _limit_text(budget: BudgetView) -> str:
    if budget.hard_limit is None:
        return ""
    return decimal_usd(budget.hard_limit) if budget.metric_kind == USD_METRIC else str(budget.hard_limit)
