"""Values: the type checker keeps them unchanged, and at run time they are plain dataclasses with slots."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import KW_ONLY, field, fields, is_dataclass, replace
from inspect import signature

import pytest
from pydantic import TypeAdapter

from palyra.core.values import altered, value, writing_ahead


@value
class Place:
    """A name with a number."""

    name: str
    number: int = 1
    _: KW_ONLY
    tags: tuple[str, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("a place has a number of at least 0")


@value
class Marked(Place):
    """A place with a mark that does not count when places are compared."""

    mark: str = field(default="", compare=False)


@value
class Row:
    """Nothing is looked at when one is made."""

    name: str
    number: int = 1


@value
class Folded:
    """Compares and hashes without regard to case."""

    text: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folded) and other.text.lower() == self.text.lower()

    def __hash__(self) -> int:
        return hash(self.text.lower())


def test_values_compare_and_hash_by_their_fields() -> None:
    assert Place("a") == Place("a", 1, tags=())
    assert Place("a") != Place("a", 2)
    assert len({Place("a"), Place("a", 1), Place("b"), Place("a", tags=("x",))}) == 3


def test_what_a_class_says_itself_of_equality_stands() -> None:
    assert {Folded("A"), Folded("a")} == {Folded("a")}


def test_defaults_checks_and_replacing() -> None:
    assert replace(Place("a"), number=4) == Place("a", 4)
    assert [one.name for one in fields(Place)] == ["name", "number", "tags"]
    assert repr(Place("a")) == "Place(name='a', number=1, tags=())"
    with pytest.raises(ValueError, match="at least 0"):
        Place("a", -1)


def test_a_value_may_extend_another() -> None:
    marked = Marked("a", 2, "m", tags=("x",))
    assert (marked.name, marked.number, marked.mark, marked.tags) == ("a", 2, "m", ("x",))
    assert marked == Marked("a", 2, "other", tags=("x",))


def test_a_value_has_no_room_for_more_than_its_fields() -> None:
    assert is_dataclass(Place)
    assert not hasattr(Marked("a"), "__dict__")


def test_values_are_copied_and_travel() -> None:
    place = Place("a", 3, tags=("x",))
    assert copy.deepcopy(place) == place
    assert pickle.loads(pickle.dumps(place)) == place
    adapter = TypeAdapter(Place)
    assert adapter.validate_json(adapter.dump_json(place)) == place


def test_only_the_type_checker_refuses_a_change() -> None:
    """What refuses is the checker: were it silent, it would find these exceptions from its rules without use."""
    place = Place("a")
    place.number = 2  # type: ignore[misc]
    replace(place, name=2)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Place(number=1)  # type: ignore[call-arg]
    assert place == Place("a", 2)


def test_who_asks_for_the_signature_first_is_told_it() -> None:
    @value
    class Fresh:
        name: str
        number: int = 1

    @value
    class Fresher(Fresh):
        mark: str = ""

    told = [f"{one.name}: {one.annotation.__name__}" for one in signature(Fresher).parameters.values()]
    assert told == ["name: str", "number: int", "mark: str"]
    assert [repr(Fresher("a")), repr(Fresh("a"))] == [
        f"{Fresher.__qualname__}(name='a', number=1, mark='')",
        f"{Fresh.__qualname__}(name='a', number=1)",
    ]


@pytest.mark.parametrize("first", ["init", "repr", "eq", "hash"])
def test_whatever_of_a_value_is_called_first_does_what_it_should(first: str) -> None:
    @value
    class Fresh:
        name: str

    given = object.__new__(Fresh)
    object.__setattr__(given, "name", "a")
    calls: dict[str, Callable[[], bool]] = {
        "init": lambda: Fresh("a").name == "a",
        "repr": lambda: repr(given) == f"{Fresh.__qualname__}(name='a')",
        "eq": lambda: given == copy.copy(given),
        "hash": lambda: hash(given) == hash(copy.copy(given)),
    }
    assert calls.pop(first)()
    assert all(call() for call in calls.values())


def test_methods_written_ahead_are_those_written_when_called() -> None:
    @value
    class Fresh:
        name: str

        def __repr__(self) -> str:
            return f"<{self.name}>"

    for _ in writing_ahead():
        pass
    written = Fresh.__init__
    assert Fresh("a") == Fresh("a")
    assert repr(Fresh("a")) == "<a>"
    assert Fresh.__init__ is written
    assert not list(writing_ahead())


def test_an_altered_value_is_what_replacing_makes() -> None:
    given = Folded("A")
    assert altered(given, {"text": "B"}).text == replace(given, text="B").text
    row = Row("a", 2)
    assert altered(row, {"number": 3}) == replace(row, number=3) == Row("a", 3)
    assert row == Row("a", 2)
    with pytest.raises(AttributeError):
        altered(row, {"nothing": 1})
