"""Have a concatenation take over a shorter one that it begins with: written in place, neither is copied.

    %p = concat(%a, %b)  …  %q = concat(%a, %b, %c)    →    %q = concat(%p, %c)

So networks that join the results of all layers so far (DenseNet) keep them in one piece of memory, to which each layer
adds its own: a value can lie in one concatenation only (`joined.py`), but that may lie in the next.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Block, Module, Value
from dlc.ir.dialects.graph_shape import Concat
from dlc.ir.levels import Level
from dlc.ir.rewrite import Rewriter, rebuilt
from dlc.passes.base import Pass, PassContext
from dlc.record import record


@record
class NestConcats(Pass):
    name: ClassVar[str] = "nest-concats"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for func in module.funcs.values():
            nest(func.block, rw)
        return rw.changed


def nest(block: Block, rw: Rewriter) -> None:
    known: dict[tuple[int, tuple[Value, ...]], Value] = {}
    for op in list(block.ops):
        if not isinstance(op, Concat) or op.layout is not None:
            continue
        parts = tuple(op.parts)
        longest = next((n for n in range(len(parts) - 1, 1, -1) if (op.axis, parts[:n]) in known), None)
        known[op.axis, parts] = op.result
        if longest is None:
            continue
        nested = rw.fitting(rebuilt(op, [known[op.axis, parts[:longest]], *parts[longest:]]), op)
        if nested is not None:  # a size would be stated differently otherwise
            known[op.axis, parts] = rw.insert(nested, before=op).result
            rw.replace(op, nested.result)
