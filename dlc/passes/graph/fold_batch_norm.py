"""Fold batch_norm into the linear op before it, or make it a product and a sum.

    bn(x) = x·s + t,   s = scale / sqrt(var + epsilon),   t = bias - mean·s

    bn(conv(x, w))     = conv(x, w·s) + t
    bn(conv(x, w) + b) = conv(x, w·s) + (b·s + t)

The same for conv_transpose and matmul. s and t are computed in float32 at least, by fold-constants.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_math import Add, Cast, Mul, Reciprocal, Sqrt, Sub
from dlc.ir.dialects.graph_nn import BatchNorm, MatMul
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.ir.types import F32, F64, ScalarType
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import is_constant_expression, scalar_like
from dlc.passes.graph.linear_ops import (
    biased_linear_before,
    linear_before,
    ones,
    reshaped,
    scaled_weights,
    with_weights,
)
from dlc.record import record


@record
class FoldBatchNorm(Pass):
    name: ClassVar[str] = "fold-batch-norm"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [BatchNormAfterBias(), BatchNormAfterLinear(), BatchNormAlone()], cx)


class BatchNormAfterBias(Pattern[BatchNorm]):
    """bn(linear(x, w) + b) -> linear(x, w·s) + (b·s + t)"""

    def rewrite(self, op: BatchNorm, rw: Rewriter) -> NoMatch | None:
        found = biased_linear_before(op.x)
        if found is None:
            return NoMatch("x is no linear op with a constant bias, or has other users")
        linear, bias = found
        if not foldable(op) or (isinstance(linear, MatMul) and tensor(op.x).rank != 2):
            return NoMatch("the statistics are no constants of the linear op's channels")
        factor, shift = scale_and_shift(rw, op)
        made = rw.insert(with_weights(linear, scaled_weights(rw, linear, factor)), linear)
        scaled = rw.insert(Mul(bias.b, per_channel(rw, factor, op)), bias)
        offset = rw.insert(Add(scaled.result, per_channel(rw, shift, op)), bias)
        rw.replace(op, rw.insert(Add(made.result, offset.result), bias).result)
        return None


class BatchNormAfterLinear(Pattern[BatchNorm]):
    """bn(linear(x, w)) -> linear(x, w·s) + t"""

    def rewrite(self, op: BatchNorm, rw: Rewriter) -> NoMatch | None:
        linear = linear_before(op.x)
        if linear is None:
            return NoMatch("x is no linear op with constant weights, or has other users")
        if not foldable(op) or (isinstance(linear, MatMul) and tensor(op.x).rank != 2):
            return NoMatch("the statistics are no constants of the linear op's channels")
        factor, shift = scale_and_shift(rw, op)
        made = rw.insert(with_weights(linear, scaled_weights(rw, linear, factor)), linear)
        rw.replace(op, rw.insert(Add(made.result, per_channel(rw, shift, op))).result)
        return None


class BatchNormAlone(Pattern[BatchNorm]):
    """bn(x) -> x·s + t"""

    def rewrite(self, op: BatchNorm, rw: Rewriter) -> NoMatch | None:
        factor, shift = scale_and_shift(rw, op)
        scaled = rw.insert(Mul(op.x, per_channel(rw, factor, op)))
        rw.replace(op, rw.insert(Add(scaled.result, per_channel(rw, shift, op), layout=op.layout)).result)
        return None


def foldable(op: BatchNorm) -> bool:
    return all(is_constant_expression(value) for value in op.operands[1:])


def scale_and_shift(rw: Rewriter, op: BatchNorm) -> tuple[Value, Value]:
    """s and t, one number per channel."""
    kind = tensor(op.scale).scalar
    wide = kind if kind in (F32, F64) else F32
    scale, bias, mean, var = (as_type(rw, value, wide) for value in op.operands[1:])
    shifted = rw.insert(Add(var, scalar_like(rw, var, op.epsilon))).result
    root = rw.insert(Sqrt(shifted)).result
    factor = rw.insert(Mul(scale, rw.insert(Reciprocal(root)).result)).result
    shift = rw.insert(Sub(bias, rw.insert(Mul(mean, factor)).result)).result
    narrow = tensor(op.x).scalar
    return as_type(rw, factor, narrow), as_type(rw, shift, narrow)


def as_type(rw: Rewriter, value: Value, kind: ScalarType) -> Value:
    return value if tensor(value).scalar == kind else rw.insert(Cast(value, to=kind)).result


def per_channel(rw: Rewriter, value: Value, op: BatchNorm) -> Value:
    """A vector over the channels (axis 1) in the shape that broadcasts to x."""
    return reshaped(rw, value, (*tensor(value).shape, *ones(tensor(op.x).shape[2:])))
