"""Reading an installation: each input on its own, under a guard and a limit, and nothing of it changed."""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from palyra.config.paths import SYSTEM_FILE
from palyra.config.paths import state_dir as find_state_dir
from palyra.core.clock import Clock
from palyra.core.errors import EngineGoneError, PalyraError
from palyra.core.reasons import reason_of
from palyra.core.values import value
from palyra.doctor.files import Files, read_tree
from palyra.doctor.guarding import guarded
from palyra.doctor.installation import (
    ConfigFiles,
    EngineFacts,
    Installation,
    JournalRead,
    NothingToReadError,
    NotReadError,
    Online,
    Reading,
    Recovery,
    StateTree,
    Zones,
)
from palyra.doctor.reading_config import read_config_files, read_document, read_settings
from palyra.doctor.reading_engine import find_leftovers, read_engine, read_recovery
from palyra.doctor.reading_secrets import read_access, read_profiles_of, read_vault, references_in
from palyra.doctor.surroundings import Terminal, differs_from_system, known_zone, look_around

if TYPE_CHECKING:
    from palyra.config.model import LoadedConfig
    from palyra.journal.examination import Asking, Examined

T = TypeVar("T")

LIMIT_S = 5.0
JOURNAL_LIMIT_S = 30.0
"""For each part of the journal's examination."""
JOURNAL_FILE = "journal.db"
NOT_ASKED = "the network is asked only with --online"

AskEngine = Callable[["Asking"], Awaitable["tuple[str, Examined]"]]
"""Has the engine that holds the state directory examine its journal; its boot id and what it found. Raises TimeoutError
and EngineGoneError where it does not answer, PalyraError where it refuses."""
AskNetwork = Callable[["Installation"], Awaitable[Online]]


@value
class Where:
    """Which installation, as options and the environment name it."""

    config: Path | None = None
    state_dir: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    system_file: Path = SYSTEM_FILE


@value
class Means:
    """What an installation is read with. `ask_network` None: the network is left alone. `deep`: no limits."""

    clock: Clock
    files: Files = field(default_factory=Files)
    ask_engine: AskEngine | None = None
    ask_network: AskNetwork | None = None
    terminal: Terminal | None = None
    uid: int | None = None
    deep: bool = False

    @property
    def limit_s(self) -> float | None:
        """How many seconds the journal is looked at; None: as long as it takes."""
        return None if self.deep else LIMIT_S


async def read_installation(where: Where, means: Means) -> Installation:
    """Never raises for what is wrong with the installation."""
    clock, environ, files = means.clock, where.environ, means.files
    now = clock.now_ms()
    state_dir = find_state_dir(where.state_dir, environ)

    async def read(name: str, work: Callable[[], T]) -> Reading[T]:
        return await attempted(lambda: guarded(work, means.limit_s, clock, name))

    state = await read("state", lambda: read_tree(files, state_dir))
    config_files = await read("config", lambda: read_config_files(files, where.config, environ, where.system_file))
    document = await read("document", lambda: read_document(config_files.get()))
    settings = await read("settings", lambda: read_settings(config_files.get(), document, environ))
    surroundings = await read("surroundings", lambda: look_around(means.terminal))
    tree = state.found or StateTree(files.look(state_dir, read=False))
    engine = await read("engine", lambda: read_engine(tree))
    recovery = await read("recovery", lambda: _recovery(tree, config_files.found))
    access = await read("access", lambda: read_access(tree))
    loaded = settings.found.config if settings.found is not None else None
    profiles = await read("profiles", lambda: read_profiles_of(tree, loaded))
    wanted = references_in(loaded, profiles.found)
    vault = await read("vault", lambda: read_vault(tree, loaded or _defaults(), environ, wanted))
    engine, journal = await _journal(tree, engine, means)
    leftovers = await read("leftovers", lambda: find_leftovers(tree, config_files.found, engine.get(), now))
    examined = journal.found.examined if journal.found is not None else None
    used = zones_in_use(loaded, examined)
    zones = await read("zones", lambda: _zones(used, now))
    found = Installation(
        now_ms=now,
        uid=os.geteuid() if means.uid is None else means.uid,
        environ=environ,
        state_dir=state_dir,
        state=state,
        config_files=config_files,
        settings=settings,
        engine=engine,
        document=document,
        surroundings=surroundings,
        zones=zones,
        journal=journal,
        vault=vault,
        profiles=profiles,
        access=access,
        recovery=recovery,
        leftovers=leftovers,
        online=Reading(absent=NOT_ASKED),
    )
    return found if means.ask_network is None else await _asked(found, means.ask_network)


async def attempted(work: Callable[[], Awaitable[T]]) -> Reading[T]:
    """What came of a piece of reading."""
    try:
        return Reading(found=await work())
    except NothingToReadError as absent:
        return Reading(absent=str(absent))
    except NotReadError as problem:
        return Reading(problem=str(problem))
    except Exception as error:
        # Whatever is wrong with one input, the others are still read.
        return Reading(problem=f"{type(error).__name__}: {reason_of(error)}")


def _recovery(tree: StateTree, config_files: ConfigFiles | None) -> Recovery:
    from palyra.doctor.rolling_back import with_undo

    found = read_recovery(tree)
    return with_undo(found, config_files, tree.root.path) if found.runs else found


def _defaults() -> "LoadedConfig":
    from palyra.config.model import LoadedConfig

    return LoadedConfig()


async def _journal(
    tree: StateTree, engine: Reading[EngineFacts], means: Means
) -> tuple[Reading[EngineFacts], Reading[JournalRead]]:
    """The journal as it tells of itself, or as the engine that holds it does; and what is known of the engine then."""
    if engine.found is not None and engine.found.running:
        return await _through_engine(engine.found, means)
    if tree.at(JOURNAL_FILE).facts is None:
        return engine, Reading(absent="there is no journal")
    return engine, await attempted(lambda: _examined(tree, means))


async def _examined(tree: StateTree, means: Means) -> JournalRead:
    from palyra.journal.examination import Asking, NoRoomError, NotAJournalError, examine

    try:
        return JournalRead(await examine(tree.root.path, means.clock, Asking(means.deep, _limit(means))))
    except NotAJournalError as error:
        return JournalRead(refused=error.message)
    except NoRoomError as error:
        raise NothingToReadError(str(error)) from None
    except PalyraError as error:
        raise NotReadError(str(error)) from None


async def _through_engine(found: EngineFacts, means: Means) -> tuple[Reading[EngineFacts], Reading[JournalRead]]:
    from palyra.journal.examination import Asking

    if means.ask_engine is None:
        return Reading(found=found), Reading(absent=f"an engine holds it (pid {found.pid})")
    try:
        boot_id, examined = await means.ask_engine(Asking(means.deep, _limit(means), live=True))
    except (EngineGoneError, TimeoutError) as error:
        silent = EngineFacts(running=True, pid=found.pid, responds=False)
        why = f": {error}" if str(error) else " in time"
        return Reading(found=silent), Reading(problem=f"the engine (pid {found.pid}) did not answer{why}")
    except PalyraError as error:
        refusing = EngineFacts(running=True, pid=found.pid, responds=True)
        return Reading(found=refusing), Reading(problem=f"the engine (pid {found.pid}) cannot tell: {error}")
    answering = EngineFacts(running=True, pid=found.pid, responds=True, boot_id=boot_id)
    return Reading(found=answering), Reading(found=JournalRead(examined))


def _limit(means: Means) -> float | None:
    return None if means.deep else JOURNAL_LIMIT_S


def zones_in_use(config: "LoadedConfig | None", examined: "Examined | None") -> tuple[str, ...]:
    """Zones that windows and schedules are reckoned in; UTC always is."""
    names = {"UTC"}
    if config is not None:
        names |= {config.governance.timezone, config.scheduler.timezone}
        names |= {row.timezone for row in config.budgets} | {row.timezone for row in config.jobs}
        names |= {config.console.timezone} - {"local"}
    if examined is not None:
        names |= set(examined.zones)
    return tuple(sorted(names))


def _zones(used: Iterable[str], now_ms: int) -> Zones:
    names = tuple(used)
    unknown = tuple(name for name in names if not known_zone(name))
    known = [name for name in names if name not in unknown]
    return Zones(names, unknown, tuple(name for name in known if differs_from_system(name, now_ms)))


async def _asked(found: Installation, ask: AskNetwork) -> Installation:
    return replace(found, online=await attempted(lambda: ask(found)))
