"""Whether the model a budget reroutes to is there: what is named wrongly would silently never be used."""

from collections.abc import Collection, Sequence

from palyra.config.choices import OverrideKind, ProviderModelRole
from palyra.config.problem import either
from palyra.config.suggest import nearest
from palyra.core.values import value
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import FieldFault
from palyra.providers.registry import ModelEntry

FIELD = "routing_override"


@value
class Doubt:
    """What is wrong with the model a policy names; `certain` is False where it may only not be known yet."""

    fault: FieldFault
    certain: bool = True


def reroute_doubt(
    policy: UsageBudgetPolicyRecord, models: Sequence[ModelEntry], discovering: Collection[str] = ()
) -> Doubt | None:
    """What is wrong with the model a policy reroutes to, None for one that can be.

    `discovering` are providers that may have models which are not known yet.
    """
    name = policy.routing_override.model
    if policy.routing_override.kind is not OverrideKind.MODEL:
        return None
    found = next((one for one in models if name == one.id or name in one.aliases), None)
    if found is None:
        chat = [one for one in models if one.role is ProviderModelRole.CHAT]
        near = [f"model:{model}" for model in nearest(name, [one.id for one in chat])]
        last = name.rpartition("/")[2]
        near += [f"model:{one.id}" for one in chat if one.upstream == last and f"model:{one.id}" not in near]
        fix = f"Did you mean {either(tuple(near[:3]))}?" if near else "Declare it in [[models]], or name one of those."
        provider, slash, _ = name.partition("/")
        fault = FieldFault(FIELD, f'there is no model "{name}"', fix)
        return Doubt(fault, certain=not (slash and provider in discovering))
    if found.role is not ProviderModelRole.CHAT:
        return Doubt(FieldFault(FIELD, f'the model "{name}" is for {found.role}, not for chat', "Name a chat model."))
    if found.id != name:
        fix = f"Write model:{found.id}."
        return Doubt(FieldFault(FIELD, f'"{name}" is an alias, and a budget names models by id', fix))
    return None
