import asyncio
import json
import os
import socket
import stat
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from palyra.control.remote import RemoteControl
from palyra.control.sockets import LONGEST, POINTER_FILE, SOCKET_FILE, find_socket
from palyra.core.errors import PalyraError, StateError
from palyra.gateway.operators import Peer
from tests.control.socket_engine import FixedEngine, operators_server


async def spoken(path: Path, data: bytes) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    body: dict[str, object] = json.loads(await reader.readexactly(length))
    writer.close()
    return int(head.split(b" ")[1]), body


def posted(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def test_the_socket_is_its_owners_alone_and_goes_with_the_engine(tmp_path: Path) -> None:
    async with operators_server(tmp_path) as server:
        path = server.path
        assert path == find_socket(tmp_path) == tmp_path / SOCKET_FILE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_dead_engines_socket_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / SOCKET_FILE))
    dead.close()
    async with operators_server(tmp_path):
        control = RemoteControl(tmp_path)
        assert (await control.snapshot(())).version == 7
        await control.close()


async def test_anything_else_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / SOCKET_FILE).write_text("mine")
    with pytest.raises(StateError, match="in the way"):
        async with operators_server(tmp_path):
            pass
    assert (tmp_path / SOCKET_FILE).read_text() == "mine"


def deep(tmp_path: Path, length: int) -> Path:
    """A directory whose socket's path has exactly this many bytes."""
    missing = length - len(str(tmp_path)) - len(SOCKET_FILE) - 2
    directory = tmp_path / ("d" * missing)
    directory.mkdir(mode=0o700)
    return directory


async def test_the_longest_path_still_fits(tmp_path: Path) -> None:
    state_dir = deep(tmp_path, LONGEST)
    async with operators_server(state_dir) as server:
        assert server.path == state_dir / SOCKET_FILE


async def test_a_longer_path_lies_in_the_runtime_directory_and_the_state_directory_names_it(tmp_path: Path) -> None:
    state_dir = deep(tmp_path, LONGEST + 1)
    # The directory of a test may itself lie too deep for a socket.
    with TemporaryDirectory() as short:
        async with operators_server(state_dir, environ={"XDG_RUNTIME_DIR": short}) as server:
            assert server.path.is_relative_to(short)
            assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700
            assert find_socket(state_dir) == server.path
            control = RemoteControl(state_dir)
            assert (await control.snapshot(())).version == 7
            await control.close()
    assert not (state_dir / POINTER_FILE).exists()


async def test_without_a_runtime_directory_it_lies_in_a_private_one(tmp_path: Path) -> None:
    state_dir = deep(tmp_path, LONGEST + 1)
    async with operators_server(state_dir) as server:
        directory = server.path.parent
        assert directory.parent == Path("/tmp")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.rmdir()


async def test_two_long_state_directories_do_not_share_a_socket(tmp_path: Path) -> None:
    first, second = deep(tmp_path, LONGEST + 1), deep(tmp_path, LONGEST + 2)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    async with operators_server(first, environ=environ) as one, operators_server(second, environ=environ) as other:
        assert one.path != other.path


@pytest.mark.parametrize("planted", ["open to all", "somebody else's", "a link"])
def test_what_others_put_where_an_engine_once_listened_is_not_spoken_to(
    tmp_path: Path, request: pytest.FixtureRequest, planted: str
) -> None:
    if planted == "somebody else's" and os.geteuid() != 0:
        pytest.skip("to give something to another account takes root")
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o700)
    short = TemporaryDirectory()
    request.addfinalizer(short.cleanup)
    there = Path(short.name) / "palyra-0-123456789abc"
    there.mkdir(mode=0o700)
    (state_dir / POINTER_FILE).write_bytes(os.fsencode(there / SOCKET_FILE) + b"\n")
    assert find_socket(state_dir) == there / SOCKET_FILE
    match planted:
        case "open to all":
            there.chmod(0o777)
        case "a link":
            there.rename(there.with_name("other"))
            there.symlink_to(there.with_name("other"))
        case _:
            os.chown(there, 65534, 65534)
    assert find_socket(state_dir) == state_dir / SOCKET_FILE


CALLING = """
import os, socket, sys
os.setgid(65534), os.setuid(65534)
line = socket.socket(socket.AF_UNIX)
try:
    line.connect(sys.argv[1])
except PermissionError:
    sys.exit("kept out")
line.sendall(b"GET /console/v1/snapshot HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
sys.stdout.write(line.makefile().read())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="to become another account takes root")
async def test_a_real_other_account_is_kept_out_by_its_directory_and_refused_behind_it() -> None:
    engine = FixedEngine()
    with TemporaryDirectory() as place:
        # Everybody may pass through what lies above.
        Path(place).chmod(0o711)
        state_dir = Path(place) / "state"
        state_dir.mkdir(mode=0o700)
        async with operators_server(state_dir, engine) as server:

            async def call() -> tuple[str, str]:
                argv = [sys.executable, "-c", CALLING, str(server.path)]
                pipe = asyncio.subprocess.PIPE
                child = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
                told, errors = await child.communicate()
                return told.decode(), errors.decode().strip()

            assert await call() == ("", "kept out")
            state_dir.chmod(0o711)
            server.path.chmod(0o666)
            answer, errors = await call()
            assert (errors, answer.split()[1]) == ("", "403")
            assert "role_missing" in answer
    assert engine.identities == []


async def test_another_account_is_refused(tmp_path: Path) -> None:
    engine = FixedEngine()
    stranger = os.geteuid() + 4321
    async with operators_server(tmp_path, engine, peer=lambda request: Peer(1, stranger)):
        control = RemoteControl(tmp_path)
        with pytest.raises(PalyraError) as caught:
            await control.snapshot(())
        await control.close()
    assert caught.value.code == "role_missing"
    assert engine.identities == []


async def test_the_kernel_says_who_is_at_the_other_end(tmp_path: Path) -> None:
    engine = FixedEngine()
    async with operators_server(tmp_path, engine):
        control = RemoteControl(tmp_path)
        await control.snapshot(())
        await control.close()
    assert engine.identities[0].attestation == "owner"


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET /console/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
        (b"GET /console/v1/commands HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_input"),
        (b"GET /console/v1/snapshot?topics=runs,weather HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_input"),
        (posted("/console/v1/query", b"{}"), 400, "garbled"),
        (posted("/console/v1/query", b'{"kind": "weather"}'), 400, "garbled"),
        (posted("/console/v1/commands", b"\xff"), 400, "garbled"),
    ],
)
async def test_what_cannot_be_understood_is_refused_in_words(
    tmp_path: Path, request_bytes: bytes, status: int, code: str
) -> None:
    async with operators_server(tmp_path) as server:
        got, body = await spoken(server.path, request_bytes)
    error = body["error"]
    assert isinstance(error, dict)
    assert (got, error["code"]) == (status, code)
    assert error["message"]
