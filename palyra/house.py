"""A whole Palyra in one process: the engine, its gateway and the operators' socket, opened and closed in order."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from palyra.at_keyboard import at_keyboard, operator_view
from palyra.config.model import LoadedConfig
from palyra.control.local import Doors, EngineFace, LocalControl
from palyra.control.snapshots import OperatorView
from palyra.control.sockets import socket_path
from palyra.core.clock import Clock
from palyra.core.logs import EngineLog
from palyra.core.reasons import reason_of
from palyra.engine import Engine, Installation
from palyra.gateway.metrics import Metrics
from palyra.gateway.operators import OperatorsServer
from palyra.gateway.server import Gateway
from palyra.log_files import log_settings
from palyra.vault.identity import Identity, IdentityError
from palyra.vault.records import Role
from palyra.vault.secrets import SecretSource

log = logging.getLogger(__name__)


@dataclass(slots=True)
class House:
    """An open engine with its doors. `gateway` is None where only commands are carried out."""

    engine: Engine
    face: EngineFace
    environ: Mapping[str, str]
    gateway: Gateway | None = None
    socket: OperatorsServer | None = None

    async def open_doors(self) -> None:
        """Has the engine begin, and lets clients and other consoles in. Raises StateError when an address cannot be
        had."""
        engine = self.engine
        await engine.begin()
        gateway = Gateway(engine, engine.clock, Metrics(engine), self.control_for)
        gateway.open()
        self.gateway = gateway
        engine.diagnosing.doors = gateway.figures
        gateway.broke = engine.diagnosing.hearing.gateway
        socket = OperatorsServer(engine.state_dir, engine.access, self.control_for, self.environ)
        await socket.open()
        self.socket = socket
        engine.tasks.open_claims()

    def follow(self, kept: EngineLog) -> None:
        """Has the log go on as `[logging]` says, whenever the configuration is read again."""

        async def again(config: LoadedConfig) -> None:
            settings = log_settings(config.logging)
            try:
                await asyncio.to_thread(kept.configure, self.engine.state_dir / config.logging.file, settings)
            except OSError as error:
                log.warning("the log stays where it is: %s", reason_of(error))

        self.engine.reloading.listen(again)

    def doors(self) -> Doors:
        """The addresses it listens on."""
        return Doors(
            gateway_url=self.gateway.url if self.gateway is not None else "",
            socket=str(self.socket.path) if self.socket is not None else "",
        )

    def control_for(self, identity: Identity, *, read_only: bool = False) -> LocalControl:
        """The control of an operator."""
        return LocalControl(self.face, operator_view(identity, read_only=read_only))

    def own_control(self, claimed: str, environ: Mapping[str, str], *, read_only: bool = False) -> LocalControl:
        """The control of who started this process, for as long as it lasts: what they may do is looked up each time,
        so that a change of the access registry holds for a screen that is open too. Raises IdentityError."""
        first = self.own_identity(claimed, environ)

        def present() -> OperatorView:
            try:
                identity = self.own_identity(claimed, environ)
            except IdentityError:
                # Whoever that is now, it is not the one who began.
                identity = replace(first, role=Role.VIEWER)
            return operator_view(identity, read_only=read_only)

        return LocalControl(self.face, present)

    def own_identity(self, claimed: str, environ: Mapping[str, str]) -> Identity:
        """Who started this process. Raises IdentityError."""
        self.engine.access.refresh()
        return at_keyboard(self.engine.access, owner=self.engine.state_owner, claimed=claimed, environ=environ)

    async def close(self) -> None:
        """Drains, and closes whatever was opened."""
        await self.engine.drain()
        if self.gateway is not None:
            await self.gateway.close()
        if self.socket is not None:
            await self.socket.close()
        await self.face.replays.close()
        await self.engine.close()


@asynccontextmanager
async def open_house(
    installation: Installation,
    clock: Clock,
    environ: Mapping[str, str],
    *,
    serving: bool = True,
    vault: SecretSource | None = None,
) -> AsyncIterator[House]:
    """Starts the engine; with `serving`, the doors too. On leaving, drains and closes whatever was opened.

    `vault` is where credentials are kept that the configuration names by reference; None: there is none. Raises
    StateError when the state directory or an address cannot be had.
    """
    house = await start_house(installation, clock, environ, vault=vault)
    try:
        await (house.open_doors() if serving else house.engine.begin())
        yield house
    finally:
        await asyncio.shield(house.close())


async def start_house(
    installation: Installation, clock: Clock, environ: Mapping[str, str], *, vault: SecretSource | None = None
) -> House:
    """An engine that has not begun, its doors closed. Whoever has it closes it. Raises StateError as `open_house`."""
    socket = socket_path(installation.state_dir, environ)
    engine = await Engine.open(installation, clock, environ, socket=socket, vault=vault, beginning=False)
    house: House | None = None
    face = EngineFace(engine, lambda: Doors() if house is None else house.doors())
    house = House(engine, face, environ)
    try:
        await face.begin()
    except BaseException:
        await asyncio.shield(house.close())
        raise
    return house
