"""A run, opened, tells every part of what it was charged."""

from dataclasses import replace

import pytest

from palyra.control.prices import PartView
from palyra.control.queries import AttemptView, RunDetail
from palyra.tui.details.run import run_lines
from palyra.tui.widgets.lines import text_of, width_of
from tests.tui.fake_views import run as a_run

PARTS = (
    PartView("cache_read_tokens", 250, "0.1", 1_000_000, "25000"),
    PartView("input_tokens", 100, "0.4", 1_000_000, "40000"),
    PartView("requests", 1, "0.014", 1, "14000000"),
)


def told(attempt: AttemptView, width: int) -> list[str]:
    run = a_run(1, "completed", "ann", "openai/m", 65_000)
    lines = run_lines(run, RunDetail(run, (attempt,), (), None), "UTC", run.accepted_at, width)
    assert all(width_of(one) <= width for one in lines)
    return [text_of(one) for one in lines]


def attempt(**changes: object) -> AttemptView:
    plain = AttemptView(1, "h", "openai", "m", "settled", 1, 2, 100_000, 65_000, "provider", "known", False)
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [48, 78, 118])
def test_every_part_of_a_charge_is_told_to_the_nano_dollar(width: int) -> None:
    lines = told(attempt(parts=PARTS), width)
    for part in PARTS:
        words = part.unit.removesuffix("_tokens").replace("_", " ")
        assert any(line.strip().startswith(words) and line.endswith(f" {int(part.nano):,}") for line in lines), (
            words,
            lines,
        )


def test_every_way_to_understand_an_answer_is_told_with_its_charge() -> None:
    lines = told(attempt(readings=(("cache_capped", 10_000), ("cache_besides", 65_000))), 78)
    text = " ".join(line.strip() for line in lines)
    assert "understood as cache capped $0.00001, cache besides $0.000065; the dearest is charged" in text


def test_what_was_not_charged_has_no_parts() -> None:
    assert not any("nano-dollars" in line or "understood" in line for line in told(attempt(), 78))
