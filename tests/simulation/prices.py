"""What the models of the scene cost, as a table: dollars per million tokens, dated where the price changes."""

from dataclasses import dataclass

from tests.simulation.instants import at

CHANGE = "2026-10-18T00:00:00Z"
"""When the private model becomes dearer."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model; `price` is what it costs before and after `CHANGE`, empty for one without a price of ours."""

    provider: str
    upstream: str
    wire: str = "chat"
    reasoning: bool = False
    priced: bool = True
    price: tuple[tuple[str, str], ...] = ()
    extra: str = ""

    @property
    def id(self) -> str:
        return f"{self.provider}/{self.upstream}"


MODELS = (
    Model("openai", "gpt-4o-mini", extra='aliases = ["small"]\n'),
    Model("openai", "gpt-4o"),
    Model("openai", "gpt-4.1-mini"),
    Model("openai", "o4-mini", reasoning=True, extra="reasoning = true\nmax_output = 16000\n"),
    Model("anthropic", "claude-haiku-4-5", "messages"),
    Model("anthropic", "claude-opus-4-5", "messages"),
    Model("own", "acme-70b", price=(("0.90", "2.70"), ("1.10", "3.30")), extra="max_output = 3000\ntools = false\n"),
    Model("own", "acme-text", price=(("0.10", "0.20"), ("0.10", "0.20")), extra="json = false\nvision = false\n"),
    Model("own", "acme-7b", priced=False),
    Model("local", "echo"),
)
BY_UPSTREAM = {model.upstream: model for model in MODELS}
UNPRICED = frozenset({"own/acme-7b", "own/nobody-declared-this"})


def rows() -> str:
    """The `[[pricing]]` rows."""
    found: list[str] = []
    for model in MODELS:
        for (cost_in, cost_out), bound in zip(model.price, ("to", "from"), strict=False):
            found.append(
                f'[[pricing]]\nprovider = "{model.provider}"\nmodel = "{model.upstream}"\n'
                f"{bound} = {CHANGE}\ninput = {cost_in}\noutput = {cost_out}\n"
            )
    return "\n".join(found)


def rates_at(model: Model, instant: int) -> tuple[str, str] | None:
    """Input and output in dollars per million tokens, for a model with a price of ours."""
    if not model.price:
        return None
    return model.price[instant >= at(CHANGE)]
