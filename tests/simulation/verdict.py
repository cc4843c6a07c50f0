"""What the program itself says of a finished month, asked on its command line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.main import Launcher
from tests.simulation.calendar import BEGIN, END
from tests.simulation.instants import stamp
from tests.simulation.naive import DAY


@dataclass(frozen=True, slots=True)
class Verdict:
    """Exit codes and answers of `ledger verify`, `audit verify` and of a replay with nothing changed."""

    ledger_code: int
    ledger: dict[str, Any]
    audit_code: int
    audit: dict[str, Any]
    replay_code: int
    replay: dict[str, Any]

    @property
    def faults(self) -> list[str]:
        found: list[str] = []
        if self.ledger_code or not self.ledger["ok"] or self.ledger["open_holds"]:
            found.append(f"palyra ledger verify: {_short(self.ledger)}")
        if self.audit_code or not self.audit["ok"]:
            found.append(f"palyra audit verify: {self.audit}")
        if self.replay_code or self.replay["differences"]:
            found.append(f"palyra replay: {_short(self.replay)}")
        return found


def verdict(state_dir: Path, config_text: str, root: Path) -> Verdict:
    """No engine may run on the state directory, and the stage must have been cleared."""
    config = root / "palyra.toml"
    config.write_text(config_text)
    app = build_app(Launcher())

    def ask(*words: str) -> tuple[int, Any]:
        result = CliRunner().invoke(app, [*words, "--json", "--state-dir", str(state_dir), "--config", str(config)])
        try:
            return result.exit_code, json.loads(result.stdout)
        except ValueError:
            return result.exit_code or 1, {"ok": False, "differences": -1, "said": result.output, "open_holds": 0}

    ledger = ask("ledger", "verify")
    audit = ask("audit", "verify")
    replay = ask("replay", "--since", stamp(BEGIN - DAY), "--until", stamp(END + 5 * DAY))
    return Verdict(*ledger, *audit, *replay)


def _short(answer: dict[str, Any]) -> str:
    told = json.dumps(answer)
    return told if len(told) < 4000 else f"{told[:4000]}…"
