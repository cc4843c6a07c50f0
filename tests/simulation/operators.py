"""Operators: who allows, denies, revokes and edits, in time or too late, alone or all at once."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from palyra.control.commands import (
    AddPolicy,
    CancelRun,
    ClearCredential,
    Command,
    DecideApproval,
    EditPolicy,
    GrantScope,
    RemovePolicy,
    RevokeGrant,
)
from palyra.control.local import EngineFace, LocalControl
from palyra.control.snapshots import ApprovalView, OperatorView, Snapshot, Topic
from tests.simulation.loop import SimClock
from tests.simulation.people import ZONES

INTERVALS = ("hourly", "daily", "weekly", "monthly", "rolling_24h", "rolling_30d", "lifetime")
SCOPES = (
    ("global", "*"),
    ("user", "*"),
    ("session", "*"),
    ("channel", "*"),
    ("channel", "slack:ops"),
    ("agent", "writer"),
    ("job", "*"),
    ("model", "*"),
    ("provider", "*"),
    ("key", "*"),
    ("tag", "team=*"),
    ("tag", "team=red"),
)
OVERRIDES = ("none", "none", "degrade", "model:openai/gpt-4o-mini", "mode:suggest", "mode:enforced", "mode:dry_run")
GRANTS: tuple[GrantScope, ...] = ("once", "once", "session", "timeboxed", "amount")
DOLLARS = ("0", "0.01", "0.1", "0.5", "2", "10")
COUNTS = {"total_tokens": ("2000", "40000", "400000"), "requests": ("3", "20", "300")}


class Operators:
    """`ann` may do everything, `bob` may approve, `cy` may look, and `p0` is also one of those who ask."""

    def __init__(self, face: EngineFace, clock: SimClock, dice: random.Random, seen: Callable[[str], None]) -> None:
        self._clock = clock
        self._dice = dice
        self._seen = seen
        self._ann = LocalControl(face, OperatorView("ann", "admin", "uid"))
        self._others = [
            LocalControl(face, OperatorView(name, role, how))
            for name, role, how in (("bob", "approver", "uid"), ("cy", "viewer", "uid"), ("p0", "approver", "claimed"))
        ]

    @property
    def ann(self) -> LocalControl:
        return self._ann

    async def _send(self, control: LocalControl, command: Command) -> None:
        result = await control.send(command)
        self._seen(f"command {command.kind} {result.status}")

    async def decide(self) -> None:
        """Looks every few seconds at what waits, and decides on some of it."""
        dice = self._dice
        while True:
            await self._clock.sleep(dice.expovariate(1 / 4))
            shot = await self._ann.snapshot([Topic.APPROVALS, Topic.MODELS])
            await self._clear(shot)
            waiting = [one for one in shot.approvals if one.status == "pending"]
            for approval in waiting:
                if dice.random() < 0.5:
                    await self._answer(approval)
            if shot.grants and dice.random() < 0.08:
                await self._send(self._ann, RevokeGrant(dice.choice(shot.grants).grant_id))

    async def _clear(self, shot: Snapshot) -> None:
        """Credentials that a provider once refused are put right, and tried again."""
        for provider in shot.providers:
            for credential in provider.credentials:
                if credential.state == "rejected":
                    await self._send(self._ann, ClearCredential(provider.provider_id, credential.credential_id))

    async def _answer(self, approval: ApprovalView) -> None:
        dice = self._dice
        if dice.random() < 0.15:
            # Nobody answers for now.
            return
        who = self._ann if dice.random() < 0.7 else dice.choice(self._others)
        commands = [self._ruling(approval)]
        if dice.random() < 0.1:
            commands += [self._ruling(approval) for _ in range(dice.randint(1, 5))]
        await asyncio.gather(*[self._send(who, command) for command in commands])

    def _ruling(self, approval: ApprovalView) -> DecideApproval:
        dice = self._dice
        version = None if dice.random() < 0.6 else approval.version - dice.choice((0, 0, 0, 1))
        if dice.random() < 0.2:
            return DecideApproval(approval.approval_id, "deny", version, reason="not today")
        kind: GrantScope = dice.choice(GRANTS)
        extra: dict[str, Any] = {}
        if kind == "timeboxed":
            extra["duration_seconds"] = dice.choice((5, 60, 3600, 86_400))
        if kind == "amount":
            extra["amount"] = dice.choice((20_000, 50_000_000, 1_500_000_000, 3_000_000_000))
        return DecideApproval(approval.approval_id, "allow", version, kind, **extra)

    async def edit(self) -> None:
        """Changes a budget: a limit, a window, whom it is for, what it does; or adds one, or takes one away."""
        dice = self._dice
        shot = await self._ann.snapshot([Topic.BUDGETS])
        ours = sorted({view.policy_id for view in shot.budgets if view.source == "operator"})
        act = dice.choices(("edit", "add", "remove"), (8, 2, 1))[0] if ours else "add"
        if act == "add" or not ours:
            if len(ours) < 12:
                await self._send(self._ann, AddPolicy(self._fields(f"made-{dice.randint(1, 20)}")))
        elif act == "remove":
            await self._send(self._ann, RemovePolicy(dice.choice(ours)))
        else:
            policy_id = dice.choice(ours)
            fields = self._fields(policy_id)
            del fields["policy_id"]
            metric = next(view.metric_kind for view in shot.budgets if view.policy_id == policy_id)
            if dice.random() < 0.7:
                # Mostly one thing at a time.
                name = dice.choice([one for one in fields if one not in ("hard_limit", "metric_kind", "scope_id")])
                one = {name: fields[name]}
                if name == "scope_kind":
                    one["scope_id"] = fields["scope_id"]
                fields = {"hard_limit": dice.choice(COUNTS.get(metric, DOLLARS))} if dice.random() < 0.4 else one
            await self._send(self._ann, EditPolicy(policy_id, fields))

    def _fields(self, policy_id: str) -> dict[str, str]:
        dice = self._dice
        metric = dice.choice(("estimated_cost_usd", "estimated_cost_usd", "total_tokens", "requests"))
        kind, value = dice.choice(SCOPES)
        return {
            "policy_id": policy_id,
            "scope_kind": kind,
            "scope_id": value,
            "metric_kind": metric,
            "hard_limit": dice.choice(COUNTS.get(metric, DOLLARS)),
            "soft_limit": dice.choice(("80%", "50%", "1%")),
            "interval_kind": dice.choice(INTERVALS),
            "timezone": dice.choice(ZONES),
            "action": dice.choice(("block", "approval_required", "approval_required", "advise")),
            "routing_override": dice.choice(OVERRIDES),
            "on_unknown_price": dice.choice(("flat:0.01", "allow", "block")),
            "enabled": dice.choice(("true", "true", "true", "true", "false")),
        }

    async def cancel_one(self) -> None:
        """Stops a run that is alive, if there is one."""
        shot = await self._ann.snapshot([Topic.RUNS])
        live = [run.run_id for run in shot.runs if run.live]
        if live:
            await self._send(self._ann, CancelRun(self._dice.choice(live)))
