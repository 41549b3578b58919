"""Reading constants, and making small ones."""

from __future__ import annotations

import numpy as np

from dlc.errors import InternalError
from dlc.ir.core import Op, Value
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.opdef import PURE
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import Rewriter
from dlc.ir.types import Array, TensorType, scalar_of

Number = float | int | bool

FEW = 4096  # elements that a pattern may look at: weights stay unread


def is_constant(value: Value) -> bool:
    return isinstance(value.owner, Constant)


def is_constant_expression(value: Value, depth: int = 4) -> bool:
    """Whether `fold-constants` can compute the value: pure ops over constants."""
    op = value.defining_op
    if op is None or isinstance(op, Constant):
        return op is not None
    folds = depth > 0 and op.spec.has(PURE) and not op.regions and bool(op.operands)
    return folds and all(is_constant_expression(each, depth - 1) for each in op.operands)


def contents(value: Value, pool: ConstantPool, most: int = FEW) -> Array | None:
    """The array of a constant of at most `most` elements."""
    op = value.defined_by(Constant)
    if op is None:
        return None
    count = op.type.elements
    return pool.get(op.value) if isinstance(count, int) and count <= most else None


def number(value: Value, pool: ConstantPool) -> Number | None:
    """The number that all elements of a constant are."""
    array = contents(value, pool)
    if array is None or array.size == 0 or array.dtype == object:
        return None
    first = array.reshape(-1)[0]
    if array.size > 1 and not bool((array == first).all()):
        return None
    found = first.item() if array.dtype.kind in "fiub" else float(first)
    return found if isinstance(found, float | int) else None


def is_number(value: Value, pool: ConstantPool, wanted: Number) -> bool:
    return number(value, pool) == wanted


def is_near(value: Number | None, wanted: float) -> bool:
    """Equal but for the rounding of a constant that an exporter wrote."""
    return value is not None and abs(value - wanted) <= 1e-4 * abs(wanted)


def constant(rw: Rewriter, array: Array, *origins: Op) -> Value:
    """A new constant before the matched op."""
    kind = TensorType(array.shape, scalar_of(array.dtype))
    return rw.insert(Constant(value=rw.pool.add(array), type=kind), *origins).result


def scalar_like(rw: Rewriter, like: Value, value: Number) -> Value:
    """A new constant of rank 0 with the element type of `like`."""
    return constant(rw, np.array(value).astype(tensor(like).scalar.dtype))


def static_shape(value: Value) -> tuple[int, ...] | None:
    """The shape if it has no symbols."""
    shape = tuple(dim for dim in tensor(value).shape if isinstance(dim, int))
    return shape if len(shape) == tensor(value).rank else None


def known_shape(value: Value) -> tuple[int, ...]:
    """The shape of a value that has no symbols; a defect if it has."""
    shape = static_shape(value)
    if shape is None:
        raise InternalError(f"expected a static shape, got {value.type}")
    return shape
