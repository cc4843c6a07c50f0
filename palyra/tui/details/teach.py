"""What an empty console teaches: how to point a client here."""

from palyra.control.snapshots import EngineView
from palyra.tui.details.layout import heading
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong

DEMO = line(" ", muted("To see every screen alive first, run "), part("palyra demo", Tone.ACCENT))


def point_a_client_here(engine: EngineView, width: int) -> list[Line]:
    """Where the gateway listens, where its key lies, and lines to paste into a shell."""
    where = [
        line(" ", strong("Nothing needs you. "), muted("Point a client here and its requests appear.")),
        BLANK,
        line(" ", muted("gateway   "), part(engine.gateway_url or "not open yet")),
        line(" ", muted("key file  "), part(engine.key_file)),
    ]
    if not engine.gateway_url:
        return where
    openai, anthropic = exports(engine, width - 4)
    return [
        *where,
        BLANK,
        heading("OpenAI clients"),
        *(line("   ", part(command, Tone.ACCENT)) for command in openai),
        BLANK,
        heading("Anthropic clients, in the same shell"),
        *(line("   ", part(command, Tone.ACCENT)) for command in anthropic),
        BLANK,
        line(" ", part("y", Tone.ACCENT, bold=True), muted("  copies these lines")),
        *(() if engine.demo else (DEMO,)),
    ]


def exports(engine: EngineView, width: int) -> tuple[list[str], list[str]]:
    """Shell commands for clients of either dialect; a line that is too long is continued as shells allow."""
    key = f"export OPENAI_API_KEY=$(cat {quoted(engine.key_file)})"
    if len(key) > width:
        key = f"export OPENAI_API_KEY=$(cat \\\n{quoted(engine.key_file)})"
    return (
        [f"export OPENAI_BASE_URL={quoted(engine.gateway_url + '/v1')}", *key.split("\n")],
        [f"export ANTHROPIC_BASE_URL={quoted(engine.gateway_url)}", "export ANTHROPIC_API_KEY=$OPENAI_API_KEY"],
    )


def shell_lines(engine: EngineView) -> str:
    """The same commands for the clipboard."""
    openai, anthropic = exports(engine, 10_000)
    return "\n".join([*openai, *anthropic])


def quoted(text: str) -> str:
    """Text as one word of a POSIX shell."""
    plain = text.isascii() and all(char.isalnum() or char in "/._-:@%+=," for char in text)
    return text if plain and text else "'" + text.replace("'", "'\\''") + "'"
