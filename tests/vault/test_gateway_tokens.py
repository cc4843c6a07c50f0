"""Tokens: what opens, what does not, and that both cost the same work."""

import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.vault.access import AccessRegistry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> AccessRegistry:
    return AccessRegistry.open(tmp_path_factory.mktemp("state"), ManualClock())


@pytest.fixture(scope="module")
def token(registry: AccessRegistry) -> str:
    return registry.key_file.read_text().strip()


def variants(token: str) -> dict[str, str]:
    flipped = "A" if token[-1] != "A" else "B"
    return {
        "another end": token[:-1] + flipped,
        "another beginning": "plo_" + token[4:],
        "another id": "plk_other_" + token[-43:],
        "shorter": token[:-1],
        "longer": token + "A",
        "folded": token.upper(),
        "spaced": token + " ",
        "empty": "",
        "only the secret": token[-43:],
        "only the id": "plk_default_",
        "very long": token + "A" * 100_000,
        "not ascii": token[:-1] + "é",
        "a lone surrogate": token[:-1] + "\udcff",
        "a digest": hashlib.sha256(token.encode()).hexdigest(),
    }


def test_the_token_opens(registry: AccessRegistry, token: str) -> None:
    key = registry.authenticate(token)
    assert key is not None
    assert key.key_id == "default"


@pytest.mark.parametrize("which", variants("plk_default_" + "x" * 43))
def test_nothing_else_opens(registry: AccessRegistry, token: str, which: str) -> None:
    assert registry.authenticate(variants(token)[which]) is None


@settings(deadline=None)
@given(st.text(max_size=130))
def test_any_text_is_refused_without_an_error(registry: AccessRegistry, text: str) -> None:
    assert registry.authenticate(text) is None
    assert registry.authenticate("plk_" + text) is None


def test_ids_may_hold_the_separator(tmp_path: Path) -> None:
    registry = AccessRegistry.open(tmp_path, ManualClock())
    tokens = {key_id: registry.add_key(key_id, "a") for key_id in ("a", "a_b", "a_b_c", "x" * 64, "a-_.z")}
    for key_id, token in tokens.items():
        key = registry.authenticate(token)
        assert key is not None
        assert key.key_id == key_id


def test_secrets_that_look_like_separators_are_taken_apart_by_length(tmp_path: Path) -> None:
    registry = AccessRegistry.open(tmp_path, ManualClock())
    token = registry.add_key("a", "a", entropy=lambda _: "_" * 43)
    assert token == "plk_a_" + "_" * 43
    assert registry.authenticate(token) is not None


def test_every_answer_takes_one_hash_and_one_comparison_in_constant_time(
    registry: AccessRegistry, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[str] = []
    real, compare = hashlib.sha256, hmac.compare_digest

    def hashing(data: bytes) -> object:
        work.append("hash")
        assert len(data) <= 200
        return real(data)

    def comparing(one: bytes, other: bytes) -> bool:
        work.append(f"compare {len(one)} with {len(other)}")
        return compare(one, other)

    monkeypatch.setattr(hashlib, "sha256", hashing)
    monkeypatch.setattr(hmac, "compare_digest", comparing)
    for candidate in (token, *variants(token).values()):
        work.clear()
        registry.authenticate(candidate)
        assert work == ["hash", "compare 32 with 32"], candidate[:80]
