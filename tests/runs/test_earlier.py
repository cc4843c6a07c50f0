"""What earlier answers used, for those who go on from them."""

from palyra.runs.earlier import EarlierAnswers


def test_an_answer_is_remembered_by_its_id_and_others_are_not_guessed() -> None:
    earlier = EarlierAnswers()
    earlier.remember("resp_1", 750)
    earlier.remember("", 9)
    assert (earlier.tokens("resp_1"), earlier.tokens("resp_2"), earlier.tokens(""), earlier.tokens(None)) == (
        750,
        None,
        None,
        None,
    )


def test_of_two_answers_with_one_id_the_greater_is_believed() -> None:
    earlier = EarlierAnswers()
    for tokens in (700, 20):
        earlier.remember("resp_1", tokens)
    assert earlier.tokens("resp_1") == 700


def test_the_oldest_is_forgotten_first() -> None:
    earlier = EarlierAnswers(kept=2)
    for answer_id in ("a", "b", "a", "c"):
        earlier.remember(answer_id, 1)
    assert [earlier.tokens(answer_id) for answer_id in "abc"] == [1, None, 1]
