"""The made-up company of the demo: its providers, budgets and people. Prices are invented, like everything here."""

import random
import re

from palyra.core.values import value

SEED = 20_261_122


@value
class Model:
    """One model of the scene; dollars per million tokens, typical answer in tokens and seconds."""

    provider: str
    upstream: str
    input_usd: str
    output_usd: str
    seconds: float
    popularity: int

    @property
    def id(self) -> str:
        """`provider/model`, as the configuration names it."""
        return f"{self.provider}/{self.upstream}"


@value
class Persona:
    """Somebody with a key. `pace`: how often they ask, compared with the others."""

    key_id: str
    principal: str
    sessions: tuple[str, ...]
    team: str
    models: tuple[str, ...]
    pace: int


MODELS = (
    Model("meridian", "atlas-large", "5.00", "20.00", 2.4, 3),
    Model("meridian", "atlas-mini", "0.40", "1.60", 0.7, 6),
    Model("solstice", "lyra-pro", "3.00", "15.00", 1.8, 4),
    Model("solstice", "lyra-swift", "0.80", "4.00", 0.5, 5),
)

PEOPLE = (
    Persona("ci-runner", "agent-ci", ("build-771", "build-772"), "platform", ("meridian/atlas-mini",), 6),
    Persona("maria", "maria", ("notebook", "draft-report"), "research", ("solstice/lyra-pro",), 3),
    Persona("nightly", "nightly", ("digest",), "platform", ("solstice/lyra-swift", "meridian/atlas-mini"), 4),
    Persona("support", "support-bot", ("tickets",), "support", ("solstice/lyra-swift",), 5),
    Persona("research", "jonas", ("evals",), "research", ("meridian/atlas-large",), 2),
)

SUBJECTS = (
    "Summarise the incident review of the billing service and list what is still open. ",
    "Investigate why the regression suite became slower after the last release. ",
    "Draft release notes from these commits, grouped by what a user would notice. ",
    "Classify these tickets by product area and urgency, and answer the easy ones. ",
    "Analyze the architecture of the ingest pipeline and its security assumptions. ",
)


def prompt(dice: random.Random) -> str:
    """A made-up request, from a sentence to some pages."""
    return dice.choice(SUBJECTS) * dice.choice((2, 4, 8, 24, 60))


def configuration(dice: random.Random, bind: str) -> str:
    """The demo's palyra.toml: scripted deterministic providers with prices, budgets of several kinds, and jobs."""
    parts = [f'version = 1\n[gateway]\nbind = "{bind}"\n[approvals]\npark_seconds = 60\n']
    for provider in dict.fromkeys(model.provider for model in MODELS):
        steps = ", ".join(_step(dice) for _ in range(600))
        parts.append(f'[providers.{provider}]\nkind = "deterministic"\nscript = [{steps}]\n')
    for model in MODELS:
        parts.append(f'[[models]]\nprovider = "{model.provider}"\nupstream = "{model.upstream}"\n')
        parts.append(
            f'[[pricing]]\nprovider = "{model.provider}"\nmodel = "{model.upstream}"\n'
            f"input = {model.input_usd}\noutput = {model.output_usd}\n"
        )
    parts += [BUDGETS, JOBS]
    return "\n".join(parts)


def _step(dice: random.Random) -> str:
    """One scripted answer: mostly a made-up text after a while, now and then a failure."""
    if dice.random() < 0.03:
        return "{delay_ms = 400, status = 503}"
    words = " ".join(dice.choice(WORDS) for _ in range(dice.randint(20, 160)))
    return f'{{delay_ms = {dice.randint(200, 4000)}, text = "{words}"}}'


WORDS = re.findall(
    r"\w+",
    "the ledger balances every hold before it is sent and each budget tells how far it reaches while operators decide"
    " what may pass and the journal remembers it",
)

BUDGETS = """
[[budgets]]
policy_id = "house-month"
hard_limit = 12
action = "block"

[[budgets]]
policy_id = "person-day"
scope_kind = "user"
interval_kind = "daily"
hard_limit = 0.6
soft_limit = "70%"

[[budgets]]
policy_id = "research-hour"
scope_kind = "tag"
scope_id = "team=research"
interval_kind = "hourly"
hard_limit = 0.03
action = "approval_required"

[[budgets]]
policy_id = "ci-tokens"
scope_kind = "key"
scope_id = "ci-runner"
metric_kind = "total_tokens"
interval_kind = "rolling_24h"
hard_limit = 150000
action = "advise"

[[budgets]]
policy_id = "support-calls"
scope_kind = "user"
scope_id = "support-bot"
metric_kind = "requests"
interval_kind = "hourly"
hard_limit = 90
"""

JOBS = """
[[jobs]]
name = "ticket digest"
every = "12s"
action = "prompt"
prompt = "Summarise what customers wrote since the last time, and say what is urgent."
model = "solstice/lyra-swift"
max_tokens = 400
owner = "support-bot"
tags = ["team=support"]

[[jobs]]
name = "build report"
every = "20s"
action = "task"
task = "summary"
input = "Which builds failed since the last report, and what do they have in common?"
owner = "agent-ci"
tags = ["team=platform"]

[[jobs]]
name = "nightly evals"
cron = "30 2 * * *"
timezone = "Europe/Prague"
action = "prompt"
prompt = "Run the evaluation set and compare it with yesterday's."
model = "meridian/atlas-large"
owner = "jonas"
tags = ["team=research"]

[[jobs]]
name = "monday review"
cron = "0 9 * * mon"
timezone = "America/New_York"
action = "prompt"
prompt = "List the open incident reviews with their owners."
owner = "maria"
tags = ["team=research"]
"""
