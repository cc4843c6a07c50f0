"""Finding the model a caller means among everything configured."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from palyra.config.choices import ModelProviderKind, ProviderModelRole
from palyra.config.model import LoadedConfig
from palyra.config.providers import ModelConfig
from palyra.config.references import BUILT_IN_PROVIDER
from palyra.config.serving import DefaultsConfig
from palyra.config.suggest import nearest
from palyra.core.errors import NotFoundError
from palyra.providers.entries import (
    UNTOLD,
    ModelEntry,
    ModelSource,
    ProviderEntry,
    configured_model,
    plain_model,
    provider_entry,
)
from palyra.providers.found import FoundModel
from palyra.providers.wires import Wire

__all__ = ["AUTO", "ModelEntry", "ModelNotFoundError", "ProviderEntry", "Registry", "WrongRoleError"]

AUTO = "auto"
"""The name that leaves the choice to the router."""

BUILT_IN_MODELS = (("echo", ProviderModelRole.CHAT), ("embed", ProviderModelRole.EMBEDDINGS))
"""What the deterministic provider calls its models."""


MOST_COMPARED = 100
"""With so many names of found models a misspelt one is compared."""


class ModelNotFoundError(NotFoundError):
    """No usable model has that name. `near` holds up to three public ids that are spelled like it."""

    code = "model_not_found"

    def __init__(self, name: str, reason: str, near: tuple[str, ...]) -> None:
        wanted = " or ".join(f'"{other}"' for other in near)
        super().__init__(reason, fix=f"Did you mean {wanted}?" if near else "See /v1/models for those there are.")
        self.name = name
        self.near = near


class WrongRoleError(ModelNotFoundError):
    """The model of that name is for other work. `role` is what it should be for."""

    code = "invalid_field"

    def __init__(self, name: str, has: ProviderModelRole, role: ProviderModelRole, near: tuple[str, ...]) -> None:
        super().__init__(name, f'The model "{name}" is for {has}, not for {role}.', near)
        self.role = role


PackagedContext = Callable[[str, str], int | None]
"""(provider, upstream name) to the context the price package lists, in tokens; None where it does not."""


class Registry:
    """Every provider and model of one configuration, with what providers have told of their models since.

    `models` are the usable ones that are declared, in that order; `found` those that only their providers list;
    `routed` all that `auto` may choose; `listed` all that callers are told of; `disabled` those that are declared and
    switched off. They are made when something is learned: looking a name up makes nothing.
    """

    def __init__(
        self,
        providers: Mapping[str, ProviderEntry],
        rows: Sequence[ModelConfig] = (),
        defaults: DefaultsConfig | None = None,
    ) -> None:
        self.providers = MappingProxyType(dict(providers))
        self._rows = tuple(rows)
        self._defaults = defaults or DefaultsConfig()
        self._told: dict[str, Mapping[str, FoundModel]] = {}
        self._packaged: PackagedContext = lambda provider, upstream: None
        self._build()

    def _build(self) -> None:
        declared = [
            (row, configured_model(provider, row, *self._facts(provider.id, row.upstream)))
            for row in self._rows
            if (provider := self.providers.get(row.provider)) is not None
        ]
        usable = [model for row, model in declared if row.enabled and self.providers[row.provider].enabled]
        self.disabled = tuple(model for _, model in declared if model not in usable)
        listed = {model.provider for model in usable}
        self.models = (
            *usable,
            *(
                plain_model(provider, name, ModelSource.BUILT_IN, role)
                for provider in self.providers.values()
                if provider.enabled and not provider.on_network and provider.id not in listed
                for name, role in BUILT_IN_MODELS
            ),
        )
        self._off = {(model.provider, model.upstream) for model in self.disabled}
        known = {(model.provider, model.upstream) for model in self.models} | self._off
        self.found = tuple(
            plain_model(
                provider,
                upstream,
                ModelSource.DISCOVERY,
                told.role or ProviderModelRole.CHAT,
                *self._facts(provider.id, upstream),
            )
            for provider in self.providers.values()
            if provider.enabled
            for upstream, told in self._told.get(provider.id, {}).items()
            if (provider.id, upstream) not in known
        )
        routed = (model for model in self.found if self.providers[model.provider].discover_route)
        self.routed = (*self.models, *routed)
        self.listed = (*self.models, *self.found)
        self._by_name = (
            {model.id: model for model in self.found}
            | {name: model for model in self.models for name in model.aliases}
            | {model.id: model for model in self.models}
        )
        self._by_upstream = _by_upstream(self.models)
        self._found_by_upstream = _by_upstream(self.found)
        self.default_chat = self._default(self._defaults.chat, ProviderModelRole.CHAT)
        self.default_embeddings = self._default(self._defaults.embeddings, ProviderModelRole.EMBEDDINGS)

    def _facts(self, provider_id: str, upstream: str) -> tuple[FoundModel, int | None]:
        """What is known of a model besides its row."""
        return self._told.get(provider_id, {}).get(upstream, UNTOLD), self._packaged(provider_id, upstream)

    def _default(self, name: str | None, role: ProviderModelRole) -> ModelEntry | None:
        """The model `auto` begins with: the one configured, else the first of that role."""
        if name:
            return self.resolve(name, role=role)
        return next((model for model in self.routed if model.role is role), None)

    def learn(self, provider_id: str, models: Iterable[FoundModel]) -> None:
        """What a provider lists now; it takes the place of what it listed before."""
        told = {model.upstream: model for model in models}
        if told != self._told.get(provider_id, {}):
            self._told[provider_id] = told
            self._build()

    def refuses(self, defaults: DefaultsConfig) -> str:
        """Why these cannot be the models `auto` begins with, among those there are; empty where they can."""
        try:
            self._default(defaults.chat, ProviderModelRole.CHAT)
            self._default(defaults.embeddings, ProviderModelRole.EMBEDDINGS)
        except ModelNotFoundError as error:
            return error.message
        return ""

    def configure(self, defaults: DefaultsConfig) -> None:
        """Other models for `auto` to begin with. Raises ModelNotFoundError."""
        self._defaults = defaults
        self._build()

    def consult(self, packaged: PackagedContext) -> None:
        """Has the price package asked where neither the operator nor a provider says how much a model takes."""
        self._packaged = packaged
        self._build()

    @classmethod
    def from_config(cls, config: LoadedConfig) -> "Registry":
        """While no provider is enabled there is a built-in deterministic one."""
        providers = {name: provider_entry(name, row) for name, row in config.providers.items()}
        if not any(provider.enabled for provider in providers.values()):
            providers[BUILT_IN_PROVIDER] = ProviderEntry(
                BUILT_IN_PROVIDER, ModelProviderKind.DETERMINISTIC, enabled=True, allow_private=False
            )
        return cls(providers, config.models, config.defaults)

    def provider_of(self, model: ModelEntry) -> ProviderEntry:
        """The provider that serves a model."""
        return self.providers[model.provider]

    def known(self, name: str) -> ModelEntry | None:
        """The usable model of that public id or alias."""
        return self._by_name.get(name)

    def resolve(
        self, name: str, wire: Wire | None = None, role: ProviderModelRole = ProviderModelRole.CHAT
    ) -> ModelEntry:
        """The model of that name: public id, alias, unique upstream name, `auto` (the default of its role), then

        `provider/upstream` of an enabled provider and, with `wire`, any name where exactly one provider on the network
        speaks that wire and none of its models is declared. Raises ModelNotFoundError, and WrongRoleError where the
        model of that name is declared and not for `role`; what an undeclared one is for is only a guess.
        """
        model = self._find(name, wire, role)
        if model.role is not role and model.source is ModelSource.DISCOVERY:
            return replace(model, role=role)
        if model.role is not role:
            near = tuple(other.id for other in self.models if other.role is role)[:3]
            raise WrongRoleError(name, model.role, role, near)
        return model

    def refuses_address(self, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        """Why no provider may be reached at the address its host name resolved to; empty where one may."""
        reasons = [one.refuses_address(host, port, address) for one in self.providers.values() if one.on_network]
        return "" if not all(reasons) else next(iter(reasons), "no provider is there")

    def _find(self, name: str, wire: Wire | None, role: ProviderModelRole) -> ModelEntry:
        if (model := self._by_name.get(name)) is not None:
            return model
        same = self._by_upstream.get(name) or self._found_by_upstream.get(name, [])
        if wire is not None and len(same) > 1:
            same = [model for model in same if wire in model.wires] or same
        if len(same) == 1:
            return same[0]
        if same:
            near = tuple(model.id for model in same)[:3]
            raise ModelNotFoundError(name, f'Several providers have a model "{name}".', near)
        if name == AUTO:
            default = self.default_embeddings if role is ProviderModelRole.EMBEDDINGS else self.default_chat
            if default is None:
                raise ModelNotFoundError(name, f"No model for {role} is declared that could be chosen.", ())
            return default
        provider_id, slash, upstream = name.partition("/")
        provider = self.providers.get(provider_id)
        if slash and upstream and provider is not None and provider.enabled and provider.on_network:
            if (provider_id, upstream) in self._off:
                raise ModelNotFoundError(name, f'The model "{name}" is switched off.', ())
            return plain_model(
                provider, upstream, ModelSource.NAMED, role, UNTOLD, self._packaged(provider_id, upstream)
            )
        if wire is not None and (only := self._only_provider(wire)) is not None:
            return plain_model(only, name, ModelSource.NAMED, role)
        raise ModelNotFoundError(name, f'There is no model "{name}".', self._near(name))

    def _only_provider(self, wire: Wire) -> ProviderEntry | None:
        speaking = [one for one in self.providers.values() if one.enabled and one.on_network and wire in one.wires]
        if len(speaking) != 1 or any(model.provider == speaking[0].id for model in self.models):
            return None
        return speaking[0]

    def _near(self, name: str) -> tuple[str, ...]:
        upstream = self._found_by_upstream | self._by_upstream
        declared = dict.fromkeys(one for model in self.models for one in (model.id, *model.aliases))
        # Of thousands that were found those are compared that begin alike: each comparison takes a while.
        begins = name[: max(1, len(name) // 2)]
        alike = [other for other in (*self._by_name, *upstream) if other.startswith(begins) and other not in declared]
        near = nearest(name, [*declared, *self._by_upstream, *alike[:MOST_COMPARED]])
        found = [(self._by_name.get(other) or upstream[other][0]).id for other in near]
        return tuple(dict.fromkeys(found))[:3]


def _by_upstream(models: Iterable[ModelEntry]) -> dict[str, list[ModelEntry]]:
    found: dict[str, list[ModelEntry]] = {}
    for model in models:
        found.setdefault(model.upstream, []).append(model)
    return found
