"""Compute once what is computed twice from the same operands.

    %a = graph.exp(%x)                       %a = graph.exp(%x)
    %b = graph.exp(%x)              ->       func.return(%a, %a)
    func.return(%a, %b)

Constants of equal contents and type count as equal; operands of a commutative op may stand in either order.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable
from typing import ClassVar

from dlc.ir.core import Attribute, Block, Module, Op
from dlc.ir.levels import Level
from dlc.ir.opdef import COMMUTATIVE, PURE
from dlc.ir.rewrite import Rewriter
from dlc.passes.base import Pass, PassContext
from dlc.record import record

Seen = ChainMap[Hashable, Op]


@record
class EliminateCommonSubexpressions(Pass):
    name: ClassVar[str] = "eliminate-common-subexpressions"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for func in module.funcs.values():
            share(func.block, ChainMap(), rw)
        return rw.changed


def share(block: Block, seen: Seen, rw: Rewriter) -> None:
    """An op inside a region may share with one before the region, not the other way round."""
    for op in list(block.ops):
        for region in op.regions:
            for inner in region.blocks:
                share(inner, seen.new_child() if may_capture(op) else ChainMap(), rw)
        if not op.spec.has(PURE) or op.regions:
            continue
        key = key_of(op)
        first = seen.setdefault(key, op)
        if first is not op:
            rw.replace(op, *first.results)


def may_capture(op: Op) -> bool:
    """Whether a region of `op` may use values from outside: not if all that it uses are its arguments."""
    return op.name != "graph.group"


def key_of(op: Op) -> Hashable:
    """Equal for ops that compute the same."""
    operands: Hashable = tuple(op.operands)
    if op.spec.has(COMMUTATIVE):
        operands = (frozenset(op.operands[:2]), *op.operands[2:])
    attrs = tuple((name, attribute_key(op.attrs[name])) for name in op.spec.attrs if name in op.attrs)
    return (type(op), operands, attrs, tuple(value.type for value in op.results))


def attribute_key(value: Attribute) -> Hashable:
    """Equal for attributes that are the same in kind and in every bit."""
    if isinstance(value, tuple):
        return tuple(map(attribute_key, value))
    return (type(value), value.hex() if isinstance(value, float) else value)
