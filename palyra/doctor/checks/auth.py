"""Auth profiles: the file, its records, and how their credentials are."""

from collections.abc import Iterator

from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Installation, NothingToReadError
from palyra.doctor.reading_config import parse
from palyra.doctor.reading_secrets import PROFILES_FILE, credentials_of

NO_PROVIDER = "there is no provider"
STALE = ("rejected", "expired", "expiring")


def registry(found: Installation) -> Iterator[Finding]:
    """The file of credentials can be read."""
    if found.profiles.absent:
        return
    profiles = found.profiles.get()
    if not profiles.unusable:
        return
    newer = "upgrade Palyra" in profiles.unusable
    repairable = not newer and found.state.get().at(PROFILES_FILE).data is not None
    yield Finding(
        "auth.registry",
        Severity.BLOCKING,
        PROFILES_FILE,
        f"No auth profile can be used: {profiles.unusable}.",
        repairs=_ways_back(found) if repairable else (),
        manual="Upgrade Palyra." if newer else f"Correct {PROFILES_FILE}.",
    )


def _ways_back(found: Installation) -> tuple[str, ...]:
    from palyra.providers.auth_profiles import read_profiles

    tree = found.state.get()
    backups = [one.data for name, one in tree.entries.items() if name.startswith(f"{PROFILES_FILE}.bak.")]
    good = any(data is not None and not read_profiles(data, ()).unusable for data in backups)
    return ("auth.restore_backup",) if good else ("auth.reinitialize",)


def health(found: Installation) -> Iterator[Finding]:
    """Every provider that needs a credential has one that works."""
    config = found.config()
    credentials = credentials_of(found, config)
    for name, provider in config.providers.items():
        if not provider.enabled or not provider.auth_profiles:
            continue
        missing = credentials.missing(name, found.now_ms)
        if missing:
            manual = "Put one of its profiles in order: palyra auth list tells how each is."
            message = f"The provider {name} has no usable auth profile."
            yield Finding("auth.health", Severity.BLOCKING, name, message, (missing,), manual=manual)
        for one in credentials.standings(name, found.now_ms):
            if one.health.value in STALE:
                yield Finding(
                    "auth.health",
                    Severity.WARNING,
                    f"{name}/{one.id}",
                    f"The auth profile {one.id} of {name} is {one.health.value}.",
                    (one.last_error,) if one.last_error else (),
                    manual=f"Give it a new credential; one that is good again is cleared: palyra auth clear {one.id}",
                )


def records(found: Installation) -> Iterator[Finding]:
    """Every record of the file is one."""
    if found.profiles.absent:
        return
    profiles = found.profiles.get()
    if profiles.unusable:
        raise NothingToReadError("no auth profile can be read (auth.registry)")
    data = found.state.get().at(PROFILES_FILE).data
    if data is not None and "version" not in parse(data).tree:
        message = f"{PROFILES_FILE} does not say its version; it is read as version 1."
        name = f"{PROFILES_FILE}:version"
        yield Finding("auth.records", Severity.WARNING, name, message, repairs=("auth.normalize",))
    for number, problem in enumerate(profiles.problems):
        # It may be the configuration that has lost its provider, so that a person has to decide.
        foreign = NO_PROVIDER in problem.message
        yield Finding(
            "auth.records",
            Severity.WARNING,
            f"{PROFILES_FILE}:{problem.line or f'#{number}'}",
            f"{problem}.",
            repairs=() if foreign else ("auth.normalize",),
            manual="Declare that provider, or remove the profile." if foreign else "",
        )


CHECKS = (
    Check("auth.registry", Severity.BLOCKING, registry),
    Check("auth.records", Severity.WARNING, records),
    Check("auth.health", Severity.BLOCKING, health),
)
