"""`record` behaves as the frozen dataclass of the standard library does."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from dlc.record import record


@record
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list, compare=False)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")


@record
class Named(Point):
    name: str = "p"


@dataclass(frozen=True)
class Plain(Point):
    """A plain frozen dataclass may inherit from a record."""

    z: int = 3


@record
class Empty:
    pass


def test_fields_come_in_order_with_their_defaults() -> None:
    assert [each.name for each in fields(Named)] == ["x", "y", "tags", "name"]
    assert repr(Named(1, name="q")) == "Named(x=1, y=0, tags=[], name='q')"
    assert Point(1).tags is not Point(1).tags
    assert Plain(1, 2).z == 3 and Empty() == Empty() and hash(Empty()) == hash(Empty())


def test_wrong_arguments_are_refused_as_by_any_function() -> None:
    for wrong in ((), (1, 2, [], 4)):
        with pytest.raises(TypeError):
            Point(*wrong)
    with pytest.raises(TypeError, match="unexpected keyword"):
        Point(1, w=2)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="x"):
        Point(-1)


def test_compared_fields_alone_decide_equality_and_hash() -> None:
    assert Point(1, 2, ["a"]) == Point(1, 2, ["b"]) and hash(Point(1, 2, ["a"])) == hash(Point(1, 2))
    assert Point(1) != Point(2) and Point(1) != Named(1) and Point(1) != (1, 0)


def test_nothing_can_be_assigned() -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x


def test_replace_copy_pickle_and_match() -> None:
    assert replace(Named(1), y=5) == Named(1, 5)
    assert copy.deepcopy(Named(1)) == Named(1) == pickle.loads(pickle.dumps(Named(1)))
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)


def test_bases_must_be_frozen() -> None:
    @dataclass
    class Loose:
        x: int = 0

    with pytest.raises(TypeError, match="inherits from a dataclass that is not frozen"):

        @record
        class Child(Loose):
            pass

    @record
    class Grandchild(Plain):
        w: int = 4

    assert Grandchild(1).w == 4 and Grandchild(1) != Plain(1)
    with pytest.raises(FrozenInstanceError):
        Plain(1).x = 2  # type: ignore[misc]


def test_methods_of_the_class_stay() -> None:
    @record
    class Loud:
        x: int

        def __repr__(self) -> str:
            return "loud"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert repr(Loud(1)) == "loud" and Loud(1) == Loud(2)
