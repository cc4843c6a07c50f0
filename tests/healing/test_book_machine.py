"""Whatever is told, seen to go, done by people or remedies, in any order and over restarts: the rules hold."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from palyra.core.clock import ManualClock
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import PalyraError
from palyra.core.ids import IdSource
from palyra.healing.acts import Acts
from palyra.healing.book import IncidentBook
from palyra.healing.record import Episode, IncidentRecord, IncidentState
from palyra.healing.transitions import FLAPPING_WITHIN_MS
from palyra.journal.entity import Entity, EntitySaved
from palyra.journal.incident_rows import EPISODES, INCIDENTS, TIMELINE
from tests.healing.stage import T0

RUNS = [f"heartbeat:run:r{number}" for number in range(8)]
CAUSE = "provider:openai"
KEYS = [*RUNS, CAUSE, "storage:journal"]
DOMAINS = {CAUSE: Domain.PROVIDER, "storage:journal": Domain.STORAGE}


class Incidents(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.clock = ManualClock(T0)
        self.ids = IdSource(self.clock)
        self.book = IncidentBook(self.ids.new, "boot")
        self.acts = Acts(self.book)
        self.holding: set[str] = set()
        self.rows: dict[str, dict[Any, Any]] = {"incidents": {}, "incident_episodes": {}, "incident_timeline": {}}
        self.muted: set[str] = set()

    @property
    def now(self) -> int:
        return self.clock.now_ms()

    @rule(key=st.sampled_from(KEYS), severity=st.sampled_from(Severity), counted=st.booleans())
    def see(self, key: str, severity: Severity, counted: bool) -> None:
        related = {"provider": "openai"} if key in RUNS[:3] else {}
        told = Condition(_domain(key), key, severity, "wrong", since=self.now, related=related)
        assert self.book.see(told, self.now, counted=counted) is not None
        self.holding.add(key)

    @rule(keys=st.sets(st.sampled_from(RUNS), min_size=5))
    def see_many(self, keys: set[str]) -> None:
        for key in sorted(keys):
            self.see(key=key, severity=Severity.HIGH, counted=False)

    @rule()
    def all_go(self) -> None:
        for key in KEYS:
            self.go(key=key)

    @rule(key=st.sampled_from(KEYS))
    def go(self, key: str) -> None:
        self.book.gone(_domain(key), key, self.now)
        self.holding.discard(key)
        self.muted.discard(key)

    @rule(milliseconds=st.sampled_from([1, 20_000, 61_000, 15 * 60_000, 3_700_000]))
    def wait(self, milliseconds: int) -> None:
        self.clock.tick(milliseconds / 1000)
        self.book.sweep(self.now)

    @rule(
        pick=st.integers(0, 20),
        verb=st.sampled_from(["acknowledge", "assign", "snooze", "wake", "note", "resolve", "force"]),
        stale=st.booleans(),
    )
    def act(self, pick: int, verb: str, stale: bool) -> None:
        every = [*self.book.live(), *self.book.resolved()]
        if not every:
            return
        record = every[pick % len(every)]
        version = record.version - 1 if stale else record.version
        one, acts, now = record.incident_id, self.acts, self.now
        before = {found.incident_id: found for found in every}
        try:
            match verb:
                case "acknowledge":
                    acts.acknowledge(one, "ada", now, version=version)
                case "assign":
                    acts.assign(one, "bob", "ada", now, version=version)
                case "snooze":
                    acts.snooze(one, 120_000, "why", "ada", now, version=version)
                case "wake":
                    acts.snooze(one, 0, "", "ada", now, version=version)
                case "note":
                    acts.note(one, "text", "ada", now, version=version)
                case "resolve":
                    acts.resolve(one, "ada", now, version=version)
                case "force":
                    acts.resolve(one, "ada", now, force=True, version=version)
        except PalyraError:
            assert {found.incident_id: found for found in [*self.book.live(), *self.book.resolved()]} == before
            return
        assert not stale
        assert self.book.get(one).version > record.version or verb == "assign"
        if verb in ("resolve", "force"):
            self.muted |= {found.key for found in before.values() if found.live} & self.holding & self._ended()
            assert not self.book.get(one).live
            assert not self.book.below(one)

    @rule(pick=st.integers(0, 20), helped=st.booleans())
    def remedy(self, pick: int, helped: bool) -> None:
        """As a remedy does: busy, then verified or not."""
        free = [one for one in self.book.live() if one.state is IncidentState.OPEN and one.holds and not one.storm]
        if not free:
            return
        record = free[pick % len(free)]
        busy = self.book.put(replace(record, state=IncidentState.REMEDIATING, version=record.version + 1))
        self.book.settle(busy, self.now)
        assert self.book.get(record.incident_id).live
        self.book.put(replace(busy, state=IncidentState.OPEN, version=busy.version + 1))
        if helped:
            self.book.gone(record.domain, record.key, self.now, "remedy:x")
            self.holding.discard(record.key)

    @rule()
    def write(self) -> None:
        for change in self.book.changes(self.now):
            self._store(change)

    @precondition(lambda self: hasattr(self, "book"))
    @rule()
    def restart(self) -> None:
        for change in self.book.remaining(self.now):
            self._store(change)
        live, children = self.book.live(), {one.incident_id: self._children(one) for one in self.book.live()}
        self.book.events()
        episodes: list[Episode] = [
            one
            for one in self.rows["incident_episodes"].values()
            if one.opened_at >= self.now - FLAPPING_WITHIN_MS
            or (one.resolved_at or 0) >= self.now - FLAPPING_WITHIN_MS
            or self.rows["incidents"][one.incident_id].episode == one.episode
        ]
        self.book = IncidentBook(self.ids.new, "boot")
        self.book.restore(self.rows["incidents"].values(), episodes)
        self.acts = Acts(self.book)
        assert {one.incident_id: one for one in self.book.live()} == {one.incident_id: one for one in live}
        assert {one: self._children(self.book.get(one)) for one in children} == children
        assert self.book.changes(self.now) == []

    def _ended(self) -> set[str]:
        return {one.key for one in self.book.resolved()}

    def _children(self, record: IncidentRecord) -> set[str]:
        return {child.incident_id for child in self.book.children(record.incident_id) if child.live}

    def _store(self, change: object) -> None:
        assert isinstance(change, EntitySaved)
        entity: Entity[Any] = {one.table.name: one for one in (INCIDENTS, EPISODES, TIMELINE)}[change.table]
        names = entity.table.columns
        loaded = [
            json.loads(value) if name in entity.table.json_columns else value
            for name, value in zip(names, change.values, strict=True)
        ]
        row = entity.read(loaded)
        key = tuple(getattr(row, name) for name in entity.key)
        known = self.rows[change.table].get(key)
        if entity.version and known is not None:
            assert getattr(row, entity.version) > getattr(known, entity.version)
        self.rows[change.table][key if len(key) > 1 else key[0]] = row

    @invariant()
    def rules_hold(self) -> None:
        if not hasattr(self, "book"):
            return
        every = [*self.book.live(), *self.book.resolved()]
        assert len({(one.domain, one.key) for one in every}) == len(every)
        known = {one.incident_id: one for one in every}
        for one in every:
            assert one.live is (one.resolved_at is None)
            if not one.storm:
                assert one.holds is (one.key in self.holding)
                assert one.muted is (one.key in self.muted)
            if one.live:
                assert one.storm or one.holds or one.flapping or self.book.below(one.incident_id), one
            else:
                assert one.muted is (one.holds and not one.storm)
                assert not self.book.below(one.incident_id)
            if one.parent_id:
                parent = known[one.parent_id]
                assert one.incident_id != parent.incident_id
                if one.live:
                    assert parent.live
                    assert one.incident_id in self._children(parent)
            if one.storm and one.live:
                children = self.book.children(one.incident_id)
                assert one.children == len(children)
                assert one.severity.rank >= max((child.severity.rank for child in children if child.live), default=0)
                assert (one.gone_since is None) is bool(self.book.below(one.incident_id))


def _domain(key: str) -> Domain:
    return DOMAINS.get(key, Domain.WATCHDOG)


Incidents.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestIncidents = Incidents.TestCase
