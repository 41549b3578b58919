"""Compute ops over constants now.

    %c = graph.add(%a, %b)          ->       %c = graph.constant() {value = dense<[3.0]>}      (a = 1, b = 2)

The evaluator does the arithmetic, so that folding means what the IR means. What stays:
  - results with symbolic dimensions, strings and several results (their contents are no constants of ours);
  - results of more than `few` elements that are larger than all they are made of together, such as a broadcast, an iota
    or dequantized weights: as code they take no memory (twice as large is allowed: float16 weights as float32);
  - relayouts: the packing of weights belongs to the end of the compiler, and the pool holds logical contents.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.digest import blake2b
from dlc.errors import UserError
from dlc.ir.attrs import attribute_text
from dlc.ir.core import Attribute, Block, Module, Op
from dlc.ir.dialects.graph_shape import Concat, Constant, Relayout
from dlc.ir.dialects.graph_strassen import StrassenWeights
from dlc.ir.dialects.graph_winograd import WinogradWeights
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.expr import Expr
from dlc.ir.levels import Level
from dlc.ir.opdef import ELEMENTWISE, PURE, TERMINATOR
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.ir.types import STRING, Array, TensorType
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.fusion_roles import is_index_map
from dlc.record import record

GROWTH = 2
LAZY = 1 << 14  # elements from which hashing the contents costs more than it is worth


@record
class FoldConstants(Pass):
    name: ClassVar[str] = "fold-constants"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    few: int = 4096  # results up to this many elements are always folded
    most: int = 1 << 28  # and none beyond this many

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [OpOverConstants(self.few, self.most)], cx)


@record
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
        if any(map(has_symbols, op.attrs.values())):
            return NoMatch("an attribute is symbolic")
        if reason := self.too_large(op, constants):
            return NoMatch(reason)
        try:
            value = folded_value(op, constants, rw.pool)
        except UserError as error:
            return NoMatch(f"the evaluator refuses: {error.message}")
        folded = rw.insert(Constant(value=value, type=op.result.type), *constants)
        rw.replace(op, folded.result)
        return None

    def too_large(self, op: Op, constants: list[Constant]) -> str | None:
        if elements(op.result.type) <= self.few:
            return None
        if elements(op.result.type) > self.most:
            return "the result is too large"
        if isinstance(op, WinogradWeights | StrassenWeights):  # their size was counted when they were chosen
            return None
        made_of = sum({source.value: size(source.type) for source in constants}.values())
        return "the result is larger than what it is made of" if size(op.result.type) > GROWTH * made_of else None


def folded_value(op: Op, constants: list[Constant], pool: ConstantPool) -> DenseRef:
    """The constant that an op computes. Large ones are named after what they come from, and computed when read."""
    compute = Computation(detached(op), tuple(source.value for source in constants), pool)
    later = op.spec.has(ELEMENTWISE) or isinstance(op, Concat | WinogradWeights | StrassenWeights) or is_index_map(op)
    if elements(op.result.type) < LAZY or not later:
        return pool.add(compute())
    attrs = ", ".join(f"{name} = {attribute_text(value)}" for name, value in op.attrs.items())
    text = f"{op.name}({', '.join(map(str, compute.operands))}) {attrs} {op.result.type}"
    return pool.add_lazy(blake2b(text.encode(), digest_size=10).hexdigest(), compute)


@record
class Computation:
    """What a folded op computes, to be run now or later."""

    op: Op
    operands: tuple[DenseRef, ...]
    pool: ConstantPool

    def __call__(self) -> Array:
        (array,) = evaluate_op(self.op, [self.pool.get(ref) for ref in self.operands], pool=self.pool)
        return array  # perhaps a view: what packs it has to copy it anyway


def detached(op: Op) -> Op:
    """A copy that reads the arguments of no block of any function, so that it lives on when the op is erased."""
    block = Block(value.type for value in op.operands)
    return op.clone(dict(zip(op.operands, block.args, strict=True)))


def has_symbols(value: Attribute) -> bool:
    if isinstance(value, tuple):
        return any(map(has_symbols, value))
    return isinstance(value, Expr) and not value.is_const


def is_storable(kind: object) -> bool:
    return isinstance(kind, TensorType) and kind.is_static and kind.scalar != STRING and kind.layout is None


def elements(kind: object) -> int:
    count = kind.elements if isinstance(kind, TensorType) else None
    return count if isinstance(count, int) else 0


def size(kind: object) -> int:
    """Bytes."""
    return elements(kind) * kind.scalar.bytes if isinstance(kind, TensorType) else 0
