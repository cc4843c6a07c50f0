"""The running house over HTTP: the snapshot as it is, also when the house fails."""

from palyra.control.diagnostics_answers import diagnosis_json
from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.gateway.console_acts import Ask
from palyra.gateway.console_answers import Told


async def diagnostics(ask: Ask) -> Told:
    """`GET diagnostics`: every part and how it does."""
    words = ask.words("section", "fresh")
    names = tuple(dict.fromkeys(name.strip() for name in words.text("section").split(",") if name.strip()))
    fresh = words.choice("fresh", ("true", "false")) == "true"
    return Told(diagnosis_json(await ask.control.ask(DiagnosticsQuery(names, fresh))), scrubbed=True)
