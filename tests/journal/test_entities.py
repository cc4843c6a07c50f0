"""Rows that are saved whole: what a field may be, which save wins, what is refused."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest

from palyra.core.values import value
from palyra.journal import batch, entities
from palyra.journal.audit_chain import Link
from palyra.journal.changes import Change
from palyra.journal.entity import Entity


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@value
class Kite:
    kite_id: str
    version: int
    colour: Colour
    slot: int
    flying: bool
    height: int | None = None
    tails: tuple[str, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()
    body: dict[str, Any] | None = None


@value
class Gust:
    kite_id: str
    number: int
    words: str


KITES = Entity(Kite, "kites", ["kite_id"])
GUSTS = Entity(Gust, "gusts", ["kite_id", "number"], version="")
KITE = Kite("k1", 1, Colour.RED, 60, True, None, ("long", "short"), (("a", 1), ("b", 2)), {"deep": [1, None]})


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    monkeypatch.setattr(entities, "ENTITIES", (KITES, GUSTS))
    monkeypatch.setattr(entities, "_SAVED", {"kites": 2, "gusts": 4})
    opened = sqlite3.connect(":memory:", isolation_level=None)
    opened.executescript(
        "CREATE TABLE kites (kite_id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, colour TEXT NOT NULL,"
        " slot INTEGER NOT NULL UNIQUE, flying INTEGER NOT NULL, height INTEGER, tails TEXT NOT NULL,"
        " pairs TEXT NOT NULL, body TEXT) STRICT;"
        "CREATE TABLE gusts (kite_id TEXT NOT NULL, number INTEGER NOT NULL, words TEXT NOT NULL,"
        " PRIMARY KEY (kite_id, number)) STRICT;"
    )
    monkeypatch.setattr(batch, "_triggers", _only_entities)
    batch.prepare(opened)
    yield opened
    opened.close()


_ALL_TRIGGERS = batch._triggers


def _only_entities() -> list[tuple[int, str]]:
    return [(kind, sql) for kind, sql in _ALL_TRIGGERS() if kind >= batch.ENTITY]


def write(database: sqlite3.Connection, *changes: Change) -> None:
    values, rows, _ = batch.assemble([batch.encode(changes)], Link(0, ""))
    batch.write(database, values, rows)


def kites(database: sqlite3.Connection) -> list[Kite]:
    sql = f"SELECT json_group_array({KITES.table.array()}) FROM (SELECT * FROM kites ORDER BY kite_id)"
    return [KITES.read(values) for values in json.loads(database.execute(sql).fetchone()[0])]


def test_a_row_comes_back_as_it_was_saved(database: sqlite3.Connection) -> None:
    bare = Kite("k2", 1, Colour.BLUE, 120, False)
    write(database, KITES.saved(KITE), KITES.saved(bare))

    assert kites(database) == [KITE, bare]
    assert isinstance(kites(database)[0].colour, Colour)
    assert kites(database)[0].flying is True


@pytest.mark.parametrize(("version", "wins"), [(0, False), (1, False), (2, True)])
def test_only_a_later_version_replaces_the_stored_one(database: sqlite3.Connection, version: int, wins: bool) -> None:
    write(database, KITES.saved(KITE))
    later = replace(KITE, version=version, colour=Colour.BLUE, tails=())
    write(database, KITES.saved(later))

    assert kites(database) == [later if wins else KITE]


def test_without_a_version_the_first_one_stays(database: sqlite3.Connection) -> None:
    write(database, GUSTS.saved(Gust("k1", 1, "first")), GUSTS.saved(Gust("k1", 1, "second")))
    assert database.execute("SELECT words FROM gusts").fetchall() == [("first",)]


def test_a_forgotten_row_is_gone_and_no_other(database: sqlite3.Connection) -> None:
    write(database, *(GUSTS.saved(Gust("k1", number, "w")) for number in (1, 2)), KITES.saved(KITE))
    write(database, GUSTS.forgotten("k1", 1), KITES.forgotten("unknown"))

    assert database.execute("SELECT number FROM gusts").fetchall() == [(2,)]
    assert kites(database) == [KITE]


def test_another_row_for_the_same_slot_is_refused(database: sqlite3.Connection) -> None:
    write(database, KITES.saved(KITE))
    with pytest.raises(sqlite3.IntegrityError, match=r"kites\.slot"):
        write(database, KITES.saved(replace(KITE, kite_id="k2")))


def test_an_unpaired_surrogate_does_not_refuse_the_row(database: sqlite3.Connection) -> None:
    write(database, KITES.saved(replace(KITE, kite_id="k\ud800", tails=("\ud800",))))
    assert [kite.kite_id for kite in kites(database)] == ["k?"]


@value
class _Unsaid:
    name: str
    weight: float


@value
class _Either:
    name: str | int


@pytest.mark.parametrize("row", [_Unsaid, _Either])
def test_a_field_no_column_can_hold_is_told_at_once(row: type) -> None:
    with pytest.raises(TypeError):
        Entity(row, "things", ["name"], version="")


def test_nothing_is_no_value_of_a_column_that_must_have_one() -> None:
    with pytest.raises(TypeError, match="never NULL"):
        GUSTS.saved(Gust("k1", 1, None))  # type: ignore[arg-type]


def test_every_kind_of_row_fits_the_view() -> None:
    assert all(len(entity.table.columns) < batch.WIDTH for entity in entities.ENTITIES)
