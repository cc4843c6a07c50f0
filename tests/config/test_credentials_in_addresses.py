"""Somebody puts a user and a password into an address, wherever one stands, or an address where none belongs: nothing
that is told of the configuration repeats them."""

import pytest

from palyra.config.settings import settings
from tests.config.loading import load

PASSWORD = "hunter2xQzw7"
ADDRESS = f"https://me:{PASSWORD}@x.example/v1"
PROVIDER = '[providers.p]\nkind = "openai_compatible"\n'

FILES = {
    "a provider's address": f'{PROVIDER}base_url = "{ADDRESS}"\n',
    "one in a query": f'{PROVIDER}base_url = "https://x.example/v1?token={PASSWORD}"\n',
    "one with a space": f'{PROVIDER}base_url = "https://me: {PASSWORD}@x.example/v1"\n',
    "one without slashes": f'{PROVIDER}base_url = "me:{PASSWORD}@x.example"\n',
    "several": f'{PROVIDER}base_url = ["{ADDRESS}"]\n',
    "a key that was mistyped": f'{PROVIDER}base_ur = "{ADDRESS}"\n',
    "a table in a line": f'providers.p = {{ kind = "openai_compatible", base_url = "{ADDRESS}" }}\n',
    "a webhook": f'[[notifications.webhook]]\nname = "w"\nurl = "{ADDRESS}"\n',
    "a probe": f'[[probes]]\nid = "p"\ntarget = "{ADDRESS}"\n',
    "a probe of a port": f'[[probes]]\nid = "p"\nkind = "tcp"\ntarget = "me:{PASSWORD}@x.example:80"\n',
    "a page": f'[gateway]\nallowed_origins = ["{ADDRESS}"]\n',
    "a host": f'[gateway]\nallowed_hosts = ["me:{PASSWORD}@x.example"]\n',
    "a bind": f'[gateway]\nbind = "me:{PASSWORD}@127.0.0.1:1"\n',
    "a bind like a page": f'[gateway]\nbind = "http://me:{PASSWORD}@127.0.0.1:1"\n',
    "a proxy, of which there is none": f'[gateway]\nproxy = "{ADDRESS}"\n',
    "a table of proxies": f'[proxy]\nhttps = "{ADDRESS}"\n',
    "a key that is an address": f'["{ADDRESS}"]\na = 1\n',
    "a provider named by one": f'["providers"."{ADDRESS}"]\nkind = "openai_compatible"\n',
    "a file of a key": f'[gateway]\ntls_cert = "/x"\ntls_key = "-----BEGIN PRIVATE KEY-----\\n{PASSWORD}"\n',
    "headers": f'{PROVIDER}headers = {{ Proxy-Authorization = "Basic {PASSWORD}" }}\n',
    "no TOML": f"{PROVIDER}base_url = {ADDRESS}\n",
}
VARIABLES = {
    "PALYRA_PROVIDERS__P__BASE_URL": ADDRESS,
    "PALYRA_GATEWAY__ALLOWED_HOSTS": f"me:{PASSWORD}@x.example",
    "PALYRA_GATEWAY__BIND": f"me:{PASSWORD}@127.0.0.1:1",
    "PALYRA_GATEWAY__PROXY": ADDRESS,
}


@pytest.mark.parametrize("length", [len(PASSWORD), 400])
def test_no_word_of_a_password_in_an_address_is_told(length: int) -> None:
    """Also one that is longer than what is told of a value: what is left of it is not known for one by itself."""
    tried: list[tuple[str, str, dict[str, str]]] = [(what, text, {}) for what, text in FILES.items()]
    tried += [
        (name, f'{PROVIDER}base_url = "https://x.example/v1"\n', {name: text}) for name, text in VARIABLES.items()
    ]
    for what, text, environ in tried:
        long = PASSWORD * (length // len(PASSWORD))
        result = load(
            text.replace(PASSWORD, long), {name: one.replace(PASSWORD, long) for name, one in environ.items()}
        )
        assert result.problems, what
        told = [*map(str, result.problems), *map(repr, result.problems), *map(str, result.warnings)]
        told += [repr(origin) for origin in result.origins.items()]
        told += [problem.key for problem in result.problems]
        if result.legible is not None:
            told += [repr(one.spelled) + one.key for one in settings(result.legible)]
        assert [one for one in told if PASSWORD in one] == [], what
