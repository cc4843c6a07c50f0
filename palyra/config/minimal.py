"""The file a fresh installation begins with: everything at its default, and words on what is set first."""

from palyra.config.versions import CURRENT

_MINIMAL = f"""\
# Palyra's configuration. All that is not said here is at its default; `palyra config show` tells every value and where
# it comes from, `palyra config check` what is wrong, and palyra.toml.example has every key there is.

version = {CURRENT}

# Who answers. Without a provider the built-in `deterministic` one echoes, free of charge.
#[providers.openai]
#kind = "openai_compatible"
#api_key_env = "UPSTREAM_OPENAI_KEY"

# What may be spent. `palyra reload` applies a change to the engine that runs.
#[[budgets]]
#policy_id = "all-month"
#hard_limit = 200
"""


def minimal_file() -> bytes:
    """Its bytes, always the same. It loads without a problem and changes nothing."""
    return _MINIMAL.encode()
