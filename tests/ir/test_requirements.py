"""What ops need of sizes: decided only where that is right for all sizes, and asked for by the ops that need it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlc.ir.core import Block, Op
from dlc.ir.dialects.graph_math import Add
from dlc.ir.dialects.graph_shape import Reshape, Slice
from dlc.ir.expr import Expr, as_dim, const, maximum, minimum, sym
from dlc.ir.expr_text import parse_expr
from dlc.ir.requirements import (
    ALIKE,
    AT_LEAST,
    EQUAL,
    MOST_ELEMENTS,
    NO_NEGATIVE_SIZE,
    ONE_OR_EQUAL,
    RELATIONS,
    Requirement,
    at_least,
    broadcast_alike,
    decided,
    divisible,
    equal,
    equal_shapes,
    false_requirement,
    fulfilled,
    requirements,
)
from dlc.ir.types import F32, TensorType

NAMES = ("k", "m", "n")
SIZES = (0, 1, 2, 3, 7, 10)
N, M = sym("n"), sym("m")


@st.composite
def exprs(draw: st.DrawFn) -> Expr:
    """Expressions as they occur in shapes: few terms, quotients by numbers, minima, maxima."""
    expr = const(draw(st.integers(-6, 6))) + sym(draw(st.sampled_from(NAMES))) * draw(st.integers(-3, 3))
    for _ in range(draw(st.integers(0, 3))):
        other = sym(draw(st.sampled_from(NAMES))) * draw(st.integers(-2, 3)) + draw(st.integers(-4, 4))
        number = draw(st.integers(1, 5))
        choices = (
            lambda e, o, c: e + o, lambda e, o, c: e * o, lambda e, o, c: e // c + o, lambda e, o, c: o - e % c,
            lambda e, o, c: minimum(e, o), lambda e, o, c: maximum(e, o), lambda e, o, c: e - minimum(e, o),
            lambda e, o, c: maximum(e, o) * c - e,
        )  # fmt: skip
        expr = draw(st.sampled_from(choices))(expr, other, number)
    return expr


@given(exprs(), st.sampled_from(RELATIONS), exprs() | st.integers(-3, 8).map(const))
def test_what_is_decided_is_so_at_all_sizes(left: Expr, relation: str, right: Expr) -> None:
    holds = Requirement(as_dim(left), relation, as_dim(right), "c1: …").holds()
    if holds is None:
        return
    for sizes in product(SIZES, repeat=len(NAMES)):
        values = dict(zip(NAMES, sizes, strict=True))
        assert fulfilled(left.evaluate(values), relation, right.evaluate(values)) == holds


@given(st.sampled_from(RELATIONS), st.integers(-3, 3), st.integers(-3, 3))
def test_numbers_leave_nothing_open(relation: str, left: int, right: int) -> None:
    assert Requirement(left, relation, right, "c1: …").holds() == fulfilled(left, relation, right)


@pytest.mark.parametrize(
    ("surplus", "relation", "holds"),
    [
        ("0", EQUAL, True), ("2", EQUAL, False), ("n", EQUAL, None), ("n + 1", EQUAL, False), ("-n - 1", EQUAL, False),
        ("n - m", EQUAL, None), ("n * m", EQUAL, None), ("n % 2", EQUAL, None), ("(n * 4) % 2", EQUAL, True),
        ("n", AT_LEAST, True), ("n - 1", AT_LEAST, None), ("-n", AT_LEAST, None), ("-n - 1", AT_LEAST, False),
        ("n * m", AT_LEAST, True), ("n - m", AT_LEAST, None), ("n // 2", AT_LEAST, True), ("n % 3", AT_LEAST, True),
        ("(n - 1) // 2", AT_LEAST, None), ("max(n - 4, 0)", AT_LEAST, True), ("max(n - 4, 1) - 1", AT_LEAST, True),
        ("n - min(n, 9)", AT_LEAST, True), ("n - min(9, m)", AT_LEAST, None), ("2 - n % 3", AT_LEAST, True),
        ("n * 2 - min(n, m) - min(n, 3)", AT_LEAST, True), ("-3 - min(n, 2)", AT_LEAST, False),
    ],
)  # fmt: skip
def test_some_are_true_some_false_and_some_open(surplus: str, relation: str, holds: bool | None) -> None:
    assert decided(parse_expr(surplus), relation) is holds


def test_a_size_broadcasts_to_itself_and_one_to_all() -> None:
    assert Requirement(1, ONE_OR_EQUAL, N, "c1: …").holds() is True
    assert Requirement(N, ONE_OR_EQUAL, N, "c1: …").holds() is True
    assert Requirement(N, ONE_OR_EQUAL, M, "c1: …").holds() is None
    assert Requirement(3, ONE_OR_EQUAL, 1, "c1: …").holds() is False
    assert Requirement(N + 2, ONE_OR_EQUAL, 1, "c1: …").holds() is False


def test_a_sentence_is_the_text_without_its_number() -> None:
    assert Requirement(N, EQUAL, 3, "c12: a: b").sentence == "a: b"
    assert Requirement(N, EQUAL, 3, NO_NEGATIVE_SIZE).sentence == NO_NEGATIVE_SIZE


# -- what helpers make -------------------------------------------------------------------------------------------------


def asked(needs: object) -> list[tuple[object, str, object]]:
    return [(need.left, need.relation, need.right) for need in needs]  # type: ignore[attr-defined]


def test_what_is_plainly_so_is_not_asked_for() -> None:
    assert asked(equal(3, 3, "c1")) == asked(equal(N, N, "c1")) == asked(at_least(3, 2, "c1")) == []
    assert asked(divisible(N, 1, "c1")) == asked(divisible(0, 0, "c1")) == asked(divisible(N * 6, 3, "c1")) == []
    assert asked(divisible(6, 3, "c1")) == []


def test_what_is_not_so_is() -> None:
    assert asked(equal(3, N, "c1")) == [(3, EQUAL, N)]
    assert asked(at_least(1, 2, "c1")) == [(1, AT_LEAST, 2)]
    assert asked(divisible(7, 3, "c1")) == [(1, EQUAL, 0)]
    assert asked(divisible(N, 2, "c1")) == [(N % 2, EQUAL, 0)]
    assert asked(divisible(N, 0, "c1")) == [(N, EQUAL, 0)]


def test_shapes_are_compared_axis_by_axis() -> None:
    assert asked(equal_shapes((N, 2, 3), (M, 2, 4), "c1")) == [(N, EQUAL, M), (3, EQUAL, 4)]
    with pytest.raises(ValueError):
        list(equal_shapes((N, 2), (N,), "c1"))


def test_ones_broadcast_and_all_else_is_equal() -> None:
    shapes = ((N, 1, 4), (5, 4), (M, 1))
    assert asked(broadcast_alike(shapes, "c1")) == [(5, ALIKE, M)]
    assert asked(broadcast_alike(((N, 3), (M, 4), (3,)), "c1")) == [(3, ALIKE, 4), (N, ALIKE, M), (4, ALIKE, 3)]


# -- what ops ask for --------------------------------------------------------------------------------------------------


def made(kind: type[Op], *shapes: tuple[object, ...], **attrs: object) -> Op:
    block = Block([TensorType(shape, F32) for shape in shapes])  # type: ignore[arg-type]
    return kind(*block.args, **attrs)


def test_an_op_asks_for_what_it_declares_and_for_a_possible_result() -> None:
    op = made(Slice, (N,), starts=(0,), sizes=(N - 3,))
    needs = {need.text: (need.left, need.relation, need.right) for need in requirements(op)}
    assert needs.pop(NO_NEGATIVE_SIZE) == (N - 3, AT_LEAST, 0)
    assert needs["c4: a slice must lie inside its axis"] == (N, AT_LEAST, N - 3)
    assert false_requirement(op) is None


def test_the_first_false_requirement_is_the_one_to_report() -> None:
    broken = false_requirement(made(Slice, (N, 3), starts=(1, 0), sizes=(N, 4)))
    assert broken is not None
    assert (broken.left, broken.relation, broken.right) == (N, AT_LEAST, N + 1)
    assert false_requirement(made(Slice, (N, M), starts=(1, 0), sizes=(N - 1, 4))) is None
    assert false_requirement(made(Add, (N, 3), (M, 1))) is None


@pytest.mark.parametrize(("elements", "fits"), [(MOST_ELEMENTS, True), (MOST_ELEMENTS + 1, False)])
def test_the_bytes_of_a_result_are_63_bit_numbers(elements: int, fits: bool) -> None:
    op = made(Reshape, (elements,), shape=(elements, 1))
    assert (false_requirement(op) is None) == fits
