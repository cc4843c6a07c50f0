"""Models: every provider with how it does, and under it the models it serves."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from palyra.control.serving import ModelView, ProviderView
from palyra.control.serving_queries import ConnectionAnswer, ConnectionQuery, ConnectionView
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.commands.models import MODELS
from palyra.tui.details.layout import heading
from palyra.tui.details.serving import (
    add_a_provider,
    breaker_words,
    credential_words,
    first_byte,
    lease_words,
    model_lines,
    price_words,
    provider_lines,
    sample,
    tested_lines,
    tested_mark,
)
from palyra.tui.details.words import provider_mark
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong
from palyra.tui.widgets.live_table import MAX_ROWS
from palyra.tui.widgets.rows import CellValue

COLUMNS = (
    Column("sign", safe(""), 1),
    Column("name", safe("provider, model"), 16, flex=3, most=44),
    Column("state", safe("state"), 12),
    Column("tier", safe("tier"), 9),
    Column("price", safe("used, $/M"), 9, flex=1, most=15, align="right"),
    Column("p50", safe("answers"), 7, align="right"),
    Column("notes", safe(""), 18, flex=3, most=48, priority=1),
)
BUILT_IN = "deterministic"
_WORST = {"down": 0, "missing_auth": 1, "degraded": 2, "unknown": 3, "ok": 4, "disabled": 5}


class ModelsScreen(ListScreen):
    """Providers in the order of the configuration, each followed by its models."""

    NAME = "models"
    LABEL = "Models"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.MODELS,)
    COLUMNS = COLUMNS
    FIELDS = ("model", "provider", "state", "role", "tier", "from", "can")
    ORDERS = (
        Order("provider"),
        Order("name", "name", lambda item: item.model_id if isinstance(item, ModelView) else item.provider_id),
        Order("health", "state", lambda item: _badness(item)),
        Order("answers", "p50", lambda item: 2**62 if item.p50_ms is None else item.p50_ms),
    )
    ACTIONS = (*OPENING, *MODELS, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._tests: dict[str, ConnectionView] = {}
        """What the newest test of each provider came to."""
        self._testing: set[str] = set()
        self._trimmed = False
        """Whether there are more models than the list shows."""

    @property
    def provider(self) -> ProviderView | None:
        """The provider that is selected, or that of the model that is."""
        subject = self.subject
        if isinstance(subject, ProviderView):
            return subject
        if self.snapshot is None or not isinstance(subject, ModelView):
            return None
        return next((one for one in self.snapshot.providers if one.provider_id == subject.provider_id), None)

    # Listing.

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        models: dict[str, list[ModelView]] = {}
        for model in snapshot.models:
            models.setdefault(model.provider_id, []).append(model)
        share = len(snapshot.models)
        self._trimmed = not self.filter and share + len(snapshot.providers) > MAX_ROWS
        if self._trimmed:
            # Of very many each provider shows some; a filter finds the others.
            share = max(1, (MAX_ROWS - len(snapshot.providers)) // max(1, len(models)))
        listed: list[Subject] = []
        for provider in snapshot.providers:
            listed += [provider, *models.get(provider.provider_id, ())[:share]]
        return listed

    def fields(self, subject: Subject) -> Mapping[str, str]:
        if isinstance(subject, ProviderView):
            return {"provider": subject.provider_id, "state": subject.health, "from": subject.kind}
        assert isinstance(subject, ModelView)
        return {
            "model": " ".join((subject.model_id, *subject.aliases)),
            "provider": subject.provider_id,
            "state": "on" if subject.enabled else "off",
            "role": subject.role,
            "tier": subject.tier,
            "from": subject.source,
            "can": " ".join(subject.capabilities),
        }

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        if isinstance(subject, ProviderView):
            return self._provider_cells(subject)
        assert isinstance(subject, ModelView)
        tone = Tone.PLAIN if subject.enabled else Tone.MUTED
        return (
            part(""),
            part(f"  {subject.model_id.removeprefix(f'{subject.provider_id}/')}", tone),
            part(subject.role if subject.enabled else "off", Tone.MUTED),
            part(subject.tier, tone),
            part(price_words(subject), tone if subject.priced else Tone.WARN),
            part(first_byte(subject.p50_ms), Tone.MUTED),
            part(_notes(subject), Tone.MUTED),
        )

    def _provider_cells(self, provider: ProviderView) -> tuple[CellValue, ...]:
        glyph, word, tone = provider_mark(provider)
        breaker, breaker_tone = breaker_words(provider, self.now)
        used = lease_words(provider)
        waiting = provider.leases is not None and provider.leases.waiting > 0
        return (
            part(glyph, tone),
            strong(provider.provider_id),
            part(word, tone),
            part(breaker, breaker_tone),
            part(used, Tone.WARN if waiting else Tone.PLAIN),
            part(first_byte(provider.p50_ms), Tone.MUTED),
            self._remark(provider),
        )

    def _remark(self, provider: ProviderView) -> CellValue:
        """The newest test, else the credentials that cannot be used, else the last error."""
        if provider.provider_id in self._testing:
            return part("testing …", Tone.ACCENT)
        test = self._tests.get(provider.provider_id)
        if test is not None:
            glyph, word, tone = tested_mark(test)
            took = f" {test.took_ms:,} ms" if test.ok else ""
            return part(f"{glyph} {word}{took}", tone)
        resting = [one for one in provider.credentials if one.state != "eligible"]
        if resting:
            until = resting[0].cooling_until
            words = f"{resting[0].state} key" if until is None else f"key rests {show.stopwatch(until - self.now)}"
            return part(words, Tone.WARN)
        return part(provider.last_error or provider.detail, Tone.MUTED)

    def detail(self, subject: Subject, width: int) -> list[Line]:
        if isinstance(subject, ModelView):
            return model_lines(subject, width)
        assert isinstance(subject, ProviderView)
        name = subject.provider_id
        lines = provider_lines(subject, self._tests.get(name), name in self._testing, self.zone, self.now, width)
        return [*lines, BLANK, *add_a_provider(width)] if self._only_built_in else lines

    def preview(self, subject: Subject, width: int) -> list[Line]:
        provider = self.provider
        if provider is None:
            return []
        name = provider.provider_id
        if name in self._testing or name in self._tests:
            return tested_lines(self._tests.get(name), name in self._testing, width)
        if self._only_built_in:
            return add_a_provider(width)
        if isinstance(subject, ModelView):
            context = f"context {show.tokens(subject.max_context)}"
            return [sample("can", f"{', '.join(subject.capabilities) or 'nothing else'} {glyphs.SEPARATOR} {context}")]
        lines = [sample("why", provider.detail)] if provider.detail else []
        if provider.last_error:
            when = show.moment(provider.last_error_at, self.zone, self.now)
            lines.append(sample("error", f"{provider.last_error}, {when}"))
        told = [credential_words(one, self.now) for one in provider.credentials]
        return [*lines, *(sample("key" if not number else "", words) for number, words in enumerate(told[:4]))]

    def beneath(self, subject: Subject, width: int, rows: int) -> list[Line]:
        """What belongs to what is selected: the provider of a model, or the first choice among a provider's models."""
        provider = self.provider
        if provider is None or self.snapshot is None:
            return []
        name = provider.provider_id
        if isinstance(subject, ModelView):
            test, testing = self._tests.get(name), name in self._testing
            return [heading("its provider"), *provider_lines(provider, test, testing, self.zone, self.now, width)]
        models = [one for one in self.snapshot.models if one.provider_id == name and one.enabled]
        first = min(models, key=lambda one: (not one.is_default, not one.routed), default=None)
        return [] if first is None else [heading("its first choice"), *model_lines(first, width)]

    @property
    def _only_built_in(self) -> bool:
        providers = () if self.snapshot is None else self.snapshot.providers
        return bool(providers) and all(one.kind == BUILT_IN for one in providers) and len(providers) == 1

    def teach(self, snapshot: Snapshot) -> list[Line]:
        return [line(" ", strong("No providers. ")), BLANK, *add_a_provider(self.size.width)]

    def trail(self, subject: Subject) -> str:
        if isinstance(subject, ProviderView):
            return subject.provider_id
        return subject.model_id if isinstance(subject, ModelView) else ""

    def summary(self) -> Line:
        if self.snapshot is None:
            return ()
        unwell = sum(one.unwell for one in self.snapshot.providers)
        text = f"{plural(len(self.snapshot.providers), 'provider')}, {plural(len(self.snapshot.models), 'model')}"
        if self._trimmed:
            text += ", / finds each"
        if not unwell:
            return (muted(text),)
        return (muted(f"{text} {glyphs.SEPARATOR} "), part(f"{unwell} unwell", Tone.WARN))

    # Testing.

    def test(self) -> None:
        """Has the selected provider asked; what came of it is shown in its row until it is asked again."""
        provider = self.provider
        if provider is None or provider.provider_id in self._testing:
            return
        self._testing.add(provider.provider_id)
        self._show_tests()
        self.palyra.spawn(self._ask(provider.provider_id))

    async def _ask(self, provider_id: str) -> None:
        try:
            answer: ConnectionAnswer = await self.palyra.control.ask(ConnectionQuery(provider_id, refresh=True))
            self._tests.update((one.provider_id, one) for one in answer.tests)
        except PalyraError as error:
            self.flash(f"{provider_id} could not be tested: {error}", Tone.WARN)
        finally:
            self._testing.discard(provider_id)
        self._show_tests()
        self.palyra.bridge.hurry()

    def _show_tests(self) -> None:
        self.forget_rows()
        self.redraw()


def _badness(item: Subject) -> tuple[int, str]:
    """Providers that are unwell first, models after all providers."""
    if isinstance(item, ProviderView):
        return _WORST.get(item.health, 3), item.provider_id
    return 9, item.model_id if isinstance(item, ModelView) else ""


def _notes(model: ModelView) -> str:
    notes = ["default"] if model.is_default else [] if model.routed or not model.enabled else ["by name"]
    if model.source not in ("config", "built_in"):
        notes.insert(0, "found" if model.source == "discovery" else model.source)
    able = " ".join(name for name in model.capabilities if name not in ("streaming", "responses"))
    return ", ".join([*notes, *([able] if able else [])])
