"""Normalisations: a statistic over some axes, then a scale and a bias."""

from __future__ import annotations

from collections.abc import Sequence

from dlc.frontends.build import agreed, cast, per_channel, rank_of, reduced, reshaped, shape_of
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Value
from dlc.ir.dialects.graph_math import Add, Div, Equal, Mul, Reciprocal, Sqrt, Sub, Where
from dlc.ir.dialects.graph_nn import BatchNorm, LayerNorm, Lrn, RmsNorm
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Expr, product
from dlc.ir.types import F32, F64


def batch_normalization(cx: NodeContext) -> tuple[Value, ...]:
    x = cx.x()
    if cx.version < 9 and not cx.flag("spatial", True):
        raise Unsupported("its statistics per element (spatial = 0) are not supported")
    element = tensor(x).scalar
    if rank_of(x) > 1 and cx.type(1).rank == 1:
        x = agreed(cx, x, 1, cx.shape(1)[0])
    scale, bias, mean, var = (cast(cx, _for_channels(cx, cx.x(n), x), element) for n in range(1, 5))
    epsilon = cx.decimal("epsilon", 1e-5)
    if cx.flag("training_mode") or (cx.version < 14 and any(cx.node.outputs[1:])):
        return _training(cx, (x, scale, bias, mean, var), epsilon)
    return (cx.put(BatchNorm(x, scale, bias, mean, var, epsilon=epsilon)),)


def _for_channels(cx: NodeContext, vector: Value, x: Value) -> Value:
    """A vector over the channels of x, with the length that x gives them where one of the two has a symbol."""
    if rank_of(vector) != 1 or rank_of(x) < 2:
        return vector
    given, wanted = shape_of(vector)[0], shape_of(x)[1]
    return reshaped(cx, vector, (wanted,)) if isinstance(given, Expr) or isinstance(wanted, Expr) else vector


def _training(cx: NodeContext, given: tuple[Value, ...], epsilon: float) -> tuple[Value, ...]:
    """Normalised by the statistics of the batch itself; the running ones are results."""
    if cx.version < 14:
        raise Unsupported("its training mode before opset 14 is not supported")
    x, scale, bias, old_mean, old_var = given
    axes = [axis for axis in range(rank_of(x)) if axis != 1]
    mean, var = moments(cx, x, axes)
    flat_mean, flat_var = (reshaped(cx, each, shape_of(scale)) for each in (mean, var))
    y = cx.put(BatchNorm(x, scale, bias, flat_mean, flat_var, epsilon=epsilon))
    momentum = cx.decimal("momentum", 0.9)
    return y, _running(cx, old_mean, flat_mean, momentum), _running(cx, old_var, flat_var, momentum)


def _running(cx: NodeContext, old: Value, new: Value, momentum: float) -> Value:
    kept = cx.put(Mul(old, cx.number(momentum, old)))
    return cx.put(Add(kept, cx.put(Mul(new, cx.number(1 - momentum, new)))))


def moments(cx: NodeContext, x: Value, axes: Sequence[int]) -> tuple[Value, Value]:
    """Mean and variance over `axes`, which stay with size 1."""
    mean = reduced(cx, x, "mean", axes)
    centred = cx.put(Sub(x, mean))
    return mean, reduced(cx, cx.put(Mul(centred, centred)), "mean", axes)


def layer_normalization(cx: NodeContext) -> tuple[Value, ...]:
    x = cx.x()
    axes = tuple(range(canonical_axis(cx.integer("axis", -1), rank_of(x)), rank_of(x)))
    epsilon = cx.decimal("epsilon", 1e-5)
    y = affine(cx, cx.put(LayerNorm(x, axes=axes, epsilon=epsilon)), cx.x(1), cx.maybe(2))
    if not any(cx.node.outputs[1:]):
        return (y,)
    wide = x if tensor(x).scalar == F64 else cast(cx, x, F32)
    mean, var = moments(cx, wide, axes)
    deviation = cx.put(Sqrt(cx.put(Add(var, cx.number(epsilon, var)))))
    return y, mean, cx.put(Reciprocal(deviation))


def rms_normalization(cx: NodeContext) -> Value:
    x = cx.x()
    axes = tuple(range(canonical_axis(cx.integer("axis", -1), rank_of(x)), rank_of(x)))
    return affine(cx, cx.put(RmsNorm(x, axes=axes, epsilon=cx.decimal("epsilon", 1e-5))), cx.x(1), None)


def affine(cx: NodeContext, x: Value, scale: Value, bias: Value | None) -> Value:
    """x * scale + bias, in the type of x."""
    element = tensor(x).scalar
    y = cx.put(Mul(x, cast(cx, scale, element)))
    return y if bias is None else cx.put(Add(y, cast(cx, bias, element)))


def instance_normalization(cx: NodeContext) -> Value:
    x = cx.x()
    rank = rank_of(x)
    y = cx.put(LayerNorm(x, axes=tuple(range(2, rank)), epsilon=cx.decimal("epsilon", 1e-5)))
    return affine(cx, y, per_channel(cx, cx.x(1), rank), per_channel(cx, cx.x(2), rank))


def group_normalization(cx: NodeContext) -> Value:
    x, groups = cx.x(), cx.integer("num_groups")
    shape, rank = shape_of(x), rank_of(x)
    channels = shape[1]
    if not isinstance(channels, int) or channels % groups:
        raise Unsupported(f"its {groups} groups do not divide the {channels} channels")
    inner = (channels // groups, *shape[2:])
    split = reshaped(cx, x, (shape[0], groups, product(inner)))
    y = cx.put(LayerNorm(split, axes=(2,), epsilon=cx.decimal("epsilon", 1e-5)))
    if cx.version < 21:  # one scale and bias per group
        y = affine(cx, y, per_channel(cx, cx.x(1), 3), per_channel(cx, cx.x(2), 3))
        return reshaped(cx, y, shape)
    return affine(cx, reshaped(cx, y, shape), per_channel(cx, cx.x(1), rank), per_channel(cx, cx.x(2), rank))


def lp_normalization(cx: NodeContext) -> Value:
    x, p = cx.x(), cx.integer("p", 2)
    if p not in (1, 2):
        raise Unsupported(f"its p is {p}, expected 1 or 2")
    norm = reduced(cx, x, f"l{p}", (canonical_axis(cx.integer("axis", -1), rank_of(x)),))
    zero = cx.put(Equal(norm, cx.number(0, norm)))  # where the norm is 0 so is x, and the result
    return cx.put(Div(x, cx.put(Where(zero, cx.number(1, norm), norm))))


def lrn(cx: NodeContext) -> Value:
    alpha, beta, bias = cx.decimal("alpha", 0.0001), cx.decimal("beta", 0.75), cx.decimal("bias", 1.0)
    return cx.put(Lrn(cx.x(), size=cx.integer("size"), alpha=alpha, beta=beta, bias=bias))


HANDLERS: dict[str, Handler] = {
    "BatchNormalization": batch_normalization, "LayerNormalization": layer_normalization,
    "RMSNormalization": rms_normalization, "InstanceNormalization": instance_normalization,
    "GroupNormalization": group_normalization, "LpNormalization": lp_normalization, "LRN": lrn,
}  # fmt: skip
