"""A list of at most so many entries of the audit chain slides along it and never leaves one out."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.control.audit_queries import AuditEntry
from palyra.tui.audit_window import AuditWindow
from tests.tui.fake_audit import audit_page, entry

MOST = 120


def chain(kinds: list[str]) -> list[AuditEntry]:
    return [entry(seq, kind, "done", "ana", "it") for seq, kind in enumerate(kinds, start=1)]


@given(
    runs=st.lists(st.tuples(st.sampled_from(["policy", "decision"]), st.integers(50, 400)), min_size=1, max_size=4),
    steps=st.lists(st.sampled_from(["older", "newer", "newest", "grow"]), max_size=25),
    deeds=st.booleans(),
)
def test_what_it_holds_is_a_stretch_of_the_chain_without_gaps(
    runs: list[tuple[str, int]], steps: list[str], deeds: bool
) -> None:
    entries = chain([kind for kind, times in runs for _ in range(times)])
    window = AuditWindow(MOST)
    window.deeds = deeds
    window.add_newest(audit_page(entries, window.ask_newest()))
    for step in steps:
        if step == "older" and window.older is not None:
            window.add_older(audit_page(entries, window.ask_older()))
        elif step == "newer" and window.slid:
            while window.add_newer(audit_page(entries, window.ask_newer())):
                pass
        elif step == "newest":
            window.add_newest(audit_page(entries, window.ask_newest()))
        elif step == "grow":
            entries.append(entry(len(entries) + 1, "policy", "done", "ana", "it"))
        listed = [one for one in reversed(entries) if not (deeds and one.kind == "decision")]
        held = window.entries
        assert len(held) <= MOST
        start = listed.index(held[0]) if held else 0
        assert held == listed[start : start + len(held)], step
        assert window.older is not None or not held or held[-1] == listed[-1], "what is older can still be asked for"


def test_it_comes_back_to_the_newest_over_a_desert_of_decisions() -> None:
    entries = chain(["policy"] * 400 + ["decision"] * 1_000 + ["policy"] * 3)
    window = AuditWindow(250)
    window.add_newest(audit_page(entries, window.ask_newest()))
    while window.older is not None:
        window.add_older(audit_page(entries, window.ask_older()))
    assert (window.entries[-1].seq, window.slid) == (1, True)
    asked = 0
    while window.slid:
        asked += 1
        window.add_newer(audit_page(entries, window.ask_newer()))
    assert window.newest == 1_403
    assert asked == 13, "a page for every hundred numbers"
