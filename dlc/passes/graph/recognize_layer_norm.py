"""Recognise layer_norm and rms_norm written out.

    d = x - mean(x)
    d / sqrt(mean(d²) + epsilon)                   ->  layer_norm(x)
    x / sqrt(mean(x²) + epsilon)                   ->  rms_norm(x)

over trailing axes that the reductions keep; the quotient may be a product with a reciprocal, d² a power or a product.
Scale and bias stay the product and the sum that they are.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_math import Add, Div, Mul, Neg, Pow, Reciprocal, Sqrt, Sub
from dlc.ir.dialects.graph_nn import LayerNorm, Reduce, RmsNorm
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import is_number, number
from dlc.record import record


@record
class RecognizeLayerNorm(Pass):
    name: ClassVar[str] = "recognize-layer-norm"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [NormFormula()], cx)


class NormFormula(Pattern[Div | Mul]):
    def rewrite(self, op: Div | Mul, rw: Rewriter) -> NoMatch | None:
        for top, bottom in ((op.a, op.b), (op.b, op.a)) if isinstance(op, Mul) else ((op.a, op.b),):
            root = root_of(bottom, isinstance(op, Mul), rw.pool)
            found = mean_square(root, rw.pool) if root is not None else None
            if found is None:
                continue
            squared, axes, epsilon = found
            if (squared is not top and not same_difference(squared, top)) or top.type != op.result.type:
                return NoMatch("what is divided is not what the root is made of")
            x = centred(top, axes)
            kind = RmsNorm if x is None else LayerNorm
            made = rw.insert(kind(top if x is None else x, axes=axes, epsilon=epsilon))
            rw.replace(op, made.result)
            return None
        return NoMatch("no division by the root of a mean square over trailing axes")


def root_of(value: Value, inverse: bool, pool: ConstantPool) -> Value | None:
    """x where a value is sqrt(x), or 1 / sqrt(x)."""
    op = value.defining_op
    if inverse:
        if isinstance(op, Pow):
            return op.a if is_number(op.b, pool, -0.5) else None
        if isinstance(op, Sqrt):
            return op.x.owner.x if isinstance(op.x.owner, Reciprocal) else None
        op = op.x.defining_op if isinstance(op, Reciprocal) else None
    if isinstance(op, Pow):
        return op.a if is_number(op.b, pool, 0.5) else None
    return op.x if isinstance(op, Sqrt) else None


def mean_square(value: Value, pool: ConstantPool) -> tuple[Value, tuple[int, ...], float] | None:
    """(d, axes, epsilon) where a value is mean(d²) + epsilon over trailing axes."""
    add = value.defined_by(Add)
    if add is None:
        return None
    for mean, offset in ((add.a, add.b), (add.b, add.a)):
        epsilon, reduce = number(offset, pool), mean.defined_by(Reduce)
        if epsilon is None or reduce is None or not is_trailing_mean(reduce):
            continue
        squared = square_root(reduce.x, pool)
        if squared is not None:
            return squared, tuple(sorted(reduce.axes)), float(epsilon)
    return None


def is_trailing_mean(reduce: Reduce) -> bool:
    rank, count = tensor(reduce.x).rank, len(reduce.axes)
    return reduce.kind == "mean" and reduce.keepdims and sorted(reduce.axes) == list(range(rank - count, rank))


def square_root(value: Value, pool: ConstantPool) -> Value | None:
    """d where a value is d²."""
    op = value.defining_op
    if isinstance(op, Mul):
        return op.a if op.a is op.b else None
    return op.a if isinstance(op, Pow) and is_number(op.b, pool, 2) else None


def centred(value: Value, axes: tuple[int, ...]) -> Value | None:
    """x where a value is x - mean(x) over the axes."""
    op = value.defining_op
    if isinstance(op, Sub):
        subtracted = op.b
    elif isinstance(op, Add) and isinstance(op.b.owner, Neg):
        subtracted = op.b.owner.x
    else:
        return None
    reduce = subtracted.defined_by(Reduce)
    if reduce is None or reduce.x is not op.a or not is_trailing_mean(reduce):
        return None
    return op.a if tuple(sorted(reduce.axes)) == axes else None


def same_difference(left: Value, right: Value) -> bool:
    """Whether two values are the same difference, computed twice."""
    a, b = left.defined_by(Sub), right.defined_by(Sub)
    return a is not None and b is not None and a.operands == b.operands
