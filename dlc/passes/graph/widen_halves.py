"""Compute with half precision in f32: weights are widened once, and nothing is narrowed that is not stored as a half.

    %y = graph.matmul(%x, %w) : f16    →    %y32 = graph.matmul(cast(%x), cast(%w)) : f32
                                            %y = graph.cast(%y32) {to = f16}          where somebody needs the half

f16 and bf16 are ways to store a number (docs/OPERATORS.md): what a model gets, gives and casts has been rounded, what
it computes in between has not. The ops of a network then are those of its f32 form, with all that is known about them,
and the casts of constants fold. What only moves halves about, as a lookup in a table of embeddings, goes on doing so.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Block, Module, Op, Value
from dlc.ir.dialects.graph_index import Compress, Gather, GatherElements, GatherNd
from dlc.ir.dialects.graph_math import Cast
from dlc.ir.dialects.graph_shape import (
    Broadcast,
    Concat,
    Constant,
    DynamicSlice,
    Reshape,
    ReverseSequence,
    Slice,
    Tile,
    Transpose,
    Trilu,
)
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.opdef import PURE
from dlc.ir.rewrite import Rewriter, rebuilt
from dlc.ir.types import BF16, F16, F32, TensorType
from dlc.ir.typical import batch_names, typical
from dlc.passes.base import Pass, PassContext
from dlc.record import record

MOVES = (
    Broadcast, Compress, Concat, DynamicSlice, Gather, GatherElements, GatherNd, Reshape, ReverseSequence, Slice, Tile,
    Transpose, Trilu,
)  # fmt: skip


@record
class WidenHalves(Pass):
    name: ClassVar[str] = "widen-halves"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for func in module.funcs.values():
            batches = batch_names(func)
            for block in func.body.blocks:
                Widening(rw, batches).block(block)
        return rw.changed


class Widening:
    """What is known of the halves of one block."""

    def __init__(self, rw: Rewriter, batches: frozenset[str]) -> None:
        self.rw = rw
        self.batches = batches
        self.wide: dict[Value, Value] = {}  # halves, and the same before it was rounded, or widened again
        self.computed: set[Value] = set()  # those that have not been rounded

    def block(self, block: Block) -> None:
        for op in list(block.ops):
            if any(map(is_half, (*op.operands, *op.results))) and not self.stays(op):
                self.widen(op)

    def stays(self, op: Op) -> bool:
        """Whether the op reads and gives halves: it is asked to, or only moves what is stored as halves already."""
        if not op.spec.has(PURE) or op.regions or isinstance(op, Constant | Cast):
            return True
        if isinstance(op, Concat):  # a cache of keys that grows by one: rather round the new one than widen them all
            return 2 * sum(self.size(v) for v in op.operands if v in self.computed) < self.size(op.result)
        return isinstance(op, MOVES) and not any(value in self.computed for value in op.operands)

    def size(self, value: Value) -> int:
        """How many elements, where sizes that are not known are what is usual."""
        return typical(tensor(value).elements, self.batches)

    def widen(self, op: Op) -> None:
        operands = [self.widened(value, op) if is_half(value) else value for value in op.operands]
        made = self.rw.insert(rebuilt(op, operands), op, before=op)
        results: list[Value] = []
        for old, new in zip(op.results, made.results, strict=True):
            if old.type == new.type:
                results.append(new)
                continue
            narrow = self.rw.insert(Cast(new, to=old.type.scalar), op, before=op).result  # type: ignore[attr-defined]
            self.wide[narrow] = new
            self.computed.add(narrow)
            results.append(narrow)
        self.rw.replace(op, *results)

    def widened(self, value: Value, before: Op) -> Value:
        if value not in self.wide:
            self.wide[value] = self.rw.insert(Cast(value, to=F32), before=before).result
        return self.wide[value]


def is_half(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.element in (F16, BF16)
