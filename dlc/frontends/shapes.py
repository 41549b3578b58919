"""Arithmetic on shapes that several operators share: axes, reshape targets, slices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dlc.frontends.contents import exact_quotient, greatest, least
from dlc.frontends.context import NodeContext, Unsupported
from dlc.frontends.symbols import at_least, at_most
from dlc.ir.expr import Dim, as_dim, as_expr, ceil_div, product

Shape = tuple[Dim, ...]


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


@dataclass(frozen=True, slots=True)
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
        first, last = _held(_from_end(start, dim), 0, dim), _held(_from_end(end, dim), 0, dim)
        length = as_expr(last) - as_expr(first)
    else:
        top = as_dim(as_expr(dim) - 1)
        first, last = _held(_from_end(start, dim), 0, top), _held(_from_end(end, dim), -1, top)
        length = as_expr(first) - as_expr(last)
    size = as_dim(ceil_div(length, abs(step)))
    if not at_least(as_expr(size), 0):
        size = greatest(size, 0)
    return Cut(0 if size == 0 else first, size, step)


def _from_end(position: Dim, dim: Dim) -> Dim:
    """A position from the end as one from the start; a symbolic one counts from the start unless it is negative."""
    if at_most(as_expr(position), -1):
        return as_dim(as_expr(position) + dim)
    return position


def _held(position: Dim, low: int, high: Dim) -> Dim:
    above = position if at_least(as_expr(position), low) else greatest(position, low)
    if isinstance(above, int) and isinstance(high, int):
        return min(above, high)
    return least(above, high)
