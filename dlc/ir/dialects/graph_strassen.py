"""Strassen's algorithm: a product of matrices by seven products of half the rows, depth and columns instead of eight.

Strassen, "Gaussian elimination is not optimal" (1969). The rows of a, counted over all its axes but the last, fall into
an upper and a lower half (the upper has one more if their number is odd), its columns and those of b into two equal
ones. Axis 0 of a transformed operand counts the seven products:

    a11 (b12 - b22)   (a11 + a12) b22   (a21 + a22) b11   a22 (b21 - b11)
    (a11 + a22)(b11 + b22)   (a21 - a11)(b11 + b12)   (a12 - a22)(b21 + b22)

Of a there may be two quarters more, a12 and a21, after the second: with them the first four matrices of b give the
plain product too, which is what few rows take.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op
from dlc.ir.dialects.graph_nn import Placed
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, as_dim, as_expr, ceil_div, product
from dlc.ir.opdef import FLOAT_TENSOR, PURE, AttrDef, attr, op_def, operand, rank
from dlc.ir.requirements import Requirement, divisible, equal, equal_shapes
from dlc.ir.types import TensorType, Type

PRODUCTS = 7
QUARTERS = 2  # more of a, for plain products


def rows_of_half(size: tuple[Dim, ...], tile: int) -> Dim:
    """Rows of the upper half in whole tiles, where the axes before the columns have the extents `size`."""
    return as_dim(ceil_div(ceil_div(as_expr(product(size)), 2), tile) * tile)


def half(dim: Dim) -> Dim:
    return as_dim(as_expr(dim) // 2)


@op_def("graph.strassen_weights", traits={PURE})
class StrassenWeights(Op):
    """What the seven products of Strassen's algorithm take of b (K,N): (7,K/2,N/2)"""

    b = operand(FLOAT_TENSOR, rank(2))

    def infer(self) -> tuple[Type, ...]:
        b = tensor(self.b)
        return (TensorType((PRODUCTS, half(b.shape[0]), half(b.shape[1])), b.element),)

    def requires(self) -> Iterator[Requirement]:
        for dim in tensor(self.b).shape:
            yield from divisible(dim, 2, "c1: the rows and columns of b must be even in number")


@op_def("graph.strassen_input", traits={PURE})
class StrassenInput(Placed):
    """What the seven products of Strassen's algorithm take of a (…,K): (7|9,H,K/2), H half the rows in whole tiles"""

    a = operand(FLOAT_TENSOR)
    rows = attr(8)
    quarters = attr(False)  # two more

    def infer(self) -> tuple[Type, ...]:
        a = tensor(self.a)
        count = PRODUCTS + QUARTERS * self.quarters
        return (TensorType((count, rows_of_half(a.shape[:-1], self.rows), half(a.shape[-1])), a.element, self.layout),)

    def check(self) -> Iterator[str]:
        if tensor(self.a).rank < 2:
            yield "c1: a must have at least two axes"
        if self.rows < 1:
            yield "c3: rows must be at least 1"

    def requires(self) -> Iterator[Requirement]:
        yield from divisible(tensor(self.a).shape[-1], 2, "c2: the last axis of a must be even")


@op_def("graph.strassen_matmul", traits={PURE})
class StrassenMatMul(Placed):
    """The product y (*size,N) of matrices of which s (7|9,H,K/2) and u (7,K/2,N/2) are the transforms"""

    s = operand(FLOAT_TENSOR, rank(3))
    u = operand(FLOAT_TENSOR, rank(3))
    size: AttrDef[tuple[Dim, ...]] = attr(kind=tuple)  # of y, but for its columns
    rows = attr(8)  # of a tile
    part = attr(8)  # tiles of each half at a time
    panel = attr(16)  # columns of u at a time
    few = attr(0)  # rows below which the kernel multiplies plainly; 0: never

    def infer(self) -> tuple[Type, ...]:
        s, u = tensor(self.s), tensor(self.u)
        return (TensorType((*self.size, as_dim(2 * as_expr(u.shape[2]))), s.element, self.layout),)

    def check(self) -> Iterator[str]:
        if min(self.rows, self.part, self.panel) < 1:
            yield "c4: rows, part and panel must be at least 1"
        if self.few > self.rows * self.part:
            yield "c5: part tiles must hold few rows"

    def requires(self) -> Iterator[Requirement]:
        s, u = tensor(self.s).shape, tensor(self.u).shape
        counts = (PRODUCTS + QUARTERS * (self.few > 0), PRODUCTS)
        wanted = "c1: s and u must have seven matrices, or s nine if there may be few rows"
        yield from equal_shapes((s[0], u[0]), counts, wanted)
        yield from equal(s[2], u[1], "c2: the columns of s must be as many as the rows of u")
        rows = rows_of_half(self.size, self.rows)
        yield from equal(s[1], rows, "c3: s must have half as many rows as size, in whole tiles")


OPS = (StrassenWeights, StrassenInput, StrassenMatMul)
