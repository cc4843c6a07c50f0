"""A budget reroutes to a model that is there, or says that it is not."""

import pytest

from palyra.config.choices import ModelProviderKind, OverrideKind, ProviderModelRole, RoutingOverride
from palyra.providers.registry import ModelEntry
from palyra.runs.reroutes import reroute_doubt
from tests.governance.policies import policy

OPENAI = ModelProviderKind.OPENAI_COMPATIBLE
MODELS = (
    ModelEntry("openai/gpt-4o-mini", "openai", OPENAI, "gpt-4o-mini", aliases=("fast",)),
    ModelEntry("openai/ada", "openai", OPENAI, "ada", role=ProviderModelRole.EMBEDDINGS),
)


def doubt(name: str) -> tuple[str, str, bool] | None:
    made = policy(routing_override=RoutingOverride(OverrideKind.MODEL, model=name))
    found = reroute_doubt(made, MODELS, {"openai"})
    return None if found is None else (found.fault.message, found.fault.fix, found.certain)


@pytest.mark.parametrize(
    ("name", "says", "fix", "certain"),
    [
        ("nosuch", 'there is no model "nosuch"', "Declare it in [[models]], or name one of those.", True),
        ("gpt-4o-mini", 'there is no model "gpt-4o-mini"', 'Did you mean "model:openai/gpt-4o-mini"?', True),
        ("openai/gpt-4o-mino", 'there is no model "openai/gpt-4o-mino"', 'mean "model:openai/gpt-4o-mini"?', False),
        ("other/gpt-4o-mini", 'there is no model "other/gpt-4o-mini"', 'mean "model:openai/gpt-4o-mini"?', True),
        ("openai/ada", "is for embeddings, not for chat", "Name a chat model.", True),
        ("fast", '"fast" is an alias', "Write model:openai/gpt-4o-mini.", True),
    ],
)
def test_a_model_that_could_not_be_routed_to_is_told(name: str, says: str, fix: str, certain: bool) -> None:
    found = doubt(name)
    assert found is not None
    assert says in found[0]
    assert found[1].endswith(fix)
    assert found[2] is certain


def test_a_model_that_is_there_and_other_overrides_raise_no_doubt() -> None:
    assert doubt("openai/gpt-4o-mini") is None
    assert reroute_doubt(policy(routing_override=RoutingOverride(OverrideKind.DEGRADE)), MODELS) is None
