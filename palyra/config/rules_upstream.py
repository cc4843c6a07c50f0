"""Rules of `[providers.<id>]`, `[[models]]` and `[defaults]`."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from palyra.config.choices import ModelProviderKind, ProviderModelRole
from palyra.config.findings import Findings
from palyra.config.names import MODEL_ID
from palyra.config.problem import Code, Fault
from palyra.config.references import check_model, check_provider
from palyra.config.shape import Path
from palyra.config.urls import reach_of_host, refusal


def check_providers(found: Findings) -> None:
    """What is wrong with providers beyond each key for itself."""
    written: dict[str, str] = {}
    for provider_id, provider in found.config.providers.items():
        table = ("providers", provider_id)
        if (other := written.setdefault(provider_id.replace("-", "_"), provider_id)) != provider_id:
            found.add(
                Code.CONFLICT,
                table,
                f"the environment cannot tell it from {found.where(('providers', other))}",
                "Rename one: `-` and `_` are the same in the name of a variable",
            )
        check_reach(found, (*table, "base_url"), provider.base_url, allow_private=provider.allow_private)
        kind = (*table, "kind")
        if provider.script and provider.kind is not ModelProviderKind.DETERMINISTIC and found.sound(kind):
            found.add(Code.CONFLICT, (*table, "script"), "only the deterministic kind follows a script", "Remove it")


def check_reach(found: Findings, path: Path, url: str | None, *, allow_private: bool) -> None:
    """Whether Palyra may call an address, as far as its spelling tells."""
    if url is None or not found.sound(path, (*path[:-1], "allow_private")):
        return
    parts = urlsplit(url)
    if why := refusal(parts.scheme, reach_of_host(parts.hostname or ""), allow_private=allow_private):
        found.add(Code.BAD_URL, path, why, "Use an https address, or allow_private for one inside your network")


def check_models(found: Findings) -> None:
    """What is wrong with models beyond each key for itself."""
    found.unique(_model_names(found), "the model name")
    for i, row in enumerate(found.config.models):
        table: Path = ("models", i)
        if found.sound((*table, "provider")):
            check_provider(found, (*table, "provider"), row.provider, built_in=False)
        if not found.is_set((*table, "id")) and found.sound((*table, "provider"), (*table, "upstream"), (*table, "id")):
            _check_derived_id(found, table, row.id)
        if found.sound((*table, "failover"), (*table, "role")):
            for name in row.failover:
                check_model(found, (*table, "failover"), name, row.role)


def _model_names(found: Findings) -> Iterator[tuple[Path, str]]:
    for i, row in enumerate(found.config.models):
        table: Path = ("models", i)
        given = (*table, "id") if found.is_set((*table, "id")) else (*table, "upstream")
        if found.sound((*table, "provider"), (*table, "id")):
            yield given, row.id
        for k, name in enumerate(row.aliases):
            yield (*table, "aliases", k), name


def _check_derived_id(found: Findings, table: Path, model_id: str) -> None:
    try:
        MODEL_ID.read(model_id)
    except Fault:
        found.add(
            Code.MISSING,
            (*table, "id"),
            "provider and upstream together do not make a model id",
            f"{MODEL_ID.hint} as id",
        )


def check_defaults(found: Findings) -> None:
    """What is wrong with the default models."""
    for key, role in (("chat", ProviderModelRole.CHAT), ("embeddings", ProviderModelRole.EMBEDDINGS)):
        name = getattr(found.config.defaults, key)
        if name is not None and found.sound(("defaults", key)):
            check_model(found, ("defaults", key), name, role)
