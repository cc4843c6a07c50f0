"""The engine: builds every part on one state directory, starts them in order, stops them in order.

Order of start: lock, journal, ledger rebuilt, the dead engine's holds ended; only then may a gateway open.
"""

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError
from palyra.core.events import Event, EventHub
from palyra.core.ids import IdSource
from palyra.core.lag import LoopLag
from palyra.core.private_files import private_dir
from palyra.core.supervisor import Supervisor
from palyra.engine.alerting import alert_watch
from palyra.engine.clearing import clear_up
from palyra.engine.diagnostics import Diagnosing, diagnosing
from palyra.engine.healing import heal_jobs, self_healing
from palyra.engine.installation import Installation
from palyra.engine.jobs import Jobs, jobs_room
from palyra.engine.memory import memory_room, remember_result
from palyra.engine.noted import Noted
from palyra.engine.notices import notices
from palyra.engine.reloading import Reloading
from palyra.engine.repairing import import_pending
from palyra.engine.secrets import Keeping, secrets_room
from palyra.engine.settings import (
    approval_settings,
    breaker_settings,
    failover_settings,
    lease_settings,
    policy_defaults,
    retry_rule,
    terms,
)
from palyra.engine.tasks import background_runs, task_queue
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.approvals import ApprovalDesk
from palyra.governance.grants import GrantBook
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import from_config
from palyra.governance.policy_set import PolicySet
from palyra.healing.healing import Healing
from palyra.healing.notices.room import Notices
from palyra.healing.reporters import Reporters
from palyra.journal.changes import AuditAdded, Change, PolicySaved, TermsKept
from palyra.journal.journal import Journal
from palyra.journal.lock import EngineLock
from palyra.journal.rows import PolicyRow
from palyra.memory.memory import Memory
from palyra.pricing.book import PriceBook
from palyra.pricing.learn import Learner
from palyra.providers.breaker import Breakers, BreakerState
from palyra.providers.cache import ResponseCache
from palyra.providers.care import ProviderCare
from palyra.providers.carrier import ProviderCarrier
from palyra.providers.credential_sources import CredentialSources
from palyra.providers.credentials import Credentials
from palyra.providers.leases import Leases
from palyra.providers.registry import Registry
from palyra.providers.transport import Transport
from palyra.providers.ways import AttemptEnd, Ways
from palyra.runs.background import BackgroundRuns
from palyra.runs.cached import KeptAnswer, kept_answers
from palyra.runs.corrections import Corrections
from palyra.runs.counting import TokenCounter
from palyra.runs.dispatch import Dispatcher
from palyra.runs.durable import Durable
from palyra.runs.experience import Experience, recall_all
from palyra.runs.overrides import Overrides
from palyra.runs.parking import Parking
from palyra.runs.planning import Planner
from palyra.runs.policies import IN_CONFIG_FILE, PolicyKeeper, given_way, operator_policies
from palyra.runs.price_book import price_book
from palyra.runs.recovery import Recovered, end_interrupted, rebuild
from palyra.runs.reroutes import Doubt, reroute_doubt
from palyra.runs.runner import Runner
from palyra.runs.settings import run_settings
from palyra.runs.watch import AlertWatch
from palyra.tasks.queue import TaskQueue
from palyra.vault.access import STATE_FILES, AccessRegistry
from palyra.vault.secrets import SecretSource

log = logging.getLogger(__name__)

SWEEP_S = 1.0
UPKEEP = "providers"
"""The work that asks providers for their models; it ends as soon as no new requests are taken."""


class Engine:
    """A running engine. Made by `Engine.open`, ended by `close`."""

    def __init__(self, installation: Installation, clock: Clock) -> None:
        self.installation = installation
        self.config = installation.config
        self.state_dir = installation.state_dir
        self.clock = clock
        self.phase = "starting"
        self.ids = IdSource(clock)
        self.boot_id = self.ids.new()
        self.started_at = clock.now_ms()
        self.pid = os.getpid()
        self.events = EventHub()
        self.lag = LoopLag(clock)
        self.recovered = Recovered()
        self.access: AccessRegistry
        self.journal: Journal
        self.ledger: Ledger
        self.desk: ApprovalDesk
        self.policies: PolicyKeeper
        self.overrides: Overrides
        self.credentials: Credentials
        self.registry: Registry
        self.book: PriceBook
        self.experience: Experience
        self.parking: Parking
        self.breakers: Breakers
        self.leases: Leases
        self.ways: Ways
        self.care: ProviderCare
        self.kept: ResponseCache[KeptAnswer] | None
        self.runner: Runner
        self.counter: TokenCounter
        self.watch: AlertWatch
        self.healing: Healing
        self.notices: Notices
        self.memory: Memory
        self.background: BackgroundRuns
        self.tasks: TaskQueue
        self.jobs: Jobs
        self.secrets: Keeping
        self.noted = Noted()
        self.diagnosing: Diagnosing
        self.reloading = Reloading(self, installation)
        self._durable: Durable
        self._notices: list[str] = []
        self._dead_reroutes: list[str] = []
        self._supervisor = Supervisor(clock)
        self._closing = AsyncExitStack()

    @classmethod
    async def open(
        cls,
        installation: Installation,
        clock: Clock,
        environ: Mapping[str, str],
        *,
        socket: Path | None = None,
        vault: SecretSource | None = None,
        beginning: bool = True,
    ) -> "Engine":
        """Starts everything but the doors. `vault` takes the place of the state directory's own. Without `beginning`
        it can be looked at and works once `begin` was called.

        Raises StateError when the state directory cannot be used.
        """
        engine = cls(installation, clock)
        try:
            await engine._start(environ, vault, socket)
            if beginning:
                await engine.begin()
        except BaseException:
            await engine._supervisor.close()
            await engine._closing.aclose()
            raise
        return engine

    async def _start(self, environ: Mapping[str, str], vault: SecretSource | None, socket: Path | None) -> None:
        config, clock = self.config, self.clock
        private_dir(self.state_dir, ours=STATE_FILES)
        lock = EngineLock(self.state_dir)
        lock.acquire(socket)
        self._closing.callback(lock.release)
        await asyncio.to_thread(clear_up, self.state_dir)
        self.access = await asyncio.to_thread(AccessRegistry.open, self.state_dir, clock)
        self.journal = await Journal.open(
            self.state_dir,
            clock,
            commit_window_ms=config.journal.commit_window_ms,
            checkpoint_pages=config.journal.checkpoint_pages,
            backup_keep=config.journal.backup_keep,
        )
        self._closing.push_async_callback(self.journal.close)
        self._durable = Durable(self.journal)
        self._closing.push_async_callback(self._durable.flush)
        self.registry = Registry.from_config(config)
        await self._restore()
        self.secrets = await secrets_room(self, environ, vault)
        self._build()
        self.watch = await alert_watch(self, self._durable)
        self.journal.listen(self.watch.hearing.hear)
        self.healing = await self_healing(self, self._durable)
        self.notices = await notices(self, self._durable, self.healing, self.secrets.vault)
        self._closing.push_async_callback(self.notices.close)
        self.memory = await memory_room(self)
        self.background = background_runs(self, self._durable, self.memory.recall)
        self.tasks = await task_queue(
            self,
            self._durable,
            self.background,
            pulse=self.healing.heartbeats,
            tell=self.healing.tell,
            cleared=self.healing.clear,
            remember=remember_result(self.memory),
        )
        self.jobs = await jobs_room(self, self._durable)
        heal_jobs(self.healing, self.jobs)
        self.diagnosing = await diagnosing(self, self._durable, self.secrets.vault)
        self._closing.push_async_callback(self.diagnosing.close)

    async def begin(self) -> None:
        """Takes in what the journal tells of earlier attempts, then begins to work: nothing is asked for before."""
        await recall_all(self.experience, self.journal.readers, self.registry)
        self._keep_up()
        now = self.clock.now_ms()
        started = AuditAdded(now, "engine", self.boot_id, "palyra", {"verb": "started"})
        await import_pending(self)
        await self.journal.submit([started, TermsKept(now, terms(self.config, self.policies.current))])
        self.phase = "ready"

    async def _restore(self) -> None:
        """Policies, grants, approvals and counters as they were, and the dead engine's work ended."""
        config, readers = self.config, self.journal.readers
        defaults = policy_defaults(config)
        rows = await self._give_way(await readers.policies())
        policies = PolicySet([*(from_config(row) for row in config.budgets), *operator_policies(rows, defaults)])
        grants = GrantBook(await readers.grants(state="active"))
        self.ledger = Ledger(default_mode=config.smart_routing.default_mode, grants=grants)
        now = self.clock.now_ms()
        await rebuild(self.ledger, policies, self.journal, now)
        self.recovered = await end_interrupted(
            self.ledger, self.journal, self.clock, self.boot_id, config.governance.orphan_holds
        )
        pending = await readers.pending_approvals()
        decided = await readers.approvals("resolved", limit=100)
        known = {row.approval_id for row in [*decided, *pending]}
        older = [
            await readers.approval(approval_id) for approval_id in {grant.row.approval_id for grant in grants} - known
        ]
        rows_of_grants = [row for row in older if row is not None]
        records = [ApprovalRecord.from_row(row) for row in [*rows_of_grants, *reversed(decided), *pending]]
        self.desk = ApprovalDesk(self.ids.new, grants, approval_settings(config), records)
        voided = self.desk.reconcile(policies, now)
        if voided:
            await self.journal.submit(voided)
        self.overrides = Overrides(self.desk, self.ledger, self.journal, self._durable, self.clock, self.events)
        removed = {row.policy_id: row.revision for row in rows if row.removed}
        self.policies = PolicyKeeper(
            self.journal, self.ledger, self.desk, self.clock, self._durable, defaults, removed, self._reroute_doubt
        )
        self.corrections = Corrections(
            self.journal, self.ledger, self.policies, self._durable, self.clock, self.events, self.ids
        )

    def check_reroutes(self) -> None:
        """Finds the budgets that reroute to a model that is not there."""
        doubts = [(policy.policy_id, self._reroute_doubt(policy)) for policy in self.ledger.policies]
        self._dead_reroutes = [
            f"The budget {policy_id} cannot reroute: {doubt.fault.message}."
            for policy_id, doubt in doubts
            if doubt is not None and doubt.certain
        ]

    def _reroute_doubt(self, policy: UsageBudgetPolicyRecord) -> Doubt | None:
        providers = self.config.providers.items()
        discovering = {name for name, one in providers if one.enabled and one.discover}
        return reroute_doubt(policy, self.registry.models, discovering)

    async def _give_way(self, rows: Sequence[PolicyRow]) -> list[PolicyRow]:
        """The operators' policies without those whose ids the configuration file has taken; their removal is kept."""
        now = self.clock.now_ms()
        removals = given_way(rows, {row.policy_id for row in self.config.budgets}, now)
        unit: list[Change] = []
        for row in removals:
            payload = {"verb": "removed", "revision": row.revision, "sha256": row.sha256, "reason": IN_CONFIG_FILE}
            unit += [PolicySaved(row), AuditAdded(now, "policy", row.policy_id, "palyra", payload)]
            told = f"The operators' budget {row.policy_id} was removed: the configuration file has one of that id."
            self._notices.append(told)
        if unit:
            await self.journal.submit(unit)
        newest = {row.policy_id: row for row in [*rows, *removals]}
        return list(newest.values())

    def _build(self) -> None:
        config, clock = self.config, self.clock
        self.book = price_book(config, self.registry)
        self.registry.consult(self.book.context_window)
        self.check_reroutes()
        transport = Transport(clock, self.registry.refuses_address)
        self._closing.push_async_callback(transport.close)
        gateway = config.gateway
        self.parking = Parking(
            self.desk,
            clock,
            places=gateway.max_parked,
            places_per_key=gateway.max_parked_per_key,
            keepalive_seconds=gateway.keepalive_seconds,
        )
        settings = run_settings(config)
        self.ways = self._lead()
        self.kept = kept_answers(config.cache, clock)
        learner = Learner()
        carrier = ProviderCarrier(self.registry, transport, clock, self.credentials)
        self.care = ProviderCare(
            self.registry, self.breakers, self.credentials, carrier.list_models, self.events, clock
        )
        self.counter = TokenCounter(self.registry, self.book, learner, carrier, clock)
        self.experience = Experience(learner)
        self.runner = Runner(
            boot_id=self.boot_id,
            clock=clock,
            ids=self.ids,
            events=self.events,
            journal=self.journal,
            durable=self._durable,
            ledger=self.ledger,
            desk=self.desk,
            planner=Planner(
                registry=self.registry,
                book=self.book,
                ledger=self.ledger,
                desk=self.desk,
                learner=learner,
                earlier=self.experience.earlier,
                ids=self.ids,
                boot_id=self.boot_id,
                settings=settings,
                routing=config.smart_routing,
                reach=self.ways,
            ),
            dispatcher=Dispatcher(carrier, self.book, clock),
            ways=self.ways,
            parking=self.parking,
            experience=self.experience,
            settings=settings,
            rule=retry_rule(config),
            failover=failover_settings(config),
            cache=self.kept,
        )

    def _lead(self) -> Ways:
        """The ways to providers: breakers, credentials, places."""
        providers = self.registry.providers
        self.breakers = Breakers(self.clock, breaker_settings(self.config), self._breaker_turned)
        self.leases = Leases(self.clock, lease_settings(self.config))
        return Ways(
            breakers=self.breakers,
            credentials=self.credentials,
            leases=self.leases,
            clock=self.clock,
            local=lambda provider: not providers[provider].on_network,
            healthy=lambda provider: self.care.healthy(provider),
            heard=self._heard,
        )

    def _heard(self, end: AttemptEnd) -> None:
        """How an attempt at a provider ended."""
        self.care.heard(end)
        self.diagnosing.hearing.attempt(end)

    def _breaker_turned(self, provider: str, state: BreakerState) -> None:
        log.warning("the breaker of provider %s is %s", provider, state.value)
        self.events.publish(Event("provider.breaker", self.clock.now_ms(), provider, {"state": state.value}))

    def _keep_up(self) -> None:
        start = self._supervisor.start
        start("lag", self.lag.run)
        start("sweeper", self._sweep)
        start("readings", self.runner.keep_readings)
        start("alerts", self.watch.run)
        start("healing", self.healing.run)
        start("notices", self.notices.run)
        start("memory", self.memory.run)
        start("tasks", self.tasks.run)
        start("jobs", self.jobs.run)
        start("diagnostics", self.diagnosing.run)
        start("probes", self.diagnosing.prober.run)
        start("old tasks", self.tasks.tidy)
        start(UPKEEP, self.care.upkeep.run)

    async def _sweep(self) -> None:
        while True:
            now = self.clock.now_ms()
            ended, changes = self.desk.sweep(now)
            if changes:
                self.parking.decided(ended)
                self._durable.write(changes)
                for record in ended:
                    self.events.publish(Event("approval.ended", now, record.approval_id))
            if not self.journal.healthy and not self._durable.behind:
                # Something has to try, or nobody would notice that the journal can be written again.
                noted = {"verb": "journal_was_unavailable"}
                self._durable.write([AuditAdded(now, "engine", self.boot_id, "palyra", noted)])
            if self.ledger.books.behind(now):
                log.warning("the clock was set back further than memory reaches: every budget is counted again")
                with contextlib.suppress(JournalUnavailableError):
                    await self.policies.count_again()
                    self.events.publish(Event("budgets.counted_again", now))
            await self.clock.sleep(SWEEP_S)

    def write(self, changes: Sequence[Change]) -> None:
        """Makes something durable that is true already: now, or as soon as the journal can be written again."""
        self._durable.write(changes)

    async def write_and_wait(self, changes: Sequence[Change]) -> None:
        """As `write`, and returns once it is durable. Raises JournalUnavailableError when that takes longer."""
        await self._durable.wait(changes)

    async def catch_up(self) -> None:
        """Tries to write what the journal has refused so far, so that it tells what memory does."""
        await self._durable.flush()

    def ready_problems(self) -> Sequence[str]:
        """Why new work cannot be taken, as short codes; empty when it can."""
        problems: list[str] = []
        if self.phase != "ready":
            problems.append(self.phase)
        if not self.journal.healthy:
            problems.append("journal_unavailable")
        if self.access.unavailable:
            problems.append("access_unavailable")
        return problems

    def problems(self) -> Sequence[str]:
        """What an operator should know about the engine itself, in words."""
        told: list[str] = []
        if not self.journal.healthy:
            told.append("The journal cannot be written: no new work is taken.")
        if not self.journal.audit_intact:
            told.append("The audit chain does not fit its head: run `palyra audit verify`.")
        if self.access.unavailable:
            told.append(self.access.unavailable)
        told += self.access.faults
        told += self.secrets.problems()
        told += self.credentials.ending(self.clock.now_ms())
        told += self._notices
        told += self._dead_reroutes
        told += self.reloading.told()
        return told

    @property
    def sources(self) -> CredentialSources:
        """Where credentials come from at present."""
        return self.secrets.sources

    @property
    def reporters(self) -> Reporters:
        """Work elsewhere that says how it goes."""
        return self.notices.reporters

    @property
    def state_owner(self) -> int:
        """The uid that owns the state directory."""
        return self.state_dir.stat()[stat.ST_UID]

    async def drain(self) -> None:
        """Takes no new work, lets what runs finish for `gateway.drain_seconds`, then ends the rest at the meter."""
        if self.phase == "draining":
            return
        self.phase = "draining"
        self.events.publish(Event("engine.draining", self.clock.now_ms()))
        await self._supervisor.stop(UPKEEP)
        self.tasks.stop_claims()
        self.jobs.drain()
        await self.runner.drain(self.config.gateway.drain_seconds)
        await self.tasks.close()
        await self.jobs.close()

    async def close(self) -> None:
        """Drains, writes everything down and lets go of the state directory."""
        await self.drain()
        await self._supervisor.close()
        self.watch.close()
        await self.healing.close()
        self.credentials.keep()
        self._durable.write([AuditAdded(self.clock.now_ms(), "engine", self.boot_id, "palyra", {"verb": "stopped"})])
        await self._closing.aclose()
        log.info("the engine has stopped, pid %d", os.getpid())
