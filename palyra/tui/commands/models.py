"""Asking providers, and asking about them."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import ClearCredential, DiscoverModels
from palyra.control.serving import CredentialView, ModelView, ProviderView
from palyra.tui.commands.action import HIDDEN, READY, Action, Offer, Right, dimmed
from palyra.tui.dialogs.selection import SelectionDialog

if TYPE_CHECKING:
    from palyra.tui.screens.models import ModelsScreen


class AskConnection(Action["ModelsScreen"]):
    id = "models.test"
    keys = ("t",)
    title = "Test the connection"
    help = "asks the provider for its models, which costs nothing; what came of it stays"
    footer = "test"

    def offer(self, screen: "ModelsScreen") -> Offer:
        return HIDDEN if screen.provider is None else READY

    def perform(self, screen: "ModelsScreen") -> None:
        screen.test()


class ExplainPrompt(Action["ModelsScreen"]):
    id = "models.explain"
    keys = ("x",)
    title = "Explain a prompt…"
    help = "the engine's own plan for a prompt, of which nothing is sent or held"
    footer = "explain…"
    on_selection = False

    def perform(self, screen: "ModelsScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "ModelsScreen") -> None:
        palyra, subject = screen.palyra, screen.subject
        model = subject.model_id if isinstance(subject, ModelView) and subject.role == "chat" else ""
        await palyra.ask(SelectionDialog(palyra.control, palyra.spawn, palyra.clock, screen.zone, model))


class Discover(Action["ModelsScreen"]):
    id = "models.discover"
    keys = ("v",)
    title = "Read its models now"
    help = "asks the provider now, whatever is known already"
    footer = "discover"
    right = Right.DECIDE

    def offer(self, screen: "ModelsScreen") -> Offer:
        provider = screen.provider
        if provider is None:
            return HIDDEN
        if not provider.base_url:
            return dimmed("it answers in this process", told=False)
        return dimmed("it is switched off", told=False) if provider.health == "disabled" else READY

    def perform(self, screen: "ModelsScreen") -> Coroutine[Any, Any, None] | None:
        provider = screen.provider
        return None if provider is None else screen.send(DiscoverModels(provider.provider_id))


def troubled(provider: ProviderView | None) -> CredentialView | None:
    """The first credential of a provider that is kept from being used and could be given another chance."""
    credentials = () if provider is None else provider.credentials
    return next((one for one in credentials if one.state in ("cooling_down", "rejected")), None)


class Clear(Action["ModelsScreen"]):
    id = "models.clear"
    keys = ("c",)
    title = "Clear its credential"
    help = "what rests or was rejected is used again at once"
    footer = "clear key"
    right = Right.ADMINISTER

    def offer(self, screen: "ModelsScreen") -> Offer:
        return HIDDEN if troubled(screen.provider) is None else READY

    def perform(self, screen: "ModelsScreen") -> Coroutine[Any, Any, None] | None:
        provider, credential = screen.provider, troubled(screen.provider)
        if provider is None or credential is None:
            return None
        return screen.send(ClearCredential(provider.provider_id, credential.credential_id))


MODELS: tuple[Action["ModelsScreen"], ...] = (AskConnection(), Clear(), ExplainPrompt(), Discover())
