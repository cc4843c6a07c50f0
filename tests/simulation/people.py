"""Who asks: principals with keys, sessions, agents, channels, teams and habits; and what their requests look like."""

import json
import math
import random
from dataclasses import dataclass
from functools import cache
from typing import Any

from palyra.core.scope import Scope
from palyra.providers.request import ParsedRequest, parse_request
from palyra.providers.wires import Wire
from tests.simulation import naive
from tests.simulation.prices import MODELS, Model

ZONES = ("Europe/Prague", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
TEAMS = ("red", "green", "blue", "")
WORDS = ("report", "ledger", "budget", "deploy", "summary", "ticket", "invoice", "customer", "pipeline", "release")
DEEP = "analyze the architecture, investigate the regression and its security: "
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.net/picture.png"}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key. `pace`: how often they ask, compared with others."""

    principal: str
    key_id: str
    zone: str
    sessions: tuple[str, ...]
    channel: str
    agent: str
    team: str
    pinned: bool
    pace: float
    models: tuple[str, ...]
    allowed: tuple[str, ...]
    may_set_mode: bool
    parks: float


@cache
def awake(zone: str, hour_of_unix: int) -> float:
    """How much people of a zone ask in an hour: busiest at two in the afternoon there, quiet at night."""
    hour = naive.local(zone, hour_of_unix * naive.HOUR).hour
    return 0.05 + 0.95 * math.exp(-(((hour - 14) / 4.5) ** 2))


def population(count: int, dice: random.Random) -> list[Person]:
    chat = [model.id for model in MODELS]
    found: list[Person] = []
    for number in range(count):
        principal = f"p{number % max(1, count * 3 // 4)}"
        found.append(
            Person(
                principal=principal,
                key_id=f"k{number}",
                zone=dice.choice(ZONES),
                sessions=tuple(f"{principal}-s{index}" for index in range(dice.randint(1, 3))),
                channel=dice.choice(("slack:ops", "slack:dev", "mail:desk", "")),
                agent=dice.choice(("writer", "tester", "planner", "", "")),
                team=dice.choice(TEAMS),
                pinned=dice.random() < 0.5,
                pace=dice.lognormvariate(0, 1.2),
                models=tuple(dice.choices([*chat, "auto", "small"], k=3)),
                allowed=("openai/*", "local/*") if dice.random() < 0.06 else (),
                may_set_mode=dice.random() < 0.2,
                parks=dice.choice((60.0, 60.0, 20.0, 0.0)),
            )
        )
    return found


def scope_of(person: Person, dice: random.Random) -> Scope:
    session = dice.choice(person.sessions) if dice.random() < 0.9 else f"default:{person.key_id}"
    tags = {"team": person.team} if person.team and (person.pinned or dice.random() < 0.8) else {}
    if dice.random() < 0.1:
        tags["project"] = dice.choice(("apollo", "gemini"))
    job = "nightly" if dice.random() < 0.03 else ""
    return Scope(person.principal, session, person.key_id, person.channel, person.agent, job, tags)


def ask_for(person: Person, dice: random.Random) -> ParsedRequest:
    """A request body, from a word to some pages."""
    model = dice.choice(person.models)
    odd = dice.random()
    if odd < 0.02:
        model = "own/nobody-declared-this"
    elif odd < 0.025:
        model = "gpt-which-is-not"
    elif odd < 0.3:
        model = "auto"
    known = next((one for one in MODELS if one.id == model), None)
    wire = Wire(known.wire) if known is not None and dice.random() < 0.98 else Wire.CHAT
    if model == "auto" and dice.random() < 0.35:
        wire = Wire.MESSAGES
    return parse_request(wire, json.dumps(_body(wire, model, known, dice)).encode())


def _body(wire: Wire, model: str, known: Model | None, dice: random.Random) -> dict[str, Any]:
    size = dice.random()
    words = 1 if size < 0.3 else int(dice.lognormvariate(3.5, 1.2)) if size < 0.97 else dice.randint(1500, 9000)
    text = " ".join(dice.choices(WORDS, k=words))
    deep = dice.random() < 0.15
    if deep:
        text = f"{DEEP}{text * max(1, (4_200 if wire is Wire.CHAT else 13_000) // max(1, len(text)))}"
    content: Any = text
    if dice.random() < 0.03 and wire is Wire.CHAT:
        content = [{"type": "text", "text": text}, IMAGE]
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": content}]}
    if dice.random() < 0.5:
        body["stream"] = True
        if wire is Wire.CHAT and dice.random() < 0.6:
            body["stream_options"] = {"include_usage": True}
    if wire is Wire.MESSAGES or dice.random() < 0.6:
        body["max_tokens"] = dice.choice((16, 64, 200, 1000, 1000, 4096, 12_000))
    if wire is Wire.CHAT:
        if dice.random() < 0.04:
            body["n"] = dice.randint(2, 3)
        if dice.random() < 0.05 or (deep and dice.random() < 0.8):
            body["response_format"] = {"type": "json_object"}
        if dice.random() < 0.04:
            body["tools"] = [TOOL]
        if dice.random() < 0.02:
            body["service_tier"] = dice.choice(("auto", "flex", "scale", "priority"))
    elif dice.random() < 0.15:
        marked = {
            "type": "text",
            "text": text,
            "cache_control": {"type": "ephemeral", "ttl": dice.choice(("5m", "1h"))},
        }
        body["messages"] = [{"role": "user", "content": [marked]}]
    if dice.random() < 0.005:
        body["messages"].append({"role": "user", "content": text * (300_000 // max(1, len(text)))})
    return body
