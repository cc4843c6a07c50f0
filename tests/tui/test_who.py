"""Several operators on one account: the screen asks who it is, and a name is never obeyed by the terminal."""

from palyra.tui.who import Candidate, WhoApp


async def test_the_name_that_is_chosen_is_given_back() -> None:
    app = WhoApp("ops", ["ana", "bob", "carol"])
    async with app.run_test(size=(80, 24)) as pilot:
        assert [str(one.render()) for one in app.query(Candidate)] == ["[ ana ]", "[ bob ]", "[ carol ]"]
        await pilot.press("down", "enter")
    assert app.return_value == "bob"


async def test_who_leaves_is_nobody() -> None:
    for key in ("escape", "q"):
        app = WhoApp("ops", ["ana", "bob"])
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press(key)
        assert app.return_value is None


async def test_names_are_shown_as_they_are_written() -> None:
    app = WhoApp("[b]ops", ["[/b][link=x]", "\x1b]52;c;x\x07", "\u202eana"])
    async with app.run_test(size=(80, 24)):
        shown = [str(one.render()) for one in app.query(Candidate)]
    assert shown == ["[ [/b][link=x] ]", "[ ␛]52;c;x␇ ]", "[ ⟨U+202E⟩ana ]"]
