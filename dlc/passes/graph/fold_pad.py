"""Fold a constant pad of the spatial axes into the conv or pool that reads it.

    conv(pad(x, 0, before, after), pads)          = conv(x, pads + (before, after))
    average_pool(pad(x, 0, …)), padding counted   = average_pool(x, pads + …), padding counted
    max_pool(pad(x, -inf, …))                     = max_pool(x, pads + …)
"""

from __future__ import annotations

import math
from typing import ClassVar

from dlc.ir.core import Attribute, Module
from dlc.ir.dialects.graph_nn import Conv, Pool
from dlc.ir.dialects.graph_shape import Pad
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.passes.base import Pass, PassContext
from dlc.record import record


@record
class FoldPad(Pass):
    name: ClassVar[str] = "fold-pad"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [PadBeforeConv(), PadBeforePool()], cx)


class PadBeforeConv(Pattern[Conv]):
    def rewrite(self, op: Conv, rw: Rewriter) -> NoMatch | None:
        pad = op.x.defined_by(Pad)
        if pad is None or pad.mode != "constant" or pad.value:
            return NoMatch("x is not padded with zeros")
        if (pads := joined_pads(op.pads, pad)) is None:
            return NoMatch("the pad has symbols, or widens batch or channels")
        rw.replace(op, rw.insert(rebuilt(op, [pad.x, *op.operands[1:]], {"pads": pads}), pad).result)
        return None


class PadBeforePool(Pattern[Pool]):
    def rewrite(self, op: Pool, rw: Rewriter) -> NoMatch | None:
        pad = op.x.defined_by(Pad)
        if pad is None or pad.mode != "constant":
            return NoMatch("x is not padded with a constant")
        if op.ceil:
            return NoMatch("how many incomplete windows there are depends on where the padding is stated")
        if (pads := joined_pads(op.pads, pad)) is None:
            return NoMatch("the pad has symbols, or widens batch or channels")
        if op.kind == "average" and not pad.value and (op.count_include_pad or not any(op.pads)):
            changed: dict[str, Attribute] = {"pads": pads, "count_include_pad": True}
        elif op.kind == "max" and pad.value == -math.inf:
            changed = {"pads": pads}
        else:
            return NoMatch("the constant is not what the pool pads with")
        rw.replace(op, rw.insert(rebuilt(op, [pad.x], changed), pad).result)
        return None


def joined_pads(pads: tuple[int, ...], pad: Pad) -> tuple[int, ...] | None:
    """The pads of a window op with those of a pad op added."""
    before = [each for each in pad.before if isinstance(each, int)]
    after = [each for each in pad.after if isinstance(each, int)]
    if len(before) != len(pad.before) or len(after) != len(pad.after) or any(before[:2] + after[:2]):
        return None
    added = before[2:] + after[2:]
    return tuple(a + b for a, b in zip(pads or (0,) * len(added), added, strict=True))
