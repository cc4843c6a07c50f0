"""What a terminal answers to whoever had it before is not taken for keys, and nothing it says ends the hearing."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.tui.terminal_answers import IDLE_TURNS, TerminalAnswers
from tests.tui.test_driver import terminal

ANSWERS = (
    "\x1b]10;rgb:ffff/ffff/ffff\x07",
    "\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\",
    "\x1b]4;1;rgb:aaaa/0000/0000\x07",
    "\x1b]52;c;QWFkYWRh\x1b\\",
    "\x1b]52;c;" + "YWFk" * 1000 + "\x07",
    "\x1b]ltitle: aAd\x1b\\",
    "\x1bP>|xterm(388) aAd\x1b\\",
    "\x1bP1+r544e=61\x1b\\",
    "\x1bP!|00000000\x1b\\",
    "\x1b_Gi=31;OK aAd\x1b\\",
)
SEQUENCES = ("\x1b[12;40R", "\x1b[?62;22c", "\x1b[>0;276;0c", "\x1b[?2026;2$y", "\x1b[I", "\x1b[A", "\x1bOP")
TYPED = ("a", "q", "é", "\x1b", "\r", "]", "\\", "\x1bx", "\x1b[200~]11;aA\x1b[201~", "漢")


@given(
    pieces=st.lists(st.sampled_from([*ANSWERS, *SEQUENCES, *TYPED]), max_size=8),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_answers_are_left_out_wherever_they_are_cut(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    # What follows an escape at once belongs to it: whether a key or a sequence, nobody can tell.
    typed = "".join(piece for piece in pieces if piece not in ANSWERS)
    if "\x1b\x1b" in text or any(one == "\x1b" and two in (*TYPED, *ANSWERS) for one, two in pairwise(pieces)):
        return
    answers = TerminalAnswers()
    kept, done = "", 0
    for cut in sorted({min(cut, len(text)) for cut in cuts} | {len(text)}):
        kept += answers.without(text[done:cut])
        done = cut
    for _ in range(IDLE_TURNS):
        kept += answers.idle()
    # An escape at which an answer was cut is heard: nobody is kept waiting for the key of that name.
    begun = sum(text[cut - 1 : cut] == "\x1b" for cut in cuts)
    assert kept.replace("\x1b", "") == typed.replace("\x1b", "")
    assert kept.count("\x1b") - typed.count("\x1b") <= begun


def test_alt_with_a_key_is_typed_and_an_answer_without_end_is_given_up() -> None:
    answers = TerminalAnswers()
    assert (answers.without("\x1b]"), answers.idle()) == ("", "\x1b]")
    assert answers.without("\x1bPx\x1b]a\x1b_b") == "\x1bPx\x1b]a\x1b_b"
    assert answers.without("\x1b") == "\x1b"
    assert answers.without("x") == "x"
    assert answers.without("\x1b]11;rgb:") == ""
    assert [answers.idle() for _ in range(IDLE_TURNS)] == [""] * IDLE_TURNS
    assert answers.without("aAd") == "aAd"
    assert answers.without("\x1b]11;rgb:\x1b[A") == "\x1b[A"
    assert answers.without("\x1b]11;rgb:\x18a") == "a"


UNREADABLE = (
    b"\x1b[9999999u",
    b"\x1b[97;5:3u",
    b"\x1b[27;5;1114113~",
    b"\x1b[99999999999~",
    b"\x1b[1;1:99F",
    b"\x1b[55296u",
    b"\x1b[48;999999;999999;1;1t",
    b"\x1b[48;0;0;0;0t",
)


def test_a_console_hears_on_after_whatever_its_terminal_says() -> None:
    with terminal() as term:
        for number, said in enumerate((*UNREADABLE, *(answer.encode() for answer in ANSWERS))):
            term.type(said)
            # What cannot be read takes with it what came in the same moment.
            while len([key for key in term.ask("stats")["keys"] if key == "x"]) <= number:
                term.type(b"x")
                term.ask("paint p")
            term.type(b"\x1b[D")
            while term.ask("stats")["keys"].count("left") <= number:
                term.ask("paint p")
        keys = term.ask("stats")["keys"]
        assert set(keys) == {"x", "left"}
        term.type(b"q")
        assert term.wait() == 0


@pytest.mark.parametrize("answer", ANSWERS)
def test_each_answer_is_nothing(answer: str) -> None:
    answers = TerminalAnswers()
    assert answers.without(f"a{answer}b") == "ab"
