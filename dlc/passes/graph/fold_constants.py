"""Compute ops over constants now.

    %c = graph.add(%a, %b)          ->       %c = graph.constant() {value = dense<[3.0]>}      (a = 1, b = 2)

The evaluator does the arithmetic, so that folding means what the IR means. What stays:
  - results with symbolic dimensions, strings and several results (their contents are no constants of ours);
  - results of more than `few` elements that are larger than everything they are made of, such as a broadcast or an
    iota: as code they take no memory;
  - relayouts: the packing of weights belongs to the end of the compiler, and the pool holds logical contents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dlc.errors import UserError
from dlc.ir.core import Module, Op
from dlc.ir.dialects.graph_shape import Constant, Relayout
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.levels import Level
from dlc.ir.opdef import PURE, TERMINATOR
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.ir.types import STRING, TensorType
from dlc.passes.base import Pass, PassContext


@dataclass(frozen=True)
class FoldConstants(Pass):
    name: ClassVar[str] = "fold-constants"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    few: int = 4096  # results up to this many elements are always folded
    most: int = 1 << 28  # and none beyond this many

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [OpOverConstants(self.few, self.most)], cx)


@dataclass(frozen=True)
class OpOverConstants(Pattern[Op]):
    few: int
    most: int

    def rewrite(self, op: Op, rw: Rewriter) -> NoMatch | None:
        if not op.spec.has(PURE) or op.spec.has(TERMINATOR) or op.regions or isinstance(op, Constant | Relayout):
            return NoMatch("not an op that computes")
        sources = [value.defined_by(Constant) for value in op.operands]
        constants = [source for source in sources if source is not None]
        if len(constants) != len(sources):
            return NoMatch("an operand is no constant")
        if len(op.results) != 1 or not is_storable(op.result.type):
            return NoMatch("the result is not one static tensor of numbers")
        if reason := self.too_large(op, constants):
            return NoMatch(reason)
        try:
            (array,) = evaluate_op(op, [rw.pool.get(source.value) for source in constants], pool=rw.pool)
        except UserError as error:
            return NoMatch(f"the evaluator refuses: {error.message}")
        value = rw.pool.add(np.ascontiguousarray(array).reshape(array.shape))
        folded = rw.insert(Constant(value=value, type=op.result.type), *constants)
        rw.replace(op, folded.result)
        return None

    def too_large(self, op: Op, constants: list[Constant]) -> str | None:
        count = elements(op.result.type)
        if count <= self.few:
            return None
        if count > self.most:
            return "the result is too large"
        made_of = max((elements(source.type) for source in constants), default=0)
        return "the result is larger than what it is made of" if count > made_of else None


def is_storable(kind: object) -> bool:
    return isinstance(kind, TensorType) and kind.is_static and kind.scalar != STRING and kind.layout is None


def elements(kind: object) -> int:
    count = kind.elements if isinstance(kind, TensorType) else None
    return count if isinstance(count, int) else 0
