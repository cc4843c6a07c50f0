"""Keys that name a provider or a model."""

from palyra.config.choices import ProviderModelRole
from palyra.config.findings import Findings
from palyra.config.problem import Code
from palyra.config.providers import ModelConfig
from palyra.config.shape import Path
from palyra.config.suggest import nearest

BUILT_IN_PROVIDER = "deterministic"
BUILT_IN_MODELS = {
    "deterministic/echo": ProviderModelRole.CHAT,
    "deterministic/embed": ProviderModelRole.EMBEDDINGS,
}
"""Models that exist while no provider is enabled."""


def check_provider(found: Findings, path: Path, name: str, *, built_in: bool = True) -> None:
    """Whether a provider of that id is declared. The built-in one counts where only its name matters."""
    known = found.names("providers")
    if name in known or (built_in and name == BUILT_IN_PROVIDER):
        return
    found.add(
        Code.BAD_REFERENCE,
        path,
        f'there is no provider "{name}"',
        f"Declare it as [providers.{name}]",
        nearest(name, known),
    )


def check_model(found: Findings, path: Path, name: str, role: ProviderModelRole | None = None) -> None:
    """Whether a name is the id or alias of an enabled model, of that role if one is wanted.

    A name that begins with a provider whose models are discovered is believed.
    """
    models = models_by_name(found)
    if (model := models.get(name)) is not None:
        _check_usable(found, path, name, model, role)
        return
    if not found.sound(("models",)):
        # A broken row may be the one that is meant.
        return
    enabled = {provider_id: one for provider_id, one in found.config.providers.items() if one.enabled}
    if name in BUILT_IN_MODELS and not enabled:
        _check_role(found, path, name, BUILT_IN_MODELS[name], role)
        return
    provider = enabled.get(name.partition("/")[0])
    if provider is not None and "/" in name and provider.discover:
        return
    suggestions = nearest(name, models)
    suggestions += tuple(one.id for one in found.config.models if one.upstream == name and one.id not in suggestions)
    fix = "Declare it in [[models]], or name one that is there"
    if name in BUILT_IN_MODELS:
        fix = "The built-in model exists only while no provider is enabled; name one of yours"
    found.add(Code.BAD_REFERENCE, path, f'no model has the id or alias "{name}"', fix, suggestions[:3])


def models_by_name(found: Findings) -> dict[str, ModelConfig]:
    """Configured models by each name they go by."""
    names: dict[str, ModelConfig] = {}
    for model in found.config.models:
        for name in (model.id, *model.aliases):
            names.setdefault(name, model)
    return names


def _check_usable(found: Findings, path: Path, name: str, model: ModelConfig, role: ProviderModelRole | None) -> None:
    provider = found.config.providers.get(model.provider)
    if not model.enabled or (provider is not None and not provider.enabled):
        off = f'model "{name}"' if not model.enabled else f'provider "{model.provider}" of model "{name}"'
        found.add(Code.BAD_REFERENCE, path, f"{off} is switched off", "Enable it, or name another model")
        return
    _check_role(found, path, name, model.role, role)


def _check_role(
    found: Findings, path: Path, name: str, has: ProviderModelRole, wanted: ProviderModelRole | None
) -> None:
    if wanted is not None and has is not wanted:
        found.add(Code.BAD_REFERENCE, path, f'model "{name}" is for {has}, not for {wanted}', f"Name a {wanted} model")
