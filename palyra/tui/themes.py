"""Palyra's colours: four themes of its own beside Textual's ANSI ones, all filling the same few tones.

A tone says what a piece of text means, never which colour it has; every tone also has a glyph or a word beside it, so
that nothing is lost without colour.
"""

from enum import StrEnum

from rich.console import Console
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.theme import Theme

DEFAULT = "palyra-dark"


class Tone(StrEnum):
    """What a piece of text means."""

    PLAIN = "plain"
    STRONG = "strong"
    MUTED = "muted"
    ACCENT = "accent"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    SERIES_1 = "series-1"
    SERIES_2 = "series-2"
    SERIES_3 = "series-3"
    SERIES_4 = "series-4"
    SERIES_5 = "series-5"
    SERIES_6 = "series-6"
    OTHER = "other"


SERIES = (Tone.SERIES_1, Tone.SERIES_2, Tone.SERIES_3, Tone.SERIES_4, Tone.SERIES_5, Tone.SERIES_6, Tone.OTHER)
"""Colours of a plot's series, in order; the last is for "other"."""

_BOLD = frozenset([Tone.STRONG])


def _theme(
    name: str,
    *,
    dark: bool,
    background: str,
    surface: str,
    panel: str,
    foreground: str,
    muted: str,
    accent: str,
    good: str,
    warn: str,
    bad: str,
    cursor: str,
    series: tuple[str, str, str, str, str, str, str],
) -> Theme:
    return Theme(
        name=name,
        dark=dark,
        primary=accent,
        secondary=muted,
        accent=accent,
        foreground=foreground,
        background=background,
        surface=surface,
        panel=panel,
        success=good,
        warning=warn,
        error=bad,
        text_alpha=1.0,
        variables={
            "tone-plain": foreground,
            "tone-strong": foreground,
            "tone-muted": muted,
            "tone-accent": accent,
            "tone-good": good,
            "tone-warn": warn,
            "tone-bad": bad,
            **{f"tone-{tone}": colour for tone, colour in zip(SERIES, series, strict=True)},
            "cursor-row": cursor,
            "bar": panel,
            "input-cursor-background": foreground,
            "input-cursor-foreground": background,
            "input-selection-background": cursor,
            "block-cursor-background": cursor,
            "block-cursor-foreground": foreground,
            "block-cursor-text-style": "none",
            "border": muted,
            "border-blurred": panel,
            "scrollbar": muted,
            "scrollbar-background": background,
            "scrollbar-corner-color": background,
        },
    )


THEMES = (
    _theme(
        "palyra-dark",
        dark=True,
        background="#11161d",
        surface="#171d26",
        panel="#1c2430",
        foreground="#cdd5df",
        muted="#93a0b2",
        accent="#7fb4e6",
        good="#8cbf88",
        warn="#e2b36b",
        bad="#e8837f",
        cursor="#243246",
        series=("#7fb4e6", "#8cbf88", "#e2b36b", "#c39ad8", "#6cc3bd", "#e39a86", "#93a0b2"),
    ),
    _theme(
        "palyra-light",
        dark=False,
        background="#fbfaf7",
        surface="#f3f1ec",
        panel="#e9e6de",
        foreground="#2a3038",
        muted="#555d69",
        accent="#1f5fa8",
        good="#2f7036",
        warn="#8a5a00",
        bad="#b3302c",
        cursor="#d9e5f3",
        series=("#1f5fa8", "#2f7036", "#8a5a00", "#7a3f9d", "#0f6f70", "#97451f", "#555d69"),
    ),
    _theme(
        "palyra-contrast",
        dark=True,
        background="#000000",
        surface="#000000",
        panel="#1a1a1a",
        foreground="#ffffff",
        muted="#c4c4c4",
        accent="#66d9ff",
        good="#5dff8f",
        warn="#ffd83d",
        bad="#ff8a80",
        cursor="#003d6b",
        series=("#66d9ff", "#5dff8f", "#ffd83d", "#ff9cf5", "#8fffff", "#ffb27a", "#c4c4c4"),
    ),
    _theme(
        "palyra-cvd",
        dark=True,
        background="#11161d",
        surface="#171d26",
        panel="#1c2430",
        foreground="#d5dae1",
        muted="#97a2b2",
        accent="#56b4e9",
        good="#56b4e9",
        warn="#f0e442",
        bad="#e69f00",
        cursor="#243246",
        series=("#56b4e9", "#e69f00", "#f0e442", "#1fb88c", "#d68bb5", "#d5dae1", "#97a2b2"),
    ),
)
"""`palyra-cvd` uses colours of the Okabe-Ito set, told apart with every common colour blindness."""

CHOICES = (*(theme.name for theme in THEMES), "ansi-dark", "ansi-light")
"""What `T` goes through."""

SIXTEEN = frozenset(["standard", "windows"])
"""Rich's names for terminals of sixteen colours."""


def color_system() -> str | None:
    """What the terminal can do, as Rich tells from the environment."""
    return Console(force_terminal=True).color_system


def fitting(chosen: str, configured: str, color_system: str | None) -> str:
    """The theme to begin with: the one that was chosen with a key, else the configured one. A terminal of sixteen
    colours gets its own instead: of Palyra's tones, most would become the same one there."""
    name = next((name for name in (chosen, configured) if name in CHOICES), DEFAULT)
    dark = {theme.name: theme.dark for theme in THEMES}
    if color_system not in SIXTEEN or name not in dark:
        return name
    return "ansi-dark" if dark[name] else "ansi-light"


ANSI_VARIABLES = {
    "tone-plain": "ansi_default",
    "tone-strong": "ansi_default",
    "tone-muted": "ansi_bright_black",
    "tone-accent": "ansi_cyan",
    "tone-good": "ansi_green",
    "tone-warn": "ansi_yellow",
    "tone-bad": "ansi_red",
    "tone-series-1": "ansi_blue",
    "tone-series-2": "ansi_green",
    "tone-series-3": "ansi_yellow",
    "tone-series-4": "ansi_magenta",
    "tone-series-5": "ansi_cyan",
    "tone-series-6": "ansi_red",
    "tone-other": "ansi_bright_black",
    "cursor-row": "ansi_blue",
    "bar": "ansi_default",
}
"""The same tones in the terminal's own sixteen colours, for themes that do not define them."""

ANSI_LIGHT_VARIABLES = {**ANSI_VARIABLES, "cursor-row": "ansi_white"}


def tone_styles(app: App[object]) -> dict[Tone, Style]:
    """The Rich style of every tone under the app's present theme."""
    variables = app.theme_variables
    styles: dict[Tone, Style] = {}
    for tone in Tone:
        colour = Color.parse(variables.get(f"tone-{tone}", ANSI_VARIABLES[f"tone-{tone}"]))
        styles[tone] = Style(color=colour.rich_color, bold=True if tone in _BOLD else None)
    return styles
