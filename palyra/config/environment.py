"""The environment as a layer: `PALYRA_<SECTION>__<KEY>`, read by what each key accepts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from palyra.config.kinds import Listing
from palyra.config.layers import Layer
from palyra.config.meanings import MEANINGS
from palyra.config.model import LoadedConfig
from palyra.config.names import ID, PROVIDER_ID
from palyra.config.problem import Code, Fault, LayerName, Origin, Problem
from palyra.config.providers import ProviderConfig
from palyra.config.section import Section
from palyra.config.shape import Entry, Form, Path, dotted, entries, entry_at
from palyra.config.suggest import MOST, nearest

PREFIX = "PALYRA_"
RESERVED = ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_VAULT_KEY", "PALYRA_OPERATOR")
"""Variables that are no configuration keys."""

_PROVIDERS = "PALYRA_PROVIDERS__"
_KEYS = "PALYRA_CONSOLE__KEYS__"


@dataclass(slots=True)
class Environment:
    """What the environment sets, and what is wrong with its variables."""

    tree: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, Origin] = field(default_factory=dict)
    unset: set[Path] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def layer(self) -> Layer:
        """What the environment sets, as a layer of the configuration."""
        return Layer(self.tree, self.places, Origin(LayerName.ENV), frozenset(self.unset))


def read_environment(environ: Mapping[str, str], provider_ids: Collection[str]) -> Environment:
    """Reads every `PALYRA_` variable. `provider_ids` are those of the file, so that `MY_LOCAL` finds `my-local`."""
    found = Environment()
    ids = {provider_id.replace("-", "_"): provider_id for provider_id in sorted(provider_ids, reverse=True)}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in RESERVED:
            _read_variable(found, name, environ[name], ids)
    return found


def _read_variable(found: Environment, name: str, text: str, ids: Mapping[str, str]) -> None:
    origin = Origin(LayerName.ENV, name)
    path = _path_of(name, ids)
    if path is None:
        unknown = Problem(
            Code.ENV_UNKNOWN, "", origin, "no such setting", "Unset the variable", _suggestions(name, ids)
        )
        (found.problems if "__" in name else found.warnings).append(unknown)
        return
    entry = entry_at(LoadedConfig, path)
    assert entry is not None
    try:
        value = _value_of(entry, text)
    except Fault as fault:
        found.problems.append(
            Problem(Code.ENV_INVALID, dotted(path), origin, fault.message, fault.fix, fault.suggestions)
        )
        return
    for length in range(1, len(path)):
        found.places.setdefault(path[:length], origin)
    found.places[path] = origin
    if value is None:
        found.unset.add(path)
        return
    table = found.tree
    for part in path[:-1]:
        table = table.setdefault(str(part), {})
    table[str(path[-1])] = value


def _value_of(entry: Entry, text: str) -> object:
    """What a file would hold; None where a blank variable takes the value away. Raises Fault."""
    assert entry.kind is not None
    if not text.isascii() and text.encode("utf-8", "replace") != text.encode("utf-8", "surrogateescape"):
        raise Fault(Code.ENV_INVALID, "the value is not UTF-8", "Set it to UTF-8 text")
    text = text.strip()
    if not text and not isinstance(entry.kind, Listing):
        if entry.unset:
            return None
        raise Fault(Code.ENV_INVALID, "the value is blank and the key needs one", "Unset the variable")
    return entry.kind.from_text(text)


def _path_of(name: str, ids: Mapping[str, str]) -> Path | None:
    """The key a variable sets."""
    if (path := _fixed().get(name)) is not None:
        return path
    if name.startswith(_KEYS):
        binding = name.removeprefix(_KEYS)
        return ("console", "keys", binding.lower()) if binding.isupper() and _is(ID, binding.lower()) else None
    if not name.startswith(_PROVIDERS):
        return None
    rest = name.removeprefix(_PROVIDERS)
    for key in _provider_keys():
        provider = rest.removesuffix(f"__{key.upper()}")
        if provider != rest and provider == provider.upper():
            provider_id = ids.get(provider.lower(), provider.lower())
            return ("providers", provider_id, key) if _is(PROVIDER_ID, provider_id) else None
    return None


def _is(form: Any, text: str) -> bool:
    try:
        form.read(text)
    except Fault:
        return False
    return True


@cache
def _fixed() -> Mapping[str, Path]:
    """Every variable with a fixed name."""
    names: dict[str, Path] = {}

    def walk(model: type[Section], path: Path) -> None:
        for entry in entries(model).values():
            here = (*path, entry.name)
            if entry.form is Form.TABLE and entry.table is not None:
                walk(entry.table, here)
            elif entry.form is Form.VALUE and path:
                names[PREFIX + "__".join(str(part) for part in here).upper()] = here

    walk(LoadedConfig, ())
    return names


@cache
def _provider_keys() -> tuple[str, ...]:
    """The keys of a provider a variable can set, longest first, so that one cannot hide as another's end."""
    keys = [entry.name for entry in entries(ProviderConfig).values() if entry.form is Form.VALUE]
    return tuple(sorted(keys, key=len, reverse=True))


def _suggestions(name: str, ids: Mapping[str, str]) -> tuple[str, ...]:
    known = [*RESERVED, *_fixed()]
    if name.upper().startswith(_PROVIDERS):
        provider = name[len(_PROVIDERS) :].partition("__")[0].upper()
        owners = dict.fromkeys([provider, *(written.upper() for written in ids)])
        known += [f"{_PROVIDERS}{owner}__{key.upper()}" for owner in owners if owner for key in _provider_keys()]
    return nearest(name, known) or nearest(name.upper(), known) or _meant(name, known)


def _meant(name: str, known: Collection[str]) -> tuple[str, ...]:
    """By what other programs call a key, in the section that a variable names, or in any where it names none."""
    section, _, word = name.upper().removeprefix(PREFIX).rpartition("__")
    begun = f"{PREFIX}{section}__" if section else PREFIX
    keys = [f"__{key.upper()}" for key in MEANINGS.get(word.lower(), ())]
    return tuple(
        variable for key in keys for variable in known if variable.startswith(begun) and variable.endswith(key)
    )[:MOST]
