"""Which checks and repairs are wanted, by their ids or groups."""

from collections.abc import Sequence

from palyra.config.suggest import nearest
from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.doctor.checks.catalogue import ANSWERS, CHECKS, PROBES

CHECK_IDS = tuple(check.id for check in CHECKS)
_GROUP = ".*"


@value
class Selection:
    """`checks` None: all but the `unwanted`. `repairs` are the ids of those that may be planned."""

    checks: frozenset[str] | None = None
    unwanted: frozenset[str] = frozenset()
    repairs: frozenset[str] = frozenset(ANSWERS)

    def wants(self, check: str) -> bool:
        """Whether a check is made."""
        return not _is_among(check, self.unwanted) and (self.checks is None or _is_among(check, self.checks))

    @property
    def unwanted_repairs(self) -> frozenset[str]:
        """The repairs that were not chosen."""
        return frozenset(ANSWERS) - self.repairs


def _is_among(check: str, names: frozenset[str]) -> bool:
    return check in names or (check.startswith(f"{PROBES}.") and f"{PROBES}{_GROUP}" in names)


def select(only: Sequence[str], skip: Sequence[str]) -> Selection:
    """What is wanted by `--only` and `--skip`. A repair that is wanted brings the checks that find what it answers;
    where only checks are, everything they find may be repaired. Raises BadInputError for an unknown id."""
    checks, repairs = _all_meant(only)
    named = frozenset(repairs)
    for repair in named:
        checks |= set(ANSWERS[repair])
    if only and not named:
        named = frozenset(repair for repair, answered in ANSWERS.items() if checks & set(answered))
    unwanted, unwanted_repairs = _all_meant(skip)
    return Selection(
        frozenset(checks) if only else None,
        frozenset(unwanted),
        (named if only else frozenset(ANSWERS)) - unwanted_repairs,
    )


def _all_meant(names: Sequence[str]) -> tuple[set[str], set[str]]:
    checks: set[str] = set()
    repairs: set[str] = set()
    for name in names:
        own_checks, own_repairs = _meant(name)
        checks |= own_checks
        repairs |= own_repairs
    return checks, repairs


def _meant(name: str) -> tuple[set[str], set[str]]:
    """Checks and repairs of an id or a group. Probes are known by the configuration alone, which is not read yet."""
    if name.startswith(f"{PROBES}.") and len(name) > len(PROBES) + 1:
        return {name}, set()
    if name.endswith(_GROUP):
        stem = name.removesuffix("*")
        checks = {one for one in CHECK_IDS if one.startswith(stem)}
        repairs = {one for one in ANSWERS if one.startswith(stem)}
    else:
        checks = {name} & set(CHECK_IDS)
        repairs = {name} & set(ANSWERS)
    if not checks and not repairs:
        raise _unknown(name)
    return checks, repairs


def _unknown(name: str) -> BadInputError:
    groups = sorted({f"{one.partition('.')[0]}{_GROUP}" for one in CHECK_IDS})
    near = nearest(name, [*CHECK_IDS, *ANSWERS, *groups])
    wanted = " or ".join(dict.fromkeys(near))
    return BadInputError(
        f"There is no check or repair {name!r}.",
        fix=f"Did you mean {wanted}?" if near else "`palyra doctor --json` lists the checks.",
        code="unknown_id",
    )
