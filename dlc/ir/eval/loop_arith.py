"""The meaning of arithmetic at the loop level: NumPy scalars and one-dimensional arrays in exactly the stated types.

An ``index`` is a Python integer, a vector of them an int64 array. A product and a sum are rounded separately in
``arith.fma``, which compiled code may round once.
"""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlc.errors import InternalError
from dlc.ir.core import Op
from dlc.ir.dialects import arith
from dlc.ir.eval.conversion import converted
from dlc.ir.eval.frame import Array, Frame, Run
from dlc.ir.eval.loop_exprs import number
from dlc.ir.types import INDEX, Type, VectorType, scalar_type

Meaning = Callable[..., object]  # (*operands)


def exact(content: object, kind: Type) -> object:
    """`content` in exactly the type `kind`; integers wrap around."""
    element = scalar_type(kind)
    array = np.asarray(content)
    if isinstance(kind, VectorType):
        return np.broadcast_to(array.astype(element.dtype, copy=False), (kind.lanes,))
    if element == INDEX:
        return int(array.astype(np.int64))
    return array.astype(element.dtype, copy=False)[()]


def lanewise(meaning: Meaning) -> Run:
    """How an op runs that works on scalars and vectors alike."""

    def run(frame: Frame, op: Op, args: list[object]) -> list[object]:
        return [exact(meaning(*map(typed, args)), op.results[0].type)]

    return run


def typed(content: object) -> Array | np.generic:
    """An index as the 64-bit number that it is."""
    return np.int64(content) if isinstance(content, int) and not isinstance(content, bool) else content  # type: ignore[return-value]


# -- meanings that are not one NumPy function --------------------------------------------------------------------------


def divide(x: Array, y: Array) -> Array:
    """Integers truncate towards zero; by zero gives 0."""
    if x.dtype.kind in "iu":
        return (x - np.fmod(x, y)) // np.where(y == 0, y.dtype.type(1), y) * (y != 0)
    return x / y


def fused(x: Array, y: Array, z: Array) -> Array:
    return (x * y).astype(x.dtype) + z


def magnitude(x: Array) -> Array:
    return x if x.dtype.kind in "ub" else np.abs(x)


def extreme(of_floats: Callable[[Array, Array], Array], of_bools: Callable[[Array, Array], Array]) -> Meaning:
    return lambda x, y: (of_bools if x.dtype.kind == "b" else of_floats)(x, y)


COMPARISONS: dict[str, Meaning] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


# -- ops with attributes -----------------------------------------------------------------------------------------------


def run_constant(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return [exact(op.attrs["value"], op.results[0].type)]


def run_index(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return [number(frame, op, op.attrs["expr"], args)]  # type: ignore[arg-type]  # indices are ints


def run_compare(frame: Frame, op: Op, args: list[object]) -> list[object]:
    x, y = map(typed, args)
    return [exact(COMPARISONS[str(op.attrs["predicate"])](x, y), op.results[0].type)]


def run_cast(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, arith.Cast):
        raise InternalError(f"{op.name} is no cast", op=op)
    return [exact(converted(np.asarray(typed(args[0])), op.to), op.results[0].type)]


def run_bitcast(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return [exact(np.asarray(typed(args[0])).view(scalar_type(op.results[0].type).dtype), op.results[0].type)]


MEANINGS: dict[type[Op], Meaning] = {
    arith.Add: np.add,
    arith.Sub: lambda x, y: x - y,
    arith.Mul: np.multiply,
    arith.Div: divide,
    arith.Rem: np.fmod,
    arith.Min: extreme(np.minimum, np.logical_and),
    arith.Max: extreme(np.maximum, np.logical_or),
    arith.And: np.bitwise_and,
    arith.Or: np.bitwise_or,
    arith.Xor: np.bitwise_xor,
    arith.Shl: np.left_shift,
    arith.Shr: np.right_shift,
    arith.Fma: fused,
    arith.Neg: lambda x: -x,
    arith.Abs: magnitude,
    arith.Sqrt: np.sqrt,
    arith.Floor: np.floor,
    arith.Ceil: np.ceil,
    arith.Trunc: np.trunc,
    arith.Round: np.rint,
    arith.Select: np.where,
}

RUNS: dict[type[Op], Run] = {
    **{kind: lanewise(meaning) for kind, meaning in MEANINGS.items()},
    arith.Constant: run_constant,
    arith.Index: run_index,
    arith.Compare: run_compare,
    arith.Cast: run_cast,
    arith.Bitcast: run_bitcast,
}
