"""The installation of the simulated month: providers, models, prices, and the budgets of the file."""

import random
from dataclasses import dataclass

from palyra.config.model import LoadedConfig
from tests.config.loading import sound
from tests.simulation import prices

BASE = """
# Its own work waits for threads that ask the loop, and here there are none. It has simulations of its own.
[scheduler]
enabled = false

[gateway]
drain_seconds = 5
keepalive_seconds = 10
max_parked = 12
max_parked_per_key = 3

[governance]
timezone = "Europe/Prague"
on_unknown_price = "{unknown}"
orphan_holds = "{orphans}"
bound_estimator = "{estimator}"
clamp_output = {clamp}

[runs]
default_output_tokens = 400
slice_tokens = 64
max_duration = "20m"

[approvals]
park_seconds = 60
ttl = "15m"
four_eyes = {four_eyes}
max_grant_usd = 2

[smart_routing]
default_mode = "{mode}"
explicit_models = {explicit_models}
enabled = {routed}

[defaults]
chat = "{chat}"

[providers.openai]
kind = "openai_compatible"
api_key = "sk-simulated-0123456789abcdefghijklmnop"
discover = false
pricing_provider = "openai"

[providers.anthropic]
kind = "anthropic"
api_key = "sk-simulated-0123456789abcdefghijklmnoq"
discover = false

[providers.own]
kind = "openai_compatible"
base_url = "https://models.example.net/v1"
api_key = "sk-simulated-0123456789abcdefghijklmnor"
discover = false
usage_dialect = "auto"

[providers.local]
kind = "deterministic"
"""

BUDGETS = """
[[budgets]]
policy_id = "house-month"
interval_kind = "monthly"
timezone = "Europe/Prague"
hard_limit = {house}
soft_limit = "50%"
routing_override = "degrade"

[[budgets]]
policy_id = "howe-hour"
interval_kind = "hourly"
timezone = "Australia/Lord_Howe"
metric_kind = "total_tokens"
hard_limit = {howe}
action = "approval_required"

[[budgets]]
policy_id = "person-day"
scope_kind = "user"
interval_kind = "daily"
timezone = "America/New_York"
hard_limit = {person}
soft_limit = "60%"
action = "approval_required"

[[budgets]]
policy_id = "channel-day"
scope_kind = "channel"
interval_kind = "daily"
timezone = "Asia/Kathmandu"
hard_limit = 0.4
action = "advise"
on_unknown_price = "allow"

[[budgets]]
policy_id = "opus-day"
scope_kind = "model"
scope_id = "anthropic/claude-opus-4-5"
interval_kind = "daily"
timezone = "Europe/Prague"
hard_limit = 2
soft_limit = 0.5
routing_override = "model:anthropic/claude-haiku-4-5"
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ from one start of the engine to the next, as an operator would change it in the file."""

    orphans: str = "charge"
    unknown: str = "flat:0.03"
    estimator: str = "calibrated"
    clamp: bool = True
    four_eyes: bool = False
    mode: str = "enforced"
    explicit_models: bool = False
    routed: bool = True
    chat: str = "openai/gpt-4o-mini"
    house: str = "40"
    howe: int = 150_000
    person: str = "0.3"

    def config(self) -> LoadedConfig:
        return sound(self.text())

    def text(self) -> str:
        """As the configuration file says it."""
        truth = {False: "false", True: "true"}
        text = BASE.format(
            orphans=self.orphans,
            unknown=self.unknown,
            estimator=self.estimator,
            clamp=truth[self.clamp],
            four_eyes=truth[self.four_eyes],
            mode=self.mode,
            explicit_models=truth[self.explicit_models],
            routed=truth[self.routed],
            chat=self.chat,
        )
        for model in prices.MODELS:
            if model.provider != "local":
                text += f'\n[[models]]\nprovider = "{model.provider}"\nupstream = "{model.upstream}"\n{model.extra}'
        return f"version = 1\n{text}{prices.rows()}" + BUDGETS.format(
            house=self.house, howe=self.howe, person=self.person
        )


def changed(dice: random.Random) -> Settings:
    """How the file may look at the next start; mostly as ever."""
    if dice.random() < 0.4:
        return Settings()
    return Settings(
        orphans=dice.choice(("charge", "charge", "release")),
        unknown=dice.choice(("flat:0.03", "flat:0.03", "allow")),
        estimator=dice.choice(("calibrated", "proven")),
        clamp=dice.random() < 0.7,
        four_eyes=dice.random() < 0.5,
        mode=dice.choices(("enforced", "suggest", "dry_run"), (6, 1, 1))[0],
        explicit_models=dice.random() < 0.3,
        routed=dice.random() < 0.75,
        chat=dice.choice(("openai/gpt-4o-mini", "openai/gpt-4o", "openai/gpt-4.1-mini")),
        house=dice.choice(("40", "40", "60", "15")),
        howe=dice.choice((150_000, 150_000, 60_000)),
        person=dice.choice(("0.3", "0.3", "0.5", "0.08")),
    )


STARTING_POLICIES: tuple[dict[str, str], ...] = (
    {
        "policy_id": "session-week",
        "scope_kind": "session",
        "interval_kind": "weekly",
        "timezone": "Asia/Kathmandu",
        "hard_limit": "0.4",
        "action": "approval_required",
    },
    {
        "policy_id": "team-roll",
        "scope_kind": "tag",
        "scope_id": "team=*",
        "interval_kind": "rolling_24h",
        "metric_kind": "total_tokens",
        "hard_limit": "120000",
        "action": "approval_required",
    },
    {
        "policy_id": "key-roll",
        "scope_kind": "key",
        "interval_kind": "rolling_30d",
        "hard_limit": "6",
        "on_unknown_price": "block",
    },
    {
        "policy_id": "person-calls",
        "scope_kind": "user",
        "interval_kind": "hourly",
        "timezone": "Asia/Kathmandu",
        "metric_kind": "requests",
        "hard_limit": "12",
    },
    {
        "policy_id": "own-day",
        "scope_kind": "provider",
        "scope_id": "own",
        "interval_kind": "daily",
        "timezone": "Australia/Lord_Howe",
        "hard_limit": "0.008",
        "on_unknown_price": "flat:0.005",
    },
    {
        "policy_id": "agent-life",
        "scope_kind": "agent",
        "interval_kind": "lifetime",
        "hard_limit": "4",
        "soft_limit": "10%",
        "routing_override": "mode:suggest",
    },
)
"""What operators add on the first day."""
