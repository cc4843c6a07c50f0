"""Who a piece of work is for: the values that budgets are matched against."""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from palyra.core.values import value


@value
class Scope:
    """The scope values of one run. An empty string means absent and matches no policy of that kind.

    `principal` pays and is judged; `session` is one conversation of one principal (`default:<key_id>` when the
    caller names none); `tags` are `name -> value`.
    """

    principal: str
    session: str
    key_id: str = ""
    channel: str = ""
    agent: str = ""
    job: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
