"""What healing can be switched for, one by one, and what is done about each: nothing, watch, act."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from palyra.config.operations import HealingConfig, HealingMode
from palyra.core.conditions import Domain


class Feature(StrEnum):
    """What the healing loop can be switched for, each by itself."""

    RUNS = "runs"
    TASKS = "tasks"
    JOBS = "jobs"
    APPROVALS = "approvals"
    PROVIDERS = "providers"
    EXTERNAL = "external"
    STORAGE = "storage"
    NOTIFICATIONS = "notifications"


ENGINE = "engine"
"""Stands where a feature would, for what belongs to none: it follows `healing.mode` alone."""

_OF_HEARTBEATS: Mapping[str, str] = {
    "heartbeat:run": Feature.RUNS,
    "heartbeat:background_task": Feature.TASKS,
    "heartbeat:cron_job": Feature.JOBS,
    "heartbeat:external": Feature.EXTERNAL,
}
_OF_DOMAINS: Mapping[Domain, str] = {
    Domain.APPROVAL: Feature.APPROVALS,
    Domain.SCHEDULER: Feature.JOBS,
    Domain.QUEUE: Feature.TASKS,
    Domain.PROVIDER: Feature.PROVIDERS,
    Domain.STORAGE: Feature.STORAGE,
    Domain.NOTIFICATION: Feature.NOTIFICATIONS,
    Domain.CONNECTOR: Feature.EXTERNAL,
}


def feature_of(domain: Domain, family: str) -> str:
    """The feature that conditions of a family belong to."""
    return str(_OF_HEARTBEATS.get(family) or _OF_DOMAINS.get(domain, ENGINE))


class Modes:
    """The mode of each feature: as configured, or as an operator said until the next start."""

    def __init__(self, config: HealingConfig, changed: Callable[[], None] = lambda: None) -> None:
        self._config = config
        self._said: dict[str, HealingMode] = {}
        self._changed = changed

    def configure(self, config: HealingConfig) -> None:
        """The configuration was read anew; what operators said stays."""
        self._config = config
        self._changed()

    def say(self, feature: str, mode: HealingMode) -> HealingMode:
        """Sets a feature's mode, or with `engine` the overall one. Returns the one before."""
        before = self.of(feature)
        self._said[feature] = mode
        self._changed()
        return before

    def of(self, feature: str) -> HealingMode:
        """The mode of a feature: as somebody said since the start, else as configured."""
        if feature in self._said:
            return self._said[feature]
        return HealingMode(self._config.mode if feature == ENGINE else getattr(self._config.features, feature))

    def said(self, feature: str) -> bool:
        """Whether an operator set it."""
        return feature in self._said
