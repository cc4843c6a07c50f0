"""What a reload applies at once and what waits for a restart."""

from collections.abc import Iterator

from palyra.config.model import RELOADABLE, LoadedConfig, apply_reload
from palyra.config.settings import waiting
from tests.config.key_table import TABLES
from tests.config.loading import load, sound
from tests.config.test_every_key import written


def test_marked_sections_apply_and_the_others_wait() -> None:
    running = sound("[tasks]\nconcurrency = 3\n[runs]\nslice_tokens = 100\n")
    fresh = sound(
        '[tasks]\nconcurrency = 5\n[runs]\nslice_tokens = 200\n[[budgets]]\npolicy_id = "x"\nhard_limit = 1\n'
    )
    applied, pending = apply_reload(running, fresh)
    assert (applied.runs.slice_tokens, applied.tasks.concurrency) == (200, 3)
    assert applied.budgets == fresh.budgets
    assert pending == ("tasks",)


def test_an_unchanged_file_leaves_nothing_waiting() -> None:
    assert apply_reload(LoadedConfig(), sound("")) == (LoadedConfig(), ())


def test_a_changed_secret_waits() -> None:
    text = '[providers.p]\nkind = "anthropic"\napi_key = "{}"\n'
    _, pending = apply_reload(sound(text.format("sk-aaaaaaaa")), sound(text.format("sk-bbbbbbbb")))
    assert pending == ("providers",)


def test_defaults_of_a_section_left_out_come_back() -> None:
    applied, _ = apply_reload(sound("[approvals]\npark_seconds = 5\n"), sound(""))
    assert applied.approvals.park_seconds == 60


def changes() -> Iterator[tuple[str, str, str, str]]:
    """Of every key of the list: a file without it and one that sets it to something else, with its section."""
    for before, rows in TABLES:
        for section, key, default, accepted, _ in rows:
            for spelled, value in accepted.items():
                after = written(before, section, key, spelled)
                if str(value) != str(default) and load(after).config is not None:
                    yield section.partition(".")[0], key, before, after
                    break


def test_of_every_key_it_is_told_what_puts_its_new_value_in_force() -> None:
    told = set()
    for section, key, before, after in changes():
        running, fresh = sound(before), sound(after)
        by = "reload" if section in RELOADABLE else "restart"
        differ = waiting(running, fresh)
        own = {name: how for name, how in differ.items() if name.partition(".")[0].partition("[")[0] == section}
        assert any(name.endswith(f".{key}") for name in own), (section, key, differ)
        assert set(own.values()) == {by}, (section, key)
        applied, pending = apply_reload(running, fresh)
        assert (section in pending) == (by == "restart"), (section, key)
        assert getattr(applied, section) == getattr(fresh if by == "reload" else running, section), (section, key)
        told.add(f"{section}.{key}")
    assert len(told) > 150
