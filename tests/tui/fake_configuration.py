"""What an engine made of values tells of its configuration."""

from palyra.control.config_queries import ConfigAnswer, ConfigProblemView
from tests.tui.fake_views import NOW

WARNED = ConfigProblemView(
    "env_unknown",
    "",
    "env PALYRA_THEME",
    "no such setting",
    "Unset the variable",
    ("PALYRA_CONSOLE__THEME",),
    'env PALYRA_THEME: no such setting. Did you mean "PALYRA_CONSOLE__THEME"? Unset the variable.',
)


def configuration() -> ConfigAnswer:
    """Read again a while ago, and changed since."""
    return ConfigAnswer(
        live=True,
        path="/home/pavel/.config/palyra/palyra.toml",
        version=1,
        warnings=(WARNED,),
        waiting={
            "budgets[0].hard_limit": "reload",
            "approvals.park_seconds": "reload",
            "gateway.max_body": "restart",
        },
        reloaded_at=NOW - 3_600_000,
        reload_ok=True,
    )
