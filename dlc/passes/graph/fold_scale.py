"""Fold constant factors into the constant weights of a linear op, or move them behind a matmul.

    conv(x, w)·s              = conv(x, w·s)              s per channel of the result
    (conv(x, w) + b)·s        = conv(x, w·s) + b·s
    conv(x·s, w)              = conv(x, w·s)              s one number, or per channel of x (padding stays zero)
    matmul(x·s, y)            = matmul(x, y)·s            s one number, x and y no constants
    matmul(reshape(x·s), y)   = matmul(reshape(x), y)·s   the same through reshapes, transposes and slices

The same for conv_transpose and matmul where the weights are constant.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Op, Value
from dlc.ir.dialects.graph_math import Add, Mul
from dlc.ir.dialects.graph_nn import Conv, MatMul
from dlc.ir.dialects.graph_shape import Reshape, Slice, Transpose
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.ir.types import F32, F64
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import is_constant_expression, is_number
from dlc.passes.graph.linear_ops import (
    biased_linear_before,
    is_per_channel,
    linear_before,
    ones,
    reshaped,
    scaled_weights,
    with_weights,
)
from dlc.record import record


@record
class FoldScale(Pass):
    name: ClassVar[str] = "fold-scale"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        patterns: list[AnyPattern] = [ScaleAfterBias(), ScaleAfterLinear(), ScaleBeforeConv(), ScaleBeforeMatMul()]
        return apply_patterns(module, patterns, cx)


class ScaleAfterLinear(Pattern[Mul]):
    """linear(x, w)·s -> linear(x, w·s)"""

    def rewrite(self, op: Mul, rw: Rewriter) -> NoMatch | None:
        linear = linear_before(op.a)
        if linear is None:
            return NoMatch("a is no linear op with constant weights, or has other users")
        if not is_per_channel(op.b, linear) or op.a.type != op.result.type:
            return NoMatch("b is no constant per channel")
        made = rw.insert(with_weights(linear, scaled_weights(rw, linear, op.b)), linear)
        rw.replace(op, made.result)
        return None


class ScaleAfterBias(Pattern[Mul]):
    """(linear(x, w) + b)·s -> linear(x, w·s) + b·s"""

    def rewrite(self, op: Mul, rw: Rewriter) -> NoMatch | None:
        found = biased_linear_before(op.a)
        if found is None:
            return NoMatch("a is no linear op with a constant bias, or has other users")
        linear, bias = found
        if not is_per_channel(op.b, linear) or op.a.type != op.result.type:
            return NoMatch("b is no constant per channel")
        made = rw.insert(with_weights(linear, scaled_weights(rw, linear, op.b)), linear)
        offset = rw.insert(Mul(bias.b, op.b), bias)
        rw.replace(op, rw.insert(Add(made.result, offset.result), bias).result)
        return None


class ScaleBeforeConv(Pattern[Conv]):
    """conv(x·s, w) -> conv(x, w·s)"""

    def rewrite(self, op: Conv, rw: Rewriter) -> NoMatch | None:
        scale = op.x.defined_by(Mul)
        if scale is None or scale.a.type != op.x.type or op.channels is not None:
            return NoMatch("x is no product, or not all of its channels are read")
        if not is_constant_expression(scale.b) or not is_constant_expression(op.w) or op.accumulator is not None:
            return NoMatch("the factor or the weights are no constants")
        count, shape = tensor(scale.b).elements, tensor(scale.b).shape
        rank = tensor(op.x).rank
        full = ones(tensor(op.x).shape[len(shape) :]) + shape
        if count != 1 and (op.groups != 1 or full[1] != count or len(full) != rank):
            return NoMatch("the factor is neither one number nor one per channel of x")
        factor = reshaped(rw, scale.b, () if count == 1 else (1, count, *ones(full[2:])))
        weights = rw.insert(Mul(op.w, factor), scale)
        rw.replace(op, rw.insert(rebuilt(op, [scale.a, weights.result]), scale).result)
        return None


class ScaleBeforeMatMul(Pattern[MatMul]):
    """matmul(x·s, y) -> matmul(x, y)·s, or into the constant y"""

    def rewrite(self, op: MatMul, rw: Rewriter) -> NoMatch | None:
        if op.accumulator is not None or tensor(op.a).scalar not in (F32, F64):
            return NoMatch("unscaled products could leave the range of the type")
        for number, value in enumerate(op.operands):
            chain = scale_above(value, rw)
            if chain is None:
                continue
            scale, moves = chain
            unscaled = scale.a
            for move in reversed(moves):
                unscaled = rw.insert(rebuilt(move, [unscaled]), move).result
            operands = [*op.operands[:number], unscaled, *op.operands[number + 1 :]]
            made = rw.insert(rebuilt(op, operands), scale)
            factor = reshaped(rw, scale.b, ())
            rw.replace(op, rw.insert(Mul(made.result, factor), scale).result)
            return None
        return NoMatch("no operand is scaled by one number for this matmul alone")


def scale_above(value: Value, rw: Rewriter) -> tuple[Mul, list[Op]] | None:
    """The product with one number that a value is, and the movements in between, nearest to the value first."""
    moves: list[Op] = []
    if is_constant_expression(value):
        return None  # weights: their factor is computed at compile time, and is where the patterns above put it
    while value.has_one_use():
        op = value.defining_op
        if isinstance(op, Mul):
            single = tensor(op.b).elements == 1 and is_constant_expression(op.b)
            return (op, moves) if single and op.a.type == value.type and not is_number(op.b, rw.pool, 0) else None
        if not isinstance(op, Reshape | Transpose | Slice):
            return None
        moves.append(op)
        value = op.operands[0]
    return None
