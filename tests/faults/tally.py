"""What a series of deaths went through, in one line."""

import errno
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.lives import Outcome
from tests.faults.passing import Death
from tests.faults.plan import Life


@dataclass(slots=True)
class Tally:
    """`counts` by name; `faults` are those of every outcome together."""

    seed: int
    power: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0

    @property
    def kills(self) -> int:
        return self.counts["before"] + self.counts["after"] + self.counts["torn"]

    def add(self, life: Life, death: Death | None, outcome: Outcome) -> None:
        counts = self.counts
        self.cpu += outcome.cpu
        counts["lives"] += death is None
        counts["histories"] += 1
        if death is not None and outcome.first.killed:
            counts[death.side] += 1
        for side in outcome.again:
            counts[side] += 1
            counts["at the next start"] += 1
        if failed := outcome.first.last("failed", 0):
            errors = {failing.error for failing in life.failing}
            counts["ENOSPC" if errors == {errno.ENOSPC} else "EIO" if errors == {errno.EIO} else "mixed"] += failed
        for name in ("answered", "streamed", "refused_run", "kept", "sent"):
            counts[name] += len(outcome.first.all(name))
        counts.update(outcome.left)
        counts["faults"] += len(outcome.faults)
        counts["faulty"] += bool(outcome.faults)

    def merge(self, other: "Tally") -> None:
        self.counts.update(other.counts)
        self.cpu += other.cpu

    def __str__(self) -> str:
        count = self.counts
        sides = ", ".join(f"{count[side]:,} {side}" for side in ("before", "after", "torn"))
        disk = ", ".join(f"{count[name]:,} {name}" for name in ("ENOSPC", "EIO", "mixed") if count[name])
        what, left = "kills", ""
        if self.power:
            names, at_ends = count["names"] + count["names lost"], count["cut"] + count["later"] - self.kills
            what = "power cuts"
            left = (
                f"{count['later']:,} came to a later process, {at_ends:,} more to one at its end; "
                f"of what was not synced {count['stayed']:,} writes stayed, {count['in part']:,} in part, "
                f"{count['lost']:,} were lost, and {count['names lost']:,} of {names:,} changes of names; "
            )
        told = count["answered"] + count["streamed"] + count["refused_run"]
        verdict = (
            f"{count['faulty']:,} FAULTY" if count["faulty"] else "0 lost, 0 open, 0 twice, ledger clean, audit clean"
        )
        return (
            f"seed {self.seed}: {self.kills:,} {what} ({sides}; "
            f"{count['at the next start']:,} of them at a next start) "
            f"in {count['lives']:,} lives{'; ' if left else ', '}{left}failed writes: {disk or 'none'}; "
            f"{told:,} answers and {count['kept']:,} accepted commands held against it, "
            f"{count['sent']:,} calls sent; {verdict}; "
            f"{self.cpu / max(1, self.kills):.2f} s of CPU a {'cut' if self.power else 'kill'}"
        )
