"""Settings for tests of other things than reliability: each request is sent once, and none waits for a place."""

ONE_TRY = """
[retries]
max = 0

[failover]
enabled = false

[leases]
provider_start = 1000
provider_max = 1000
credential_start = 1000
credential_max = 1000
"""


def one_try(text: str) -> str:
    """What of it a configuration does not say itself."""
    parts = ONE_TRY.strip().split("\n\n")
    return "\n" + "\n".join(part for part in parts if part.partition("\n")[0] not in text) + "\n"
