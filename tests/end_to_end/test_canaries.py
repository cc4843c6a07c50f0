"""Secrets of a running house on their way out: a provider echoes its key in every error, and neither screens nor logs
nor the journal nor what is printed when Palyra itself fails show it."""

import logging
from pathlib import Path

import pytest

from palyra.cli.options import REFUSED, run_to_end
from palyra.control.access_commands import AddKey
from palyra.control.access_queries import AccessQuery
from palyra.control.commands import IssueToken
from palyra.control.config_queries import ConfigQuery
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.doctor_queries import DoctorReportQuery
from palyra.control.secrets_commands import AddProfile, RotateVault, SetSecret
from palyra.control.secrets_queries import AuthQuery, VaultQuery
from palyra.control.snapshots import Topic
from palyra.core import redact
from palyra.core.logs import EngineLog
from palyra.tui.app import SCREENS, PalyraApp
from tests.end_to_end.test_vault_in_use import a_house, asked
from tests.support.upstream import Reply, Upstream

CANARY = "canary/in+every=place.0001"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_known", redact.KnownSecrets())


async def test_a_key_that_a_provider_echoes_is_on_no_screen_and_in_no_file(tmp_path: Path) -> None:
    echoing = Upstream()
    echoing.choose = lambda seen: Reply(
        status=500, error_body=b'{"error": {"message": "no: %s"}}' % seen.headers["authorization"].encode()
    )
    state = tmp_path / "s"
    with EngineLog(tmp_path / "palyra.log"):
        async with echoing.serving() as upstream, a_house(upstream, state) as here:
            await here.send(SetSecret("global/acme", CANARY))
            answer = await here.ask(asked("acme"))
            assert (answer.status, CANARY.encode() in answer.body) == (502, False)
            await here.rest()
            app = PalyraApp(here.control, clock=here.clock)
            shown: dict[str, str] = {}
            async with app.run_test(size=(120, 40)) as pilot:
                for screen in SCREENS:
                    app.go(screen.NAME)
                    await pilot.pause()
                    shown[screen.NAME] = app.export_screenshot()
                app.note_failure(RuntimeError(f"it broke at {CANARY}"), None)
            assert len(set(shown.values())) == len(SCREENS)
            assert not [name for name, picture in shown.items() if CANARY in picture]
            logging.getLogger("palyra.test").error("sent %s", CANARY, exc_info=ValueError(f"Bearer {CANARY}"))
    assert next(seen.headers["authorization"] for seen in upstream.seen) == f"Bearer {CANARY}"
    log = (tmp_path / "palyra.log").read_text()
    assert "it broke at [redacted]" in log
    assert CANARY not in log
    written = {path.name: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    assert "journal.db" in written
    assert not [name for name, data in written.items() if CANARY.encode() in data]


async def test_no_secret_of_access_is_told_twice_nor_written_in_plain(tmp_path: Path) -> None:
    """A profile's key, a gateway key, an operator's token and the vault's keys, on every surface that tells of them."""
    state = tmp_path / "s"
    with EngineLog(tmp_path / "palyra.log"):
        async with Upstream().serving() as upstream, a_house(upstream, state) as here:
            await here.send(AddProfile("first", "team", "global/team"))
            await here.send(SetSecret("global/team", CANARY))
            old = (state / "vault" / "vault.key").read_text().strip()
            await here.send(RotateVault())
            key = (await here.send(AddKey("ci", "bot"))).data["token"]
            token = (await here.send(IssueToken("ana", "admin"))).data["token"]
            assert (await here.ask(asked("team"), key=key)).status == 200
            assert upstream.seen
            assert [seen.headers for seen in upstream.seen if key in repr(seen.headers)] == []
            assert (await here.ask(asked("team"), key=key[:-1])).status == 401
            await here.rest()
            new = (state / "vault" / "vault.key").read_text().strip()
            first = (state / "gateway-key.txt").read_text().strip()
            queries = (VaultQuery(), AuthQuery(), AccessQuery(), ConfigQuery(), DiagnosticsQuery(), DoctorReportQuery())
            told = {type(query).__name__: repr(await here.control.ask(query)) for query in queries}
            told["snapshot"] = repr(await here.control.snapshot(list(Topic)))
            told["events"] = repr([(event.kind, event.subject, event.data) for event in here.events])
            logging.getLogger("palyra.test").error("sent %s and %s by %s with %s", key, token, CANARY, new)
    told["log"] = (tmp_path / "palyra.log").read_text()
    files = {path.name: path.read_bytes().decode("latin-1") for path in state.rglob("*") if path.is_file()}
    assert (files.pop("vault.key").strip(), files.pop("gateway-key.txt").strip()) == (new, first)
    assert {"journal.db", "vault.json", "access_registry.json", "auth_profiles.toml"} <= files.keys()
    assert old != new
    canaries = {"profile": CANARY, "key": key[-43:], "token": token[-43:], "first": first[-43:], "old": old, "new": new}
    shown = {
        (name, where) for name, text in canaries.items() for where, words in (told | files).items() if text in words
    }
    assert not shown


def test_what_is_printed_when_palyra_fails_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    redact.Secret(CANARY)

    async def fails() -> int:
        raise RuntimeError(f"it broke at {CANARY}")

    assert run_to_end(fails) == REFUSED
    printed = "".join(capsys.readouterr())
    assert "it broke at [redacted]" in printed
    assert CANARY not in printed
