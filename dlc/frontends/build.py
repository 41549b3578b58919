"""Short ways to say what many handlers build. None leaves an op that does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlc.frontends.context import NodeContext, Unsupported
from dlc.ir.core import Value
from dlc.ir.dialects.graph_math import Cast, Mul
from dlc.ir.dialects.graph_nn import Reduce
from dlc.ir.dialects.graph_shape import Broadcast, Pad, Reshape, Slice, Transpose
from dlc.ir.dialects.shape_rules import canonical, dim_sum, replaced, tensor
from dlc.ir.expr import Dim
from dlc.ir.requirements import at_least, equal
from dlc.ir.types import ScalarType

Shape = tuple[Dim, ...]


def shape_of(x: Value) -> Shape:
    return tensor(x).shape


def rank_of(x: Value) -> int:
    return tensor(x).rank


def static_dim(x: Value, axis: int, what: str) -> int:
    """The size of an axis that dlc must know."""
    dim = tensor(x).shape[axis]
    if not isinstance(dim, int):
        raise Unsupported(f"{what} is the dimension {dim}; dlc needs a number at compile time")
    return dim


def reshaped(cx: NodeContext, x: Value, shape: Sequence[Dim]) -> Value:
    target = canonical(shape)
    if target == shape_of(x):
        return x
    return cx.put(Reshape(x, shape=target))


def transposed(cx: NodeContext, x: Value, perm: Iterable[int]) -> Value:
    order = tuple(perm)
    return x if order == tuple(range(rank_of(x))) else cx.put(Transpose(x, perm=order))


def assume_equal(cx: NodeContext, left: Dim, right: Dim, text: str) -> None:
    """Rely on two dimensions being equal, which no op that is built declares. Raises Unsupported if they never are."""
    for need in equal(left, right, text):
        cx.scope.assume(need)


def assume_parts(cx: NodeContext, dim: Dim, sizes: Sequence[Dim]) -> None:
    """Rely on sizes of parts to be what an axis consists of."""
    assume_equal(cx, dim, dim_sum(sizes), "the sizes of the parts must add up to the axis")
    for size in sizes:
        for need in at_least(size, 0, "no part may have a negative size"):
            cx.scope.assume(need)


def assume_shape(cx: NodeContext, x: Value, shape: Sequence[Dim], what: str) -> None:
    """Rely on the shape of a value. Raises Unsupported if it cannot have it."""
    if rank_of(x) != len(shape):
        raise Unsupported(f"{what} has {rank_of(x)} axes, expected {len(shape)}")
    for axis, (dim, wanted) in enumerate(zip(shape_of(x), shape, strict=True)):
        assume_equal(cx, dim, wanted, f"axis {axis} of {what} must fit the other operands")


def broadcasted(cx: NodeContext, x: Value, shape: Sequence[Dim]) -> Value:
    target = canonical(shape)
    return x if target == shape_of(x) else cx.put(Broadcast(x, shape=target))


def cast(cx: NodeContext, x: Value, to: ScalarType) -> Value:
    return x if tensor(x).scalar == to else cx.put(Cast(x, to=to))


def reduced(cx: NodeContext, x: Value, kind: str, axes: Iterable[int], keepdims: bool = True) -> Value:
    return cx.put(Reduce(x, kind=kind, axes=tuple(axes), keepdims=keepdims))


def scaled(cx: NodeContext, x: Value, factor: float) -> Value:
    """x times a number."""
    return x if factor == 1 else cx.put(Mul(x, cx.number(factor, x)))


def per_channel(cx: NodeContext, vector: Value, rank: int, axis: int = 1) -> Value:
    """A vector along `axis` of tensors of `rank` axes, so that it broadcasts."""
    return reshaped(cx, vector, (shape_of(vector)[0], *(1,) * (rank - axis - 1)))


def padded(cx: NodeContext, x: Value, before: Shape, after: Shape, mode: str = "constant", value: float = 0) -> Value:
    if not any(dim != 0 for dim in (*before, *after)):
        return x
    filler = None if value == 0 else value
    return cx.put(Pad(x, before=before, after=after, mode=mode, value=filler))


def sliced(cx: NodeContext, x: Value, axis: int, start: Dim, size: Dim, step: int = 1) -> Value:
    """A part of one axis."""
    shape = shape_of(x)
    if start == 0 and size == shape[axis] and step == 1:
        return x
    starts: Shape = tuple(start if n == axis else 0 for n in range(len(shape)))
    steps = tuple(step if n == axis else 1 for n in range(len(shape))) if step != 1 else ()
    return cx.put(Slice(x, starts=starts, sizes=replaced(shape, axis, size), steps=steps))
