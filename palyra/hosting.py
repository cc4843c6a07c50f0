"""The engine of a console's own process: started, stopped for repairs and started again while the screen stays open.

Where it cannot be started, the console is in recovery mode: the doctor works, and says what keeps the engine away.
"""

import asyncio
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from palyra.at_keyboard import at_keyboard, operator_view, owner_of
from palyra.config.load import LoadResult, load_config
from palyra.config.model import LoadedConfig
from palyra.control.commands import Command, Reload
from palyra.control.doctor_acts import FLAG, not_done, repaired, repairs_refused
from palyra.control.doctor_commands import DoctorCommand
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.engine_commands import StartEngine
from palyra.control.local import LocalControl
from palyra.control.protocol import Control
from palyra.control.queries import Answer, Query
from palyra.control.recovery import AtDesk, RecoveryControl
from palyra.control.snapshots import CommandResult, OperatorView, Snapshot, Topic
from palyra.control.standstill import Premises, Standstill
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.events import Event
from palyra.core.logs import EngineLog
from palyra.core.reasons import reason_of
from palyra.doctor.reading import Where
from palyra.engine import Installation
from palyra.house import House, start_house
from palyra.installed import ConfigError, trouble_of
from palyra.log_files import log_settings, open_log
from palyra.vault.access import KEY_FILE, AccessRegistry
from palyra.vault.identity import Identity, IdentityError, account_of
from palyra.vault.records import Role

log = logging.getLogger(__name__)

T = TypeVar("T")

Follow = Callable[[LoadedConfig], Awaitable[None]]
Company = Callable[[House], Coroutine[None, None, None]]


class HostedControl(Control):
    """The console's control, whether an engine runs or not.

    `load` is asked at each start what to run on, `where` is what the doctor looks at, `screen` what the console goes by
    meanwhile. `company` goes on beside an engine whose doors are open.
    """

    def __init__(
        self,
        load: Callable[[], Installation],
        where: Where,
        state_dir: Path,
        screen: LoadedConfig,
        clock: Clock,
        *,
        operator: str = "",
        read_only: bool = False,
        company: Company | None = None,
        recovers: bool = True,
    ) -> None:
        """Without `recovers` what keeps the engine from starting is raised."""
        self._load = load
        self._where = where
        self.state_dir = state_dir
        self._screen = screen
        self.clock = clock
        self._operator = operator
        self._read_only = read_only
        self._company = company
        self._recovers = recovers
        self._since = clock.now_ms()
        self._doctor = DoctorDesk(where, clock)
        self._first: Identity | None = None
        self._house: House | None = None
        self._log: EngineLog | None = None
        self._config_path = ""
        self._follow: list[Follow] = []
        self._beside: asyncio.Task[None] | None = None
        self._painted = False
        self._closing = False
        self._moving = asyncio.Lock()
        """Held by whoever starts or stops the engine, or repairs."""
        self._under_way: set[asyncio.Task[CommandResult]] = set()
        self._control: Control = self._standing(Standstill("it is being started", phase="starting"))

    # What a console sees.

    @property
    def attached(self) -> bool:
        return False

    @property
    def house(self) -> House | None:
        """The engine with its doors, while one runs."""
        return self._house

    @property
    def standstill(self) -> Standstill | None:
        """Why no engine runs; None while one does."""
        return self._control.standstill if isinstance(self._control, RecoveryControl) else None

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        return await self._of_whoever_is_there(lambda control: control.snapshot(topics))

    async def answer(self, query: Query) -> Answer:
        return await self._of_whoever_is_there(lambda control: control.answer(query))

    async def _of_whoever_is_there(self, ask: Callable[[Control], Awaitable[T]]) -> T:
        asked = self._control
        try:
            return await ask(asked)
        except Exception:
            if asked is self._control:
                raise
            # It was stopped, or started, in the midst of it.
            return await ask(self._control)

    async def send(self, command: Command) -> CommandResult:
        """What was begun is brought to its end, also when the screen goes away."""
        if isinstance(command, Reload) and self._house is None:
            # There is nothing to go on with: a file that is read again is what an engine is tried on.
            command = StartEngine()
        if not isinstance(command, DoctorCommand | StartEngine):
            return await self._control.send(command)
        work = asyncio.create_task(self._carry_out(command))
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return await asyncio.shield(work)

    async def _carry_out(self, command: DoctorCommand | StartEngine) -> CommandResult:
        async with self._moving:
            if self._closing:
                return CommandResult("denied", "The console is being closed.", code="closing")
            if isinstance(command, StartEngine):
                return await self._start_again()
            if self._house is None:
                return await self._repair_in_recovery(command)
            if command.stop_engine:
                return await self._repair_with_a_stop(self._house, command)
            return await self._control.send(command)

    # Living.

    def listen(self, follow: Follow) -> None:
        """`follow` is told the configuration of an engine that starts here later, and each time it is read again."""
        self._follow.append(follow)
        if self._house is not None:
            self._house.engine.reloading.listen(follow)

    async def start(self) -> None:
        """Starts the engine, its doors closed, or recovery mode. Raises IdentityError where nobody can be named."""
        self._first = self._identity()
        async with self._moving:
            await self._start()
        if self._house is not None:
            # The first start makes the registry by which a name is judged.
            self._first = self._identity()

    async def open_doors(self) -> None:
        """Lets clients in, now that there is a screen; recovery mode where an address cannot be had."""
        async with self._moving:
            self._painted = True
            if self._house is not None:
                await self._open_doors(self._house)

    async def close(self) -> None:
        """Waits for what is under way, drains the engine and closes whatever was opened."""
        self._closing = True
        async with self._moving:
            if self._house is not None:
                await self._leave(self._house)
        await asyncio.gather(*self._under_way, return_exceptions=True)
        kept, self._log = self._log, None
        if kept is not None:
            kept.close()

    # Starting and stopping.

    async def _start(self) -> None:
        """Never raises for what is wrong with the installation: the screen says it."""
        if self._closing:
            return
        self._control = self._standing(Standstill("it is being started", phase="starting"))
        try:
            installation = self._load()
            self._config_path = str(installation.config_path or "")
            self._keep_log(installation)
            house = await start_house(installation, self.clock, self._where.environ)
        except Exception as error:
            self._stand(error)
            return
        self._house = house
        if self._log is not None:
            house.follow(self._log)
        for follow in self._follow:
            house.engine.reloading.listen(follow)
        if self._painted:
            await self._open_doors(house)
        else:
            self._control = LocalControl(house.face, self._present)

    async def _open_doors(self, house: House) -> None:
        try:
            await house.open_doors()
        except Exception as error:
            await self._leave(house)
            self._stand(error)
            return
        self._control = LocalControl(house.face, self._present)
        for follow in self._follow:
            await follow(house.engine.config)
        if self._company is not None:
            self._beside = asyncio.create_task(self._company(house))

    async def _leave(self, house: House) -> None:
        """Stops what runs; snapshots tell of the draining until it is over."""
        if self._beside is not None:
            self._beside.cancel()
            await asyncio.gather(self._beside, return_exceptions=True)
            self._beside = None
        self._house = None
        await asyncio.shield(house.close())

    def _stand(self, error: Exception) -> None:
        """Recovery mode begins."""
        if not self._recovers:
            raise error
        problems: tuple[str, ...] = ()
        if isinstance(error, ConfigError):
            problems, self._config_path = tuple(map(str, error.problems)), error.path
        elif isinstance(error, PalyraError):
            problems = (str(error),)
        if self._log is None:
            self._log = self._log_of_recovery()
        if not isinstance(error, PalyraError):
            log.error("the engine failed to start", exc_info=error)
        else:
            log.warning("recovery mode: %s", error)
        code = error.code if isinstance(error, PalyraError) else "fault"
        self._control = self._standing(Standstill(trouble_of(error, self.state_dir), problems, code))

    def _standing(self, why: Standstill) -> RecoveryControl:
        premises = Premises(
            str(self.state_dir),
            self._config_path,
            str(self.state_dir / KEY_FILE),
            "" if self._log is None else str(self._log.path),
            self._screen.governance.timezone,
            self._since,
        )
        return RecoveryControl(self._doctor, self.clock, premises, why, self._at_desk, self._read)

    def _read(self) -> LoadResult:
        """The configuration that the doctor looks at, as it is now."""
        where = self._where
        return load_config(where.config, where.environ, system_file=where.system_file)

    def _keep_log(self, installation: Installation) -> None:
        if self._log is None:
            self._log = open_log(installation.config, installation.state_dir)
        else:
            settings = installation.config.logging
            try:
                self._log.configure(self.state_dir / settings.file, log_settings(settings))
            except OSError as error:
                log.warning("the log stays where it is: %s", reason_of(error))

    def _log_of_recovery(self) -> EngineLog | None:
        """The log, where a state directory is there that is surely ours: nothing is made or changed for it."""
        settings = self._screen.logging
        try:
            found = self.state_dir.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                return None
            return EngineLog(self.state_dir / settings.file, log_settings(settings))
        except OSError:
            return None

    # Repairing.

    async def _start_again(self) -> CommandResult:
        if self._house is not None:
            return await self._control.send(StartEngine())
        await self._start()
        why = self.standstill
        if why is None:
            return CommandResult("accepted", "The engine runs.")
        return CommandResult("conflict", f"The engine does not start: {why.trouble}.", code=why.code)

    async def _repair_in_recovery(self, command: DoctorCommand) -> CommandResult:
        result = await self._control.send(command)
        if not result.data.get("run_id"):
            return result
        await self._start()
        return self._with_start(result)

    async def _repair_with_a_stop(self, house: House, command: DoctorCommand) -> CommandResult:
        there = self._at_desk()
        refused = repairs_refused(there.operator, there.owner, open_to_others=there.open_to_others)
        if refused is not None:
            return refused
        try:
            if not await house.face.doctor.needs_stop(command):
                return await self._control.send(command)
        except PalyraError as error:
            return not_done(error)
        log.info("the engine is stopped for repairs by %s", there.operator.name)
        await house.engine.drain()
        self._control = self._standing(Standstill("stopped for repairs", phase="draining"))
        await self._leave(house)
        self._control = self._standing(Standstill("stopped for repairs"))
        try:
            result = await repaired(self._doctor, command, there.who)
        finally:
            await self._start()
        return self._with_start(result)

    def _with_start(self, result: CommandResult) -> CommandResult:
        """Told with what became of the engine after it."""
        if self._house is not None:
            run_id, operator = result.data.get("run_id", ""), self._at_desk().operator.name
            if run_id:
                event = Event("repair.done", self.clock.now_ms(), run_id, {"operator": operator})
                self._house.engine.events.publish(event)
            return replace(result, message=f"{result.message} The engine runs.")
        why = self.standstill
        trouble = "it is being closed" if why is None else why.trouble
        return replace(result, message=f"{result.message} No engine runs: {trouble}.")

    # Who is there.

    def _identity(self) -> Identity:
        access = self._access()
        return at_keyboard(access, owner=self._owner(), claimed=self._operator, environ=self._where.environ)

    def _access(self) -> AccessRegistry:
        return AccessRegistry.look(self.state_dir, self.clock) if self._house is None else self._house.engine.access

    def _owner(self) -> int | None:
        return owner_of(self.state_dir)

    def _present(self) -> OperatorView:
        """Who is at the keyboard now, by the registry as it is now."""
        try:
            identity = self._identity()
        except IdentityError:
            assert self._first is not None
            # Whoever that is now, it is not the one who began.
            identity = replace(self._first, role=Role.VIEWER, may_repair=False)
        return operator_view(identity, read_only=self._read_only)

    def _at_desk(self) -> AtDesk:
        owner = self._owner()
        account = account_of(os.geteuid() if owner is None else owner)
        return AtDesk(self._present(), account, self._access().flag(FLAG))
