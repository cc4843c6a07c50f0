"""What a screen says while no engine runs: why, what works all the same, and where it is put right."""

from palyra.control.snapshots import Snapshot
from palyra.tui import glyphs
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong, wrap


def stopped_lines(snapshot: Snapshot | None, label: str, width: int) -> list[Line]:
    """`label` is the screen that has nothing to show. An engine that is on its way needs nobody."""
    if snapshot is not None and snapshot.engine.phase != "recovery":
        words = (
            "The engine is being started …" if snapshot.engine.phase == "starting" else f"{snapshot.engine.trouble}."
        )
        return [BLANK, line(" ", muted(f"{words[:1].upper()}{words[1:]}"))]
    trouble = "" if snapshot is None else snapshot.engine.trouble
    log = "" if snapshot is None else snapshot.engine.log_file
    problems = () if snapshot is None else snapshot.engine.problems
    told = wrap(problems[0] if problems else trouble, width - 4, indent="   ") if trouble else []
    keys = (strong("9"), muted(" for Diagnostics: "), strong("p"), muted(" shows a repair, "), strong("f"))
    return [
        BLANK,
        line(" ", part(f"{glyphs.ATTENTION} No engine runs, so {label} has nothing to show.", Tone.WARN, bold=True)),
        *([BLANK, *told] if told else []),
        BLANK,
        line(" ", muted("closed       "), part("the gateway: clients cannot connect, nothing is spent")),
        line(" ", muted("works        "), part("the doctor: it shows what is wrong, and repairs it")),
        *([line(" ", muted("log          "), part(log))] if log else []),
        BLANK,
        line(" ", muted("Press "), *keys, muted(" applies it.")),
        line(" ", muted("The engine starts by itself then; "), strong("E"), muted(" tries at once.")),
    ]
