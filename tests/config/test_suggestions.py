"""Did you mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.meanings import MEANINGS
from palyra.config.model import LoadedConfig
from palyra.config.problem import DEFAULT, Code, Problem, either
from palyra.config.shape import key_names
from palyra.config.suggest import allowed, distance, nearest
from tests.config.loading import load

words = st.text("abc", max_size=6)


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ("", "", 0),
        ("bind", "bind", 0),
        ("bnid", "bind", 1),
        ("bid", "bind", 1),
        ("biind", "bind", 1),
        ("bond", "bind", 1),
        ("ca", "abc", 2),
        ("kitten", "sitting", 3),
        ("", "abc", 3),
    ],
)
def test_distance_counts_edits_and_swaps(first: str, second: str, apart: int) -> None:
    assert distance(first, second) == apart == distance(second, first)


@settings(deadline=None)
@given(words, words, words)
def test_distance_is_a_metric(a: str, b: str, c: str) -> None:
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


@settings(deadline=None)
@given(words, st.integers(0, 5), st.sampled_from("abc"))
def test_one_edit_is_one_apart(word: str, place: int, letter: str) -> None:
    place = min(place, len(word))
    assert distance(word, word[:place] + letter + word[place:]) == 1
    if place + 1 < len(word) and word[place] != word[place + 1]:
        swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        assert distance(word, swapped) == 1


@pytest.mark.parametrize(("word", "limit"), [("", 0), ("a", 1), ("abc", 1), ("abcd", 2), ("abcdefghij", 2)])
def test_a_third_of_the_word_may_differ_but_no_more_than_two(word: str, limit: int) -> None:
    assert allowed(word) == limit


@settings(deadline=None)
@given(words, st.lists(words, max_size=5))
def test_no_near_word_is_passed_over(word: str, candidates: list[str]) -> None:
    near = {candidate for candidate in candidates if distance(word, candidate) <= allowed(word)}
    assert set(nearest(word, candidates)) <= near
    assert len(nearest(word, candidates)) == min(3, len(near))


def test_at_most_three_nearest_first() -> None:
    assert nearest("bind", ["band", "binds", "bandd", "bind_", "bnd", "zzzz"]) == ("band", "binds", "bind_")
    assert nearest("modle", ["node", "model", "mode"]) == ("model", "mode", "node")
    assert nearest("x", ["abc", "xyz"]) == ()


@pytest.mark.parametrize(
    ("text", "suggestions"),
    [
        ("[gateway]\nbnid = 1\n", ("bind",)),
        ("[gatway]\n", ("gateway",)),
        ("[gateway]\npark_seconds = 1\n", ("approvals.park_seconds",)),
        ("[console]\nfour_eye = true\n", ("approvals.four_eyes",)),
        ('[[budgets]]\npolicy_id = "x"\nhard_limt = 1\nhard_limit = 1\n', ("hard_limit",)),
        ("[healing]\nsilent_afer = 1\n", ("silent_after",)),
        ("[healing.silent_after]\nruns = 1\n", ("run",)),
        ("[providers.p]\nkind = 'anthropic'\napi_key_evn = 'X'\n", ("api_key_env",)),
        ("[[notifications.webhook]]\nname='w'\nurl='https://x.example'\nevent = []\n", ("events",)),
        ("[gateway]\nport = 7142\n", ("bind",)),
        ("[gateway]\nhost = 'localhost'\n", ("bind",)),
        ("[server]\nport = 7142\n", ("gateway",)),
        ("port = 7142\n", ("gateway.bind",)),
        ("[gateway]\nlog_level = 'debug'\n", ("logging.level",)),
        ("[providers.p]\nkind = 'anthropic'\ntype = 'x'\n", ("kind",)),
        ("[[budgets]]\npolicy_id = 'x'\nlimit = 1\nhard_limit = 1\n", ("hard_limit",)),
        ("qqqqqq = 1\n", ()),
    ],
)
def test_unknown_keys_get_the_nearest_of_their_table_or_of_another(text: str, suggestions: tuple[str, ...]) -> None:
    (problem,) = load(text).problems
    assert (problem.code, problem.suggestions) == (Code.UNKNOWN_KEY, suggestions)
    assert ("Remove it" in str(problem)) == (not suggestions)


@pytest.mark.parametrize("word", MEANINGS)
def test_what_other_programs_call_a_key_leads_to_keys_that_there_are(word: str) -> None:
    names = {part for key in key_names(LoadedConfig) for part in key.split(".")}
    assert set(MEANINGS[word]) <= names


def test_a_word_of_a_list_gets_the_nearest_word() -> None:
    (problem,) = load("[runs]\nstore_content = 'redcated'\n").problems
    assert problem.suggestions == ("redacted",)
    assert "none, redacted, full" in problem.fix
    (problem,) = load("[[budgets]]\npolicy_id='x'\nhard_limit=1\nrouting_override='mode:enforce'\n").problems
    assert problem.suggestions == ("mode:enforced",)


def test_suggestions_read_as_a_question() -> None:
    assert [either(tuple("abc")[:count]) for count in (1, 2, 3)] == ['"a"', '"a" or "b"', '"a", "b" or "c"']
    problem = Problem(Code.UNKNOWN_KEY, "a.b", DEFAULT, "unknown key", "Remove it", ("x", "y"))
    assert str(problem) == 'default a.b: unknown key. Did you mean "x" or "y"? Remove it.'


def test_thousands_of_unknown_keys_are_all_told() -> None:
    text = "version = 1\n" + "".join(f"unknown_{number} = 1\n" for number in range(3000))
    result = load(text)
    assert len(result.problems) == 3000
    assert result.problems[-1].origin.line == 3001


def test_odd_keys_are_quoted_and_cut() -> None:
    (problem,) = load(f'version = 1\n[gateway]\n"a \\" b.{"x" * 100}" = 1\n').problems
    assert problem.key == 'gateway."a \\" b.' + "x" * 54 + '…"'
    (problem,) = load('version = 1\n"a\\nb" = 1\n').problems
    assert problem.key == '"a\\nb"'
