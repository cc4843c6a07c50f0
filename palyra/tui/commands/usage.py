"""Looking at usage: which bucket, which measure, broken down by what, over which time."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, dimmed
from palyra.tui.usage_view import Bucket

if TYPE_CHECKING:
    from palyra.tui.screens.usage import UsageScreen


class MoveBucket(Action["UsageScreen"]):
    """Moves the timeline's cursor by one bucket."""

    def __init__(self, name: str, keys: tuple[str, ...], title: str, step: int, footer: str = "") -> None:
        self.id = f"usage.{name}"
        self.keys = keys
        self.title = title
        self.help = "moves the cursor of the timeline"
        self.footer = footer
        self.step = step

    def offer(self, screen: "UsageScreen") -> Offer:
        return READY if screen.used else HIDDEN

    def perform(self, screen: "UsageScreen") -> None:
        screen.move_bucket(self.step)


class ShowRuns(Action["UsageScreen"]):
    id = "table.open"
    keys = ("enter",)
    title = "Runs of this bucket"
    help = "what the bucket under the cursor is made of, of the selected row"
    footer = "runs"

    def offer(self, screen: "UsageScreen") -> Offer:
        return READY if screen.used else HIDDEN

    def perform(self, screen: "UsageScreen") -> Coroutine[Any, Any, None] | None:
        return screen.show_runs()


class NextMeasure(Action["UsageScreen"]):
    id = "usage.measure"
    keys = ("v",)
    title = "Next measure"
    help = "cost, tokens, requests, refused"

    def perform(self, screen: "UsageScreen") -> None:
        screen.next_measure()


class NextBreakdown(Action["UsageScreen"]):
    id = "usage.breakdown"
    keys = ("b",)
    title = "Next breakdown"
    help = "model, user, session, key, provider, agent, job, tag; the timeline and the table follow"

    def perform(self, screen: "UsageScreen") -> None:
        screen.next_breakdown()


class MoreEntries(Action["UsageScreen"]):
    id = "usage.more"
    keys = ("m",)
    title = "More entries"
    help = "the next page of the breakdown, below those that are shown"
    footer = "more"

    def offer(self, screen: "UsageScreen") -> Offer:
        return READY if screen.has_more else HIDDEN

    def perform(self, screen: "UsageScreen") -> None:
        screen.show_more()


class ShowBuckets(Action["UsageScreen"]):
    """Hours or days."""

    def __init__(self, bucket: Bucket, key: str, title: str) -> None:
        self.id = f"usage.{bucket}"
        self.keys = (key,)
        self.title = title
        self.help = "of the timeline"
        self.bucket = bucket

    def offer(self, screen: "UsageScreen") -> Offer:
        return HIDDEN if screen.bucket_kind == self.bucket else READY

    def perform(self, screen: "UsageScreen") -> None:
        screen.show_buckets(self.bucket)


class WhatIf(Action["UsageScreen"]):
    id = "usage.what_if"
    keys = ("w",)
    title = "What if…"
    help = "the shown time decided again with another limit; nothing changes"
    footer = "what-if"
    confirm = Confirm.DIALOG
    on_selection = False

    def offer(self, screen: "UsageScreen") -> Offer:
        if screen.snapshot is None:
            return HIDDEN
        return READY if screen.snapshot.budgets else dimmed("there is no budget to try", told=False)

    def perform(self, screen: "UsageScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "UsageScreen") -> None:
        await screen.palyra.ask(screen.what_if_dialog())


class ExportUsage(Action["UsageScreen"]):
    id = "usage.export"
    keys = ("e",)
    title = "Export…"
    help = "every attempt of the shown time, as CSV or JSON"
    footer = "export"
    confirm = Confirm.DIALOG
    on_selection = False

    def offer(self, screen: "UsageScreen") -> Offer:
        return READY if screen.used else HIDDEN

    def perform(self, screen: "UsageScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "UsageScreen") -> None:
        await screen.palyra.ask(screen.export_dialog())


MEASURE, BREAKDOWN = NextMeasure(), NextBreakdown()
HOURS, DAYS = ShowBuckets("hour", "h", "Hours of a day"), ShowBuckets("day", "d", "Days of a month")

USAGE: tuple[Action["UsageScreen"], ...] = (
    MoveBucket("earlier", ("left_square_bracket", "left"), "Earlier bucket", -1, "earlier"),
    MoveBucket("later", ("right_square_bracket", "right"), "Later bucket", 1, "later"),
    ShowRuns(),
    MoreEntries(),
    WhatIf(),
    ExportUsage(),
    MEASURE,
    BREAKDOWN,
    HOURS,
    DAYS,
)
