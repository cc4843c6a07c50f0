"""A screen goes by what can be read of a configuration that is broken elsewhere."""

from pathlib import Path

import pytest

from palyra.config.load import Sources
from palyra.config.partial import for_a_screen, legible_tables

CONSOLE = '[console]\ntheme = "palyra-light"\nascii = true\n\n[console.keys]\n"console.help" = "h"\n'


@pytest.mark.parametrize(
    ("text", "theme", "ascii_only"),
    [
        (f"version = 1\n{CONSOLE}", "palyra-light", True),
        (f"version = 1\n[gateway\n\n{CONSOLE}", "palyra-light", True),
        (f"version = 1\n{CONSOLE}\n[gateway]\nbind = \n", "palyra-light", True),
        (f'version = 1\n[gateway]\nbnid = "x"\n\n{CONSOLE}', "palyra-light", True),
        (f"version = 1\n{CONSOLE}".replace('"palyra-light"', "7"), "palyra-dark", True),
        (f"version = 1\n{CONSOLE}".replace("true", "tru"), "palyra-dark", None),
        (f"version = 1\n{CONSOLE}{CONSOLE}", "palyra-dark", None),
        ("\x00\n" * 50, "palyra-dark", None),
        ("", "palyra-dark", None),
    ],
)
def test_what_is_well_of_a_console_section_is_kept(
    tmp_path: Path, text: str, theme: str, ascii_only: bool | None
) -> None:
    file = tmp_path / "palyra.toml"
    file.write_text(text)
    found = for_a_screen(Sources(file, {}))
    assert (found.console.theme, found.console.ascii) == (theme, ascii_only)


def test_the_environment_counts_and_a_file_that_is_not_there_does_not(tmp_path: Path) -> None:
    environ = {"PALYRA_CONSOLE__ASCII": "true"}
    (tmp_path / "palyra.toml").write_text("[gateway\n")
    for file in (tmp_path / "palyra.toml", tmp_path / "none.toml", tmp_path):
        assert for_a_screen(Sources(file, environ)).console.ascii


def test_tables_that_are_well_together_are_kept_as_they_are() -> None:
    assert legible_tables("a = 1\n[b\nc = 2\n[d]\ne = 3\n") == "a = 1\n[d]\ne = 3\n"
    assert legible_tables("a = 1\n[b]\nc = '''\n[d]\n'''\n") == "a = 1\n"
    assert legible_tables("[d]\na = 1\n[d]\nb = 2\n") == ""
