"""Values a row takes from elsewhere when it leaves them out: names from ids, zones from above, addresses by kind."""

from typing import Any, TypeVar
from urllib.parse import urlsplit

from palyra.config.budgets import BudgetConfig
from palyra.config.choices import AuthScheme, MaxTokensField, ModelProviderKind
from palyra.config.model import LoadedConfig
from palyra.config.operations import HealingConfig, HealingFeatures, JobConfig, SchedulerConfig
from palyra.config.providers import DEFAULT_BASE_URLS, ModelConfig, ProviderConfig
from palyra.config.section import Section
from palyra.config.serving import GovernanceConfig

_VENDOR_HOST = "api.openai.com"

SectionT = TypeVar("SectionT", bound=Section)


def fill(config: LoadedConfig) -> LoadedConfig:
    """The configuration with every derived default in place."""
    scheduler = _with(config.scheduler, timezone=config.governance.timezone)
    update: dict[str, Any] = {
        "budgets": tuple(_budget(row, config.governance) for row in config.budgets),
        "providers": {provider_id: _provider(provider) for provider_id, provider in config.providers.items()},
        "models": tuple(_model(row) for row in config.models),
        "scheduler": scheduler,
        "jobs": tuple(_job(row, scheduler) for row in config.jobs),
        "healing": _healing(config.healing),
    }
    return config.model_copy(update=update)


def _with(row: SectionT, **values: object) -> SectionT:
    """The row with these values where it does not set them itself."""
    missing = {name: value for name, value in values.items() if name not in row.model_fields_set}
    return row.model_copy(update=missing) if missing else row


def _budget(row: BudgetConfig, governance: GovernanceConfig) -> BudgetConfig:
    return _with(row, name=row.policy_id, timezone=governance.timezone, on_unknown_price=governance.on_unknown_price)


def _provider(provider: ProviderConfig) -> ProviderConfig:
    base_url = provider.base_url or DEFAULT_BASE_URLS.get(provider.kind)
    return _with(
        provider.model_copy(update={"base_url": base_url}),
        auth_scheme=AuthScheme.X_API_KEY if provider.kind is ModelProviderKind.ANTHROPIC else AuthScheme.BEARER,
        max_tokens_field=(
            MaxTokensField.MAX_COMPLETION_TOKENS
            if urlsplit(base_url or "").hostname == _VENDOR_HOST
            else MaxTokensField.MAX_TOKENS
        ),
    )


def _model(row: ModelConfig) -> ModelConfig:
    return _with(row, id=f"{row.provider}/{row.upstream}")


def _job(row: JobConfig, scheduler: SchedulerConfig) -> JobConfig:
    return _with(row, timezone=scheduler.timezone, session=f"job:{row.name}")


def _healing(healing: HealingConfig) -> HealingConfig:
    features = _with(healing.features, **dict.fromkeys(HealingFeatures.model_fields, healing.mode))
    return healing.model_copy(update={"features": features})
