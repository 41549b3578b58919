"""Cut a deep product into a sum of shallower ones, so that what is read again and again stays in the cache.

    a · b    =    a[:, :k] · b[:k]  +  a[:, k:] · b[k:]

A product reads all rows of a for each panel of b. If the rows, the panel and the next one, which is on its way, take
more than the second level of the cache, each panel fetches the rows anew from beyond it. Slices of a are read where
they lie, those of a weight are other constants, and the sums are epilogues.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_math import Add
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.graph_shape import Constant, Slice
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.ir.types import TensorType
from dlc.ir.typical import batch_names, typical
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.layouts import panel_columns
from dlc.record import record
from dlc.target import Target


@record
class SplitDepth(Pass):
    name: ClassVar[str] = "split-depth"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    least: int = 512  # no product becomes shallower than that: each reads and writes the sum so far
    cache: int = 0  # bytes that a product may keep; 0: three quarters of the target's second level

    def run(self, module: Module, cx: PassContext) -> bool:
        cache = self.cache or cx.target.facts.l2_bytes * 3 // 4
        changed = False
        for body in module.bodies:
            changed |= apply_patterns(body.body, [DeepProduct(cx.target, self.least, cache, batch_names(body))], cx)
        return changed


@record
class DeepProduct(Pattern[MatMul]):
    target: Target
    least: int
    cache: int
    batches: frozenset[str]

    def rewrite(self, op: MatMul, rw: Rewriter) -> NoMatch | None:
        a, b, depth = tensor(op.a), tensor(op.b), tensor(op.b).shape[-2]
        if op.b.defined_by(Constant) is None or b.rank != 2 or not isinstance(depth, int) or b.scalar.bits != 32:
            return NoMatch("b is no weight of known depth")
        if not b.scalar.is_float:
            return NoMatch("the elements are no floats")
        parts = self.parts(a, b, depth)
        if parts == 1:
            return NoMatch("the rows and two panels fit the cache, or the parts would be too shallow")
        ends = [depth * n // parts for n in range(parts + 1)]
        total: Value | None = None
        for start, end in pairwise(ends):
            halves = [part(op.a, a.rank - 1, start, end, rw, op), part(op.b, 0, start, end, rw, op)]
            made = rw.insert(rebuilt(op, halves, {}), op).result
            total = made if total is None else rw.insert(Add(made, total), op).result
        if total is not None:
            rw.replace(op, total)
        return None

    def parts(self, a: TensorType, b: TensorType, depth: int) -> int:
        """How many products it takes until each fits the cache."""
        rows = a.shape[-2]
        row_bytes = typical(rows, self.batches) * b.scalar.bytes
        panel_bytes = panel_columns(rows, depth * a.scalar.bytes, b.shape[-1], self.target) * b.scalar.bytes
        if row_bytes * depth < self.cache // 2:  # few rows: panels may pass by
            return 1
        parts = -(-(row_bytes + 2 * panel_bytes) * depth // self.cache)
        return parts if depth // parts >= self.least else 1


def part(value: Value, axis: int, start: int, end: int, rw: Rewriter, op: MatMul) -> Value:
    """The elements of `value` from `start` to `end` along an axis."""
    shape = tensor(value).shape
    starts = tuple(start if n == axis else 0 for n in range(len(shape)))
    sizes = tuple(end - start if n == axis else dim for n, dim in enumerate(shape))
    return rw.insert(Slice(value, starts=starts, sizes=sizes), op).result
