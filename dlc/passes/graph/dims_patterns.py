"""Patterns of simplify-shapes for integers that describe shapes: `graph.dims` computed on like a value.

Importers keep track of shapes themselves; what reaches this level are the rest, and texts written by hand.
"""

from __future__ import annotations

import numpy as np

from dlc.ir.core import Op, Value
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_math import Add, Cast, Mul, Sub
from dlc.ir.dialects.graph_shape import Concat, Dims, Reshape, Slice
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.expr import Dim, as_dim, as_expr
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter
from dlc.ir.types import SI64
from dlc.passes.graph.constants import constant, contents

FEW = 64


def dims_of(value: Value, pool: ConstantPool) -> tuple[Dim, ...] | None:
    """The elements of a small integer vector or scalar that is known as expressions."""
    if (op := value.defined_by(Dims)) is not None:
        return tuple(as_dim(each) for each in op.values)
    array = contents(value, pool, FEW)
    if array is None or tensor(value).element != SI64 or array.ndim > 1:
        return None
    return tuple(int(each) for each in array.reshape(-1))


def has_dims(op: Op) -> bool:
    return any(value.defined_by(Dims) is not None for value in op.operands)


def put_dims(rw: Rewriter, op: Op, values: Shape) -> None:
    """Replace an op by the dims it computes."""
    scalar = tensor(op.result).rank == 0
    rw.replace(op, rw.insert(Dims(values=values, scalar=scalar)).result)


class KnownDims(Pattern[Dims]):
    """Dims without symbols -> a constant"""

    def rewrite(self, op: Dims, rw: Rewriter) -> NoMatch | None:
        values = [each for dim in op.values if isinstance(each := as_dim(dim), int)]
        if len(values) != len(op.values):
            return NoMatch("a dimension is symbolic")
        array = np.array(values, np.int64)
        rw.replace(op, constant(rw, array.reshape(()) if op.scalar else array))
        return None


class SelectedDims(Pattern[Gather | Slice]):
    """An element or a slice of dims -> dims"""

    def rewrite(self, op: Gather | Slice, rw: Rewriter) -> NoMatch | None:
        source = op.x.defined_by(Dims)
        if source is None or source.scalar:
            return NoMatch("x are no dims")
        if tensor(op.result).rank > 1:
            return NoMatch("the result is no vector")
        places = self.places(op, rw.pool)
        if places is None or not all(-len(source.values) <= at < len(source.values) for at in places):
            return NoMatch("the places are not known")
        put_dims(rw, op, tuple(source.values[at] for at in places))
        return None

    def places(self, op: Gather | Slice, pool: ConstantPool) -> list[int] | None:
        if isinstance(op, Gather):
            found = contents(op.indices, pool, FEW)
            return None if found is None else [int(at) for at in found.reshape(-1)]
        start, size, step = op.starts[0], op.sizes[0], (op.steps or (1,))[0]
        if not isinstance(start, int) or not isinstance(size, int):
            return None
        return [start + n * step for n in range(size)]


class JoinedDims(Pattern[Concat]):
    """A concat of dims and integers -> dims"""

    def rewrite(self, op: Concat, rw: Rewriter) -> NoMatch | None:
        if not has_dims(op):
            return NoMatch("no part are dims")
        parts = [dims_of(part, rw.pool) for part in op.parts]
        if any(part is None for part in parts):
            return NoMatch("a part is not known")
        put_dims(rw, op, tuple(dim for part in parts if part is not None for dim in part))
        return None


class ReshapedDims(Pattern[Reshape | Cast]):
    """A scalar as a vector, a vector of one as a scalar, a cast to the same type -> dims"""

    def rewrite(self, op: Reshape | Cast, rw: Rewriter) -> NoMatch | None:
        source = op.x.defined_by(Dims)
        if source is None or tensor(op.result).rank > 1 or tensor(op.result).element != SI64:
            return NoMatch("not dims to dims")
        put_dims(rw, op, source.values)
        return None


class ComputedDims(Pattern[Add | Sub | Mul]):
    """Sums, differences and products of dims -> dims"""

    def rewrite(self, op: Add | Sub | Mul, rw: Rewriter) -> NoMatch | None:
        if not has_dims(op) or tensor(op.result).rank > 1:
            return NoMatch("no operand are dims")
        left, right = dims_of(op.a, rw.pool), dims_of(op.b, rw.pool)
        if left is None or right is None:
            return NoMatch("an operand is not known")
        count = max(len(left), len(right))
        a, b = (each * count if len(each) == 1 else each for each in (left, right))
        put_dims(rw, op, tuple(computed(op, x, y) for x, y in zip(a, b, strict=True)))
        return None


def computed(op: Add | Sub | Mul, left: Dim, right: Dim) -> Dim:
    a, b = as_expr(left), as_expr(right)
    return as_dim(a + b if isinstance(op, Add) else a - b if isinstance(op, Sub) else a * b)


DIMS_PATTERNS: tuple[AnyPattern, ...] = (
    KnownDims(), SelectedDims(), JoinedDims(), ReshapedDims(), ComputedDims(),
)  # fmt: skip
