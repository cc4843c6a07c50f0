"""All policies in force, indexed by what they match, so that cost follows matches and not the number of policies."""

from collections.abc import Iterable, Iterator

from palyra.config.choices import ScopeKind
from palyra.core.scope import Scope
from palyra.governance.policy import ANY, UsageBudgetPolicyRecord
from palyra.governance.policy_input import unique

Match = tuple[UsageBudgetPolicyRecord, str]
"""A policy and the scope value whose counter a request moves."""


class PolicySet:
    """Policies of all sources with unique ids. Never changes: an edit makes a new set."""

    def __init__(self, policies: Iterable[UsageBudgetPolicyRecord] = ()) -> None:
        """Raises PolicyInputError when an id is used twice."""
        self._policies: dict[str, UsageBudgetPolicyRecord] = unique(policies)
        self._everything: list[Match] = []
        self._by_kind: dict[int, tuple[list[UsageBudgetPolicyRecord], dict[str, list[UsageBudgetPolicyRecord]]]] = {}
        """Of kinds that a policy has, by their place in `_KINDS`: those for any value, and those for one."""
        self._by_tag: dict[str, list[UsageBudgetPolicyRecord]] = {}
        self._by_tag_value: dict[str, list[UsageBudgetPolicyRecord]] = {}
        self.rerouting = any(policy.enabled and policy.reroutes for policy in self._policies.values())
        """Whether any of them may ask for another model than the one chosen."""
        for policy in self._policies.values():
            if policy.enabled:
                self._index(policy)

    def _index(self, policy: UsageBudgetPolicyRecord) -> None:
        kind, value = policy.scope_kind, policy.scope_id
        if kind is ScopeKind.GLOBAL:
            self._everything.append((policy, ANY))
        elif kind is ScopeKind.TAG and value.endswith(f"={ANY}"):
            self._by_tag.setdefault(value.partition("=")[0], []).append(policy)
        elif kind is ScopeKind.TAG:
            self._by_tag_value.setdefault(value, []).append(policy)
        else:
            anyone, exactly = self._by_kind.setdefault(_KINDS.index(kind), ([], {}))
            (anyone if value == ANY else exactly.setdefault(value, [])).append(policy)

    def __len__(self) -> int:
        return len(self._policies)

    def __iter__(self) -> Iterator[UsageBudgetPolicyRecord]:
        return iter(self._policies.values())

    def get(self, policy_id: str) -> UsageBudgetPolicyRecord | None:
        """The policy of that id."""
        return self._policies.get(policy_id)

    def match(self, scope: Scope, provider: str, model: str) -> tuple[Match, ...]:
        """Every policy that counts this attempt, with its scope value, in the order of policy ids.

        An absent (empty) value matches no policy of its kind. Tag values are written `name=value`.
        """
        found = list(self._everything)
        values = (
            scope.principal,
            scope.session,
            scope.channel,
            scope.agent,
            scope.job,
            model,
            provider,
            scope.key_id,
        )
        for place, (anyone, exactly) in self._by_kind.items():
            value = values[place]
            if value:
                found += [(policy, value) for policy in anyone]
                found += [(policy, value) for policy in exactly.get(value, ())]
        for name, value in scope.tags.items():
            tag = f"{name}={value}"
            found += [(policy, tag) for policy in self._by_tag.get(name, ())]
            found += [(policy, tag) for policy in self._by_tag_value.get(tag, ())]
        found.sort(key=lambda match: match[0].policy_id)
        return tuple(found)


_KINDS = (
    ScopeKind.USER,
    ScopeKind.SESSION,
    ScopeKind.CHANNEL,
    ScopeKind.AGENT,
    ScopeKind.JOB,
    ScopeKind.MODEL,
    ScopeKind.PROVIDER,
    ScopeKind.KEY,
)
