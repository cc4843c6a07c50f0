"""A dialog of fields that goes to the engine as a whole, and stays open with what was wrong."""

from collections.abc import Awaitable, Callable, Sequence

from textual.app import ComposeResult

from palyra.control.commands import Command
from palyra.control.snapshots import CommandResult
from palyra.core.values import value
from palyra.tui.dialogs.base import Dialog
from palyra.tui.inquiry import Spawn
from palyra.tui.widgets.form import Cycle, Field, Labelled

Send = Callable[[Command], Awaitable[CommandResult | None]]


@value
class Input:
    """One field of a form: its name, its label, what it starts with, and the choices if there are few. `most`
    characters are typed into it at most."""

    field: str
    label: str
    value: str = ""
    choices: tuple[str, ...] = ()
    hint: str = ""
    most: int = 200


class FormDialog(Dialog[bool]):
    """True once the engine took it."""

    def __init__(self, title: str, inputs: Sequence[Input], send: Send, spawn: Spawn) -> None:
        super().__init__(title)
        self._inputs = tuple(inputs)
        self._send = send
        self._spawn = spawn
        self._answer: CommandResult | None = None
        self._busy = False
        self._began: dict[str, str] = {}
        """What stood in the form at first: a field shows some texts otherwise than they are, breaks of lines above all,
        and what nobody touched must not be taken for changed."""

    def compose_content(self) -> ComposeResult:
        for item in self._inputs:
            if item.choices:
                yield Labelled(item.label, Cycle(item.choices, item.value, id=item.field))
            else:
                box = Field(item.value, id=item.field, placeholder=item.hint, most=item.most)
                yield Labelled(item.label, box)
        yield from super().compose_content()

    def on_mount(self) -> None:
        super().on_mount()
        self._began = self.values()
        self.query_one(f"#{self._inputs[0].field}").focus()

    def on_input_submitted(self) -> None:
        self.focus_next()

    def values(self) -> dict[str, str]:
        """What stands in the form, by the names of fields."""
        found: dict[str, str] = {}
        for item in self._inputs:
            box = self.query_one(f"#{item.field}")
            found[item.field] = str(box.value if isinstance(box, Field | Cycle) else "").strip()
        return found

    def changed(self) -> dict[str, str]:
        """What stands there now in the fields that somebody changed."""
        return {name: text for name, text in self.values().items() if text != self._began[name]}

    def explain(self) -> None:
        """Says what is wrong with what was typed, or what acting would do."""
        raise NotImplementedError

    def submit(self, command: Command) -> None:
        """Sends it, unless the one before is still on its way; the dialog ends once it is taken."""
        if not self._busy:
            self._spawn(self._save(command))

    async def _save(self, command: Command) -> None:
        self._busy = True
        try:
            answer = await self._send(command)
        finally:
            self._busy = False
        if answer is not None and answer.ok:
            self.dismiss(True)
        elif self.is_mounted:
            self._answer = answer
            self.explain()
