"""What an op needs of sizes: relations over dimensions, declared on the op (`Op.requires`) beside its operands.

One that is false is an error of the model. One that is true at all sizes costs nothing. What is left open becomes a
guard (`graph.require`, see `dlc.ir.guards`), which the artefact evaluates for the sizes of each run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dlc.ir.broadcast import equal_or_wrong, sizes_met
from dlc.ir.core import Op
from dlc.ir.expr import Dim, Expr, as_expr
from dlc.ir.expr_bounds import bounds
from dlc.ir.expr_cases import never_negative
from dlc.ir.types import TensorType
from dlc.record import record

EQUAL, AT_LEAST = "==", ">="
ONE_OR_EQUAL, ALIKE = "1 or ==", "== or 1"  # the left side broadcasts to the right one; each to their `broadcast`
RELATIONS = (EQUAL, AT_LEAST, ONE_OR_EQUAL, ALIKE)
BROADCASTS = (ONE_OR_EQUAL, ALIKE)
MOST_ELEMENTS = (1 << 63) // 16 - 1  # of up to 16 bytes each, so that bytes are 63-bit numbers too

NO_NEGATIVE_SIZE = "its result must have no negative size"


@record
class Requirement:
    """`left` stands in the relation to `right`; `text` is the sentence that says so, after the number of the check."""

    left: Dim
    relation: str
    right: Dim
    text: str

    @property
    def surplus(self) -> Expr:
        """What must be 0, or at least 0."""
        left, right = as_expr(self.left), as_expr(self.right)
        surplus = left - right
        if self.relation in BROADCASTS:
            surplus = surplus * (left - 1)
        return surplus * (right - 1) if self.relation == ALIKE else surplus

    @property
    def distance(self) -> Expr:
        """What is 0 where both sides are equal."""
        return as_expr(self.left) - as_expr(self.right)

    @property
    def sentence(self) -> str:
        """The text without the number of the check."""
        return self.text.partition(": ")[2] or self.text

    @property
    def sizes(self) -> str:
        """Both sides for a message, of numbers or expressions."""
        if self.relation != AT_LEAST or not isinstance(self.right, int):
            return f"{self.left} and {self.right}"
        return f"{self.left}, at least {self.right} is needed" if self.right else str(self.left)

    def holds(self) -> bool | None:
        """Whether it holds at all sizes (True) or at none (False); None: the sizes of a run decide."""
        return decided(self.surplus, self.relation)


def decided(surplus: Expr, relation: str) -> bool | None:
    """What is known of a requirement by its surplus, every symbol being a size."""
    if surplus.is_const:
        return surplus.value >= 0 if relation == AT_LEAST else surplus.value == 0
    if relation == AT_LEAST and never_negative(surplus):
        return True
    low, high = bounds(surplus)
    outside = (high is not None and high < 0) or (relation != AT_LEAST and low is not None and low > 0)
    return False if outside else None


def fulfilled(left: int, relation: str, right: int) -> bool:
    """Whether numbers stand in a relation."""
    if relation == AT_LEAST:
        return left >= right
    return left == right or (relation in BROADCASTS and left == 1) or (relation == ALIKE and right == 1)


Requirements = Sequence[Requirement]


def equal(left: Dim, right: Dim, text: str) -> Requirements:
    return () if left == right else (Requirement(left, EQUAL, right, text),)


def at_least(left: Dim, right: Dim, text: str) -> Requirements:
    if isinstance(left, int) and isinstance(right, int) and left >= right:
        return ()
    return (Requirement(left, AT_LEAST, right, text),)


def divisible(dim: Dim, divisor: Dim, text: str) -> Requirements:
    """`dim` is a multiple of `divisor`."""
    if divisor == 1 or (divisor == 0 and dim == 0):
        return ()
    if divisor == 0:
        return (Requirement(dim, EQUAL, 0, text),)
    return equal(as_expr(dim) % divisor, 0, text)


def equal_shapes(left: Iterable[Dim], right: Iterable[Dim], text: str) -> Iterator[Requirement]:
    """Axis by axis, of two shapes of one rank."""
    for a, b in zip(left, right, strict=True):
        yield from equal(a, b, text)


def broadcast_alike(shapes: Sequence[Sequence[Dim]], text: str) -> Iterator[Requirement]:
    """Dimensions at the same place, counted from the last, are equal unless one of them is 1."""
    for number, left in enumerate(shapes):
        for right in shapes[number + 1 :]:
            for a, b in zip(reversed(left), reversed(right), strict=False):
                if a != 1 and b != 1 and not (parts_of(a) <= parts_of(b) or parts_of(b) <= parts_of(a)):
                    yield Requirement(a, relation_of(a, ALIKE, b), b, text)


def broadcast_to(shape: Iterable[Dim], whole: Iterable[Dim], text: str) -> Iterator[Requirement]:
    """A shape broadcasts to another without making it larger: its dimensions, counted from the last, are 1 or equal."""
    for a, b in zip(reversed([*shape]), reversed([*whole]), strict=False):
        if a == 1 or parts_of(a) <= parts_of(b):
            continue
        known = isinstance(a, int) or b == 1
        yield Requirement(a, EQUAL if known else relation_of(a, ONE_OR_EQUAL, b), b, text)


def relation_of(left: Dim, relation: str, right: Dim) -> str:
    """One of `BROADCASTS`, or equality where nothing else fits."""
    return EQUAL if equal_or_wrong(as_expr(left), as_expr(right)) else relation


def parts_of(dim: Dim) -> frozenset[Expr]:
    """The sizes of which a dimension is the `broadcast_size`: what made it one has asked that they fit."""
    return frozenset(sizes_met(as_expr(dim)))


def requirements(op: Op, declared: bool = True) -> Iterator[Requirement]:
    """All that an op needs of sizes: what it declares, and that the sizes of its results are possible ones."""
    if declared:
        yield from op.requires()
    for value in op.results:
        if isinstance(value.type, TensorType):
            yield from _possible(value.type)


def _possible(kind: TensorType) -> Iterator[Requirement]:
    for dim in kind.shape:
        yield from at_least(dim, 0, NO_NEGATIVE_SIZE)
    elements = kind.elements
    if isinstance(elements, int):
        yield from at_least(MOST_ELEMENTS, elements, "the number of its elements must leave room for bytes in 63 bits")


def false_requirement(op: Op) -> Requirement | None:
    """The first requirement of an op that no sizes can fulfil."""
    return next((each for each in requirements(op) if each.holds() is False), None)
