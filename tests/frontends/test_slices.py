"""What slices and splits make of an axis whose size is an expression: at each size what they make of a number."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from dlc.frontends.slices import Cut, cut, split_evenly
from dlc.ir.core import Block
from dlc.ir.dialects.graph_shape import Slice
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, sym
from dlc.ir.requirements import requirements
from dlc.ir.types import F32, TensorType

N, M = sym("n"), sym("m")
SIZES = (0, 1, 2, 3, 5, 7, 12)
EXTREMES = ((1 << 63) - 1, -(1 << 63), (1 << 31) - 1, -(1 << 31), 1 - (1 << 63), 1 << 62, 1 << 40)
AXES: tuple[Expr, ...] = (N, N + 1, N * 2, N + M, N // 2)
LIMITS: tuple[Expr, ...] = (M, -M, N, N - 5, N // 2, M - N, N + 1, M - 1, 2 - N, N * 2)

numbers = st.integers(-9, 9) | st.sampled_from(EXTREMES)
limits = st.integers(-9, 9) | st.sampled_from(LIMITS)


def places(start: int, end: int, step: int, size: int) -> list[int]:
    """As the text of ONNX's Slice says, and for steps from 1 on as NumPy does."""
    start, end = (each + size if each < 0 else each for each in (start, end))
    low, high = (0, size) if step > 0 else (-1, size - 1)
    return [*range(min(max(start, 0), high), min(max(end, low), high), step)]


def number(dim: Dim, **sizes: int) -> int:
    return as_expr(dim).evaluate(sizes)


def chosen(part: Cut, **sizes: int) -> list[int]:
    return [number(part.start, **sizes) + part.step * n for n in range(number(part.size, **sizes))]


@given(st.sampled_from(AXES), numbers, numbers, numbers.filter(bool))
@example(N, -100, EXTREMES[0], 1)
@example(N, 1, -1, 1)
@example(N, -1, EXTREMES[0], -1)
@example(N, EXTREMES[0], EXTREMES[1], -1)
@example(N, 1, -3, 3)
def test_numbers_as_limits(axis: Expr, start: int, end: int, step: int) -> None:
    part = cut(axis, start, end, step)
    for size in SIZES:
        length = number(axis, n=size, m=3)
        wanted = places(start, end, step, length)
        assert chosen(part, n=size, m=3) == wanted
        assert chosen(cut(length, start, end, step)) == wanted
        if step > 0:
            assert wanted == [*range(length)[start:end:step]]
    assert all(need.holds() for need in needs(axis, part))


@given(st.sampled_from((*AXES, 20)), limits, limits, st.sampled_from((1, 2, -1)))
@example(N, M, -N, -1)
@example(N, -M, N, 1)
def test_expressions_as_limits(axis: Dim, start: Dim, end: Dim, step: int) -> None:
    part = cut(axis, start, end, step)
    for n in (0, 1, 2, 5, 8):
        for m in (0, 1, 3, 6):
            low, high, size = (number(each, n=n, m=m) for each in (start, end, axis))
            assert chosen(part, n=n, m=m) == places(low, high, step, size)


def needs(axis: Dim, part: Cut) -> list[object]:
    x = Block([TensorType((axis,), F32)]).args[0]
    return list(requirements(Slice(x, starts=(part.start,), sizes=(part.size,), steps=(part.step,))))


def test_what_sizes_decide_stays_simple() -> None:
    most = EXTREMES[0]
    least_of_one = N - cut(N, 0, -1, 1).size
    assert cut(N, 0, N, 1) == Cut(0, N, 1)
    assert cut(N + 1, 1, most, 1) == Cut(1, N, 1)
    assert cut(N + 1, 0, -1, 1) == Cut(0, N, 1)
    assert cut(N + M, N, most, 1) == Cut(N, M, 1)
    assert cut(N, -1, most, 1).size == least_of_one == cut(N, 0, 1, 1).size
    assert cut(N, 1, most, 1).size == cut(N, 0, -1, 1).size
    assert cut(N, 1, most, 2).size == N // 2
    assert cut(cut(N, 1, most, 1).size, 1, most, 1).size == cut(N, 2, most, 1).size
    assert cut(cut(N, 0, -1, 1).size, 1, -2, 1).size == cut(N, 1, -3, 1).size
    assert cut(cut(N, 5, 8, 1).size, 1, most, 1).size == cut(N, 6, 8, 1).size
    assert cut(N, most, -most, -1) == Cut(N - 1, N, -1)
    assert cut(N, N // 2, most, 1) == Cut(N // 2, N - N // 2, 1)


@given(st.sampled_from(AXES), st.integers(1, 7))
def test_parts_of_about_one_size(axis: Expr, count: int) -> None:
    for n in SIZES:
        size = number(axis, n=n, m=3)
        part = -(-size // count)
        wanted = [max(0, min(part, size - part * each)) for each in range(count)]
        assert [number(each, n=n, m=3) for each in split_evenly(axis, count)] == wanted
        assert list(split_evenly(size, count)) == wanted


def test_parts_that_are_equal() -> None:
    assert split_evenly(N * 3, 3) == (N, N, N)
    assert split_evenly(as_dim(N + N), 2) == (N, N)
