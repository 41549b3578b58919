"""A square of vectors turned in registers: log2(lanes) stages of shuffles with two operands.

The shuffles are those that machines have. Inside 128 bits they interleave halves (unpack, zip); beyond, they gather the
even or the odd blocks of 128 bits of two vectors (vperm2f128, vshuff32x4). Which element ends up where is followed up.

Between the two kinds stands a fence, which is no instruction: LLVM would look for better shuffles through all stages,
find none, and take two thirds of the time that a kernel of copies takes to compile.
"""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.scope import Writer
from dlc.codegen.emit.types import intrinsic_suffix, value_type
from dlc.errors import InternalError
from dlc.ir.core import Op
from dlc.ir.dialects import vec
from dlc.ir.types import F32, F64, VectorType
from dlc.record import record

BLOCK_BITS = 128  # in which x86 shuffles stay


@record
class Content:
    """A vector and which (row, column) of the square each of its lanes holds."""

    text: str
    places: tuple[tuple[int, int], ...]


def emit_transpose(op: vec.Transpose, w: Writer) -> None:
    kind = op.results[0].type
    if not isinstance(kind, VectorType):
        raise InternalError("vec.transpose takes vectors", op=op)
    lanes, name = kind.lanes, value_type(kind)
    block = max(1, min(lanes, BLOCK_BITS // kind.element.bits))
    square = [Content(w.use(v), tuple((row, lane) for lane in range(lanes))) for row, v in enumerate(op.rows)]
    distance = 1
    while distance < lanes:
        if distance == block and kind.element in (F32, F64):
            square = [_fenced(w, kind, content) for content in square]
        pick = interleaved(lanes, block, distance) if distance < block else deinterleaved(lanes, block)
        for row in range(lanes):
            if not row & distance:
                pair = square[row], square[row + distance]
                square[row], square[row + distance] = (_shuffle(w, name, *pair, order) for order in pick)
        distance *= 2
    columns = {content.places: content.text for content in square}
    for number, value in enumerate(op.results):
        w.define(value, columns[tuple((row, number) for row in range(lanes))])


def interleaved(lanes: int, block: int, group: int) -> tuple[list[int], list[int]]:
    """Groups of lanes of two vectors in turns, from the low or the high half of each block."""
    return tuple(  # type: ignore[return-value]  # two of them
        [
            start + half * block // 2 + pair * group + vector * lanes + lane
            for start in range(0, lanes, block)
            for pair in range(block // 2 // group)
            for vector in range(2)
            for lane in range(group)
        ]
        for half in range(2)
    )


def deinterleaved(lanes: int, block: int) -> tuple[list[int], list[int]]:
    """The even or the odd blocks of two vectors one after another."""
    return tuple(  # type: ignore[return-value]  # two of them
        [start + lane for start in range(odd * block, 2 * lanes, 2 * block) for lane in range(block)]
        for odd in range(2)
    )


def _shuffle(w: Writer, name: str, left: Content, right: Content, order: list[int]) -> Content:
    both = left.places + right.places
    lanes = ", ".join(f"i32 {lane}" for lane in order)
    text = w.assign(f"shufflevector {name} {left.text}, {name} {right.text}, <{len(order)} x i32> <{lanes}>")
    return Content(text, tuple(both[lane] for lane in order))


def _fenced(w: Writer, kind: VectorType, content: Content) -> Content:
    name = f"llvm.arithmetic.fence.{intrinsic_suffix(kind)}"
    return Content(w.call(kind, name, [(kind, content.text)]), content.places)


EMITTERS: dict[type[Op], Callable[..., str | None]] = {vec.Transpose: emit_transpose}
