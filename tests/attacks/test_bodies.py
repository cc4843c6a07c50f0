"""Bodies that are nearly what a wire says, sent to a real house: each is served or refused in its caller's dialect."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.attacks.bodies import MEGABYTE, PATHS, bodies
from tests.attacks.conversation import asked, told_by_table
from tests.attacks.depth import attacks
from tests.attacks.target import Target


@pytest.mark.parametrize("path", PATHS)
@attacks(15)
def test_every_body_is_served_or_refused_in_its_dialect(attacked: Target, path: str, depth: settings) -> None:
    @depth
    @given(body=bodies(path), leaves=st.sampled_from([False] * 9 + [True]))
    def play(body: bytes, leaves: bool) -> None:
        async def one() -> None:
            attacked.provider.heard.clear()
            answer = await asked(attacked, path, body, leaves=leaves)
            if answer is not None:
                attacked.harmless(answer.body)
                event(f"{answer.status}")
                if answer.status == 200:
                    assert answer.headers["content-type"].startswith(("application/json", "text/event-stream"))
                    assert len(body) <= MEGABYTE
                else:
                    told_by_table(PATHS[path], answer)
                assert not answer.cut
            assert len(attacked.provider.heard) <= 1
            await attacked.unharmed()

        attacked.run(one())

    play()
    attacked.run(attacked.books())
