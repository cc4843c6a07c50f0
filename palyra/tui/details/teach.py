"""What an empty console teaches: how to point a client here."""

from palyra.control.snapshots import EngineView
from palyra.tui.details.layout import heading
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong


def point_a_client_here(engine: EngineView) -> list[Line]:
    """Where the gateway listens, where its key lies, and lines to paste into a shell."""
    url = engine.gateway_url or "the gateway is not open yet"
    return [
        line(" ", strong("Nothing needs you. "), muted("Point a client here and its requests appear.")),
        BLANK,
        line(" ", muted("gateway   "), part(url)),
        line(" ", muted("key file  "), part(engine.key_file)),
        BLANK,
        heading("OpenAI clients"),
        *exports(
            f"export OPENAI_BASE_URL={quoted(engine.gateway_url + '/v1')}",
            f"export OPENAI_API_KEY=$(cat {quoted(engine.key_file)})",
        ),
        heading("Anthropic clients"),
        *exports(
            f"export ANTHROPIC_BASE_URL={quoted(engine.gateway_url)}",
            f"export ANTHROPIC_API_KEY=$(cat {quoted(engine.key_file)})",
        ),
        BLANK,
        line(" ", muted("press "), part("y", Tone.ACCENT, bold=True), muted(" to copy these lines")),
        line(" ", muted("or see every screen alive first: "), part("palyra demo", Tone.ACCENT)),
    ]


def exports(*commands: str) -> list[Line]:
    return [line("   ", part(command, Tone.ACCENT)) for command in commands]


def shell_lines(engine: EngineView) -> str:
    """The same commands for the clipboard."""
    return "\n".join(
        [
            f"export OPENAI_BASE_URL={quoted(engine.gateway_url + '/v1')}",
            f"export OPENAI_API_KEY=$(cat {quoted(engine.key_file)})",
            f"export ANTHROPIC_BASE_URL={quoted(engine.gateway_url)}",
            f"export ANTHROPIC_API_KEY=$(cat {quoted(engine.key_file)})",
        ]
    )


def quoted(text: str) -> str:
    """Text as one word of a POSIX shell."""
    plain = text.isascii() and all(char.isalnum() or char in "/._-:@%+=," for char in text)
    return text if plain and text else "'" + text.replace("'", "'\\''") + "'"
