"""The books: every row of a journal, read without the program, each checked once when it has become final."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from palyra.journal.rows import GrantRow
from tests.simulation import facts, naive, prices
from tests.simulation.tally import HoldFact

Row = Mapping[str, Any]
ENDED = ("completed", "failed", "cancelled", "refused")
METRICS = (
    "runs",
    "ok",
    "failed",
    "refused",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
    "latency_ms",
    "attempts",
)
QUARTER = 15 * naive.MINUTE


SUMS: Mapping[str, tuple[str, ...]] = {
    "": (),
    "model": ("model", "provider"),
    "provider": ("provider",),
    "user": ("principal",),
    "agent": ("agent",),
    "key": ("key_id",),
    "tag": ("tags",),
}
"""Kinds of running sums: the columns of a row that its key is made of."""

Sums = dict[tuple[Any, ...], list[int]]


def _zeros() -> list[int]:
    return [0] * len(METRICS)


@dataclass(slots=True)
class Books:
    """What has been read so far. Rows that can still change are read again each time."""

    holds: dict[str, HoldFact] = field(default_factory=dict)
    runs: dict[str, Row] = field(default_factory=dict)
    grants: dict[str, GrantRow] = field(default_factory=dict)
    usage: dict[str, Row] = field(default_factory=dict)
    days: Sums = field(default_factory=lambda: defaultdict(_zeros))
    rolled: dict[tuple[str, str, str], dict[int, list[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(_zeros))
    )
    """By kind, name and provider, then by quarter."""
    spent: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Charged, by the instant."""
    faults: list[str] = field(default_factory=list)
    _last: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _ends: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _holds_of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _charged_of: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    _bodies: dict[str, str] = field(default_factory=dict)
    _digest: str = "0" * 64

    def read(self, state_dir: Path) -> None:
        """Reads what is new or may have changed, and checks it."""
        with closing(sqlite3.connect(f"file:{state_dir}/journal.db?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            open_holds = [fact.hold_id for fact in self.holds.values() if fact.state == "held"]
            open_runs = [run_id for run_id, row in self.runs.items() if row["state"] not in ENDED]
            holds = list(self._changed(database, "holds", "hold_id", open_holds))
            usage = list(self._new(database, "usage"))
            runs = list(self._changed(database, "runs", "run_id", open_runs))
            for row in self._new(database, "run_notes"):
                if row["kind"] == "run_terminal":
                    self._ends[row["run_id"]] += 1
            for row in self._new(database, "decisions"):
                self._bodies[row["decision_id"]] = sha256(row["body"].encode()).hexdigest()
            for row in self._new(database, "audit"):
                self._link(row)
            self.grants = {row["grant_id"]: _grant(row) for row in database.execute("SELECT * FROM grants")}
            for row in holds:
                self._hold(row)
            for row in usage:
                self._use(row)
            for row in runs:
                self._run(row)
            for row in holds:
                self._ended_hold(row)
            self._roll_ups(database)
            for text in database.execute("PRAGMA foreign_key_check"):
                self.faults.append(f"a row points nowhere: {tuple(text)}")
        for decision_id in self._bodies:
            self.faults.append(f"decision {decision_id} is in no link of the audit chain")
        self._bodies.clear()

    def at_rest(self) -> None:
        """Nothing runs: then nothing is held and every run has ended."""
        for fact in self.holds.values():
            if fact.state == "held":
                self.faults.append(f"hold {fact.hold_id} is open at rest")
        for run_id, row in self.runs.items():
            if row["state"] not in ENDED:
                self.faults.append(f"run {run_id} is {row['state']} at rest")

    def _new(self, database: sqlite3.Connection, table: str) -> Iterator[Row]:
        for row in database.execute(f"SELECT * FROM {table} WHERE seq > ? ORDER BY seq", (self._last[table],)):
            self._last[table] = row["seq"]
            yield row

    def _changed(self, database: sqlite3.Connection, table: str, key: str, before: list[str]) -> Iterator[Row]:
        for name in before:
            yield from database.execute(f"SELECT * FROM {table} WHERE {key} = ?", (name,))
        yield from self._new(database, table)

    # Rows

    def _hold(self, row: Row) -> None:
        fact = facts.stored(row)
        if fact.hold_id not in self.holds:
            self._holds_of[fact.run_id].append(fact.hold_id)
        self.holds[fact.hold_id] = fact

    def _use(self, row: Row) -> None:
        if row["corrects"] is not None:
            self._correct(row)
            return
        where = f"usage of hold {row['hold_id']}"
        if row["hold_id"] in self.usage:
            self.faults.append(f"{where} is there twice")
        self.usage[row["hold_id"]] = row
        self._charged_of[row["run_id"]].append(row)
        self.spent[row["at"]] += row["charge"] or 0
        amounts = [0, 0, 0, 0, row["input_total"], row["output_total"], row["cache_read"], row["reasoning"]]
        amounts += [row["charge"] or 0, row["charge"] is None, row["latency_ms"], 1]
        self._roll(row, row["at"], amounts)
        rates = json.loads(row["rates"])
        if rates and naive.charge_of(rates) != row["charge"]:
            self.faults.append(f"{where} is charged {row['charge']}, its rates give {naive.charge_of(rates)}")
        if row["price_state"] in ("unknown", "unknown_flat") and row["charge"] == 0:
            self.faults.append(f"{where} is of unknown price and free")
        model = prices.BY_UPSTREAM.get(row["model"].partition("/")[2])
        fact = self.holds.get(row["hold_id"])
        ours = None if model is None or fact is None else prices.rates_at(model, fact.created_at)
        for part in rates if ours is not None else ():
            if part["unit"] in ("input_tokens", "output_tokens"):
                wanted = ours[part["unit"] == "output_tokens"]  # type: ignore[index]
                if float(part["usd"]) != float(wanted):
                    self.faults.append(f"{where}: {part} is not {wanted} dollars")

    def _correct(self, row: Row) -> None:
        """What an attempt used is that much more than was written first; it is told where that was told."""
        first = self.usage[row["corrects"]]
        more = ("input_total", "output_total", "cache_read", "charge")
        self.usage[row["corrects"]] = {**dict(first), **{name: (first[name] or 0) + (row[name] or 0) for name in more}}
        self._charged_of[row["run_id"]].append(row)
        self.spent[row["at"]] += row["charge"] or 0
        amounts = [0, 0, 0, 0, row["input_total"], row["output_total"], row["cache_read"], row["reasoning"]]
        self._roll(row, row["at"], [*amounts, row["charge"] or 0, 0, 0, 0])

    def _ended_hold(self, row: Row) -> None:
        if row["state"] == "held":
            return
        used = self.usage.get(row["hold_id"])
        where = f"hold {row['hold_id']}"
        if row["state"] == "released":
            if used is not None or row["actual_usd"] != 0 or row["requests"]:
                self.faults.append(f"{where} is released and charged")
            return
        if used is None:
            self.faults.append(f"{where} is {row['state']} and has no usage")
            return
        if used["input_total"] + used["output_total"] != row["actual_tokens"]:
            self.faults.append(f"{where}: {row['actual_tokens']} tokens, {dict(used)} used")
        if row["actual_usd"] is not None and used["charge"] != row["actual_usd"]:
            self.faults.append(f"{where}: {row['actual_usd']} charged, {used['charge']} used")
        if row["recovered"] and row["usage_source"] == "bound" and row["actual_usd"] != row["bound_usd"]:
            self.faults.append(f"{where} was recovered at {row['actual_usd']}, not its bound of {row['bound_usd']}")
        if row["recovered"] and row["usage_source"] == "metered" and row["actual_usd"] != row["metered_usd"]:
            self.faults.append(f"{where} was recovered at {row['actual_usd']}, not its {row['metered_usd']} metered")

    def _run(self, row: Row) -> None:
        run_id = row["run_id"]
        self.runs[run_id] = row
        if row["state"] not in ENDED:
            return
        where = f"run {run_id} ({row['state']}, {row['reason']})"
        amounts = [1, row["state"] == "completed", row["state"] == "failed", row["state"] == "refused", *[0] * 8]
        self._roll(row, row["finished_at"], amounts)
        if self._ends[run_id] != 1:
            self.faults.append(f"{where} has {self._ends[run_id]} run_terminal notes")
        charged = self._charged_of[run_id]
        cost = None if any(one["charge"] is None for one in charged) else sum(one["charge"] for one in charged)
        tokens = tuple(sum(one[name] for one in charged) for name in ("input_total", "output_total"))
        if (row["cost"], row["input_tokens"], row["output_tokens"]) != (cost, *tokens):
            told = (row["cost"], row["input_tokens"], row["output_tokens"])
            self.faults.append(f"{where} tells {told}, its usage is {(cost, *tokens)}")
        for hold_id in self._holds_of[run_id]:
            if self.holds[hold_id].state == "held":
                self.faults.append(f"{where} has ended, its hold {hold_id} has not")

    def _link(self, row: Row) -> None:
        text = json.dumps(
            {name: row[name] for name in ("actor", "at", "kind", "seq", "subject")} | {"payload": "@"},
            sort_keys=True,
            separators=(",", ":"),
        ).replace('"payload":"@"', f'"payload":{row["payload"]}', 1)
        self._digest = sha256((self._digest + text).encode()).hexdigest()
        if self._digest != row["digest"]:
            self.faults.append(f"link {row['seq']} of the audit chain does not fit")
            self._digest = row["digest"]
        if row["kind"] == "decision":
            body = self._bodies.pop(row["subject"], None)
            if body != json.loads(row["payload"])["body_sha256"]:
                self.faults.append(f"decision {row['subject']} is not the one its link vouches for")

    # Roll-ups

    def _roll(self, row: Row, at: int, amounts: list[int]) -> None:
        _add(self.days[(at - at % naive.DAY, row["principal"], row["model"])], amounts)
        for kind, columns in SUMS.items():
            keys = [tuple(row[name] for name in columns)]
            if kind == "tag":
                keys = [(f"{name}={value}",) for name, value in json.loads(row["tags"]).items()]
            for key in keys:
                name, provider = (*key, "", "")[:2]
                _add(self.rolled[(kind, name, provider)][at - at % QUARTER], amounts)

    def _roll_ups(self, database: sqlite3.Connection) -> None:
        metrics = ", ".join(METRICS)
        days = database.execute(f"SELECT day, principal, model, {metrics} FROM usage_days")
        found: Sums = {tuple(row[:3]): list(row[3:]) for row in days}
        come_up: Sums = {}
        for key, quarters in self.rolled.items():
            sums = _zeros()
            for start in sorted(quarters):
                _add(sums, quarters[start])
                come_up[(*key, start)] = list(sums)
        entries = database.execute(f"SELECT kind, name, provider, start, {metrics} FROM usage_sums")
        stored: Sums = {tuple(row[:4]): list(row[4:]) for row in entries}
        for table, told, true in (("usage_days", found, self.days), ("usage_sums", stored, come_up)):
            if told != true or (self.runs and not told):
                wrong = [key for key in told.keys() | true.keys() if told.get(key) != true.get(key)]
                self.faults.append(f"{table} differs at {sorted(wrong)[:3]}")


def _add(sums: list[int], amounts: list[int]) -> None:
    for index, amount in enumerate(amounts):
        sums[index] += amount


def _grant(row: Row) -> GrantRow:
    known = {name: row[name] for name in row.keys() if name != "seq"}  # noqa: SIM118 a sqlite3.Row iterates values
    return GrantRow(**{**known, "approval_id": row["approval_id"] or "", "run_ids": tuple(json.loads(row["run_ids"]))})
