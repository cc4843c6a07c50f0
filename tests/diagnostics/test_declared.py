"""Every text of a snapshot is declared, and what it is declared as is applied before it leaves its collector."""

from dataclasses import fields, replace
from typing import get_args, get_type_hints

import pytest

from palyra.core.redact import REDACTED, remember
from palyra.core.values import value
from palyra.diagnostics import declared
from palyra.diagnostics.declared import Address, Hidden, Public, Text, UndeclaredError, check, cleaned
from palyra.diagnostics.section import Sections
from palyra.diagnostics.serving import LastError
from palyra.diagnostics.snapshot import EngineData
from palyra.diagnostics.work import FaultedJob
from tests.diagnostics.samples import JOURNAL, PROBE, PROVIDER, SCHEDULER, SERVING, T0

CANARY = "canary-5fd1c2a9e77b"


def test_every_field_of_every_section_is_declared() -> None:
    found = 0
    for hint in get_type_hints(Sections, include_extras=True).values():
        (section, _) = get_args(hint)
        (model,) = get_args(section)
        check(model)
        found += 1
    assert found == len(fields(Sections)) == 16
    check(EngineData)


def test_a_field_nobody_declared_is_refused() -> None:
    @value
    class Plain:
        told: str

    @value
    class Around:
        inner: tuple[Plain, ...]

    with pytest.raises(UndeclaredError, match=r"Around\.inner: Plain\.told"):
        check(Around)


@value
class Mixed:
    id: Public
    said: Text
    where: Address
    hidden: Hidden
    numbers: dict[Public, int]
    more: tuple[Text, ...] = ()
    perhaps: Text | None = None


def test_each_kind_is_treated_as_what_it_is() -> None:
    given = Mixed(
        "sk-is-an-id-here",
        "Bearer abc said total_tokens: 42",
        "https://ada:hunter22@example.com/x?api_key=abc#top",
        "anything",
        {"total_tokens": 42},
        ("password: hunter22", "x" * 2_000),
        None,
    )
    told = cleaned(given)
    assert told.id == "sk-is-an-id-here"
    assert told.said == f"Bearer {REDACTED} said total_tokens: 42"
    assert told.where == f"https://example.com/x?api_key={REDACTED}"
    hook = replace(given, where="https://hooks.example.com/services/T0AbCdEf0123456789/v1")
    assert cleaned(hook).where == "https://hooks.example.com/services/********/v1"
    assert (told.hidden, told.numbers, told.perhaps) == (REDACTED, {"total_tokens": 42}, None)
    assert told.more[0] == f"password: {REDACTED}"
    assert told.more[1].endswith("… (+976)")
    assert cleaned(replace(given, hidden="")).hidden == ""


def test_no_text_of_a_section_carries_a_known_secret() -> None:
    remember(CANARY)
    error = LastError("auth_invalid", f"the key {CANARY} was refused", T0)
    given = (
        replace(
            SERVING,
            providers=(
                replace(PROVIDER, last_error=error, base_url=f"https://u:{CANARY}@api.example.com/v1#{CANARY}"),
            ),
        ),
        replace(JOURNAL, writer=replace(JOURNAL.writer, last_error=f"no: {CANARY}")),
        replace(PROBE, last_error=f"it said {CANARY}", target=f"http://x/?token={CANARY}"),
        replace(SCHEDULER, faulted=(FaultedJob("nightly", f"{CANARY} is no time"),)),
    )
    for data in given:
        told = cleaned(data)
        assert CANARY not in repr(told)
        assert REDACTED in repr(told) or "api.example.com" in repr(told)


def test_a_text_that_is_told_again_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot a second has the same hundred texts, and looking for secrets is what it would cost most."""
    looked: list[str] = []

    def look(text: object) -> str:
        looked.append(str(text))
        return str(text)

    monkeypatch.setattr(declared, "redact_error", look)
    for _ in range(3):
        cleaned(replace(PROBE, last_error="a text of its own, told thrice"))
    assert looked == ["a text of its own, told thrice"]


def test_what_was_told_before_is_told_without_a_secret_that_became_known_since() -> None:
    late = "late-canary-90b1e6c4"
    given = replace(PROBE, last_error=f"it said {late}", target=f"http://host/?q={late}")
    assert cleaned(given) == given
    remember(late)
    told = cleaned(given)
    assert (told.last_error, told.target) == (f"it said {REDACTED}", f"http://host/?q={REDACTED}")
