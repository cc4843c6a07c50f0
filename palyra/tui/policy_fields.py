"""The choices in a budget's fields, and what may be chosen where."""

from palyra.config.choices import MetricKind, PolicyAction, ScopeKind
from palyra.core.windows import Interval

SCOPES = tuple(kind.value for kind in ScopeKind)
METRICS = tuple(kind.value for kind in MetricKind)
INTERVALS = tuple(kind.value for kind in Interval)
ACTIONS = tuple(kind.value for kind in PolicyAction)
