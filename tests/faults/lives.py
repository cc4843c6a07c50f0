"""Playing one life to its death and what follows it, each engine in a process of its own."""

import asyncio
import pickle
import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from palyra.control.offline import offline_control
from palyra.control.queries import AuditQuery, LedgerQuery
from palyra.core.clock import SystemClock
from palyra.core.errors import PalyraError
from palyra.journal.journal import JOURNAL_FILE
from tests.faults.company import Company
from tests.faults.copies import PASSING, Ended, Teller, forked
from tests.faults.files import stand_between
from tests.faults.house import CONFIG_FILE, STATE, T0, House, config_of, play, text_of
from tests.faults.operating import REFS
from tests.faults.passing import TRAIL, Death, Failing, Side, Write
from tests.faults.plan import Life, aftermath_of
from tests.faults.stable import Disk
from tests.faults.verdict import copies_of, verdict
from tests.upgrading.places import installation, newest_time

REST_S = 1.0
LONGEST_REST_S = 2 * 3600
"""Work may wait for a person, each attempt anew."""
SOON_MS = 150_000
"""A fire that is due within this time is waited for."""
PREPARED_ACTS = 16
POWER_STAYS = 0.2
"""Share of kills after which the power fails only later: what the dead one had not synced, the next one finds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one life with one death, or none. `again`: on which side of a write each engine after it was killed."""

    first: Ended
    again: tuple[Side, ...]
    faults: tuple[str, ...]
    cpu: float
    left: Counter[str]
    """Where the power failed: how often, as `cut` or, with a later process, `later`; of what was not synced, how much
    was there whole, torn or not at all."""

    @property
    def trail(self) -> list[str]:
        """What was written, as `kind path`, by the number of the write less one."""
        return [entry[TRAIL + 1 :] for entry in self.first.last("trail", [])]


class Lives:
    """Plays lives of one seed below one directory, always in the same place: paths are written down here and there.
    With `power`, the power fails at each death, and at each end."""

    def __init__(self, seed: int, root: Path, *, power: bool = False) -> None:
        self.seed = seed
        self.home = root / "home"
        self.power = power
        self._images = root / "images"
        self._unsynced = root / "unsynced"

    def play(self, life: Life, death: Death | None, whole: Outcome | None = None) -> Outcome:
        """`home` is left as it is at the end. `whole` is the same life without a death: it goes as that one does."""
        self._lay_out(life.image)
        cuts = self._cuts(life, death)
        begins = T0 if life.image >= 0 else newest_time(self.home / STATE / JOURNAL_FILE) + 1_000
        first = self._process(lambda house: _live(house, life), life.dice, begins, death, life.failing, cuts=cuts)
        # Read here, so that no copy of this process has to.
        config_of(self.home / CONFIG_FILE)
        after = aftermath_of(life, death)
        told = list(first.told)
        at = first.last("at", begins) + int(after.gap_s * 1000)
        used, again, left = first.cpu, [], _left(first)
        for number, one in enumerate(after.again):
            next_one = self._process(_rest, random.Random(number), at, one, calm=True, cuts=cuts)
            used += next_one.cpu
            left.update(_left(next_one))
            at = next_one.last("at", at)
            told += [line for line in next_one.told if "fault" in line]
            if next_one.killed:
                again.append(one.side)
        last = self._process(_rest, random.Random(len(after.again)), at, calm=True, cuts=cuts)
        left.update(_left(last))
        examined = forked(lambda teller: examine(self.home, teller))
        faults = [
            *_ends(first, death),
            *_same(first, death, whole),
            *verdict(self.home, told, (*last.told, *examined.told)),
        ]
        if life.image < 0:
            faults += copies_of(self.home, -life.image)
        if last.killed or last.code:
            faults.append(f"the engine after it ended with {last.code or last.signal}")
        return Outcome(first, tuple(again), tuple(faults), used + last.cpu + examined.cpu, left)

    def _cuts(self, life: Life, death: Death | None) -> random.Random | None:
        named = "" if death is None else f"{death.write}/{death.side}"
        return random.Random(f"{self.seed}/{life.number}/{named}/power") if self.power else None

    def _lay_out(self, image: int) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self._unsynced.unlink(missing_ok=True)
        if image <= 0:
            self._empty(random.Random(f"{self.seed}/0"))
            if image:
                self._older(-image)
            return
        kept = self._images / str(image)
        if not kept.exists():
            self._prepare(image)
            self._images.mkdir(mode=0o700, exist_ok=True)
            self.home.rename(kept)
        shutil.copytree(kept, self.home)

    def _empty(self, dice: random.Random) -> None:
        self.home.mkdir(mode=0o700, parents=True)
        path = self.home / CONFIG_FILE
        path.write_text(text_of(dice))
        path.chmod(0o600)

    def _older(self, schema: int) -> None:
        """What the program of that schema left when it was killed, with a configuration of today."""
        text = (self.home / CONFIG_FILE).read_text()
        config, state = installation(self.home, schema)
        config.write_text(text)
        for path in state.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        config.chmod(0o600)
        state.joinpath("journal.db-shm").unlink(missing_ok=True)

    def _prepare(self, image: int) -> None:
        """Some hours before, in good order."""
        self._empty(random.Random(f"{self.seed}/{image}"))
        life = Life(self.seed, -image, 0, PREPARED_ACTS, True, ())
        made = self._process(lambda house: _live(house, life), life.dice, T0 - 5 * 3_600_000)
        if made.code or made.killed or made.all("fault"):
            raise AssertionError(f"image {image} of seed {self.seed} cannot be made: {made.all('fault')}")

    def _process(
        self,
        work: Callable[[House], Awaitable[None]],
        dice: random.Random,
        at: int,
        death: Death | None = None,
        failing: tuple[Failing, ...] = (),
        *,
        calm: bool = False,
        cuts: random.Random | None = None,
    ) -> Ended:
        cut = None if cuts is None else random.Random(cuts.random())

        def body(teller: Teller) -> None:
            stand_between(pytest.MonkeyPatch(), PASSING)
            PASSING.begin(self.home, death, failing)
            if cut is not None:
                PASSING.disk = self._disk()

            async def watched(house: House) -> None:
                def dying(write: Write) -> None:
                    teller.tell(at=house.clock.now_ms(), died=str(write), **_counted())
                    if cut is not None:
                        self._power_fails(cut, teller, later=cut.random() < POWER_STAYS)

                PASSING.dying = dying
                await work(house)
                teller.tell(at=house.clock.now_ms(), trail=PASSING.trail, **_counted())

            play(self.home, dice, at, teller, watched, calm=calm)
            if cut is not None:
                self._power_fails(cut, teller)

        return forked(body)

    def _disk(self) -> Disk:
        """As the process before has left it, where the power did not fail with that one."""
        if not self._unsynced.exists():
            return Disk(self.home)
        disk: Disk = pickle.loads(self._unsynced.read_bytes())
        self._unsynced.unlink()
        return disk

    def _power_fails(self, dice: random.Random, teller: Teller, *, later: bool = False) -> None:
        """The last that this process does. `later`: with one that comes after it."""
        disk = PASSING.disk
        assert disk is not None
        PASSING.root, PASSING.disk = "", None
        for fault in disk.differs():
            teller.tell(fault=fault)
        if later:
            self._unsynced.write_bytes(pickle.dumps(disk))
            teller.tell(power="later")
            return
        left = disk.left(dice)
        left.lay(self.home)
        teller.tell(power="cut", left=dict(left.counts))


def _left(ended: Ended) -> Counter[str]:
    counts = Counter(ended.all("power"))
    for told in ended.all("left"):
        counts.update(told)
    return counts


def _counted() -> dict[str, object]:
    return {"writes": PASSING.count, "failed": PASSING.failed, "digest": PASSING.digest}


def _ends(first: Ended, death: Death | None) -> Iterator[str]:
    """A process ends as it was meant to."""
    if first.signal and not first.killed:
        yield f"the engine ended by signal {first.signal}"
    if first.code:
        yield f"the engine ended with {first.code}"
    if death is not None and not first.killed:
        yield f"write {death.write} was never reached: the history is another one"


def _same(first: Ended, death: Death | None, whole: Outcome | None) -> Iterator[str]:
    if death is None or whole is None:
        return
    told, expected = first.last("digest", ""), whole.first.last("trail", [])
    if told[:TRAIL] != expected[death.write - 1][:TRAIL]:
        yield f"until write {death.write} it went another way than the life without a death"


async def _live(house: House, life: Life) -> None:
    """What may fail for want of a disk fails in words."""
    try:
        await house.open()
    except PalyraError as error:
        house.teller.tell(did_not_start=str(error))
        return
    await Company(house).day(life.acts)
    if life.closes:
        await house.engine.close()


def examine(home: Path, teller: Teller) -> None:
    """What the program itself says of it, as its command line asks with no engine there; with threads, as ever."""

    async def ask() -> None:
        path = home / CONFIG_FILE
        async with offline_control(config_of(path), home / STATE, path, SystemClock(), {}) as control:
            for question in (LedgerQuery(), AuditQuery()):
                answer = await control.ask(question)
                if not answer.ok:
                    teller.tell(fault=f"{question.kind} verify: {answer}")

    asyncio.run(ask())


async def _rest(house: House) -> None:
    """Another engine takes over and ends what was begun; then it is asked how things stand."""
    await house.open()
    engine = house.engine
    since = house.clock.monotonic()
    while works := _works(house):
        if house.clock.monotonic() - since > LONGEST_REST_S:
            house.teller.tell(fault=f"does not come to rest: {works}")
            break
        await house.clock.sleep(REST_S)
    await engine.journal.submit(())
    vault = engine.secrets.opened
    assert vault is not None
    found = {ref: vault.resolve(ref).secret for ref in REFS}
    kept = {ref: sha256(secret.reveal().encode()).hexdigest() for ref, secret in found.items() if secret is not None}
    house.teller.tell(secrets=kept)
    for room, count in engine._supervisor.failures.items():
        house.teller.tell(fault=f"{room} failed {count} times in a calm engine")
    await engine.close()


def _works(house: House) -> list[str]:
    """What is still under way, in words."""
    engine = house.engine
    scheduler = engine.jobs.scheduler
    due = scheduler.roster.next_release()
    soon = [f"a fire is due at {due}"] if due is not None and due < house.clock.now_ms() + SOON_MS else []
    fires = [lane.job.name for lane in scheduler.roster if lane.fires]
    tasks = [f"task {task.task_id} is {task.state}" for task in engine.tasks.desk.book]
    runs = [f"run {run}" for run in engine.runner.live]
    behind = [] if not engine.journal.behind else ["writes"]
    return [*soon, *fires, *tasks, *runs, *behind, *(["scheduler"] if scheduler.busy else [])]
