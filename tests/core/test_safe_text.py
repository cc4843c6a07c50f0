"""What a terminal would obey or hide is made visible; what is ordinary stays as it was."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from palyra.core.safe_text import MAX_BYTES, SafeText, cells, fit, json_safe, safe, safe_title

HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\x1b\x9b\x9d\r\n\t\x85\u2028\u2029\x00\x7f\u202e\u2066\u061c\u200b\u200d\ufe0f\U0001f468\U0001f3fd\u20e3"
            "1é́̂̈\u1160\ue000\ufdd0⟩⏎\U000e0067\u200f"
        ),
        st.characters(categories=["Mn", "Cf", "Cs"]),
    )
)

RAW = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        pytest.param("openai/gpt-5.4", "openai/gpt-5.4", id="plain text stays"),
        pytest.param("\x1b]52;c;aGk=\x07gpt", "␛]52;c;aGk=␇gpt", id="clipboard write"),
        pytest.param("\x1b[31mred\x1b[0m", "␛[31mred␛[0m", id="colour sequence"),
        pytest.param("\x9b31m", "⟨U+009B⟩31m", id="one-byte CSI"),
        pytest.param("\x90q\x9c", "⟨U+0090⟩q⟨U+009C⟩", id="DCS"),
        pytest.param("a\x00b\x7f", "a␀b␡", id="NUL and DEL"),
        pytest.param("a\rb", "a␍b", id="lone carriage return"),
        pytest.param("a\nb\r\nc\x85d\u2028e\u2029f", "a⏎b⏎c⏎d⏎e⏎f", id="every line break"),
        pytest.param("a\tb", "a b", id="tab"),
        pytest.param("\U0001f1e9\U0001f1ea \U0001f1ff", "DE Z", id="flags, as wide as each terminal likes"),
        pytest.param("evil\u202etxt.exe", "evil⟨U+202E⟩txt.exe", id="right-to-left override"),
        pytest.param("\u2066x\u2069\u061c\u200e", "⟨U+2066⟩x⟨U+2069⟩⟨U+061C⟩⟨U+200E⟩", id="bidi isolates and marks"),
        pytest.param("שלום عليكم", "שלום عليكم", id="right-to-left letters stay"),
        pytest.param("a\u200bb\u00adc\ufeff", "a⟨U+200B⟩b⟨U+00AD⟩c⟨U+FEFF⟩", id="zero width, soft hyphen, BOM"),
        pytest.param("\u115f\u1160\u3164\uffa0\u180e", "⟨U+115F⟩⟨U+1160⟩⟨U+3164⟩⟨U+FFA0⟩⟨U+180E⟩", id="fillers"),
        pytest.param("a\U000e0041", "a⟨U+E0041⟩", id="tag character"),
        pytest.param("a\ufe00\U000e0100", "a⟨U+FE00⟩⟨U+E0100⟩", id="variation selectors"),
        pytest.param("a\u200db", "a⟨U+200D⟩b", id="joiner outside an emoji"),
        pytest.param("a\ufe0f", "a⟨U+FE0F⟩", id="emoji selector outside an emoji"),
        pytest.param("\u2764\ufe0f ok", "\u2764 ok", id="emoji selector dropped"),
        pytest.param(
            "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467", id="joiners dropped"
        ),
        pytest.param(
            "\U0001f575\ufe0f\u200d\u2642\ufe0f", "\U0001f575\u2642", id="selector and joiner dropped together"
        ),
        pytest.param("\U0001f44d\U0001f3fd!", "\U0001f44d!", id="skin tone dropped"),
        pytest.param("x\U0001f3fd", "x⟨U+1F3FD⟩", id="skin tone on nothing"),
        pytest.param("1\ufe0f\u20e3", "1\u20e3", id="keycap"),
        pytest.param(
            "\ue000\U000f0000\ufdd0\U0001ffff\u0378", "⟨U+E000⟩⟨U+F0000⟩⟨U+FDD0⟩⟨U+1FFFF⟩⟨U+0378⟩", id="no one's"
        ),
        pytest.param("\ud800x\udfff", "\ufffdx\ufffd", id="lone surrogates"),
        pytest.param(b"ok \xff\x1b", "ok \ufffd␛", id="bytes that are not UTF-8"),
        pytest.param("e\u0301\u0302", "e\u0301\u0302", id="two marks stay"),
        pytest.param("s" + "\u0301" * 300, "s" + "\u0301" * 4 + "⟨+296⟩", id="a tower of marks"),
        pytest.param("\u0301x", "◌\u0301x", id="leading mark"),
        pytest.param("\u202e\u0338", "⟨U+202E⟩◌\u0338", id="a mark cannot strike out an escape"),
        pytest.param("[/b][link=x]", "[/b][link=x]", id="markup is only text"),
        pytest.param(None, "None", id="other objects as str shows them"),
    ],
)
def test_one_line_of_untrusted_text_is_shown_harmlessly(raw: object, shown: str) -> None:
    assert safe(raw) == shown


def test_a_field_of_several_lines_keeps_its_line_feeds_and_wide_tabs() -> None:
    assert safe("a\r\nb\x85\tc\rd\n\u0301e", multiline=True) == "a\nb\n    c␍d\n◌\u0301e"


def test_hostile_session_id_stays_one_row_high() -> None:
    shown = safe("id\u202e" + "e" + "\u0301" * 300)
    assert shown == "id⟨U+202E⟩e" + "\u0301" * 4 + "⟨+296⟩"
    assert "\n" not in fit(shown, 20)


@pytest.mark.parametrize(
    ("text", "kept", "lost"),
    [
        ("a" * (MAX_BYTES + 5), MAX_BYTES, 5),
        ("é" * MAX_BYTES, MAX_BYTES // 2, MAX_BYTES // 2),
        ("€" * 30_000, 21_845, 8_155),
    ],
    ids=["ascii", "two bytes", "three bytes"],
)
def test_a_very_long_text_is_cut_first_and_says_how_much_is_missing(text: str, kept: int, lost: int) -> None:
    assert safe(text) == text[:kept] + f"… (+{lost} chars)"


def test_a_long_text_of_surrogates_is_cut_too() -> None:
    assert safe("\ud800" * 30_000) == "\ufffd" * 21_845 + "… (+8155 chars)"


@pytest.mark.parametrize("text", ["a" * MAX_BYTES, "é" * (MAX_BYTES // 2)])
def test_a_text_of_just_the_limit_is_whole(text: str) -> None:
    assert safe(text) == text


def test_an_object_that_cannot_be_shown_is_named() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert safe(Broken()) == "<Broken>"


@given(HOSTILE | st.binary(), st.booleans())
def test_no_control_or_hidden_character_survives(raw: str | bytes, multiline: bool) -> None:
    shown = safe(raw, multiline=multiline)
    assert not (RAW - ({"\n"} if multiline else set())) & set(shown)
    assert not {unicodedata.category(char) for char in shown.replace("\n", "")} & {
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
        "Zl",
        "Zp",
    }
    shown.encode("utf-8")


@given(HOSTILE, st.booleans())
def test_what_is_safe_passes_unchanged(raw: str, multiline: bool) -> None:
    shown = safe(raw, multiline=multiline)
    assert safe(shown) is shown
    assert safe(str(shown), multiline=multiline) == shown


@given(st.lists(HOSTILE, max_size=5))
def test_sums_and_joins_of_safe_texts_are_safe(parts: list[str]) -> None:
    total = safe("")
    for part in parts:
        total = total + safe(part)
    joined = safe(", ").join(parts)
    assert type(total) is type(joined) is type(total * 2) is SafeText
    assert safe(str(total)) == total
    assert safe(str(joined)) == joined


def test_a_sum_with_an_ordinary_string_is_an_ordinary_string() -> None:
    assert [type("\x1b[0m" + safe("a")), type(safe("a") + "\n")] == [str, str]
    assert "\x1b[0m" + safe("a") + "\n" == "\x1b[0ma\n"


@given(HOSTILE, st.integers(0, 30), st.sampled_from(["left", "right", "center"]))
def test_a_fitted_text_has_exactly_its_width(raw: str, width: int, align: str) -> None:
    fitted = fit(raw, width, align=align)  # type: ignore[arg-type]
    assert cells(fitted) == width
    assert safe(str(fitted)) == fitted


@pytest.mark.parametrize(
    ("text", "width", "align", "expected"),
    [
        ("abc", 5, "left", "abc  "),
        ("abc", 5, "right", "  abc"),
        ("abc", 6, "center", " abc  "),
        ("abcdef", 4, "left", "abc…"),
        ("abcdef", 1, "left", "…"),
        ("abcdef", 0, "left", ""),
        ("日本語", 4, "left", "日… "),
        ("日本語", 5, "left", "日本…"),
        ("e\u0301" * 4, 3, "left", "e\u0301e\u0301…"),
        ("a\nb", 4, "left", "a⏎b "),
    ],
)
def test_fitting(text: str, width: int, align: str, expected: str) -> None:
    assert fit(safe(text, multiline=True), width, align=align) == expected  # type: ignore[arg-type]


def test_an_ascii_screen_cuts_with_dots() -> None:
    assert fit("abcdefgh", 6, ellipsis="...") == "abc..."
    assert fit("abcdefgh", 2, ellipsis="...") == ".."


@given(HOSTILE)
def test_cells_are_counted_as_the_screen_counts_them(raw: str) -> None:
    assert cells(safe(raw)) == cell_len(str(safe(raw)))


@given(HOSTILE)
def test_a_title_is_short_printable_ascii(raw: str) -> None:
    title = safe_title(raw)
    assert len(title) <= 80
    assert all(" " <= char <= "~" for char in title)


def test_a_title_keeps_what_ascii_can_say() -> None:
    assert safe_title("Palyra · 3 approvals é\n\x1b]0;x\x07") == "Palyra - 3 approvals e ?]0;x?"
    assert safe_title("x" * 90) == "x" * 77 + "..."


@given(st.dictionaries(HOSTILE, HOSTILE), st.sampled_from([None, 2]))
def test_json_for_a_terminal_is_the_same_json_without_hidden_characters(
    data: dict[str, str], indent: int | None
) -> None:
    document = json_safe(json.dumps(data, ensure_ascii=False, indent=indent))
    assert json.loads(document) == json.loads(json.dumps(data))
    assert not (RAW - {"\n"}) & set(document)
    assert not {unicodedata.category(char) for char in document} & {"Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("é\x1b\x7f\x9b", r'"é\u001b\u007f\u009b"'),
        ("\u202e\u200b\U000e0041", r'"\u202e\u200b\udb40\udc41"'),
        ("\ud800", r'"\ud800"'),
        ("e" + "\u0301" * 6, '"e' + "\u0301" * 4 + r'\u0301\u0301"'),
        ("plain", '"plain"'),
    ],
)
def test_json_escapes(value: str, expected: str) -> None:
    assert json_safe(json.dumps(value, ensure_ascii=False)) == expected
