"""Auth profiles rewritten: comments, order and good records stay, bad ones are moved aside, nothing is dropped."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.errors import ConflictError, NotFoundError, PalyraError
from palyra.providers.auth_profiles import AuthProfile, ProfilesFaultError, ProfileType, judge, read_profiles
from palyra.providers.profile_rewriting import appended, normalise, with_profile, without_profile

NOW = 1_795_348_800_000
GOOD = """\
# Who pays
version = 1 # of the format

# The first one
[[profile]]
id = "first" # takes turns
provider = "acme"
type = "token"
vault_ref = "global/one"
expires_at = 2026-12-01T10:00:00+02:00

[[profile]]
id = "second"
provider = "acme"
type = "api_key"
vault_ref = "global/two"
enabled = false
"""
MIXED = """\
# head
colour = "blue" # unknown

[[profile]] # good
id = "a"
provider = "acme"
type = "api_key"
vault_ref = "global/a"

[[profile]] # no type
id = "b"
provider = "acme"

[[profile]] # again
id = "a"
provider = "acme"
type = "api_key"
vault_ref = "global/b"

[[profile]]
id = "c" # good too
provider = "gone"
type = "api_key"
vault_ref = "global/c"

[extra]
nested = [1, { x = 2 }]
"""


def test_a_file_in_order_stays_as_it_is() -> None:
    assert normalise(GOOD, NOW).text == GOOD
    assert normalise(GOOD, NOW).problems == ()


def test_bad_records_and_unknown_keys_are_moved_and_good_ones_stay_with_their_comments() -> None:
    made = normalise(MIXED, NOW)
    tree = tomllib.loads(made.text)
    before = tomllib.loads(MIXED)
    assert tree == {"version": 1, "profile": [before["profile"][0], before["profile"][3]]}
    for comment in ("# head", "# good", "# good too"):
        assert comment in made.text
    assert normalise(made.text, NOW).text == made.text
    unknown = tomllib.loads(made.unknown)["unknown"]
    assert [one["keys"] for one in unknown] == [{"colour": "blue", "extra": {"nested": [1, {"x": 2}]}}]
    quarantined = tomllib.loads(made.quarantine)["quarantined"]
    assert [one["profile"] for one in quarantined] == [before["profile"][1], before["profile"][2]]
    assert [one["reason"] for one in quarantined] == [
        "a profile needs type",
        'profile "a" is declared already in line 4',
    ]
    assert all(one["moved_at"].isoformat() == "2026-11-22T12:00:00+00:00" for one in [*unknown, *quarantined])
    assert [(problem.line, problem.message.split(" ")[0]) for problem in made.problems] == [
        (2, "unknown"),
        (26, "unknown"),
        (10, "a"),
        (14, "profile"),
    ]


def test_a_profile_for_a_provider_that_is_away_is_no_bad_record() -> None:
    made = normalise(MIXED, NOW)
    assert {"a", "c"} == set(judge(made.text.encode()).profiles)
    read = read_profiles(made.text.encode(), {"acme"})
    assert (set(read.profiles), [problem.message for problem in read.problems]) == (
        {"a"},
        ['there is no provider "gone"'],
    )


def test_what_is_appended_to_a_sidecar_keeps_what_it_said() -> None:
    made = normalise(MIXED, NOW)
    once = appended("# mine\nold = 1\n", made.unknown)
    twice = appended(once, made.unknown)
    tree = tomllib.loads(twice)
    assert (tree["old"], len(tree["unknown"])) == (1, 2)
    assert twice.startswith("# mine\nold = 1\n")
    assert appended("", made.unknown) == made.unknown
    assert appended("x = 1", "") == "x = 1"
    assert len(tomllib.loads(appended(made.quarantine, made.quarantine))["quarantined"]) == 4


@pytest.mark.parametrize(
    ("text", "quarantined"),
    [
        ('profile = [{id = "a"}, 3, "x"]\n', 3),
        ('[profile]\nid = "a"\n', 1),
        ("profile = 3\n", 1),
        ('profile = [{id = "a", provider = "p", type = "api_key", vault_ref = "global/a"}, {id = "b"}]\n', 1),
        ("", 0),
        ("# nothing\n", 0),
    ],
)
def test_odd_shapes_are_put_in_order_too(text: str, quarantined: int) -> None:
    made = normalise(text, NOW)
    assert tomllib.loads(made.text)["version"] == 1
    assert len(tomllib.loads(made.quarantine).get("quarantined", [])) == quarantined
    assert judge(made.text.encode()).problems == ()


@pytest.mark.parametrize("text", ["version = 2\n[[profile]]\n", "version = 0\n", "version = true\n", "x = [", "= 1"])
def test_what_is_of_a_later_version_or_no_toml_is_left_alone(text: str) -> None:
    with pytest.raises(ProfilesFaultError) as raised:
        normalise(text, NOW)
    assert raised.value.newer is text.startswith("version = 2")
    with pytest.raises(ProfilesFaultError):
        with_profile(text, NEW)
    with pytest.raises(ProfilesFaultError):
        without_profile(text, "a")


NEW = AuthProfile("third", "acme", ProfileType.TOKEN, "global/three", NOW)


def test_a_profile_is_added_at_the_end_and_read_again() -> None:
    made = with_profile(GOOD, NEW)
    assert made.startswith(GOOD)
    read = judge(made.encode()).profiles
    assert list(read) == ["first", "second", "third"]
    third = read["third"]
    assert (third.vault_ref, third.expires_at, third.enabled) == ("global/three", NOW, True)
    alone = with_profile("", AuthProfile("only", "acme", ProfileType.API_KEY, "global/x", None, False))
    assert tomllib.loads(alone) == {
        "version": 1,
        "profile": [{"id": "only", "provider": "acme", "type": "api_key", "vault_ref": "global/x", "enabled": False}],
    }
    with pytest.raises(ConflictError):
        with_profile(made, NEW)


def test_what_could_not_be_read_again_is_not_written() -> None:
    for bad in (
        AuthProfile("Third", "acme", ProfileType.API_KEY, "global/x"),
        AuthProfile("third", "acme", ProfileType.API_KEY, "global/x", NOW),
        AuthProfile("third", "acme", ProfileType.API_KEY, ""),
    ):
        with pytest.raises(PalyraError, match="cannot be used"):
            with_profile(GOOD, bad)
    # Records written as an inline list cannot be followed by tables.
    with pytest.raises(PalyraError, match="nothing was written"):
        with_profile('version = 1\nprofile = [{id = "a"}]\n', NEW)


def test_a_profile_is_removed_and_all_else_stays() -> None:
    assert without_profile(with_profile(GOOD, NEW), "third").rstrip("\n") == GOOD.rstrip("\n")
    left = without_profile(GOOD, "first")
    assert tomllib.loads(left)["profile"] == tomllib.loads(GOOD)["profile"][1:]
    assert "# Who pays" in left
    assert tomllib.loads(without_profile(left, "second")) == {"version": 1}
    with pytest.raises(NotFoundError):
        without_profile(GOOD, "fourth")
    # Of two with one id the first is meant.
    twice = tomllib.loads(without_profile(MIXED, "a"))["profile"]
    assert [one.get("vault_ref") for one in twice] == [None, "global/b", "global/c"]


SCATTERED = """\
version = 1

[[profile]]
id = "a"
provider = "acme"
type = "api_key"
vault_ref = "global/a"

[extra] # between
x = 1

[[profile]]
id = "b" # b's own
provider = "acme"
type = "api_key"
vault_ref = "global/b"

# About c
[[profile]]
id = "c"
provider = "acme"
note = [
  1, # many lines
]

# The end
"""


def test_records_with_others_between_stay_where_they_are() -> None:
    for ending in ("\n", "\r\n"):
        made = normalise(SCATTERED.replace("\n", ending), NOW).text.replace(ending, "\n")
        gone = (
            "[extra] # between\nx = 1\n\n",
            '[[profile]]\nid = "c"\nprovider = "acme"\nnote = [\n  1, # many lines\n]\n',
        )
        expected = SCATTERED
        for part in gone:
            assert part in expected
            expected = expected.replace(part, "")
        assert made == expected
    first = SCATTERED[SCATTERED.index("[[profile]]") : SCATTERED.index("[extra]")]
    without = SCATTERED.replace(gone[1], "").replace("[extra] # between\nx = 1\n\n", "")
    assert without_profile(without, "a") == without.replace(first, "")


VALUES: Any = st.one_of(st.integers(0, 9), st.sampled_from(["a", "acme", "api_key", "global/a"]), st.booleans())
RECORDS = st.dictionaries(
    st.sampled_from(["id", "provider", "type", "vault_ref", "enabled", "odd"]), VALUES, max_size=6
)


@settings(max_examples=80)
@given(st.lists(RECORDS, max_size=5), st.dictionaries(st.sampled_from(["x", "y"]), VALUES), st.booleans())
def test_nothing_is_lost(records: list[dict[str, Any]], unknown: dict[str, Any], stamped: bool) -> None:
    lines = ["version = 1"] if stamped else []
    lines += [f"{name} = {_toml(given)}" for name, given in unknown.items()]
    for number, record in enumerate(records):
        lines += [f"# above {number}", "[[profile]]", *(f"{name} = {_toml(given)}" for name, given in record.items())]
    made = normalise("\n".join(lines), NOW)
    assert [line for line in made.text.splitlines() if line.startswith("#")] == [
        line for line in lines if line.startswith("#")
    ]
    kept = tomllib.loads(made.text).get("profile", [])
    moved = [one["profile"] for one in tomllib.loads(made.quarantine).get("quarantined", [])]
    assert sorted(map(repr, kept + moved)) == sorted(map(repr, records))
    aside = tomllib.loads(made.unknown).get("unknown", [{"keys": {}}])
    assert aside[0]["keys"] == unknown
    assert len(judge(made.text.encode()).profiles) == len(kept)


def _toml(given: object) -> str:
    return str(given).lower() if isinstance(given, bool) else repr(given).replace("'", '"')
