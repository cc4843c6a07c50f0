"""The closed choices a configuration can make, and the two small values spelled as text in it."""

from decimal import ROUND_DOWN, Decimal
from enum import StrEnum

from palyra.core.money import NANO, Usd, decimal_usd
from palyra.core.values import value

ONE_DOLLAR = Usd(NANO)


class ModelProviderKind(StrEnum):
    """What speaks at the other end."""

    DETERMINISTIC = "deterministic"
    OPENAI_COMPATIBLE = "openai_compatible"
    ANTHROPIC = "anthropic"


class ProviderModelRole(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    AUDIO_TRANSCRIPTION = "audio_transcription"


class RoutingMode(StrEnum):
    """How much of a plan is applied; strictness rises downwards."""

    SUGGEST = "suggest"
    DRY_RUN = "dry_run"
    ENFORCED = "enforced"


class ScopeKind(StrEnum):
    """Which value of a run a budget counts by."""

    GLOBAL = "global"
    USER = "user"
    SESSION = "session"
    CHANNEL = "channel"
    AGENT = "agent"
    JOB = "job"
    MODEL = "model"
    PROVIDER = "provider"
    KEY = "key"
    TAG = "tag"


class MetricKind(StrEnum):
    """What a budget counts: nano-dollars, input plus output tokens, or settled attempts."""

    ESTIMATED_COST_USD = "estimated_cost_usd"
    TOTAL_TOKENS = "total_tokens"
    REQUESTS = "requests"


class PolicyAction(StrEnum):
    """What happens to a request over a hard limit."""

    BLOCK = "block"
    APPROVAL_REQUIRED = "approval_required"
    ADVISE = "advise"


class UnknownPriceChoice(StrEnum):
    """What a dollar budget says to a request whose price nobody knows; see `UnknownPrice`."""

    BLOCK = "block"
    FLAT = "flat"
    ALLOW = "allow"


@value
class UnknownPrice:
    """What a dollar budget does with a request nobody can price; `flat` is charged per attempt."""

    choice: UnknownPriceChoice = UnknownPriceChoice.FLAT
    flat: Usd = ONE_DOLLAR

    def __str__(self) -> str:
        if self.choice is UnknownPriceChoice.FLAT:
            return f"{self.choice}:{decimal_usd(self.flat)}"
        return self.choice


class OverrideKind(StrEnum):
    """Which of its forms a `RoutingOverride` has."""

    NONE = "none"
    MODE = "mode"
    DEGRADE = "degrade"
    MODEL = "model"


@value
class RoutingOverride:
    """What a budget changes about routing while it is over its soft limit.

    `mode` is set for kind mode, `model` (a model id) for kind model.
    """

    kind: OverrideKind = OverrideKind.NONE
    mode: RoutingMode | None = None
    model: str = ""

    def __str__(self) -> str:
        if self.kind is OverrideKind.MODE:
            return f"{self.kind}:{self.mode}"
        if self.kind is OverrideKind.MODEL:
            return f"{self.kind}:{self.model}"
        return self.kind


@value
class Percent:
    """A share of a limit, 1 to 100 with at most two decimals."""

    value: Decimal

    def of(self, limit: int) -> int:
        """The share of `limit` in the limit's own unit, rounded down."""
        return int((Decimal(limit) * self.value / 100).to_integral_value(ROUND_DOWN))

    def __str__(self) -> str:
        return f"{self.value.normalize():f}%"


class BoundEstimator(StrEnum):
    """What is held for a prompt: what earlier ones of its kind came to, or what it cannot pass."""

    CALIBRATED = "calibrated"
    PROVEN = "proven"


class OrphanHolds(StrEnum):
    """What a start does with holds of an engine that died: their last meter reading is charged, or nothing."""

    CHARGE = "charge"
    RELEASE = "release"


class StoreContent(StrEnum):
    """Whether prompts and answers are kept with their runs: not, without secrets, or as they were."""

    NONE = "none"
    REDACTED = "redacted"
    FULL = "full"


class AuthScheme(StrEnum):
    """The header in which a provider wants its key."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"


class MaxTokensField(StrEnum):
    """The member in which a provider wants the limit of an answer."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


class UsageDialect(StrEnum):
    """Whether cached tokens lie within the input that a provider tells of (`inclusive`) or come on top of it."""

    AUTO = "auto"
    INCLUSIVE = "inclusive"
    ADDITIVE = "additive"


class CostTier(StrEnum):
    """A tier of models by price, as routing compares them."""

    LOW = "low"
    STANDARD = "standard"
    PREMIUM = "premium"


class KeySource(StrEnum):
    """Where the vault's key is; `auto` takes the first place that has one."""

    AUTO = "auto"
    ENV = "env"
    FILE = "file"
    KEYRING = "keyring"


class ThemeName(StrEnum):
    """How the console looks; with the `ansi-` ones in the terminal's own colours."""

    PALYRA_DARK = "palyra-dark"
    PALYRA_LIGHT = "palyra-light"
    PALYRA_CONTRAST = "palyra-contrast"
    PALYRA_CVD = "palyra-cvd"
    ANSI_DARK = "ansi-dark"
    ANSI_LIGHT = "ansi-light"


class LogLevel(StrEnum):
    """From which level on lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"
