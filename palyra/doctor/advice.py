"""The commands that a report names next, with the flags that mean this very installation."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from palyra.core.values import value

if TYPE_CHECKING:
    from palyra.doctor.plan import Plan

DOCTOR = "palyra doctor"


@value
class Advice:
    """`place` and `choice` are flags as they were given: which installation, and what of it; `rollback` the run that is
    to be taken back, empty where repairs are spoken of."""

    place: str = ""
    choice: str = ""
    rollback: str = ""

    @classmethod
    def of(
        cls,
        config: Path | None,
        state_dir: Path | None,
        only: Sequence[str],
        skip: Sequence[str],
        rollback: str,
        *,
        deep: bool,
    ) -> "Advice":
        """Where the doctor is at work, as somebody would have to type it."""
        places = (("--config", config), ("--state-dir", state_dir))
        chosen = [*(("--only", one) for one in only), *(("--skip", one) for one in skip)]
        return cls(
            "".join(f" {flag} {quote(str(path))}" for flag, path in places if path is not None),
            "".join(f" {flag} {quote(one)}" for flag, one in chosen) + (" --deep" if deep else ""),
            rollback,
        )

    def preview(self) -> str:
        """What to type to see the repairs."""
        return f"{DOCTOR} --repair --dry-run{self.choice}{self.place}"

    def apply(self, plan: "Plan") -> str:
        """What carries out a plan that was shown."""
        force = " --force" if any(step.force for step in plan.steps) else ""
        if self.rollback:
            return f"{DOCTOR} --rollback {self.rollback}{force}{self.place}"
        return f"{DOCTOR} --repair --plan {plan.digest}{force}{self.choice}{self.place}"

    def force(self) -> str:
        """What to type to repair what loses something, too."""
        return f"{DOCTOR} --repair --force{self.choice}{self.place}"

    def take_back(self, run_id: str) -> str:
        """What to type to take that run back."""
        return f"{DOCTOR} --rollback {run_id}{self.place}"


def together(told: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names with what is said of each, those of which the same is said on one line."""
    said: dict[str, list[str]] = {}
    for name, text in told:
        said.setdefault(text, []).append(name)
    for text, names in said.items():
        yield f"{', '.join(names)}: {text}"
