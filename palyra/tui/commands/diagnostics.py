"""Looking at the parts of the house: a new look now, the whole written out, going to where a part is at home."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer
from palyra.tui.details.diagnosis import PROVIDER, PartView
from palyra.tui.dialogs.doctor import DoctorDialog

if TYPE_CHECKING:
    from palyra.tui.screens.diagnostics import DiagnosticsScreen

_HOMES = {
    "model_provider": "models",
    "auth_profiles": "models",
    "self_healing": "incidents",
    "scheduler": "jobs",
    "tasks": "jobs",
    "governance": "budgets",
}
"""Which screen shows what a part consists of."""


class LookAnew(Action["DiagnosticsScreen"]):
    id = "diagnostics.look"
    keys = ("r",)
    title = "Look anew"
    help = "asks every part again now; the screen does so by itself every two seconds"
    footer = "look"
    on_selection = False

    def perform(self, screen: "DiagnosticsScreen") -> None:
        screen.look(fresh=True)


class ExportDiagnosis(Action["DiagnosticsScreen"]):
    id = "diagnostics.export"
    keys = ("e",)
    title = "Export"
    help = "writes the whole snapshot as JSON, without secrets, to the state directory"
    footer = "export"
    on_selection = False

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        return HIDDEN if screen.diagnosis is None else READY

    def perform(self, screen: "DiagnosticsScreen") -> Coroutine[Any, Any, None]:
        return screen.export()


class JumpFromDiagnostics(Action["DiagnosticsScreen"]):
    id = "diagnostics.jump"
    keys = ("J",)
    title = "Jump to its screen"
    help = "the provider, the incidents, jobs or budgets that it consists of"
    footer = "jump"

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        return HIDDEN if _home(screen.subject) is None else READY

    def perform(self, screen: "DiagnosticsScreen") -> Coroutine[Any, Any, None] | None:
        home = _home(screen.subject)
        if home is None:
            return None
        name, key = home
        if key:
            return screen.palyra.show_object(name, key)
        screen.palyra.go(name)
        return None


class OpenDoctor(Action["DiagnosticsScreen"]):
    id = "diagnostics.doctor"
    keys = ("D",)
    title = "Doctor…"
    help = "what is wrong with the installation, what would be repaired, and the way back"
    footer = "doctor"
    confirm = Confirm.DIALOG
    on_selection = False

    def perform(self, screen: "DiagnosticsScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "DiagnosticsScreen") -> None:
        palyra = screen.palyra
        await palyra.ask(DoctorDialog(palyra.control.answer, palyra.send, palyra.spawn))


def _home(subject: object) -> tuple[str, str] | None:
    """The screen and, for a provider, its key there."""
    if not isinstance(subject, PartView):
        return None
    if subject.name.startswith(PROVIDER):
        return "models", subject.name
    name = _HOMES.get(subject.name)
    return None if name is None else (name, "")


DIAGNOSTICS: tuple[Action["DiagnosticsScreen"], ...] = (
    LookAnew(),
    OpenDoctor(),
    JumpFromDiagnostics(),
    ExportDiagnosis(),
)
