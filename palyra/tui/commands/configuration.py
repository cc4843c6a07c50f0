"""The configuration, from wherever the operator is."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.tui.commands.action import Action, Confirm, Right
from palyra.tui.dialogs.configuration import ConfigurationDialog

if TYPE_CHECKING:
    from palyra.tui.screens.base import PalyraScreen


class Configuration(Action["PalyraScreen"]):
    id = "console.configuration"
    keys = ("C",)
    title = "Configuration…"
    help = "what is wrong with the file, what of it waits, and reading it again (reload)"
    confirm = Confirm.DIALOG
    on_selection = False

    def perform(self, screen: "PalyraScreen") -> Coroutine[Any, Any, None]:
        palyra = screen.palyra
        refusal = palyra.refusal(Right.ADMINISTER)
        dialog = ConfigurationDialog(
            palyra.control, palyra.send, palyra.spawn, palyra.clock, zone=screen.zone, refusal=refusal
        )
        return _open(screen, dialog)


async def _open(screen: "PalyraScreen", dialog: ConfigurationDialog) -> None:
    await screen.palyra.ask(dialog)
