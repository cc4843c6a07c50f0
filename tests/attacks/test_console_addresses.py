"""Every address for operators' tools and `/metrics`, with queries and bodies as attackers write them, in every role:
each is served or refused as a caller's mistake, and nothing of what is inside is told."""

import json
from typing import Any
from urllib.parse import quote

from hypothesis import event, given, settings
from hypothesis import strategies as st

from palyra.gateway.console_routes import ROOT, ROUTES
from tests.attacks.bodies import HOSTILE, written
from tests.attacks.conversation import asked
from tests.attacks.depth import attacks
from tests.attacks.target import Target
from tests.end_to_end.premises import MINI, UPSTREAM_KEY, chat
from tests.end_to_end.tools import NOBODY, ROLES, issue, write_on

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
ONE = "RUN"
"""Stands for the id of a run that there is."""
IDS = (
    ONE,
    ONE,
    NOBODY,
    "shut",
    "stats",
    "own",
    "%2e%2e",
    "..%2f..",
    "%00",
    "%ff%fe",
    "a" * 200,
    "*",
    "%E2%80%AE",
    "-1",
)
WORDS: dict[str, tuple[str, ...]] = {
    "limit": ("1", "500", "0", "-1", "1e9", "9" * 400),
    "cursor": ("", "0", "1.2", "9" * 30, "%00", "e30="),
    "since": ("24h", "2026-01-01", "0", "9" * 19, "-1d", "99999999999d"),
    "until": ("now", "1h", "2026-01-01T00:00:00Z", "0001-01-01", "9999-12-31T23:59:59+99:99"),
    "by": ("model", "user", "tag", "nonsense"),
    "bucket": ("hour", "day", "1", "0"),
    "status": ("pending", "all", "queued", "x"),
    "state": ("live", "resolved", "x"),
    "format": ("csv", "json", "jsonl", "exe"),
    "section": ("journal", "doctor", "nothing"),
    "fresh": ("true", "maybe"),
    "ready": ("true", "false"),
    "model": (MINI, "*", "%25", "'%3B--"),
    "timezone": ("UTC", "Europe/Prague", "../../etc/passwd", "%00"),
    "timeline_before": ("0", "x"),
}
FIELDS: dict[str, tuple[Any, ...]] = {
    "decision": ("allow", "deny"),
    "scope": ("once", "session", "timeboxed", "amount", {}),
    "reason": ("because", "\x1b[2J"),
    "amount": ("1.5", "-1", "1e999", 3),
    "duration_seconds": (60, 0, 2**63),
    "policy_ids": (["shut"], [], "shut"),
    "policy_id": ("shut", "other", "../x", ""),
    "hard_limit": ("1", "NaN", "9" * 40),
    "soft_limit": ("0.5", "2"),
    "action": ("approval_required", "block", "advise", "x"),
    "interval_kind": ("day", "lifetime", "week"),
    "timezone": ("UTC", "Nowhere/None"),
    "scope_kind": ("principal", "global"),
    "scope_value": ("local", "*"),
    "revision": (1, "1", 0),
    "seconds": (60, 1e30),
    "assignee": ("ada", ""),
    "remedy": ("reload_config", "x"),
    "text": ("note", "x" * 10_000),
    "kind": ("review_run", "chat", "x"),
    "payload": ({}, {"run_id": ONE}, []),
    "tags": (["a"], {"a": "b"}),
    "priority": (0, 11),
    "not_before": (0, 2**62),
    "expires_at": (None, 1),
    "interval_seconds": (5, 0),
    "name": ("backup", "a/b"),
    "progress": (0.5, 1),
    "force": (True, 1),
}


@st.composite
def targets(draw: st.DrawFn) -> tuple[str, str]:
    """A method, mostly the one that is served there, and an address of the console or `/metrics` with an odd query;
    `ONE` stands in it for a run that there is."""
    if draw(st.integers(0, 12)) == 0:
        method, path = "GET", "/metrics"
    else:
        route = draw(st.sampled_from(ROUTES))
        method, path = route.method, ROOT + route.path.replace("*", draw(st.sampled_from(IDS)))
    method = draw(st.sampled_from((*[method] * 4 * len(METHODS), *METHODS)))
    query = []
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 3)))):
        name = draw(st.sampled_from(tuple(WORDS)))
        known = draw(st.sampled_from(WORDS[name]))
        text = draw(st.sampled_from((known, known, quote(draw(st.text(max_size=8)), errors="replace"), "%", "a&&=;b")))
        query.append(f"{name}={text}")
    return method, f"{path}?{'&'.join(query)}" if query else path


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    way = draw(st.integers(0, 9))
    if way < 2:
        return b""
    if way == 2:
        return draw(st.sampled_from((b"null", b"[]", b"{", b"\xff", b"[" * 20_000, b" " * 300_000, b'{"a":1,"a":2}')))
    if way == 3:
        return written(draw(HOSTILE)).encode("utf-8", "replace")
    names = draw(st.lists(st.sampled_from(tuple(FIELDS)), max_size=5, unique=True))
    odd = draw(st.sampled_from((*names, "")))
    tree = {name: draw(HOSTILE if name == odd else st.sampled_from(FIELDS[name])) for name in names}
    return written(tree).encode("utf-8", "replace")


REQUESTS = st.lists(
    st.tuples(
        targets(),
        contents(),
        st.sampled_from((*ROLES, *["admin"] * 6, "key", "key", "", "plo_ada_nonsense")),
    ),
    min_size=1,
    max_size=8,
)


@attacks(40)
def test_every_address_of_the_console_serves_or_refuses(attacked: Target, depth: settings) -> None:
    here = attacked.here
    write_on(here)
    tokens = {name: issue(here, name, role) for name, role in ROLES.items()} | {"key": here.key}
    inside = [b"Traceback", b'File "', b"internal_error", UPSTREAM_KEY.encode()]
    inside += [token[-43:].encode() for token in tokens.values()]
    run: list[str] = []

    async def one_run() -> None:
        answer = await asked(attacked, "/v1/chat/completions", json.dumps(chat()).encode())
        assert answer is not None
        assert answer.status == 200
        run.append(answer.headers["x-palyra-run"])

    attacked.run(one_run())

    @depth
    @given(REQUESTS)
    def play(requests: list[tuple[tuple[str, str], bytes, str]]) -> None:
        async def one() -> None:
            for (method, address), content, who in requests:
                path, body = address.replace(ONE, run[0]), content.replace(ONE.encode(), run[0].encode())
                answer = await asked(attacked, path, body, method=method, token=tokens.get(who, who))
                assert answer is not None
                assert (answer.status < 500, answer.cut) == (True, False), (method, path, body[:300], answer)
                assert not [one for one in inside if one in answer.body], (method, path, body[:300], answer)
                if who not in tokens and path.startswith(ROOT):
                    assert answer.status in (400, 401, 404, 405), answer
                event(f"{answer.status}")
            await attacked.unharmed()

        attacked.run(one())

    play()
    attacked.run(attacked.books())
