"""Arithmetic on shapes that several operators share: axes, reshape targets, slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dlc.frontends.contents import exact_quotient, least
from dlc.frontends.context import NodeContext, Unsupported
from dlc.frontends.symbols import at_least, at_most
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, ceil_div, product
from dlc.ir.requirements import AT_LEAST, Requirement
from dlc.record import record

Shape = tuple[Dim, ...]
TO_THE_END = 1 << 30  # exporters write "to the end" as the largest integer of some type


def canonical_axis(axis: int, rank: int, what: str = "axis") -> int:
    if not -rank <= axis < rank:
        raise Unsupported(f"its {what} is {axis}, but the input has {rank} axes")
    return axis % rank


def canonical_axes(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    found = tuple(canonical_axis(axis, rank, "axes") for axis in axes)
    if len(set(found)) != len(found):
        raise Unsupported(f"its axes {found} name one axis twice")
    return found


def axes_of(cx: NodeContext, position: int, since: int) -> tuple[int, ...] | None:
    """Axes given by an input from opset `since` on, by an attribute before; None if not given."""
    if cx.version >= since:
        return cx.numbers(position, "axes") if cx.has(position) else None
    return cx.integers("axes") if cx.attribute("axes") is not None else None


# -- reshape -----------------------------------------------------------------------------------------------------------


def reshape_target(shape: Shape, wanted: Shape, allow_zero: bool) -> Shape:
    """The shape that Reshape makes of `shape`: 0 copies a dimension, -1 takes what is left."""
    target = [
        shape[n] if dim == 0 and not allow_zero and n < len(shape) else dim for n, dim in enumerate(wanted)
    ]  # fmt: skip
    free = [n for n, dim in enumerate(target) if dim == -1]
    if len(free) > 1:
        raise Unsupported(f"its shape {wanted} has more than one -1")
    if free:
        target[free[0]] = quotient(shape, [dim for n, dim in enumerate(target) if n != free[0]])
    return tuple(target)


def quotient(over: Iterable[Dim], under: Iterable[Dim]) -> Dim:
    """The product of `over` divided by that of `under`, which divides it."""
    left = list(over)
    rest = []
    for dim in under:
        if dim in left:
            left.remove(dim)
        else:
            rest.append(dim)
    total, divisor = as_expr(product(left)), as_expr(product(rest))
    if divisor == 0:
        return 0
    exact = exact_quotient(total, divisor)
    return as_dim(total // divisor if exact is None else exact)


def flattened(shape: Shape, axis: int) -> Shape:
    """Two axes: all before `axis`, and all from there on."""
    return (product(shape[:axis]), product(shape[axis:]))


# -- slices ------------------------------------------------------------------------------------------------------------


@record
class Cut:
    """A part of one axis: `size` elements from `start` on, `step` apart."""

    start: Dim
    size: Dim
    step: int


Assume = Callable[[Requirement], None]  # records what is relied on, to be checked at run time
INSIDE = "where a slice begins and ends must lie inside the axis"


def cut(dim: Dim, start: Dim, end: Dim, step: int, assume: Assume) -> Cut:
    """What ONNX Slice takes of an axis: negative positions count from the end, all are held inside the axis.

    Where symbolic dimensions leave open whether a position lies inside, it is assumed to, but for ``x[:100]`` of an
    axis that may be shorter: that is how models truncate.
    """
    if step == 0:
        raise Unsupported("its step is 0")
    if step > 0:
        first = _inside(_from_end(start, dim), 0, dim, assume)
        if isinstance(end, int) and end > 1 and isinstance(dim, Expr):
            last = dim if end >= TO_THE_END else least(end, dim)
        else:
            last = _inside(_from_end(end, dim), 0, dim, assume)
        length = as_expr(last) - as_expr(first)
    else:
        top = as_dim(as_expr(dim) - 1)
        above = isinstance(start, int) and start >= TO_THE_END
        first = top if above else _inside(_from_end(start, dim), 0, top, assume)
        below = isinstance(end, int) and end <= -TO_THE_END
        last = -1 if below else _inside(_from_end(end, dim), -1, top, assume)
        length = as_expr(first) - as_expr(last)
    size = as_dim(ceil_div(length, abs(step)))
    if isinstance(size, int):
        size = max(size, 0)
    return Cut(0 if size == 0 else first, size, step)


def _from_end(position: Dim, dim: Dim) -> Dim:
    """A position from the end as one from the start; a symbolic one counts from the start unless it is negative."""
    if at_most(as_expr(position), -1):
        return as_dim(as_expr(position) + dim)
    return position


def _inside(position: Dim, low: int, high: Dim, assume: Assume) -> Dim:
    if isinstance(position, int) and isinstance(high, int):
        return min(max(position, low), high)
    below, above = as_expr(position) - low, as_expr(high) - position
    if at_most(below, 0):
        return low
    if at_most(above, 0):
        return high
    if not at_least(below, 0):
        assume(Requirement(position, AT_LEAST, low, INSIDE))
    if not at_least(above, 0):
        assume(Requirement(high, AT_LEAST, position, INSIDE))
    return position
