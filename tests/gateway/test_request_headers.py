import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.gateway.errors import RefusedError
from palyra.gateway.request_headers import KNOWN, Instructions, read_instructions
from tests.gateway.stand_in import AUTHORISED, CHAT, StandInHouse, StandInKey, serving

KEY = StandInKey("ops", "team", tags={"team": "red"}, may_act_for=("bot-*", "ann"))
PARK = 60.0


def read(headers: dict[str, str], key: StandInKey = KEY) -> Instructions:
    return read_instructions([(name.encode(), value.encode("latin-1")) for name, value in headers.items()], key, PARK)


def refused(headers: dict[str, str], key: StandInKey = KEY) -> tuple[int, str, str]:
    with pytest.raises(RefusedError) as caught:
        read(headers, key)
    return caught.value.refusal.status, caught.value.refusal.code, caught.value.refusal.message


def test_without_headers_the_key_says_everything() -> None:
    said = read({"Accept": "*/*"}, StandInKey("k1", "ann", "slack:ops", "triage", {"team": "red"}))
    scope = said.scope
    assert (scope.principal, scope.session, scope.key_id) == ("ann", "default:k1", "k1")
    assert (scope.channel, scope.agent, scope.job, dict(scope.tags)) == ("slack:ops", "triage", "", {"team": "red"})
    assert said == Instructions(scope, "primary_interactive", "", PARK, True, True)


def test_every_header_is_read_whatever_its_case() -> None:
    said = read(
        {
            "x-palyra-session": "chat/7",
            "X-PALYRA-PRINCIPAL": "bot-9",
            "X-Palyra-Tags": "env=prod, cost.centre = A 7 ,team=red",
            "X-Palyra-Channel": "slack:ops",
            "X-Palyra-Agent": "triage",
            "X-Palyra-Job": "nightly",
            "X-Palyra-Task-Class": "auxiliary_summary",
            "X-Palyra-Park": "2.5",
            "X-Palyra-Failover": "off",
            "X-Palyra-Cache": "off",
        }
    )
    scope = said.scope
    assert (scope.principal, scope.session, scope.channel, scope.agent, scope.job) == (
        "bot-9",
        "chat/7",
        "slack:ops",
        "triage",
        "nightly",
    )
    assert scope.tags == {"env": "prod", "cost.centre": "A 7", "team": "red"}
    assert (said.task_class, said.park_seconds, said.failover, said.cache) == ("auxiliary_summary", 2.5, False, False)


def test_tags_on_several_lines_add_up() -> None:
    raw = [(b"X-Palyra-Tags", b"a=1"), (b"x-palyra-tags", b"b=2")]
    assert read_instructions(raw, KEY, PARK).scope.tags == {"team": "red", "a": "1", "b": "2"}


def test_any_other_header_on_two_lines_is_refused() -> None:
    with pytest.raises(RefusedError, match="twice"):
        read_instructions([(b"X-Palyra-Session", b"a"), (b"X-Palyra-Session", b"a")], KEY, PARK)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("X-Palyra-Tag", "did you mean X-Palyra-Tags?"),
        ("x-palyra-sesion", "did you mean X-Palyra-Session?"),
        ("X-Palyra-Run", "X-Palyra-"),
        ("X-Palyra-", "X-Palyra-"),
        ("X-Palyra", "X-Palyra-"),
        ("X-PalyraTags", "did you mean X-Palyra-Tags?"),
        ("X-Palyra_Tags", "did you mean X-Palyra-Tags?"),
        ("x_palyra_tags", "did you mean X-Palyra-Tags?"),
        ("X-Palyra-Unheard-Of", "X-Palyra-Tags"),
    ],
)
def test_an_unknown_header_is_named_with_the_nearest_known_one(name: str, hint: str) -> None:
    status, code, message = refused({name: "team=red"})
    assert (status, code) == (400, "invalid_header")
    assert name in message
    assert hint in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Palyra-Session", ""),
        ("X-Palyra-Session", "a b"),
        ("X-Palyra-Session", "a" * 129),
        ("X-Palyra-Session", "caf\xe9"),
        ("X-Palyra-Principal", "a/b"),
        ("X-Palyra-Principal", ""),
        ("X-Palyra-Tags", ""),
        ("X-Palyra-Tags", "red"),
        ("X-Palyra-Tags", "team="),
        ("X-Palyra-Tags", "Team=red"),
        ("X-Palyra-Tags", "team=red,"),
        ("X-Palyra-Tags", "x=1,x=2"),
        ("X-Palyra-Tags", "t" * 33 + "=1"),
        ("X-Palyra-Tags", "t=" + "v" * 65),
        ("X-Palyra-Tags", "t=\x7f"),
        ("X-Palyra-Tags", ",".join(f"t{index}=1" for index in range(17))),
        ("X-Palyra-Channel", "a b"),
        ("X-Palyra-Agent", "a,b"),
        ("X-Palyra-Job", "a" * 129),
        ("X-Palyra-Task-Class", "primary"),
        ("X-Palyra-Mode", "strict"),
        ("X-Palyra-Park", "60.5"),
        ("X-Palyra-Park", "-1"),
        ("X-Palyra-Park", "1e1"),
        ("X-Palyra-Park", "nan"),
        ("X-Palyra-Park", "\u0663"),
        ("X-Palyra-Failover", "on"),
        ("X-Palyra-Cache", "OFF"),
    ],
)
def test_a_malformed_value_is_refused_by_name(name: str, value: str) -> None:
    raw = [(name.encode(), value.encode("utf-8"))]
    with pytest.raises(RefusedError) as caught:
        read_instructions(raw, StandInKey(may_set_mode=True), PARK)
    assert (caught.value.refusal.status, caught.value.refusal.code) == (400, "invalid_header")
    assert name in caught.value.refusal.message
    assert caught.value.param == name


def test_the_largest_allowed_values_pass() -> None:
    said = read(
        {
            "X-Palyra-Session": "a" * 128,
            "X-Palyra-Tags": ",".join([f"{'t' * 31}{letter}={'v' * 64}" for letter in string.ascii_lowercase[:16]]),
            "X-Palyra-Park": "60",
        }
    )
    assert len(said.scope.tags) == 17
    assert said.park_seconds == 60


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [("ann", True), ("bot-", True), ("bot-7", True), ("team", True), ("Ann", False), ("annx", False)],
)
def test_a_key_acts_only_for_whom_it_may(principal: str, allowed: bool) -> None:
    headers = {"X-Palyra-Principal": principal}
    if allowed:
        assert read(headers).scope.principal == principal
    else:
        assert refused(headers)[:2] == (403, "principal_not_allowed")


def test_a_key_that_may_act_for_nobody_is_refused_another_principal() -> None:
    assert refused({"X-Palyra-Principal": "ann"}, StandInKey())[:2] == (403, "principal_not_allowed")


def test_pinned_values_cannot_be_changed() -> None:
    key = StandInKey(channel="slack:ops", agent="triage", tags={"team": "red"})
    assert refused({"X-Palyra-Channel": "slack:dev"}, key)[:2] == (403, "pinned_value")
    assert refused({"X-Palyra-Agent": "other"}, key)[:2] == (403, "pinned_value")
    assert refused({"X-Palyra-Tags": "team=blue"}, key)[:2] == (403, "tag_locked")
    said = read({"X-Palyra-Channel": "slack:ops", "X-Palyra-Agent": "triage", "X-Palyra-Tags": "team=red,b=1"}, key)
    assert (said.scope.channel, said.scope.agent, said.scope.tags) == ("slack:ops", "triage", {"team": "red", "b": "1"})


def test_the_message_of_a_pinned_value_names_header_and_allowed_value() -> None:
    message = refused({"X-Palyra-Channel": "slack:dev"}, StandInKey(channel="slack:ops"))[2]
    assert "X-Palyra-Channel" in message
    assert "slack:ops" in message


def test_a_mode_needs_the_right_to_set_it() -> None:
    assert refused({"X-Palyra-Mode": "enforced"})[:2] == (403, "mode_not_allowed")
    assert read({"X-Palyra-Mode": "dry_run"}, StandInKey(may_set_mode=True)).mode == "dry_run"


@given(
    st.lists(
        st.tuples(st.sampled_from([name.encode() for name in KNOWN]) | st.binary(max_size=30), st.binary(max_size=80)),
        max_size=6,
    )
)
def test_whatever_is_sent_a_caller_never_leaves_its_key(raw: list[tuple[bytes, bytes]]) -> None:
    key = StandInKey("k", "ann", "slack:ops", tags={"team": "red"})
    try:
        said = read_instructions(raw, key, PARK)
    except RefusedError as refused_with:
        status = refused_with.refusal.status
    else:
        status = 200
    assert status in (200, 400, 403)
    if status == 200:
        assert (said.scope.principal, said.scope.channel, said.scope.key_id) == ("ann", "slack:ops", "k")
        assert said.scope.tags["team"] == "red"
        assert said.scope.session
        assert 0 <= said.park_seconds <= PARK
        assert said.mode == ""


async def run_with(headers: dict[str, str], **key: Any) -> tuple[int, Any]:
    house = StandInHouse()
    house.access.keys = {token: StandInKey(**key) for token in house.access.keys}
    async with serving(house) as door:
        answer = await door.ask("POST", "/v1/chat/completions", {**AUTHORISED, **headers}, CHAT)
    return answer.status, door.runner.asked[0] if door.runner.asked else answer.error


async def test_what_the_headers_say_reaches_the_run() -> None:
    status, asked = await run_with(
        {
            "X-Palyra-Session": "s",
            "X-Palyra-Park": "0",
            "X-Palyra-Mode": "enforced",
            "X-Palyra-Failover": "off",
            "OpenAI-Beta": "x=1",
        },
        may_set_mode=True,
        allowed_models=("stub/*",),
    )
    assert status == 200
    assert (asked.scope.session, asked.park_seconds, asked.mode_override) == ("s", 0.0, "enforced")
    assert (asked.failover, asked.cache) == (False, True)
    assert asked.allowed_models == ("stub/*",)
    assert asked.forward_headers == {"content-type": "application/json", "openai-beta": "x=1"}


async def test_a_mistyped_header_starts_no_run() -> None:
    status, error = await run_with({"X-Palyra-Tag": "team=red"})
    assert (status, error["code"]) == (400, "invalid_header")
    assert "did you mean X-Palyra-Tags?" in error["message"]
