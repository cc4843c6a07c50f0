"""`palyra incidents dead-letters` and `palyra notifications` on a real state directory, without an engine running."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from palyra.core.clock import SystemClock
from palyra.journal.delivery_rows import DELIVERIES, DeliveryState
from palyra.journal.journal import Journal
from tests.cli.test_commands import Shell
from tests.healing.webhooks.samples import a_delivery

HOOK = '\n[[notifications.webhook]]\nname = "ops"\nurl = "{url}/secret-Path-0123456789abcdef"\n'


@contextmanager
def webhook(status: int) -> Iterator[tuple[str, list[bytes]]]:
    """A webhook in a thread of its own: commands have no loop to share."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as its base has it
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path)


def bury(shell: Shell, *ids: str) -> None:
    """Dead letters, as an engine left them."""

    async def work() -> None:
        journal = await Journal.open(shell.state_dir, SystemClock())
        for number, delivery_id in enumerate(ids):
            row = a_delivery(
                delivery_id=delivery_id,
                state=DeliveryState.DEAD,
                tries=6,
                status=503,
                error="answered 503: busy",
                ended_at=1_795_348_800_000 + number,
            )
            await journal.submit([DELIVERIES.saved(row)])
        await journal.close()

    asyncio.run(work())


def test_dead_letters_are_listed_sent_again_and_discarded(shell: Shell) -> None:
    with webhook(200) as (url, got):
        shell.config.write_text(shell.config.read_text() + HOOK.format(url=url))
        assert shell("incidents", "dead-letters", "list") == "No dead letters.\n"
        bury(shell, "d1", "d2", "d3")
        told = shell.json("incidents", "dead-letters", "list")
        assert [letter["delivery_id"] for letter in told["dead_letters"]] == ["d3", "d2", "d1"]
        assert "answered 503: busy" in shell("incidents", "dead-letters", "list", "--limit", "1")
        assert shell.json("incidents", "dead-letters", "list", "--webhook", "other")["dead_letters"] == []

        assert "Either ids or --webhook" in shell("incidents", "dead-letters", "retry", code=2)
        assert "no dead letter 'd9'" in shell("incidents", "dead-letters", "discard", "d1", "d9", code=3)
        assert "1 dead letter discarded" in shell("incidents", "dead-letters", "discard", "d1")
        sent = shell.json("incidents", "dead-letters", "retry", "--webhook", "ops")
        assert (sent["status"], sent["data"]["count"]) == ("accepted", "2")
        assert shell.json("incidents", "dead-letters", "list")["dead_letters"] == []
        verified = shell.json("audit", "verify")
        assert verified["ok"] is True
    # Whether the command's own engine lived long enough to send them or not, none was sent twice.
    assert len(got) <= 2


def test_a_webhook_is_tried_and_told_of_without_what_is_secret(shell: Shell) -> None:
    with webhook(202) as (url, got):
        shell.config.write_text(shell.config.read_text() + HOOK.format(url=url))
        assert "answered 202" in shell("notifications", "test", "ops")
        assert b'"event": "test"' in got[0]
        assert "No webhook 'opps'" in shell("notifications", "test", "opps", code=3)
    with webhook(404) as (url, _):
        shell.config.write_text("version = 1\n" + HOOK.format(url=url))
        refused = shell.json("notifications", "test", "ops", code=4)
        assert (refused["status"], refused["data"]["status"]) == ("conflict", "404")
        (listed,) = shell.json("notifications", "list")["webhooks"]
        assert (listed["name"], listed["place"], listed["failing"]) == ("ops", url, False)
        assert "0123456789abcdef" not in str(listed) + str(refused) + shell("notifications", "list")


def test_heartbeats_are_in_an_engines_memory(shell: Shell) -> None:
    assert "memory" in shell("incidents", "heartbeats", code=5)
