"""No message, representation or origin ever shows a credential."""

import pickle

import pytest

from tests.config.loading import load, sound

SECRET = "sk-canary-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f'api_key = "{SECRET}"\napi_key_env = "X"',
        f'api_key = ["{SECRET}"]',
        f'api_key = {{ key = "{SECRET}" }}',
        f'api_key_env = "{SECRET}"',
        f'api_key_vault_ref = "{SECRET}"',
        f'auth_profiles = ["{SECRET} "]',
        f'auth_profiles = "{SECRET}"',
        f'base_url = "https://ana:{SECRET}@x.example"',
        f'base_url = "https://x.example/?key={SECRET}"',
        f'api_key = "{SECRET}"\nusage_dialect = "{SECRET}"',
        f'api_key = "{SECRET}"\nconnect_timeout = "{SECRET}"',
        f'api_kye = "{SECRET}"',
        f'api_key = "{SECRET}',
        f"api_key = {SECRET}",
    ],
)
def test_a_credential_is_not_repeated(text: str) -> None:
    result = load(f'[providers.p]\nkind = "anthropic"\n{text}\n')
    assert result.problems
    assert SECRET not in repr(result)
    assert all(SECRET not in str(problem) for problem in result.problems)


@pytest.mark.parametrize("name", ["API_KEY_ENV", "API_KEY_VAULT_REF", "AUTH_PROFILES", "API_KYE", "BASE_URL"])
def test_a_credential_in_a_variable_is_not_repeated(name: str) -> None:
    result = load('[providers.p]\nkind = "anthropic"\n', {f"PALYRA_PROVIDERS__P__{name}": f"{SECRET} !"})
    assert result.problems
    assert SECRET not in repr(result)


def test_a_sound_credential_is_kept_and_masked() -> None:
    config = sound(f'[providers.p]\nkind = "anthropic"\napi_key = "{SECRET}"\n')
    key = config.providers["p"].api_key
    assert key is not None
    assert key.reveal() == SECRET
    assert SECRET not in f"{config!r} {config} {config.providers['p']}"
    with pytest.raises(TypeError):
        pickle.dumps(config)


@pytest.mark.parametrize("text", ['""', '"  "', "5", "true"])
def test_an_empty_key_is_no_key(text: str) -> None:
    (problem,) = load(f'[providers.p]\nkind = "anthropic"\napi_key = {text}\n').problems
    assert problem.key == "providers.p.api_key"
