"""Arithmetic on shapes that several operators share: axes, reshape targets."""

from __future__ import annotations

from collections.abc import Iterable

from dlc.frontends.contents import exact_quotient
from dlc.frontends.context import NodeContext, Unsupported
from dlc.ir.expr import Dim, as_dim, as_expr, product

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


def reduced_axes(cx: NodeContext, rank: int, since: int) -> tuple[int, ...]:
    """The axes of a reduction, which are an input from opset `since` on: all where none are said, unless told else.

    No axes at all are left: each element is reduced by itself (and squared, say). Before `since` [] says none too.
    """
    axes = axes_of(cx, 1, since)
    if axes:
        return canonical_axes(axes, rank)
    return () if cx.version >= since and cx.flag("noop_with_empty_axes") else tuple(range(rank))


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
