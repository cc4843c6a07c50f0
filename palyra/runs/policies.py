"""The policies in force: the file's and the operators', and how an edit takes effect without losing what was spent."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from palyra.core.clock import Clock
from palyra.core.errors import ConflictError, NotFoundError
from palyra.core.values import value
from palyra.governance.approval_record import ApprovalRecord
from palyra.governance.approvals import ApprovalDesk
from palyra.governance.four_eyes import Decider
from palyra.governance.ledger import Ledger
from palyra.governance.policy import PolicySource, UsageBudgetPolicyRecord
from palyra.governance.policy_input import PolicyDefaults, PolicyInputError, edit_policy, parse_policy
from palyra.governance.policy_set import PolicySet
from palyra.governance.recount import Recount
from palyra.governance.terms import kept_edit
from palyra.journal.changes import AuditAdded, Change, PolicySaved, TermsKept
from palyra.journal.journal import Journal
from palyra.journal.rows import PolicyRow
from palyra.runs.durable import Durable
from palyra.runs.reroutes import Doubt

PALYRA = "palyra"
IN_CONFIG_FILE = "in_config_file"
ROWS_PER_STEP = 100
"""How many rows are counted again before everybody else gets a turn."""


@value
class Edited:
    """A change of policies that is durable and in force. `ended` are approvals it voided; `doubt` says why the model it
    reroutes to may not be there, empty without one."""

    policy: UsageBudgetPolicyRecord
    ended: Sequence[ApprovalRecord]
    doubt: str = ""


@value
class FileTaken:
    """What the configuration file's policies became: ids that are new, changed and gone, the operators' that gave way
    to one of the same id, and the approvals that ended."""

    added: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    given_way: tuple[str, ...] = ()
    ended: tuple[ApprovalRecord, ...] = ()

    @property
    def touched(self) -> tuple[str, ...]:
        """The policies the file changed in any way."""
        return (*self.added, *self.edited, *self.removed)


def operator_policies(rows: Sequence[PolicyRow], defaults: PolicyDefaults) -> tuple[UsageBudgetPolicyRecord, ...]:
    """The policies operators made, from their newest revisions; removed ones are left out."""
    return tuple(
        parse_policy(row.body, defaults=defaults, source=PolicySource.OPERATOR, revision=row.revision)
        for row in rows
        if not row.removed
    )


def given_way(rows: Sequence[PolicyRow], taken: Collection[str], at: int) -> list[PolicyRow]:
    """The removals of operators' policies whose ids the configuration file uses by now: the file wins."""
    return [
        replace(row, revision=row.revision + 1, removed=True, updated_at=at, updated_by=PALYRA)
        for row in rows
        if not row.removed and row.policy_id in taken
    ]


class PolicyKeeper:
    """Takes edits one at a time: durable first, then in force with every counter recounted where it has to be."""

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        desk: ApprovalDesk,
        clock: Clock,
        durable: Durable,
        defaults: PolicyDefaults,
        removed: Mapping[str, int],
        reroute_doubt: Callable[[UsageBudgetPolicyRecord], Doubt | None],
    ) -> None:
        """`removed`: the last revision of ids that operators once used, so that a new policy goes on counting them.
        `reroute_doubt` says what is wrong with the model a policy reroutes to."""
        self._journal = journal
        self._ledger = ledger
        self._desk = desk
        self._clock = clock
        self._durable = durable
        self._defaults = defaults
        self._removed = dict(removed)
        self._reroute_doubt = reroute_doubt
        self._unsure: set[str] = set()
        """Policies whose newest edit was told as failed, and may have reached the disk all the same."""
        self._one_at_a_time = asyncio.Lock()

    @property
    def counting(self) -> asyncio.Lock:
        """Held while policies change and counters are counted again from the journal."""
        return self._one_at_a_time

    @property
    def current(self) -> PolicySet:
        """The policies in force."""
        return self._ledger.policies

    async def add(self, fields: Mapping[str, str], by: Decider) -> Edited:
        """Raises PolicyInputError (every fault), ConflictError for an id in use."""
        async with self._one_at_a_time:
            policy = parse_policy(fields, defaults=self._defaults)
            last = max(self._removed.get(policy.policy_id, 0), await self._stored(policy.policy_id))
            policy = replace(policy, revision=last + 1)
            if self.current.get(policy.policy_id) is not None:
                raise ConflictError(
                    f"A budget {policy.policy_id} exists already.", fix="Edit it, or choose another id."
                )
            doubt = self._doubt(policy)
            edited = await self._put(policy, PolicySet([*self.current, policy]), by, "added")
            return replace(edited, doubt=doubt)

    async def edit(
        self, policy_id: str, fields: Mapping[str, str], by: Decider, *, revision: int | None = None
    ) -> Edited:
        """Raises NotFoundError, PolicyInputError, ConflictError for another revision or a policy of the file."""
        async with self._one_at_a_time:
            before = self._editable(policy_id, revision)
            policy = edit_policy(before, fields, defaults=self._defaults)
            policy = replace(policy, revision=max(policy.revision, await self._stored(policy_id) + 1))
            # One that has lost its model can still be edited otherwise.
            doubt = self._doubt(policy) if policy.routing_override != before.routing_override else ""
            others = [one for one in self.current if one.policy_id != policy_id]
            return replace(await self._put(policy, PolicySet([*others, policy]), by, "edited"), doubt=doubt)

    async def remove(self, policy_id: str, by: Decider, *, revision: int | None = None) -> Edited:
        """Raises NotFoundError, ConflictError."""
        async with self._one_at_a_time:
            before = self._editable(policy_id, revision)
            others = PolicySet([one for one in self.current if one.policy_id != policy_id])
            last = max(before.revision, await self._stored(policy_id)) + 1
            edited = await self._put(before, others, by, "removed", revision=last)
            self._removed[policy_id] = last
            return edited

    async def take_file(
        self, policies: Sequence[UsageBudgetPolicyRecord], defaults: PolicyDefaults, note: Callable[[FileTaken], Change]
    ) -> FileTaken:
        """Puts the configuration file's policies in force in place of those it had; operators' of the same ids give
        way. What was spent stays: counters are recounted where a policy counts something else now. `note` is made
        durable with it.

        Raises JournalUnavailableError; nothing has changed then.
        """
        async with self._one_at_a_time:
            before = self.current
            ours = {policy.policy_id for policy in policies}
            operators = [policy for policy in before if policy.source is PolicySource.OPERATOR]
            wanted = PolicySet([*policies, *(policy for policy in operators if policy.policy_id not in ours)])
            taken = _taken(before, wanted)
            now = self._clock.now_ms()
            unit: list[Change] = [note(taken)]
            giving_way = {
                policy.policy_id: max(policy.revision, await self._stored(policy.policy_id)) + 1
                for policy in operators
                if policy.policy_id in ours
            }
            for policy in operators:
                if policy.policy_id in giving_way:
                    unit += _gives_way(policy, giving_way[policy.policy_id], now)
            recount = self._ledger.begin(wanted, now)
            try:
                await self._collect(recount)
                self._unsure |= giving_way.keys()
                await self._journal.submit(unit)
                self._unsure -= giving_way.keys()
            except BaseException:
                self._ledger.drop(recount)
                raise
            self._removed |= giving_way
            now = self._clock.now_ms()
            changes: list[Change] = list(self._ledger.apply(recount, now))
            ended: list[ApprovalRecord] = []
            for policy_id in (*taken.edited, *taken.removed):
                if _decides_alike(before.get(policy_id), wanted.get(policy_id)):
                    continue
                resolved, voided = self._desk.void(policy_id, now)
                ended += resolved
                changes += voided
            self._durable.write(changes)
            self._defaults = defaults
            return replace(taken, ended=tuple(ended))

    async def count_again(self) -> None:
        """Counts every budget from the journal: a clock that was far ahead and is right again made memory forget.

        Raises JournalUnavailableError.
        """
        async with self._one_at_a_time:
            recount = self._ledger.begin(self.current, self._clock.now_ms(), anew=True)
            try:
                await self._collect(recount)
            except BaseException:
                self._ledger.drop(recount)
                raise
            changes = self._ledger.apply(recount, self._clock.now_ms())
            if changes:
                self._durable.write(changes)

    def _doubt(self, policy: UsageBudgetPolicyRecord) -> str:
        """Why the model a policy reroutes to may not be there. Raises PolicyInputError where it surely is not."""
        doubt = self._reroute_doubt(policy)
        if doubt is not None and doubt.certain:
            raise PolicyInputError([doubt.fault])
        return "" if doubt is None else f"{doubt.fault.message} yet. {doubt.fault.fix}"

    def _editable(self, policy_id: str, revision: int | None) -> UsageBudgetPolicyRecord:
        policy = self.current.get(policy_id)
        if policy is None:
            raise NotFoundError(f"No budget {policy_id!r} is in force.", fix="List them with `palyra budgets list`.")
        if policy.source is PolicySource.CONFIG:
            raise ConflictError(
                f"The budget {policy_id} comes from the configuration file.",
                fix="Edit it there, then run `palyra reload`.",
                code="read_only",
            )
        if revision is not None and revision != policy.revision:
            raise ConflictError(
                f"The budget {policy_id} is at revision {policy.revision}, not {revision}.",
                fix="Look at it again.",
                code="stale_version",
            )
        return policy

    async def _put(
        self, policy: UsageBudgetPolicyRecord, wanted: PolicySet, by: Decider, verb: str, *, revision: int | None = None
    ) -> Edited:
        revision = policy.revision if revision is None else revision
        before = self.current.get(policy.policy_id)
        recount = self._ledger.begin(wanted, self._clock.now_ms())
        removed = verb == "removed"
        try:
            await self._collect(recount)
            now = self._clock.now_ms()
            fields = policy.fields()
            payload = {"verb": verb, "revision": revision, "sha256": policy.sha256, "fields": fields}
            saved = PolicyRow(policy.policy_id, revision, policy.sha256, removed, now, by.name, fields)
            audit = AuditAdded(now, "policy", policy.policy_id, by.name, {**payload, "attestation": by.attestation})
            self._unsure.add(policy.policy_id)
            await self._journal.submit([PolicySaved(saved), audit])
            self._unsure.discard(policy.policy_id)
        except BaseException:
            self._ledger.drop(recount)
            raise
        # From here on the edit is true, whatever happens: a start would find it and void the same.
        now = self._clock.now_ms()
        changes: list[Change] = list(self._ledger.apply(recount, now))
        changes.append(TermsKept(now, kept_edit(policy.policy_id, None if removed else policy)))
        ended: Sequence[ApprovalRecord] = ()
        if removed or (before is not None and before.sha256 != policy.sha256):
            ended, voided = self._desk.void(policy.policy_id, now)
            changes += voided
        self._durable.write(changes)
        return Edited(policy, ended)

    async def _stored(self, policy_id: str) -> int:
        """The last revision of a policy on the disk, where memory may not know it; else 0. Raises
        JournalUnavailableError."""
        if policy_id not in self._unsure:
            return 0
        # What was not written then may yet be on its way.
        await self._journal.submit(())
        found = await self._journal.readers.policy_revisions(policy_id, limit=1)
        return found[0].revision if found else 0

    async def _collect(self, recount: Recount) -> None:
        if not recount.needs_rows:
            return
        async with self._journal.fence() as readers:
            async for rows in readers.holds_for_rebuild(recount.since):
                for number, row in enumerate(rows, start=1):
                    recount.add(row)
                    if number % ROWS_PER_STEP == 0:
                        await asyncio.sleep(0)


def _taken(before: PolicySet, wanted: PolicySet) -> FileTaken:
    old = {policy.policy_id: policy for policy in before}
    new = {policy.policy_id: policy for policy in wanted}
    both = [name for name in new if name in old]
    return FileTaken(
        added=tuple(name for name in new if name not in old),
        edited=tuple(name for name in both if new[name] != old[name]),
        removed=tuple(name for name in old if name not in new),
        given_way=tuple(name for name in both if new[name].source is not old[name].source),
    )


def _gives_way(policy: UsageBudgetPolicyRecord, revision: int, now: int) -> list[Change]:
    """An operator's policy whose id the file has taken is removed for good."""
    row = PolicyRow(policy.policy_id, revision, policy.sha256, True, now, PALYRA, policy.fields())
    payload = {"verb": "removed", "revision": revision, "sha256": policy.sha256, "reason": IN_CONFIG_FILE}
    return [PolicySaved(row), AuditAdded(now, "policy", policy.policy_id, PALYRA, payload)]


def _decides_alike(first: UsageBudgetPolicyRecord | None, second: UsageBudgetPolicyRecord | None) -> bool:
    return first is not None and second is not None and first.sha256 == second.sha256


__all__ = ["Edited", "FileTaken", "PolicyInputError", "PolicyKeeper", "given_way", "operator_policies"]
