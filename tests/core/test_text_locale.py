"""Which locales say that a terminal shows ASCII only."""

import pytest

from palyra.core.text_locale import ascii_locale


@pytest.mark.parametrize(
    ("environ", "coerced", "ascii_only"),
    [
        ({}, True, False),
        ({"LC_CTYPE": "C.UTF-8"}, True, False),
        ({"LANG": "C"}, False, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False, False),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, True, True),
        ({"LC_ALL": "POSIX"}, True, True),
        ({"LC_ALL": "", "LANG": "en_US.UTF-8"}, False, False),
        ({"LC_ALL": "C.UTF-8", "LANG": "C"}, True, False),
        ({"LANG": "cs_CZ.UTF-8", "LC_CTYPE": "C.UTF-8"}, True, False),
        ({"LANG": "cs_CZ.ISO8859-2", "LC_CTYPE": "C.UTF-8"}, True, True),
        ({"LANG": "ja_JP.eucJP"}, False, True),
        ({"LANG": "de_DE@euro"}, False, False),
        ({"LANG": "sr_RS.utf8@latin"}, False, False),
        ({"LC_CTYPE": "UTF-8"}, False, False),
    ],
)
def test_what_is_said_first_counts_but_not_what_python_says_by_itself(
    environ: dict[str, str], coerced: bool, ascii_only: bool
) -> None:
    assert ascii_locale(environ, coerced=coerced) is ascii_only
