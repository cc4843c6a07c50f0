"""Reading the configuration again while the engine runs: what may change under way is put in force, the rest waits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from palyra.config.load import LoadResult
from palyra.config.model import RELOADABLE, LoadedConfig, apply_reload
from palyra.config.problem import Problem
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import ConflictError
from palyra.core.events import Event
from palyra.core.plural import plural
from palyra.core.values import value
from palyra.engine.settings import (
    alert_settings,
    approval_settings,
    breaker_settings,
    failover_settings,
    lease_settings,
    policy_defaults,
    retry_rule,
    terms,
)
from palyra.engine.tasks import unknown_model
from palyra.governance.four_eyes import Decider
from palyra.governance.policy_input import from_config
from palyra.healing.webhooks.target import webhooks
from palyra.journal.changes import AuditAdded, TermsKept
from palyra.providers.registry import AUTO
from palyra.runs.policies import FileTaken
from palyra.runs.settings import run_settings

if TYPE_CHECKING:
    from palyra.engine.engine import Engine
    from palyra.engine.installation import Installation

log = logging.getLogger(__name__)

CONDITION = "engine:configuration"
MOST_TOLD = 5
"""So many problems are told with the condition; all of them are in the answer."""

Listener = Callable[[LoadedConfig], Awaitable[None]]


@value
class ConfigState:
    """How the configuration stands.

    `path` is the file that was read last, empty without one. `problems` are those of a file that could not be applied,
    so that what was read before goes on. `pending_restart` are the sections whose new values wait for a restart.
    `reloaded_at` (unix ms) and `reload_ok` tell of the last reload, None before the first; `applied_at` of the last one
    that was not refused.
    """

    path: str
    version: int
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    pending_restart: tuple[str, ...] = ()
    reloaded_at: int | None = None
    reload_ok: bool | None = None
    applied_at: int | None = None


@value
class ReloadTold:
    """What came of a reload. `applied` are the sections that say something else now, `pending` those that wait for a
    restart; with any of `problems` nothing has changed."""

    applied: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    budgets: FileTaken = FileTaken()


class Reloading:
    """One engine's. Rooms above the engine `listen`; those below are told one by one."""

    def __init__(self, engine: "Engine", installation: "Installation") -> None:
        self._engine = engine
        self._sources = installation.sources
        self._listeners: list[Listener] = []
        self._one_at_a_time = asyncio.Lock()
        self.state = ConfigState(
            str(installation.config_path or ""), installation.config.version, warnings=installation.warnings
        )

    def listen(self, listener: Listener) -> None:
        """Calls back with the configuration in force, each time another has been applied."""
        self._listeners.append(listener)

    def told(self) -> list[str]:
        """What an operator should know, in words."""
        state, told = self.state, []
        if state.problems:
            count = plural(len(state.problems), "problem")
            told.append(f"The configuration file has {count} and was not applied: run `palyra config check`.")
        if state.pending_restart:
            told.append(f"The configuration waits for a restart in: {', '.join(state.pending_restart)}.")
        return told

    async def look(self) -> LoadResult:
        """What the file says now; nothing is applied. Raises ConflictError for an engine on a made-up one."""
        if self._sources is None:
            raise ConflictError(
                "This engine runs on a configuration of no file.", fix="Start one with `palyra serve`.", code="no_file"
            )
        return await asyncio.to_thread(self._sources.load)

    async def reload(self, by: Decider) -> ReloadTold:
        """Reads the file again and puts in force what may change under way. With any problem nothing changes.

        Raises ConflictError for an engine that ends or runs on a made-up configuration, JournalUnavailableError; both
        before anything has changed.
        """
        async with self._one_at_a_time:
            loaded = await self.look()
            if self._engine.phase != "ready":
                raise ConflictError(f"The engine is {self._engine.phase}.", fix="Restart it.", code="wrong_state")
            if loaded.config is None:
                return await self._refuse(loaded, by)
            return await self._apply(loaded, loaded.config, by)

    async def _refuse(self, loaded: LoadResult, by: Decider) -> ReloadTold:
        engine, now = self._engine, self._engine.clock.now_ms()
        problems = loaded.problems
        self.state = replace(self.state, problems=problems, warnings=loaded.warnings, reloaded_at=now, reload_ok=False)
        count = plural(len(problems), "problem")
        engine.healing.tell(
            Condition(
                Domain.ENGINE,
                CONDITION,
                Severity.MEDIUM,
                f"The configuration was not applied: it has {count}",
                "; ".join(str(problem) for problem in problems[:MOST_TOLD]),
                "configuration",
            )
        )
        log.warning("the configuration was not applied: it has %s", count)
        codes = sorted({problem.code.value for problem in problems})
        engine.write([self._audit(by, now, {"verb": "reload_refused", "problems": len(problems), "codes": codes})])
        engine.events.publish(Event("config.refused", now, self._subject(loaded), {"problems": problems}))
        return ReloadTold(problems=problems, warnings=loaded.warnings)

    async def _apply(self, loaded: LoadResult, fresh: LoadedConfig, by: Decider) -> ReloadTold:
        engine, before = self._engine, self._engine.config
        kept = self._waiting_for_models(fresh)
        fresh = fresh.model_copy(update={name: getattr(before, name) for name in kept})
        wanted, waiting = apply_reload(before, fresh)
        pending = tuple(name for name in LoadedConfig.model_fields if name in waiting or name in kept)
        applied = tuple(
            name
            for name in LoadedConfig.model_fields
            if name in RELOADABLE and getattr(wanted, name) != getattr(before, name)
        )

        def note(taken: FileTaken) -> AuditAdded:
            told: dict[str, object] = {"verb": "reloaded", "applied": list(applied), "pending": list(pending)}
            if taken.touched:
                told["budgets"] = {
                    "added": list(taken.added),
                    "edited": list(taken.edited),
                    "removed": list(taken.removed),
                }
            return self._audit(by, engine.clock.now_ms(), told, self._subject(loaded))

        policies = [from_config(row) for row in wanted.budgets]
        taken = await engine.policies.take_file(policies, policy_defaults(wanted), note)
        # From here to the listeners nothing waits, so that no plan sees the half of it.
        engine.config = wanted
        self._push(wanted, applied)
        engine.check_reroutes()
        now = engine.clock.now_ms()
        engine.write([TermsKept(now, terms(wanted, engine.policies.current))])
        engine.parking.decided(taken.ended)
        for policy_id in taken.touched:
            engine.events.publish(Event("policy.edited", now, policy_id))
        self.state = ConfigState(
            str(loaded.path or ""),
            fresh.version,
            (),
            loaded.warnings,
            pending,
            reloaded_at=now,
            reload_ok=True,
            applied_at=now,
        )
        engine.healing.clear(CONDITION)
        engine.events.publish(Event("config.reloaded", now, self._subject(loaded), {"applied": applied}))
        log.info("the configuration was read again; applied: %s", ", ".join(applied) or "nothing that was different")
        await engine.secrets.reload()
        for listener in self._listeners:
            try:
                await listener(wanted)
            except Exception:
                # It is in force: whoever cannot follow must not make it look refused, nor keep others from following.
                log.exception("not everybody has taken up the configuration that was read again")
        return ReloadTold(applied, pending, warnings=loaded.warnings, budgets=taken)

    def _waiting_for_models(self, fresh: LoadedConfig) -> list[str]:
        """Sections that name a model which itself waits for a restart."""
        registry = self._engine.registry
        waits = ["defaults"] if registry.refuses(fresh.defaults) else []
        if any(row.model != AUTO and unknown_model(registry, row.model) for row in fresh.jobs):
            waits.append("jobs")
        return waits

    def _push(self, config: LoadedConfig, applied: tuple[str, ...]) -> None:
        """Tells every room whose sections have changed."""
        engine, changed = self._engine, set(applied)
        engine.ledger.configure(config.smart_routing.default_mode)
        settings = run_settings(config)
        engine.runner.configure(settings, retry_rule(config), failover_settings(config))
        engine.runner.planner.configure(settings, config.smart_routing)
        engine.desk.settings = approval_settings(config)
        engine.watch.configure(alert_settings(config))
        engine.breakers.configure(breaker_settings(config))
        engine.leases.configure(lease_settings(config))
        if "pricing" in changed:
            engine.book.configure(config.pricing)
        if "defaults" in changed:
            engine.registry.configure(config.defaults)
        if "healing" in changed:
            engine.healing.configure(config.healing)
        if "notifications" in changed:
            engine.notices.courier.configure(webhooks(config.notifications.webhook))
        if "jobs" in changed:
            engine.jobs.apply(config.jobs)
        if "probes" in changed:
            engine.diagnosing.prober.configure(config.probes)

    def _subject(self, loaded: LoadResult) -> str:
        return loaded.path.name if loaded.path is not None else "defaults"

    def _audit(self, by: Decider, at: int, told: dict[str, object], subject: str = "") -> AuditAdded:
        return AuditAdded(at, "config", subject or "palyra.toml", by.name, {**told, "attestation": by.attestation})
