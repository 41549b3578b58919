"""Move the stride of a 1x1 convolution up to where its input is computed, if all that read the input skip alike.

    conv(relu(conv(x, v) + r), w, strides s)   =   conv(relu(conv(x, v, strides s) + r[::s]), w)

A convolution of a 1x1 window with stride s uses one in s·s elements of its input; the others need not be computed. The
stride goes through element-wise ops, and through 1x1 convolutions again, as far as the next window; of what others
read too, a slice is taken. Worth it only where a convolution is reached: then it has s·s times less to do.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Op, Value
from dlc.ir.dialects.graph_nn import Conv
from dlc.ir.dialects.graph_shape import Slice
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.fusion_roles import is_elementwise
from dlc.record import record

Strides = tuple[int, ...]


@record
class MoveStrides(Pass):
    name: ClassVar[str] = "move-strides"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [StrideOfReaders()], cx)


class StrideOfReaders(Pattern[Conv]):
    def rewrite(self, op: Conv, rw: Rewriter) -> NoMatch | None:
        strides, readers = op.strides, list(dict.fromkeys(op.x.users()))
        if not skips(op, op.x):
            return NoMatch("it does not skip elements of its input, or has a window")
        if not all(isinstance(each, Conv) and skips(each, op.x) and each.strides == strides for each in readers):
            return NoMatch("others read the input at other places")
        if not all(isinstance(size, int) for size in tensor(op.x).shape[2:]):
            return NoMatch("the input has rows or columns of unknown number")
        source = op.x.owner
        if not isinstance(source, Op) or not computes_less(source):
            return NoMatch("no convolution would have less to do")
        sparse = recomputed(source, strides, source, rw)
        for reader in readers:
            rw.replace(reader, rw.insert(rebuilt(reader, [sparse, *reader.operands[1:]], {"strides": ()}), reader,
                                         before=reader).result)  # fmt: skip
        return None


def skips(conv: Conv, x: Value) -> bool:
    """Whether a convolution reads `x`, and of each row and column only every few elements."""
    window = tensor(conv.w).shape[2:]
    return conv.x is x and conv.w is not x and set(window) == {1} and not any(conv.pads) and any(
        stride > 1 for stride in conv.strides
    )  # fmt: skip


def computes_less(op: Op) -> bool:
    """Whether there is a convolution among what `op` computes from values that nothing else reads."""
    if isinstance(op, Conv):
        return True
    return is_elementwise(op) and any(
        isinstance(value.owner, Op) and value.has_one_use() and computes_less(value.owner) for value in op.operands
    )


def recomputed(op: Op, strides: Strides, before: Op, rw: Rewriter) -> Value:
    """The result of a convolution or element-wise op at every few places only."""
    if isinstance(op, Conv):
        own = op.strides or (1,) * len(strides)
        joined = tuple(a * b for a, b in zip(own, strides, strict=True))
        return rw.insert(rebuilt(op, op.operands, {"strides": joined}), op, before=before).result
    operands = [thinned(value, tensor(op.results[0]).rank, strides, before, rw) for value in op.operands]
    return rw.insert(rebuilt(op, operands), op, before=before).results[0]


def thinned(value: Value, rank: int, strides: Strides, before: Op, rw: Rewriter) -> Value:
    """An operand of an element-wise op at the places that are left, along the axes that it has."""
    shape = tensor(value).shape
    along = (1,) * (rank - len(strides)) + strides
    steps = tuple(1 if dim == 1 else step for dim, step in zip(shape, along[rank - len(shape) :], strict=True))
    if set(steps) <= {1}:
        return value
    source = value.owner
    full = steps == along[rank - len(shape) :] and len(shape) == rank
    if full and isinstance(source, Op) and value.has_one_use() and computes_less(source):
        return recomputed(source, strides, before, rw)
    sizes = tuple(-(-dim // step) if isinstance(dim, int) else dim for dim, step in zip(shape, steps, strict=True))
    kept = Slice(value, starts=(0,) * len(shape), sizes=sizes, steps=steps)
    return rw.insert(kept, before, before=before).result
