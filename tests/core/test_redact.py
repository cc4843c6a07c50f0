"""Secrets leave in no form: by type, by value, by name, in addresses, in texts."""

import base64
import copy
import json
import pickle
import re
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core import known_secrets
from palyra.core import redact as room
from palyra.core.known_secrets import MAX_PATTERN
from palyra.core.redact import (
    MAX_ERROR,
    MOST_READ,
    KnownSecrets,
    Secret,
    names_secret,
    redact,
    redact_data,
    redact_error,
    remember,
)

R = "[redacted]"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_known", KnownSecrets())


def test_a_secret_never_renders() -> None:
    secret = Secret("hunter2-hunter2")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>12}", f"{[secret]}", "%s" % secret]  # noqa: UP031
    assert not [text for text in shown if "hunter2" in text]
    assert str(secret) == "********"
    assert secret.reveal() == "hunter2-hunter2"


def test_secrets_compare_by_value_copy_as_themselves_and_refuse_pickling() -> None:
    secret = Secret("hunter2-hunter2")
    assert secret == Secret("hunter2-hunter2")
    assert secret != Secret("hunter3-hunter3")
    assert secret != "hunter2-hunter2"
    assert len({secret, Secret("hunter2-hunter2")}) == 1
    assert copy.deepcopy([secret])[0] is copy.copy(secret) is secret
    assert secret
    assert not Secret("")
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_secret_made_in_this_process_is_known_to_the_redactor() -> None:
    Secret("correct horse battery")
    assert redact("it said: correct horse battery!") == f"it said: {R}!"


SECRETS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc"]), min_size=8, max_size=40
)


@given(SECRETS.filter(lambda text: text not in R), st.binary(max_size=7), st.binary(max_size=7))
def test_a_known_value_is_found_however_it_is_written(secret: str, before: bytes, after: bytes) -> None:
    known = KnownSecrets()
    known.add(secret)
    blob = before + secret.encode() + after
    for written in (
        secret,
        quote(secret, safe=""),
        quote_plus(secret).lower() if secret.islower() else quote_plus(secret),
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        "".join(f"%{byte:02X}" for byte in secret.encode()),
        base64.b64encode(blob).decode(),
        base64.urlsafe_b64encode(blob).decode(),
    ):
        hidden = known.hide(f"<{written}>")
        assert R in hidden
        assert secret not in hidden.replace(R, "")


@pytest.mark.parametrize("size", [MAX_PATTERN, MAX_PATTERN + 1, 3000, 65_536])
def test_a_long_value_is_found_in_its_usual_forms(size: int) -> None:
    line = '{"key": "-----/++ ü", "n": 1}\n'
    secret = (line * (size // len(line) + 1))[:size]
    known = KnownSecrets()
    known.add(secret)
    forms = [secret, json.dumps(secret), json.dumps(secret, ensure_ascii=False), quote(secret, safe=""), quote(secret)]
    for lead in ("", "a", "bc"):
        blob = f"{lead}{secret}tail".encode()
        forms += [base64.b64encode(blob).decode(), base64.urlsafe_b64encode(blob).decode()]
    for form in forms:
        hidden = known.hide(f"<{form}>")
        assert R in hidden
        assert len(hidden) < 64


def test_many_values_cost_no_more_than_what_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownSecrets()
    for number in range(4096):
        known.add(f"value-{number:06}-of-many")
        known.add(f"value-number-{number:06}")
    looked_for: list[str] = []
    written_forms = known_secrets._written_forms

    def noting(secret: str) -> list[str]:
        looked_for.append(secret)
        return written_forms(secret)

    monkeypatch.setattr(known_secrets, "_written_forms", noting)
    assert known.hide("of value-number-000007 and value-number-000299") == f"of {R} and {R}"
    assert known.hide("of nothing that is known") == "of nothing that is known"
    known.add("one-more-value")
    assert known.hide("one-more-value") == R
    assert looked_for == ["value-number-000007", "value-number-000299", "one-more-value"]


def test_values_of_one_end_are_told_apart() -> None:
    known = KnownSecrets()
    for secret in ("one-with-the-same-end", "another-with-the-same-end", "the-same-end"):
        known.add(secret)
    assert known.hide("another-with-the-same-end, one-with-the-same-end, no-the-same-end") == f"{R}, {R}, no-{R}"


def test_a_name_is_seen_however_it_is_written() -> None:
    for name in ("PASSWORD", "pa\u017fsword", "to\u212aen", "author\u0131zation", "COOKIE", "private_key"):
        assert redact(f"{name}: abcdef") == f"{name}: {R}"


def test_a_short_value_is_not_searched_for() -> None:
    remember("the")
    remember("1234567")
    assert redact("the 1234567") == "the 1234567"


def test_the_longer_of_two_known_values_goes_whole() -> None:
    remember("abcdefgh")
    remember("abcdefgh-and-more")
    remember(" padded-secret \n")
    assert redact("abcdefgh-and-more abcdefgh padded-secret") == f"{R} {R} {R}"


def test_the_replacement_itself_is_never_a_secret() -> None:
    remember("redacted")
    assert redact("token: abc") == f"token: {R}"


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "X-Api-Key",
        "OPENAI_API_KEY",
        "password",
        "db_password",
        "client_secret",
        "clientSecret",
        "token",
        "access_token",
        "Authorization",
        "proxy-authorization",
        "Set-Cookie",
        "private_key",
        "privateKey",
    ],
)
def test_names_that_say_secret(name: str) -> None:
    assert names_secret(name)
    assert redact_data({name: "value"}) == {name: R}


@pytest.mark.parametrize(
    "name",
    [
        "total_tokens",
        "token_count",
        "api_key_configured",
        "api_key_ref",
        "token_id",
        "secret_at",
        "password_fingerprint",
        "max_tokens",
        "tokens",
        "model",
        "cookies_count",
        "secretary",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not names_secret(name)
    assert redact_data({name: "value"}) == {name: "value"}


def test_nested_data_loses_its_secrets_and_keeps_its_numbers() -> None:
    @dataclass(frozen=True, slots=True)
    class Row:
        model: str
        api_key: str

    data = {
        "total_tokens": 42,
        "token": 7,
        "secret": True,
        "password": None,
        "api_key": "",
        "authorization": ["Bearer abc", {"scheme": "x", "key_id": "k1", "count": 3, "used_count": "3"}],
        "rows": (Row("gpt", "abc"),),
        "blob": b"Bearer abc",
        "held": Secret("hunter2-hunter2"),
        "note": "https://u:p@h/x?token=abc#f",
        3: "plain",
    }
    assert redact_data(data) == {
        "total_tokens": 42,
        "token": 7,
        "secret": True,
        "password": None,
        "api_key": "",
        "authorization": [R, {"scheme": R, "key_id": "k1", "count": 3, "used_count": "3"}],
        "rows": [{"model": "gpt", "api_key": R}],
        "blob": f"Bearer {R}",
        "held": R,
        "note": f"https://h/x?token={R}",
        3: "plain",
    }


def test_data_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert R in json.dumps(redact_data(loop))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pw@host:8080/v1?a=1", "https://host:8080/v1?a=1"),
        ("https://token@host/", "https://host/"),
        ("postgres://u:p@ss@db/name", "postgres://db/name"),
        ("https://host/cb#access_token=abc", "https://host/cb"),
        ("https://h/x?api_key=abc&page=2&X-Token=t", f"https://h/x?api_key={R}&page=2&X-Token={R}"),
        ("https://h/x?next=https://u:p@other/y", "https://h/x?next=https://other/y"),
        ("https://h/me@home", "https://h/me@home"),
        ("see https://h/x?total_tokens=42.", "see https://h/x?total_tokens=42."),
    ],
)
def test_addresses_lose_their_user_fragment_and_secret_parameters(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api_key: sk-abcdef12", f"api_key: {R}"),
        ("Bearer abc", f"Bearer {R}"),
        ("total_tokens: 42", "total_tokens: 42"),
        (
            "error api_key: sk-abcdef12, Bearer abc, total_tokens: 42",
            f"error api_key: {R}, Bearer {R}, total_tokens: 42",
        ),
        ("password:x", f"password:{R}"),
        ("PASSWORD = x", f"PASSWORD = {R}"),
        ("password = 'a \\' b' next", f"password = '{R}' next"),
        ('{"api_key": "a,b c", "model": "m"}', f'{{"api_key": "{R}", "model": "m"}}'),
        ('{\\"api_key\\": \\"abc\\", \\"n\\": 1}', f'{{\\"api_key\\": \\"{R}\\", \\"n\\": 1}}'),
        ('password="never closed and cut', f'password="{R}'),
        ('password="two\nlines" after', f'password="{R}" after'),
        ('"cookie": ["a=b"]', f'"cookie": ["{R}"]'),
        ('secret=""', 'secret=""'),
        ("Authorization: Bearer abc.def", f"Authorization: {R}"),
        ("token: Bearer abc", f"token: {R}"),
        ("Cookie: a=b; c=d; e=f then", f"Cookie: {R} then"),
        ("token=a; c=d", f"token={R}; c=d"),
        ("OPENAI_API_KEY=abc&x=1", f"OPENAI_API_KEY={R}&x=1"),
        ("password: 123456", f"password: {R}"),
        ("token: 42, secret: true", "token: 42, secret: true"),
        ("token: 123456789012", f"token: {R}"),
        ("Basic dXNlcjpwdw==", f"Basic {R}"),
        ("Basic x", f"Basic {R}"),
        ("basic dXNlcjpwdw==", f"basic {R}"),
        ("a basic idea", "a basic idea"),
        ("key sk-proj-abc_DEF-123 used", f"key {R} used"),
        ("\x1b[31msk-proj-abc_DEF-123\x1b[0m", f"\x1b[31m{R}\x1b[0m"),
        ("\x1b[msk-proj-abc_DEF-123", f"\x1b[m{R}"),
        ("task-force-alpha sk-learn", "task-force-alpha sk-learn"),
        ("plk_abcdefgh12 and plo_abcdefgh12", f"{R} and {R}"),
        ("jwt eyJhbGciOi.eyJzdWIi.c2ln-_ end", f"jwt {R} end"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nafter", f"{R}\nafter"),
        ("-----BEGIN PRIVATE KEY-----\nabc cut", R),
        ("-----BEGIN CERTIFICATE-----\nabc", "-----BEGIN CERTIFICATE-----\nabc"),
        ("", ""),
    ],
)
def test_texts_lose_what_looks_like_a_credential(text: str, expected: str) -> None:
    assert redact(text) == expected


FRAGMENTS = st.lists(
    st.sampled_from(
        r"""token api_key password cookie : = " ' \ Bearer basic https:// u:p@h/ ? # & sk-abcdefgh eyJabcde . , ; [ ] 42
        [redacted] true x -----BEGIN|PRIVATE|KEY-----""".replace("\n", " ").split()
    ).map(lambda word: word.replace("|", " "))
    | st.sampled_from([" ", "\n", "\t"])
).map("".join)


@given(FRAGMENTS)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize("before", [0, 30_000, MOST_READ - 16, MOST_READ - 2_000, MOST_READ])
def test_no_half_of_a_secret_is_left_where_an_error_is_no_longer_looked_at(before: int) -> None:
    secret = "".join(f"{number:04d}" for number in range(1_000))
    remember(secret)
    for filler in ("x", "api_key=abcdefgh "):
        said = redact_error((filler * before)[:before] + secret + "y" * 100_000)
        assert not re.search(r"0\d\d\d0\d\d\d", said.partition("… (+")[0])
        assert len(said) < MAX_ERROR + 20


def test_an_error_is_redacted_before_it_is_cut() -> None:
    assert redact_error(ValueError("api_key: " + "k" * 2000)) == f"api_key: {R}"
    assert redact_error("x" * 1030) == "x" * 1024 + "… (+6)"
    assert redact_error("x" * 1024) == "x" * 1024
    assert redact_error("x" * 1_000_000) == "x" * 1024 + "… (+998976)"
    assert redact_error(redact_error("x" * 3000)) == redact_error("x" * 3000) == "x" * 1024 + "… (+1976)"
