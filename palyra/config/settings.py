"""A configuration as a list of its values, each spelled as a file would hold it; secrets are never among them."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from palyra.config.kinds import Kind
from palyra.config.model import RELOADABLE, LoadedConfig
from palyra.config.section import Section
from palyra.config.shape import Form, Path, dotted, entries
from palyra.core.redact import redact_data
from palyra.core.values import value

Waits = Literal["reload", "restart"]


@value
class Setting:
    """One value in force. `spelled` is plain JSON data: durations, sizes and dollars as text, secrets as asterisks."""

    path: Path
    kind: Kind
    typed: Any
    siblings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Its whole name, as `gateway.bind`."""
        return dotted(self.path)

    @property
    def section(self) -> str:
        """The section it is in, as `gateway`."""
        return str(self.path[0])

    @property
    def spelled(self) -> Any:
        """Its value as the file would spell it."""
        return None if self.typed is None else redact_data(self.kind.spell_in(self.typed, self.siblings))


def settings(config: LoadedConfig) -> Iterator[Setting]:
    """Every value of a configuration in the order of the model, rows and named tables with their place or name."""
    yield from _walk(config, ())


def _walk(table: Section, path: Path) -> Iterator[Setting]:
    siblings = {entry.name: getattr(table, entry.attribute) for entry in entries(type(table)).values()}
    for entry in entries(type(table)).values():
        here, found = (*path, entry.name), siblings[entry.name]
        match entry.form:
            case Form.VALUE:
                assert entry.kind is not None
                yield Setting(here, entry.kind, found, siblings)
            case Form.TABLE:
                yield from _walk(found, here)
            case Form.ROWS:
                for index, row in enumerate(found):
                    yield from _walk(row, (*here, index))
            case Form.NAMED_TABLES:
                for name, row in found.items():
                    yield from _walk(row, (*here, name))
            case Form.NAMED_VALUES:
                assert entry.kind is not None
                for name, one in found.items():
                    yield Setting((*here, name), entry.kind, one, {})


def waiting(running: LoadedConfig, fresh: LoadedConfig) -> dict[str, Waits]:
    """The keys whose values differ, those that only one of them has too, with what would put the fresh one in force."""
    values = [{one.path: one.typed for one in settings(config)} for config in (running, fresh)]
    differ = [path for path in dict.fromkeys([*values[1], *values[0]]) if _at(values[0], path) != _at(values[1], path)]
    return {dotted(path): "reload" if path[0] in RELOADABLE else "restart" for path in differ}


def _at(values: Mapping[Path, Any], path: Path) -> tuple[bool, Any]:
    return path in values, values.get(path)
