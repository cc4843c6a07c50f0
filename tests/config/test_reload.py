"""What a reload applies at once and what waits for a restart."""

from palyra.config.model import LoadedConfig, apply_reload
from tests.config.loading import sound


def test_marked_sections_apply_and_the_others_wait() -> None:
    running = sound("[tasks]\nconcurrency = 3\n[runs]\nslice_tokens = 100\n")
    fresh = sound(
        '[tasks]\nconcurrency = 5\n[runs]\nslice_tokens = 200\n[[budgets]]\npolicy_id = "x"\nhard_limit = 1\n'
    )
    applied, waiting = apply_reload(running, fresh)
    assert (applied.runs.slice_tokens, applied.tasks.concurrency) == (200, 3)
    assert applied.budgets == fresh.budgets
    assert waiting == ("tasks",)


def test_an_unchanged_file_leaves_nothing_waiting() -> None:
    assert apply_reload(LoadedConfig(), sound("")) == (LoadedConfig(), ())


def test_a_changed_secret_waits() -> None:
    text = '[providers.p]\nkind = "anthropic"\napi_key = "{}"\n'
    _, waiting = apply_reload(sound(text.format("sk-aaaaaaaa")), sound(text.format("sk-bbbbbbbb")))
    assert waiting == ("providers",)


def test_defaults_of_a_section_left_out_come_back() -> None:
    applied, _ = apply_reload(sound("[approvals]\npark_seconds = 5\n"), sound(""))
    assert applied.approvals.park_seconds == 60
