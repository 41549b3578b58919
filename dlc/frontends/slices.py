"""What slices and splits take of an axis, as ONNX says it, for sizes that only a run knows.

A position that is not a number of a known axis is held inside it by minima and maxima. Nothing is assumed: a slice is
right at all sizes. Forms are those that say most: the last k of n begin at ``n - min(n, k)``, not at ``max(0, n - k)``.
"""

from __future__ import annotations

from itertools import pairwise

from dlc.frontends.contents import greatest, least, positive_part
from dlc.frontends.context import Unsupported
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, ceil_div
from dlc.ir.expr_cases import never_negative
from dlc.ir.requirements import MOST_ELEMENTS
from dlc.record import record

Shape = tuple[Dim, ...]
TO_THE_END = (1 << 31) - 1  # exporters write "to the end" as the largest integer of some type


@record
class Cut:
    """A part of one axis: `size` elements from `start` on, `step` apart."""

    start: Dim
    size: Dim
    step: int


def cut(dim: Dim, start: Dim, end: Dim, step: int) -> Cut:
    """What ONNX Slice takes of an axis: negative positions count from the end, all are held inside the axis."""
    if step == 0:
        raise Unsupported("its step is 0")
    if step > 0:
        low, high = _counted(start, dim, 0), _counted(end, dim, 0)
        first = _least(_greatest(low, 0), dim)
        distance = as_expr(_least(high, dim)) - _greatest(low, 0)
    else:
        last = as_dim(as_expr(dim) - 1)
        high, low = _counted(start, dim, 0), _counted(end, dim, -1)
        first = _least(_greatest(high, 0), last)
        distance = as_expr(first) - _greatest(low, -1)
    if abs(step) > MOST_ELEMENTS:  # one element at most
        step, size = (1 if step > 0 else -1), least(1, _greatest(distance, 0))
    else:  # a distance that is negative, but by less than a step, gives 0 as it is
        room = distance + (abs(step) - 1)
        size = as_dim((room if never_negative(room) else _greatest(distance, 0) + (abs(step) - 1)) // abs(step))
    return Cut(0 if size == 0 else first, size, step)


def _counted(position: Dim, dim: Dim, least_one: int) -> Dim:
    """A position as one from the start, which may lie outside the axis; it is going to be held at `least_one`."""
    at = as_expr(position)
    if isinstance(position, int) and abs(position) >= TO_THE_END:
        return dim if position > 0 else least_one
    if never_negative(at):
        return position
    behind = at + dim
    if never_negative(-at - 1):
        return as_dim(behind)
    if never_negative(least_one - behind, (-at - 1,)):  # it is held either way
        return position
    return as_dim(at + as_expr(dim) * least(1, greatest(-at, 0)))


def _greatest(left: Dim, right: int) -> Expr:
    distance = as_expr(left) - right
    return as_expr(left) if never_negative(distance) else as_expr(positive_part(distance)) + right


def _least(left: Dim, right: Dim) -> Dim:
    """The minimum, also where it takes a case by case look at both to see which it is."""
    distance = as_expr(right) - as_expr(left)
    if never_negative(distance):
        return as_dim(left)
    return as_dim(right) if never_negative(-distance) else least(left, right)


# -- splits ------------------------------------------------------------------------------------------------------------


def split_evenly(dim: Dim, count: int) -> Shape:
    """The sizes of `count` parts: all as large as the first as far as it goes, then one that is smaller, then none."""
    part = as_dim(ceil_div(dim, count))
    ends = [_least(as_expr(part) * number, dim) for number in range(count + 1)]
    return tuple(as_dim(as_expr(end) - start) for start, end in pairwise(ends))
