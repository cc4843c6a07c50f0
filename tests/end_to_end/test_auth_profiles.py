"""Several credentials of one provider, by profile and out of a vault: they take turns, rest, and are set aside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.core.redact import Secret
from palyra.engine import Installation
from palyra.house import open_house
from palyra.vault.secrets import Resolution, SecretState
from tests.config.loading import sound
from tests.end_to_end.premises import Premises
from tests.support.upstream import Reply, Seen, Upstream

CONFIG = """
[providers.acme]
kind = "openai_compatible"
base_url = "{base}/v1"
auth_profiles = ["first", "second"]
probe = false
discover = false
[[models]]
provider = "acme"
upstream = "m"
"""
PROFILES = """
version = 1
[[profile]]
id = "second"
provider = "acme"
type = "api_key"
vault_ref = "global/two"
[[profile]]
id = "first"
provider = "acme"
type = "token"
vault_ref = "global/one"
[[profile]]
id = "crooked"
provider = "acme"
"""
ONE, TWO = "sk-first-key-0000001", "sk-second-key-000002"
ASKED = {"model": "acme/m", "messages": [{"role": "user", "content": "hello"}]}


class Vault:
    def __init__(self, **entries: str) -> None:
        self.entries = {f"global/{name}": key for name, key in entries.items()}

    def resolve(self, ref: str) -> Resolution:
        key = self.entries.get(ref)
        return Resolution(SecretState.MISSING) if key is None else Resolution(SecretState.RESOLVED, Secret(key))


@asynccontextmanager
async def a_house(
    upstream: Upstream, state_dir: Path, clock: ManualClock, vault: Vault, profiles: str = PROFILES
) -> AsyncIterator[Premises]:
    state_dir.mkdir(mode=0o700, exist_ok=True)
    (state_dir / "auth_profiles.toml").write_text(profiles)
    (state_dir / "auth_profiles.toml").chmod(0o600)
    config = sound(CONFIG.format(base=upstream.base_url), flags={"gateway.bind": "127.0.0.1:0"})
    async with (
        AsyncExitStack() as stack,
        open_house(Installation(config, state_dir), clock, {}, vault=vault) as house,
    ):
        here = Premises(house, clock, upstream, stack)
        yield here
        await here.rest()


def keys(upstream: Upstream) -> list[str]:
    """Which keys the provider saw, in order."""
    return [seen.headers["authorization"].removeprefix("Bearer ") for seen in upstream.seen]


async def states(here: Premises) -> dict[str, str]:
    (acme,) = (await here.control.snapshot([])).providers
    return {one.credential_id: one.state for one in acme.credentials}


def refusing(key: str, reply: Reply) -> Upstream:
    """A provider that answers one key so, and all others well."""
    upstream = Upstream()

    def choose(seen: Seen) -> Reply:
        return reply if seen.headers["authorization"].endswith(key) else Reply()

    upstream.choose = choose
    return upstream


async def test_profiles_take_turns(tmp_path: Path) -> None:
    vault = Vault(one=ONE, two=TWO)
    async with Upstream().serving() as upstream, a_house(upstream, tmp_path / "s", ManualClock(), vault) as here:
        for _ in range(4):
            assert (await here.ask(ASKED)).status == 200
        assert keys(upstream) == [ONE, TWO, ONE, TWO]
        assert await states(here) == {"first": "eligible", "second": "eligible"}
        problems = (await here.control.snapshot([])).engine.problems
        assert "auth_profiles.toml:13 a profile needs type" in problems


async def test_who_was_last_is_known_after_a_restart(tmp_path: Path) -> None:
    vault, clock = Vault(one=ONE, two=TWO), ManualClock()
    async with Upstream().serving() as upstream:
        async with a_house(upstream, tmp_path / "s", clock, vault) as here:
            await here.ask(ASKED)
        async with a_house(upstream, tmp_path / "s", clock, vault) as here:
            await here.ask(ASKED)
        assert keys(upstream) == [ONE, TWO]


async def test_a_refused_key_is_set_aside_until_it_is_another(tmp_path: Path) -> None:
    vault, clock = Vault(one=ONE, two=TWO), ManualClock()
    body = b'{"error": {"message": "bad key Bearer abc12345"}}'
    async with refusing(ONE, Reply(status=401, error_body=body)).serving() as upstream:
        async with a_house(upstream, tmp_path / "s", clock, vault) as here:
            answers = [await here.ask(ASKED) for _ in range(3)]
            assert answers[-1].status == 200
            assert all(b"abc12345" not in answer.body for answer in answers)
            assert await states(here) == {"first": "rejected", "second": "eligible"}
            assert keys(upstream).count(ONE) == 1
        await clock.advance(24 * 3600)
        async with a_house(upstream, tmp_path / "s", clock, vault) as here:
            assert (await states(here))["first"] == "rejected"
            await here.ask(ASKED)
            assert keys(upstream).count(ONE) == 1
        newer = Vault(one="sk-first-key-renewed", two=TWO)
        async with a_house(upstream, tmp_path / "s", clock, newer) as here:
            assert (await states(here))["first"] == "eligible"
            for _ in range(2):
                await here.ask(ASKED)
            assert "sk-first-key-renewed" in keys(upstream)


async def test_a_key_that_is_asked_to_wait_rests_and_the_other_one_serves(tmp_path: Path) -> None:
    clock = ManualClock()
    limited = Reply(status=429, headers={"Retry-After": "3000"})
    async with (
        refusing(ONE, limited).serving() as upstream,
        a_house(upstream, tmp_path / "s", clock, Vault(one=ONE, two=TWO)) as here,
    ):
        first = asyncio.create_task(here.ask(ASKED))
        while not first.done():
            await clock.advance(0.1)
        statuses = [first.result().status] + [(await here.ask(ASKED)).status for _ in range(3)]
        assert statuses == [200] * 4
        assert keys(upstream) == [ONE, TWO, TWO, TWO, TWO]
        assert (await states(here))["first"] == "cooling_down"
        await clock.advance(3000)
        upstream.choose = None
        assert (await states(here))["first"] == "eligible"
        await here.ask(ASKED)
        assert keys(upstream)[-1] == ONE


async def test_a_file_of_a_later_version_leaves_the_provider_without_credentials(tmp_path: Path) -> None:
    profiles = PROFILES.replace("version = 1", "version = 2")
    async with (
        Upstream().serving() as upstream,
        a_house(upstream, tmp_path / "s", ManualClock(), Vault(one=ONE), profiles) as here,
    ):
        answer = await here.ask(ASKED)
        assert (answer.status, upstream.seen) == (502, [])
        assert "upgrade Palyra" in answer.error["message"]
        (acme,) = (await here.control.snapshot([])).providers
        assert acme.health == "missing_auth"
        assert (tmp_path / "s" / "auth_profiles.toml").read_text() == profiles


async def test_without_an_entry_in_the_vault_it_says_which(tmp_path: Path) -> None:
    async with (
        Upstream().serving() as upstream,
        a_house(upstream, tmp_path / "s", ManualClock(), Vault()) as here,
    ):
        answer = await here.ask(ASKED)
        assert (answer.status, answer.error["code"]) == (502, "upstream_auth")
        assert "the vault has no entry for first" in answer.error["message"]
        assert await states(here) == {"first": "missing", "second": "missing"}
