"""Ops that are linear in constant weights, so that a factor per channel of their result can go into the weights."""

from __future__ import annotations

from dlc.ir.core import Op, Value
from dlc.ir.dialects.graph_math import Add, Mul
from dlc.ir.dialects.graph_nn import Conv, ConvTranspose, MatMul
from dlc.ir.dialects.graph_shape import Reshape
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.rewrite import Rewriter, rebuilt
from dlc.passes.graph.constants import is_constant_expression, known_shape, static_shape

Linear = Conv | ConvTranspose | MatMul


def linear_before(value: Value) -> Linear | None:
    """The linear op with constant weights that computes a value for one user alone."""
    op = value.defining_op
    if not isinstance(op, Conv | ConvTranspose | MatMul) or not value.has_one_use():
        return None
    weights = op.operands[1]
    plain = op.accumulator is None and tensor(weights).scalar.is_float and static_shape(weights) is not None
    return op if plain and is_constant_expression(weights) else None


def biased_linear_before(value: Value) -> tuple[Linear, Add] | None:
    """The same with a constant bias per channel added, again for one user alone."""
    add = value.defined_by(Add)
    if add is None or not value.has_one_use():
        return None
    op = linear_before(add.a)
    return (op, add) if op is not None and is_per_channel(add.b, op) else None


def channel_axis(op: Linear) -> int:
    """The axis of the result along which the weights differ."""
    return tensor(op.result).rank - 1 if isinstance(op, MatMul) else 1


def is_per_channel(value: Value, op: Linear) -> bool:
    """Whether a value is constant and differs along the channels of the op's result at most."""
    count, axis = tensor(op.result).rank, channel_axis(op)
    shape = tensor(value).shape
    full = (1,) * (count - len(shape)) + shape
    extents = {n: dim for n, dim in enumerate(full) if dim != 1}
    matches = not extents or (list(extents) == [axis] and extents[axis] == tensor(op.result).shape[axis])
    return len(full) == count and matches and is_constant_expression(value)


def elementwise_behind(op: Linear) -> list[Op]:
    """The ops behind it, one after the other, that treat all places of a channel alike."""
    found: list[Op] = []
    value = op.result
    while value.has_one_use():
        user = next(iter(value.users()))
        others = user.operands[1:]
        alike = user.spec.has(ELEMENTWISE) and user.operands[0] is value and len(user.results) == 1
        if not alike or user.results[0].type != value.type or not all(is_per_channel(each, op) for each in others):
            break
        found.append(user)
        value = user.results[0]
    return found


def with_weights(op: Linear, weights: Value) -> Linear:
    """The same op with other weights."""
    return rebuilt(op, [op.operands[0], weights, *op.operands[2:]])


def scaled_weights(rw: Rewriter, op: Linear, factor: Value) -> Value:
    """The weights times a factor per channel of the result; fold-constants computes them."""
    weights, count = op.operands[1], tensor(factor).elements
    shape = tensor(weights).shape
    if count == 1:
        return rw.insert(Mul(weights, reshaped(rw, factor, ())), op).result
    if isinstance(op, MatMul):
        return rw.insert(Mul(weights, reshaped(rw, factor, (count,))), op).result
    if isinstance(op, Conv):
        return rw.insert(Mul(weights, reshaped(rw, factor, (count, *ones(shape[1:])))), op).result
    # weights (C, O/groups, *K): group n of the rows makes group n of the channels
    rows, per_group, *taps = known_shape(weights)
    wide = reshaped(rw, weights, (op.groups, rows // op.groups, per_group, *taps))
    made = rw.insert(Mul(wide, reshaped(rw, factor, (op.groups, 1, per_group, *ones(tuple(taps))))), op)
    return reshaped(rw, made.result, shape)


def ones(shape: Shape) -> tuple[int, ...]:
    return (1,) * len(shape)


def reshaped(rw: Rewriter, value: Value, shape: Shape, *origins: Op) -> Value:
    return value if tensor(value).shape == shape else rw.insert(Reshape(value, shape=shape), *origins).result
