"""The filter of the audit, which the journal itself applies: words, fields, and from when to when."""

from collections.abc import Callable, Sequence

from palyra.core.durations import parse_duration_ms
from palyra.core.instants import parse_instant_ms
from palyra.core.terms import Term
from palyra.core.values import value

SINCE, UNTIL = "since", "until"
ALSO_CALLED = {"actor": "who", "subject": "to"}
"""As the command line calls them."""
FIELDS = ("who", "kind", "what", "to", "told", "entry", SINCE, UNTIL)


@value
class Narrowed:
    """What is asked of the journal: terms, and [since, until) in UTC unix ms. `fault` says what was no time; it narrows
    nothing."""

    terms: tuple[Term, ...] = ()
    since: int | None = None
    until: int | None = None
    fault: str = ""


def narrowed(terms: Sequence[Term], now: int) -> Narrowed:
    """`since:24h` is so long ago, `until:2026-11-22` the first moment of that day in UTC."""
    kept: list[Term] = []
    times: dict[str, int] = {}
    fault = ""
    for term in terms:
        if term.field not in (SINCE, UNTIL):
            kept.append(Term(ALSO_CALLED.get(term.field, term.field), term.value, term.inverted))
            continue
        at = _time(term.value, now)
        if at is None:
            fault = f"{term.field}:{term.value} is no time; write it like 24h, 2026-11-22 or 2026-11-22T12:00Z"
        else:
            # `!since:` is what came before.
            name = term.field if not term.inverted else {SINCE: UNTIL, UNTIL: SINCE}[term.field]
            narrow: Callable[[int, int], int] = max if name == SINCE else min
            times[name] = narrow(times.get(name, at), at)
    return Narrowed(tuple(kept), times.get(SINCE), times.get(UNTIL), fault)


def _time(text: str, now: int) -> int | None:
    try:
        return max(0, now - parse_duration_ms(text))
    except ValueError:
        pass
    try:
        return parse_instant_ms(text)
    except ValueError:
        return None
