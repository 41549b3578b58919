"""turn: stores whose lanes lie far apart, side by side in memory, become stores of whole vectors.

    for n in 0..13: y[c + 0..15, w + n] = v_n     →     t0..t15 = transpose(v0..v13, …)
                                                        for l in 0..15: y[c + l, w + 0..13] = t_l

A register tile that has channels in lanes writes an image whose channels are outermost this way. Only stores of one
block that have all their lanes are turned; the others stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.access import index_operands
from dlc.ir.core import Block, Func
from dlc.ir.dialects import vec
from dlc.ir.expr import as_expr
from dlc.ir.types import VectorType

FEWEST = 4  # stores of fewer neighbours are not worth the shuffles


def turn_stores(func: Func) -> None:
    """Turn stores wherever there are enough side by side."""
    blocks = dict.fromkeys(op.parent for op in func.walk() if isinstance(op, vec.Store))
    for block in blocks:
        if block is not None:
            for run in list(_runs(block)):
                _turn(run)


def _runs(block: Block) -> Iterator[list[vec.Store]]:
    """Stores with the same lanes apart from the last axis, where each is one further; at most a square."""
    alike: dict[object, list[tuple[int, vec.Store]]] = {}
    for op in block.ops:
        if not isinstance(op, vec.Store) or not any(op.step[:-1]) or op.valid is not None:
            continue
        rest = op.at[-1].constant
        key = (op.buffer, tuple(index_operands(op)), op.step, op.at[:-1], op.at[-1] - rest)
        alike.setdefault(key, []).append((rest, op))
    for stores in alike.values():
        stores.sort(key=lambda item: item[0])
        run: list[tuple[int, vec.Store]] = []
        for place, op in stores:
            if run and (place != run[-1][0] + 1 or len(run) == _lanes(op)):
                yield [op for _, op in run]
                run = []
            run.append((place, op))
        yield [op for _, op in run]


def _lanes(op: vec.Store) -> int:
    kind = op.value.type
    return kind.lanes if isinstance(kind, VectorType) else 1


def _turn(run: list[vec.Store]) -> None:
    lanes = _lanes(run[0])
    if len(run) < min(FEWEST, lanes) or lanes & (lanes - 1) or len({op.value.type for op in run}) > 1:
        return
    first = run[0]
    block = first.parent
    if block is None:
        return
    last = max(run, key=block.index_of)
    rows = [op.value for op in run] + [run[-1].value] * (lanes - len(run))
    square = vec.Transpose(*rows, loc=first.loc)
    block.insert_before(last, square)
    valid = None if len(run) == lanes else as_expr(len(run))
    for lane, value in enumerate(square.results):
        at = tuple(e + s * lane for e, s in zip(first.at, first.step, strict=True))
        made = vec.Store(value, first.buffer, *index_operands(first), at=at, valid=valid, loc=first.loc)
        block.insert_before(last, made)
    for op in run:
        op.erase()
