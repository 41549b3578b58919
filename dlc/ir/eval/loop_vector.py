"""The meaning of ops on lanes that touch no memory."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from dlc.errors import InternalError
from dlc.ir.core import Op
from dlc.ir.dialects import arith, vec
from dlc.ir.eval.frame import Array, Frame, Run
from dlc.ir.eval.loop_arith import MEANINGS, Meaning, exact, typed
from dlc.ir.eval.loop_exprs import number
from dlc.ir.eval.loop_memory import of_lane
from dlc.ir.types import INDEX, scalar_type

COMBINE: dict[str, Meaning] = {
    "add": MEANINGS[arith.Add], "mul": MEANINGS[arith.Mul], "min": MEANINGS[arith.Min], "max": MEANINGS[arith.Max],
    "and": np.bitwise_and, "or": np.bitwise_or,
}  # fmt: skip


def run_broadcast(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, vec.Broadcast):
        raise InternalError(f"{op.name} is no broadcast", op=op)
    return [exact(np.resize(np.asarray(typed(args[0])), op.lanes), op.results[0].type)]


def run_lanes(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, vec.Lanes):
        raise InternalError(f"{op.name} makes no lanes", op=op)
    values = [number(frame, op, op.expr, [of_lane(a, lane) for a in args]) + lane * op.step for lane in range(op.lanes)]
    return [np.array(values, np.int64)]


def run_extract(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, vec.Extract):
        raise InternalError(f"{op.name} extracts nothing", op=op)
    return [exact(np.asarray(args[0])[op.lane], op.results[0].type)]


def run_transpose(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return list(np.stack([np.asarray(row) for row in args], axis=1))


def run_reduce(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return [exact(tree(np.asarray(args[0]), COMBINE[str(op.attrs["kind"])])[0], op.results[0].type)]


def tree(vector: Array, combine: Meaning) -> Array:
    """The halves combined until one lane is left; an odd lane joins the first. Compiled code does the same."""
    while len(vector) > 1:
        half = len(vector) // 2
        joined = np.asarray(combine(vector[:half], vector[half : 2 * half])).astype(vector.dtype)
        if len(vector) % 2:
            joined[0] = combine(joined[0], vector[-1])
        vector = joined
    return vector


def run_dot(frame: Frame, op: Op, args: list[object]) -> list[object]:
    acc, x, y = map(np.asarray, args)
    wide = scalar_type(op.results[0].type).dtype if op.results[0].type != INDEX else np.dtype(np.int64)
    total = acc
    for member in range(len(x) // len(acc)):
        group = slice(member, None, len(x) // len(acc))
        total = (total + x[group].astype(wide) * y[group].astype(wide)).astype(wide)
    return [total]


RUNS: dict[type[Op], Run] = {
    vec.Broadcast: run_broadcast,
    vec.Lanes: run_lanes,
    vec.Extract: run_extract,
    vec.Transpose: run_transpose,
    vec.Reduce: run_reduce,
    vec.Dot: run_dot,
}
