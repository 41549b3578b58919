"""Multiply by a weight in seven products instead of eight, where that is predicted to be faster.

    matmul(a, b)    →    strassen_matmul(strassen_input(a), u)                 u = strassen_weights(b), folded

Strassen's algorithm saves an eighth of the multiplications and pays for it with sums of quarters, on the way in and on
the way out, and with weights of 7/4 times the size. One level of it is all that pays: the second would triple the
weights, and errors grow with each. The kernel makes the sums of the result as its register tiles end, as do Huang et
al., "Strassen's algorithm reloaded" (2016), section 3.
"""

from __future__ import annotations

import math
from typing import ClassVar

from dlc.ir.core import Module
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.dialects.graph_strassen import StrassenInput, StrassenMatMul, StrassenWeights
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Expr, product
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.ir.types import F32
from dlc.ir.typical import batch_names, typical
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.rounding import expected_error
from dlc.passes.graph.strassen_costs import MOST_TILES, matmul_cycles, strassen_plan
from dlc.record import record
from dlc.target import Target

# A quarter of the result is a sum of two or four products, whose factors are elements or sums of two. For independent
# elements of variance 1 the terms' variances add up to 4 or 12 where the plain product has 2: twice as far off.
ERROR_GROWTH = 2.0
FEW_ROWS = 56  # fewer, should there be so few at run time, are multiplied plainly: reading weights is what takes time


@record
class Strassen(Pass):
    name: ClassVar[str] = "strassen"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    gain: float = 1.02  # how much faster it must be predicted to be
    error: float = 2e-5  # how far off, as a share of the largest, results may be expected to be

    def run(self, module: Module, cx: PassContext) -> bool:
        if cx.options.exact:
            return False
        changed = False
        for body in module.bodies:
            pattern = MatMulByStrassen(cx.target, self.gain, self.error, batch_names(body))
            changed |= apply_patterns(body.body, [pattern], cx)
        return changed


@record
class MatMulByStrassen(Pattern[MatMul]):
    target: Target
    gain: float
    error: float
    batches: frozenset[str]

    def rewrite(self, op: MatMul, rw: Rewriter) -> NoMatch | None:
        a, b = tensor(op.a), tensor(op.b)
        if op.b.defined_by(Constant) is None or b.rank != 2 or a.rank < 2:
            return NoMatch("b is no constant matrix")
        if a.scalar != F32 or b.scalar != F32 or tensor(op.result).scalar != F32:
            return NoMatch("not in f32")
        rows, (depth, columns) = product(a.shape[:-1]), b.shape
        if not isinstance(depth, int) or not isinstance(columns, int):
            return NoMatch("the size of the weight is not known")
        if expected_error(ERROR_GROWTH, depth) > self.error:
            return NoMatch("the product is so deep that errors might be large")
        usual = typical(rows, self.batches)
        plan = strassen_plan(usual, depth, columns, self.target)
        if plan is None or matmul_cycles(usual, depth, columns, self.target) < self.gain * plan.cycles:
            return NoMatch("the sizes do not suit, or the plain product is predicted to be as fast")
        few = FEW_ROWS if not isinstance(rows, int) and least_rows(rows) < FEW_ROWS else 0
        part = plan.part if isinstance(rows, int) else max(MOST_TILES, -(-FEW_ROWS // plan.rows))
        taken = rw.insert(StrassenInput(op.a, rows=plan.rows, quarters=few > 0))
        weights = rw.insert(StrassenWeights(op.b))
        made = StrassenMatMul(
            taken.result, weights.result, size=a.shape[:-1], rows=plan.rows, part=part, panel=plan.panel, few=few
        )
        rw.replace(op, rw.insert(made).result)
        return None


def least_rows(rows: Expr) -> int:
    """What divides a number of rows, whatever its symbols stand for."""
    return math.gcd(*(factor for _, factor in rows.terms))
