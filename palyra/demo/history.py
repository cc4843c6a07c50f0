"""Made-up days of use, written as real settled runs, so that every screen has a past to show."""

import math
import random
from collections.abc import Iterator
from decimal import Decimal
from operator import itemgetter

from palyra.core.ids import encode
from palyra.core.scope import Scope
from palyra.demo.plans import PastPlans
from palyra.demo.scene import MODELS, PEOPLE, Model, Persona
from palyra.journal.changes import Change, HoldEnded, HoldTaken, RunNoted, RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from palyra.journal.rows import HoldRow, RunRow, UsageRow

HOUR_MS = 3_600_000
BYTES_A_TOKEN = 4
DAYS = 3
RUNS = 600
MOMENTS_A_UNIT = 200
BOOT = "demo-history"


async def seed_history(journal: Journal, plans: PastPlans, now: int, dice: random.Random) -> int:
    """Writes some days that end an hour ago, busiest around noon. Returns how many runs it wrote."""
    instants = sorted(_instants(now, dice))
    moments: list[tuple[int, list[Change]]] = []
    for at in instants:
        moments += _run(at, plans, dice)
    # What is replayed is replayed in the order in which it is written.
    moments.sort(key=itemgetter(0))
    await journal.submit([plans.terms(instants[0])])
    for first in range(0, len(moments), MOMENTS_A_UNIT):
        unit = [change for _, changes in moments[first : first + MOMENTS_A_UNIT] for change in changes]
        await journal.submit(unit)
    return len(instants)


def _instants(now: int, dice: random.Random) -> Iterator[int]:
    """Instants before the present hour; nights are quiet."""
    latest = now - now % HOUR_MS
    written = 0
    while written < RUNS:
        at = latest - dice.randint(1, DAYS * 24 * HOUR_MS)
        hour = at // HOUR_MS % 24
        if dice.random() < 0.12 + 0.88 * math.exp(-(((hour - 13) / 4.5) ** 2)):
            written += 1
            yield at


def _run(at: int, plans: PastPlans, dice: random.Random) -> list[tuple[int, list[Change]]]:
    """One request, as what is written when it comes and when it ends."""
    person = dice.choices(PEOPLE, [one.pace for one in PEOPLE])[0]
    named = dice.choice(person.models)
    model = next(one for one in MODELS if one.id == named)
    if dice.random() < 0.15:
        model = dice.choices(MODELS, [one.popularity for one in MODELS])[0]
    failed = dice.random() < 0.03
    input_tokens, output_tokens = int(dice.lognormvariate(6.8, 0.9)), int(dice.lognormvariate(5.4, 0.8))
    took = int(model.seconds * 1000 * dice.uniform(0.5, 1.8))
    charge = 0 if failed else _price(model, input_tokens, output_tokens)
    run_id, hold_id = encode(at, dice.getrandbits(80)), encode(at, dice.getrandbits(80))
    scope = _scope(person, dice)
    ended = at + took
    streaming = dice.random() < 0.5 and output_tokens <= plans.limits.default_output_tokens
    complexity = round(dice.random() * 0.6, 3)
    plan = plans.plan(
        run_id,
        scope,
        model.id,
        at,
        size=input_tokens * BYTES_A_TOKEN,
        streaming=streaming,
        complexity=complexity,
        dice=dice.getrandbits(80),
    )
    run = RunRow(
        run_id=run_id,
        boot_id=BOOT,
        version=2,
        source="gateway",
        scope=scope,
        task_class="primary_interactive",
        wire="chat",
        streaming=streaming,
        model_asked=model.id,
        max_tokens=None,
        input_bytes=input_tokens * BYTES_A_TOKEN,
        expected_input=input_tokens,
        complexity=complexity,
        digest="",
        state="failed" if failed else "completed",
        phase="settle",
        reason="transient_upstream" if failed else "stop",
        message="",
        accepted_at=at,
        decision_id=plan.decision_id,
        mode="enforced",
        provider=model.provider,
        model=model.id,
        attempts=1,
        dispatched_at=at,
        first_byte_at=None if failed else at + took // 2,
        finished_at=ended,
        input_tokens=0 if failed else input_tokens,
        output_tokens=0 if failed else output_tokens,
        cost=charge,
    )
    hold = HoldRow(
        hold_id=hold_id,
        run_id=run_id,
        attempt=1,
        boot_id=BOOT,
        scope=scope,
        provider=model.provider,
        model=model.id,
        created_at=at,
        bound_usd=plan.bound_usd,
        bound_tokens=plan.bound_tokens,
        expected_input=input_tokens,
        expected_usd=charge,
        price_state="known",
        card=None,
        moves=(),
        mode="enforced",
    )
    tokens = 0 if failed else input_tokens + output_tokens
    state, requests = ("released", 0) if failed else ("settled", 1)
    end = HoldEnded(hold_id, state, ended, charge, tokens, requests, "" if failed else "provider", 0, False, ())
    note = RunNoted(run_id, ended, "run_terminal", {"state": run.state, "reason": run.reason})
    ends: list[Change] = [end, note]
    if not failed:
        ends.append(UsageRecorded(_usage(run, hold, ended, took)))
    return [(at, [RunSaved(run), *plan.kept, HoldTaken(hold)]), (ended, ends)]


def _scope(person: Persona, dice: random.Random) -> Scope:
    return Scope(person.principal, dice.choice(person.sessions), person.key_id, tags={"team": person.team})


def _price(model: Model, input_tokens: int, output_tokens: int) -> int:
    """Nano-dollars: a dollar per million tokens is 1,000 of them per token."""
    return int(1000 * (Decimal(model.input_usd) * input_tokens + Decimal(model.output_usd) * output_tokens))


def _usage(run: RunRow, hold: HoldRow, at: int, took: int) -> UsageRow:
    model = next(one for one in MODELS if one.id == run.model)
    rates = (
        {"unit": "input_tokens", "count": run.input_tokens, "usd": model.input_usd, "per": 1_000_000},
        {"unit": "output_tokens", "count": run.output_tokens, "usd": model.output_usd, "per": 1_000_000},
    )
    return UsageRow(
        hold_id=hold.hold_id,
        run_id=run.run_id,
        attempt=1,
        at=at,
        provider=model.provider,
        model=model.id,
        scope=run.scope,
        input_total=run.input_tokens,
        cache_read=0,
        write_5m=0,
        write_1h=0,
        output_total=run.output_tokens,
        reasoning=0,
        audio_in=0,
        audio_out=0,
        tool_uses=0,
        metered_input=run.input_tokens,
        metered_output=run.output_tokens,
        usage_source="provider",
        flags=(),
        price_state="known",
        rates=rates,
        charge=run.cost,
        latency_ms=took,
    )
