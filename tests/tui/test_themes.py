"""Every theme of Palyra's own can be read, and the colour-blind safe one by whom it is for."""

from itertools import combinations

import pytest
from textual.color import Color
from textual.theme import Theme

from palyra.config.choices import ThemeName
from palyra.tui.themes import CHOICES, THEMES, Tone, color_system, fitting

LEAST_CONTRAST = 4.5
"""WCAG 2.2, 1.4.3: text against what is behind it."""
APART = 0.2
"""Of the diagonal of linear RGB."""
BLINDNESS = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
"""How linear RGB is seen, of Machado, Oliveira and Fernandes (2009), at full severity."""


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_tone_has_enough_contrast_wherever_it_is_written(theme: Theme) -> None:
    behind = {theme.background, theme.surface, theme.panel, theme.variables["bar"], theme.variables["cursor-row"]}
    poor = {
        (tone.value, back): round(contrast(theme.variables[f"tone-{tone}"], str(back)), 2)
        for tone in Tone
        for back in behind
    }
    assert not {pair: ratio for pair, ratio in poor.items() if ratio < LEAST_CONTRAST}


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_colour_blind_safe_theme_keeps_states_apart(blindness: str) -> None:
    (theme,) = (theme for theme in THEMES if theme.name == "palyra-cvd")
    seen = [as_seen(theme.variables[f"tone-{tone}"], blindness) for tone in (Tone.GOOD, Tone.WARN, Tone.BAD)]
    assert min(distance(one, other) for one, other in combinations(seen, 2)) > APART


@pytest.mark.parametrize(
    ("chosen", "configured", "color_system", "fitting_one"),
    [
        ("", "palyra-dark", "truecolor", "palyra-dark"),
        ("", "palyra-dark", "256", "palyra-dark"),
        ("palyra-light", "palyra-dark", "truecolor", "palyra-light"),
        ("gone", "palyra-cvd", "truecolor", "palyra-cvd"),
        ("", "gone", None, "palyra-dark"),
        ("", "palyra-cvd", "standard", "ansi-dark"),
        ("palyra-light", "palyra-dark", "standard", "ansi-light"),
        ("ansi-light", "palyra-dark", "standard", "ansi-light"),
    ],
)
def test_a_terminal_of_sixteen_colours_gets_its_own(
    chosen: str, configured: str, color_system: str | None, fitting_one: str
) -> None:
    assert fitting(chosen, configured, color_system) == fitting_one


@pytest.mark.parametrize(
    ("term", "colorterm", "found"),
    [("xterm", "", "standard"), ("xterm-256color", "", "256"), ("xterm", "truecolor", "truecolor")],
)
def test_what_a_terminal_can_do_is_told_by_its_environment(
    term: str, colorterm: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLORTERM", colorterm)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert color_system() == found


def contrast(one: str, other: str) -> float:
    dark, light = sorted(luminance(text) for text in (one, other))
    return (light + 0.05) / (dark + 0.05)


def luminance(text: str) -> float:
    red, green, blue = linear(text)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def linear(text: str) -> tuple[float, ...]:
    shares = [part / 255 for part in Color.parse(text).rgb]
    return tuple(one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)


def as_seen(text: str, blindness: str) -> tuple[float, ...]:
    found = linear(text)
    return tuple(sum(a * b for a, b in zip(row, found, strict=True)) for row in BLINDNESS[blindness])


def distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 / 3**0.5)


def test_a_configuration_can_name_every_theme_there_is() -> None:
    assert tuple(ThemeName) == CHOICES
