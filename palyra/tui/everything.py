"""Every object that the palette finds by name, with the screen that lists it."""

import asyncio
from collections.abc import Sequence

from palyra.control.diagnostics_queries import DiagnosticsQuery
from palyra.control.notice_queries import DeadLettersQuery, HeartbeatsQuery
from palyra.control.protocol import Control
from palyra.control.snapshots import Topic
from palyra.core.errors import PalyraError
from palyra.tui.details.diagnosis import parts_of
from palyra.tui.screens.approvals import ApprovalsScreen
from palyra.tui.screens.base import PalyraScreen
from palyra.tui.screens.budgets import BudgetsScreen
from palyra.tui.screens.diagnostics import DiagnosticsScreen
from palyra.tui.screens.incidents import IncidentsScreen
from palyra.tui.screens.jobs import JobsScreen
from palyra.tui.screens.models import ModelsScreen
from palyra.tui.screens.runs import RunsScreen
from palyra.tui.screens.triage import TriageScreen
from palyra.tui.subjects import Subject, key_of
from palyra.tui.widgets.live_table import MAX_ROWS

Named = tuple[str, Subject]
"""The name of a screen, and an object that it lists."""


async def everything(control: Control, screens: Sequence[PalyraScreen]) -> list[Named]:
    """What there is now, then what the screens know beside it: older rows, findings of the doctor, runs of it. Without
    an engine only the latter."""
    asked = await asyncio.gather(_shown(control), _parts(control), _beats(control), _letters(control))
    if not asked[0]:
        asked = ([], [], [], [])
    own = [(screen.NAME, subject) for screen in screens for subject in screen.known]
    named = {f"{name}:{key_of(subject)}": (name, subject) for name, subject in own}
    # What was just asked is newer than what a screen out of sight remembers.
    now = {f"{name}:{key_of(subject)}": (name, subject) for found in asked for name, subject in found}
    return list((now | {key: one for key, one in named.items() if key not in now}).values())


async def _shown(control: Control) -> list[Named]:
    try:
        snapshot = await control.snapshot(tuple(Topic))
    except PalyraError:
        return []
    if snapshot.engine.trouble:
        return []
    return [
        *((ApprovalsScreen.NAME, item) for item in snapshot.approvals if item.status == "pending"),
        *((ApprovalsScreen.NAME, item) for item in snapshot.grants),
        *((IncidentsScreen.NAME, item) for item in snapshot.incidents),
        *((TriageScreen.NAME, item) for item in snapshot.alerts),
        *((BudgetsScreen.NAME, item) for item in snapshot.budgets),
        *((ModelsScreen.NAME, item) for item in snapshot.providers),
        *((ModelsScreen.NAME, item) for item in snapshot.models),
        *((JobsScreen.NAME, item) for item in snapshot.jobs),
        *((JobsScreen.NAME, item) for item in snapshot.tasks),
        *((RunsScreen.NAME, item) for item in snapshot.runs),
    ]


async def _parts(control: Control) -> list[Named]:
    try:
        told = await control.ask(DiagnosticsQuery())
    except PalyraError:
        return []
    return [(DiagnosticsScreen.NAME, part) for part in parts_of(told)]


async def _beats(control: Control) -> list[Named]:
    try:
        page = await control.ask(HeartbeatsQuery(limit=MAX_ROWS))
    except PalyraError:
        return []
    return [(IncidentsScreen.NAME, beat) for beat in page.heartbeats]


async def _letters(control: Control) -> list[Named]:
    try:
        page = await control.ask(DeadLettersQuery(limit=MAX_ROWS))
    except PalyraError:
        return []
    return [(IncidentsScreen.NAME, letter) for letter in page.letters]
