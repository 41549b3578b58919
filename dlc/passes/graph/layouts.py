"""The layouts that ops prefer: pure functions that the pass choose-layout asks."""

from __future__ import annotations

import math

from dlc.errors import InternalError
from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_flow, graph_nn
from dlc.ir.dialects.graph_winograd import WinogradConv, WinogradInput, result_size
from dlc.ir.expr import Dim
from dlc.ir.types import Layout, TensorType
from dlc.passes.graph.joined import concat_of, first_of, may_share, slice_of
from dlc.passes.lower.tiles import PANELS, best_tile, extent_of, rows_in_l1
from dlc.record import record
from dlc.target import Target

Halo = tuple[tuple[int, int], ...]


def tensor_type(value: Value) -> TensorType:
    if not isinstance(value.type, TensorType):
        raise InternalError(f"{value.type} is not a tensor")
    return value.type


def blocked_image(rank: int, lanes: int, halo: Halo) -> Layout:
    """Channels in blocks of `lanes`, innermost."""
    return Layout(tuple(range(rank)), ((1, lanes),), halo if any(a or b for a, b in halo) else ())


def is_image(kind: TensorType) -> bool:
    """Whether a tensor may lie in blocks of channels: images of one to three axes."""
    return 3 <= kind.rank <= 5 and kind.scalar.bits <= 32


def conv_kind(op: graph_nn.Conv, lanes: int) -> str:
    """``dense``, ``depthwise``, ``grouped`` (in whole blocks), or ``plain``: no blocks of channels."""
    x, w = tensor_type(op.x), tensor_type(op.w)
    if not is_image(x) or not x.scalar.is_float:
        return "plain"
    if op.groups == 1:
        return "dense"
    outputs, inputs = w.shape[:2]
    if outputs == op.groups and inputs == 1:
        return "depthwise"
    if not (isinstance(inputs, int) and isinstance(outputs, int)):
        return "plain"
    return "plain" if inputs % lanes or outputs // op.groups % lanes else "grouped"


def halo_for(op: graph_nn.Conv | graph_nn.ConvTranspose) -> Halo:
    """The halo that a convolution needs around its image so that no window has to be clipped."""
    x = tensor_type(op.x)
    spatial = x.rank - 2
    pads = op.pads or (0,) * (2 * spatial)
    sides = tuple((int(pads[n]), int(pads[spatial + n])) for n in range(spatial))
    if isinstance(op, graph_nn.ConvTranspose):
        sides = _transposed_halo(op, pads)
    return ((0, 0), (0, 0), *sides) if any(a or b for a, b in sides) else ()


def _transposed_halo(op: graph_nn.ConvTranspose, pads: tuple[int, ...]) -> Halo:
    """As conv_transpose.kernel asks for it; none where the image is smaller than the window, and most would be halo."""
    x, w, y = (tensor_type(v).shape[2:] for v in (op.x, op.w, op.result))
    places, window, results = _numbers(x), _numbers(w), _numbers(y)
    if op.groups != 1 or any(d != 1 for d in op.dilations) or places is None or window is None or results is None:
        return ()
    if math.prod(places) < math.prod(window):
        return ()
    strides = op.strides or (1,) * len(places)
    return tuple(
        (max(0, (m - 1) // s - before // s), max(0, (r - 1 + before) // s - (n - 1)))
        for m, s, before, r, n in zip(window, strides, pads[: len(places)], results, places, strict=True)
    )


def _numbers(shape: tuple[Dim, ...]) -> tuple[int, ...] | None:
    """The sizes, if all are known."""
    return tuple(int(d) for d in shape if isinstance(d, int)) if all(isinstance(d, int) for d in shape) else None


def winograd_halo(op: WinogradConv | WinogradInput) -> Halo:
    """The halo that whole tiles need: the padding, and after it as far as the last tiles reach beyond the result."""
    pads = op.pads or (0, 0, 0, 0)
    sides = []
    for n, extent in enumerate(result_size(tensor_type(op.x).shape, op.pads, op.window, op.stride)):
        beyond = -extent % op.tile if isinstance(extent, int) else op.tile - 1
        sides.append((int(pads[n]), int(pads[2 + n]) + beyond * op.stride))
    return ((0, 0), (0, 0), *sides) if any(a or b for a, b in sides) else ()


def weight_layout(op: graph_nn.Conv, kind: str, inputs: int, outputs: int) -> Layout | None:
    """Weights with a vector of output channels innermost, a block of input channels around it."""
    rank = tensor_type(op.w).rank
    if kind == "plain":
        return None
    if kind == "depthwise":
        return Layout(tuple(range(rank)), ((0, outputs),))
    blocks = ((1, inputs), (0, outputs)) if inputs > 1 else ((0, outputs),)
    return Layout(tuple(range(rank)), blocks)


def panel_columns(rows: Dim, row_bytes: Dim, columns: Dim, target: Target) -> int:
    """Columns of a panel of the right operand of a matrix product: a multiple of the vector's lanes.

    `row_bytes`: how far apart the rows of the left operand start.
    """
    lanes = target.facts.vector_bits // 32
    blocks = -(-columns // lanes) if isinstance(columns, int) else 3
    most = rows_in_l1(row_bytes if isinstance(row_bytes, int) else None, target)
    return lanes * best_tile(extent_of(rows), max(1, blocks), target, PANELS, most).vectors


def panel_layout(rank: int, columns: int, group: int = 1) -> Layout:
    """(…, K, N) as panels of `columns` columns, each with k outermost; k in groups for operands contracted so."""
    blocks = ((rank - 1, columns), *(((rank - 2, group),) if group > 1 else ()))
    return Layout((*range(rank - 2), rank - 1, rank - 2), blocks)


def strassen_layout(panel: int) -> Layout:
    """(7, K/2, N/2) in panels of columns: of one of them all seven matrices lie behind one another."""
    return Layout((2, 0, 1), ((2, panel),))


def winograd_layout(window: int, panel: int) -> Layout:
    """(size · window, C, O) in panels of columns: of a row of a patch and a channel, its taps side by side."""
    return Layout((2, 0, 1), ((0, window), (2, panel)))


def recurrent_layout(lanes: int) -> Layout:
    """(directions, hidden, gates, units): a vector of units of each gate side by side, all of a block in one run."""
    return Layout((0, 3, 1, 2), ((3, lanes),))


@record
class Placement:
    """What the readers of a value ask of its layout."""

    value: Value
    lanes: int

    def halo(self) -> Halo:
        """The widest halo that convolutions reading the value need, or what lies in memory with it."""
        rank = tensor_type(self.value).rank
        widest = [(0, 0)] * rank
        for value in self.together():
            for op, number in value.uses:
                for reader in _convolutions(op, number):
                    for axis, (before, after) in enumerate(self._needed(reader)):
                        widest[axis] = (max(widest[axis][0], before), max(widest[axis][1], after))
        return tuple(widest) if any(a or b for a, b in widest) else ()

    def _needed(self, reader: Reader) -> Halo:
        if isinstance(reader, WinogradConv | WinogradInput):
            return winograd_halo(reader)
        return halo_for(reader)

    def together(self) -> list[Value]:
        """The value, the concatenations whose pieces it may be, their other pieces, its slices, and so on."""
        found = {self.value: None}
        waiting = [self.value]
        while waiting:
            value = waiting.pop()
            groups = [value.owner, *(op for op, _ in value.uses)]
            for group in groups:
                if isinstance(group, graph_flow.Group) and self._joins(group):
                    new = [v for v in (*group.results, *group.operands) if v not in found]
                    found |= dict.fromkeys(new)
                    waiting += new
        return list(found)

    def _joins(self, group: graph_flow.Group) -> bool:
        if not is_image(kind := tensor_type(group.results[0])):
            return False
        layout = blocked_image(kind.rank, self.lanes, ())
        if (part := slice_of(group)) is not None:
            return first_of(part, layout) is not None
        concat = concat_of(group)
        return concat is not None and may_share(concat.axis, layout, [tensor_type(v) for v in group.operands])

    def layout(self, blocked: bool) -> Layout | None:
        """The layout for the value, if it is made in blocks or not."""
        rank = tensor_type(self.value).rank
        if not blocked or tensor_type(self.value).shape[1] == 1:  # a block of one channel would be all filling
            return None
        return blocked_image(rank, self.lanes, self.halo())


Reader = graph_nn.Conv | graph_nn.ConvTranspose | WinogradConv | WinogradInput


def _convolutions(op: Op, number: int) -> list[Reader]:
    """The convolutions in group `op` whose image is its operand `number`."""
    if not isinstance(op, graph_flow.Group):
        return []
    argument = op.body.block.args[number]
    return [inner for inner, at in argument.uses if isinstance(inner, Reader) and at == 0]
