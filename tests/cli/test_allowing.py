"""`palyra approvals allow`: what is asked for is checked before it is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.cli.launch import Launch, Place
from palyra.control.commands import Command, DecideApproval
from palyra.control.queries import ApprovalDetail, Query
from palyra.control.snapshots import CommandResult
from tests.tui.fake_views import approval


class Desk:
    """Launches nothing; has one approval and remembers what it was sent."""

    def __init__(self, metric: str) -> None:
        self.detail = ApprovalDetail(approval(1, "ada", "m", "day", 5, excess_metric=metric), (), 0, 0, 0, ())
        self.sent: list[Command] = []

    @asynccontextmanager
    async def acting(self, _: Place) -> AsyncIterator["Desk"]:
        yield self

    async def ask(self, _: Query) -> Any:
        return self.detail

    async def send(self, command: Command) -> CommandResult:
        self.sent.append(command)
        return CommandResult("accepted", "Allowed.")


def allow(desk: Desk, amount: str, directory: Path) -> tuple[int, str]:
    words = ["approvals", "allow", "01A", "--scope", "amount", "--amount", amount, "--state-dir", str(directory)]
    result = CliRunner().invoke(build_app(cast(Launch, desk)), words)
    return result.exit_code, result.output


@pytest.mark.parametrize("metric", ["estimated_cost_usd", "total_tokens"])
@pytest.mark.parametrize("amount", ["9" * 11, "9" * 19, "9" * 5_000, "1e30", "-5", "lots", "٣x", ""])
def test_an_amount_nobody_counts_is_refused(metric: str, amount: str, tmp_path: Path) -> None:
    desk = Desk(metric)
    if (metric, amount) == ("total_tokens", "9" * 11):
        amount += "9" * 8
    code, told = allow(desk, amount, tmp_path)
    assert (code, desk.sent) == (2, [])
    assert "amount" in told
    assert "digits" not in told


@pytest.mark.parametrize(
    ("metric", "given", "sent"), [("estimated_cost_usd", "2.50", 2_500_000_000), ("requests", "7", 7)]
)
def test_an_amount_is_sent_in_the_budgets_unit(metric: str, given: str, sent: int, tmp_path: Path) -> None:
    desk = Desk(metric)
    assert allow(desk, given, tmp_path)[0] == 0
    (command,) = desk.sent
    assert isinstance(command, DecideApproval)
    assert (command.scope, command.amount) == ("amount", sent)
