"""Looking at the parts of the house: a new look now, the whole written out, going to where a part is at home."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.tui.commands.action import HIDDEN, READY, Action, Offer
from palyra.tui.details.diagnosis import PROVIDER, PartView

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
    title = "Ask the parts again"
    help = "asks every part of the engine now, as the screen does every two seconds; D runs the doctor"
    on_selection = False

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        return HIDDEN if screen.recovering else READY

    def perform(self, screen: "DiagnosticsScreen") -> None:
        screen.look(fresh=True)


class ExportDiagnosis(Action["DiagnosticsScreen"]):
    id = "diagnostics.export"
    keys = ("e",)
    title = "Export"
    help = "writes what the parts tell and what the doctor found as JSON, without secrets, to the state directory"
    footer = "export"
    on_selection = False

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        known = screen.doctor.report is not None or (screen.diagnosis is not None and not screen.recovering)
        return READY if known and screen.snapshot is not None else HIDDEN

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


def _home(subject: object) -> tuple[str, str] | None:
    """The screen and, for a provider, its key there."""
    if not isinstance(subject, PartView):
        return None
    if subject.name.startswith(PROVIDER):
        return "models", subject.name
    name = _HOMES.get(subject.name)
    return None if name is None else (name, "")


DIAGNOSTICS: tuple[Action["DiagnosticsScreen"], ...] = (JumpFromDiagnostics(), ExportDiagnosis(), LookAnew())
