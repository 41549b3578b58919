"""Functions of the kernel language that are not written in it."""

from __future__ import annotations

import math
from collections.abc import Callable

from dlc.errors import UserError
from dlc.ir.core import Op
from dlc.ir.dialects import arith
from dlc.ir.expr import Expr, as_dim, as_expr, ceil_div, minimum, product
from dlc.ir.types import SCALAR_NAMES, ScalarType, TensorType
from dlc.ir.winograd import input_steps, output_steps, weight_steps
from dlc.passes.lower.scalars import Emitter, Scalar, as_index, as_int

# scalar functions that are one op each; on compile-time numbers they are Python's
UNARY: dict[str, type[Op]] = {
    "abs": arith.Abs, "sqrt": arith.Sqrt, "floor": arith.Floor, "ceil": arith.Ceil, "trunc": arith.Trunc,
    "round": arith.Round,
}  # fmt: skip
BITWISE: dict[str, type[Op]] = {
    "bit_and": arith.And, "bit_or": arith.Or, "bit_xor": arith.Xor, "shift_left": arith.Shl, "shift_right": arith.Shr,
}  # fmt: skip


def scalar_builtin(e: Emitter, name: str, arguments: list[object]) -> object:
    """A call of a scalar builtin, or NotImplemented if `name` is none."""
    if name in UNARY:
        return e.unary(UNARY[name], e.scalar(arguments[0]))
    if name in BITWISE:
        a, b = e.pair(arguments[0], arguments[1])
        return Scalar(e.add(BITWISE[name](a.value, b.value)).result)
    if name in ("min", "max"):
        result = arguments[0]
        for other in arguments[1:]:
            result = e.extreme(name, result, other)
        return result
    if name == "cast":
        kind = as_type(arguments[1])
        return e.cast(e.scalar(arguments[0]), kind) if _is_late(arguments[0]) else e.scalar(arguments[0], kind)
    if name == "bitcast":
        return Scalar(e.add(arith.Bitcast(e.scalar(arguments[0]).value, to=as_type(arguments[1]))).result)
    if name == "select":
        condition = arguments[0]
        if isinstance(condition, bool):
            return arguments[1] if condition else arguments[2]
        return e.select(e.scalar(condition), arguments[1], arguments[2])
    if name == "fma":
        a, b = e.pair(arguments[0], arguments[1])
        c, _ = e.pair(arguments[2], a)
        return Scalar(e.add(arith.Fma(a.value, b.value, c.value)).result)
    if name == "index":  # a computed integer as an index into a tensor
        return e.fresh_variable(e.cast(e.scalar(arguments[0]), SCALAR_NAMES["index"]).value)
    return NotImplemented


def _is_late(value: object) -> bool:
    return isinstance(value, Scalar) or (isinstance(value, Expr) and not value.is_const)


def as_type(value: object) -> ScalarType:
    if isinstance(value, ScalarType):
        return value
    if isinstance(value, str) and value in SCALAR_NAMES:
        return SCALAR_NAMES[value]
    raise UserError(f"{value!r} is not a scalar type; there are {', '.join(SCALAR_NAMES)}")


def _lowest(kind: object) -> float | int:
    scalar = as_type(kind)
    if scalar.is_float:
        return float("-inf")
    if scalar.name == "bool":
        return 0
    return -(1 << (scalar.bits - 1)) if scalar.is_signed else 0


def _highest(kind: object) -> float | int:
    scalar = as_type(kind)
    if scalar.is_float:
        return float("inf")
    if scalar.name == "bool":
        return 1
    return (1 << (scalar.bits - 1)) - 1 if scalar.is_signed else (1 << scalar.bits) - 1


def _bound(number: float, kind: object) -> float | int:
    """A number as an element of `kind`: held in the range of an integer type, its fraction dropped."""
    if as_type(kind).is_float:
        return number
    return int(min(max(number, _lowest(kind)), _highest(kind)))


def _known(value: object) -> object:
    """The number that a scalar is if that is a constant, else none."""
    if isinstance(value, Scalar):
        return value.value.owner.attrs["value"] if isinstance(value.value.owner, arith.Constant) else None
    return value if _is_const(value) else None


def _inverse(order: list[int]) -> list[int]:
    return [order.index(n) for n in range(len(order))]


def _ceil_div(a: object, b: int) -> object:
    return as_dim(ceil_div(as_index(a), b))


def _product(items: list[int | Expr]) -> object:
    return product(items)


def _broadcast(index: list[object], shape: list[object], whole: list[object] | None = None) -> list[object]:
    """The index into a tensor of `shape` for an index of a result that it is broadcast to.

    Only if the result's shape is given, a size that differs from the result's may turn out to be 1.
    """
    extents = (shape if whole is None else whole)[-len(shape) :] if shape else []
    tail = index[len(index) - len(shape) :]
    return [
        0 if extent == 1 else i if extent == full else minimum(as_index(i), as_index(extent) - 1)
        for i, extent, full in zip(tail, shape, extents, strict=True)
    ]


def _unravel(offset: object, shape: list[object]) -> list[object]:
    """The index of the element at a row-major offset; of a shape without elements, which has no offset, any index."""
    index: list[object] = []
    rest = as_index(offset)
    for extent in reversed(shape[1:]):
        size = 1 if as_index(extent) == 0 else as_index(extent)
        index.insert(0, rest % size)
        rest = rest // size
    return [rest, *index] if shape else []


def _ravel(index: list[object], shape: list[object]) -> object:
    """The row-major offset of an index."""
    total = as_expr(0)
    for i, extent in zip(index, shape, strict=True):
        total = total * as_index(extent) + as_index(i)
    return total


def _merge(outer: list[object], inner: list[object], axes: list[int]) -> list[object]:
    """An index whose `axes` come from `inner` and the others, in order, from `outer`."""
    a, b = iter(outer), iter(inner)
    return [next(b) if n in axes else next(a) for n in range(len(outer) + len(inner))]


def _without(items: list[object], axes: list[int]) -> list[object]:
    return [item for n, item in enumerate(items) if n not in axes]


def _replace(items: list[object], at: int, value: object) -> list[object]:
    return [*items[:at], value, *items[at + 1 :]]


def _insert(items: list[object], at: int, value: object) -> list[object]:
    return [*items[:at], value, *items[at:]]


def _total(items: list[int | Expr]) -> object:
    """The sum of a list of numbers or dimensions."""
    return as_dim(sum(map(as_expr, items), as_expr(0)))


def _is_const(value: object) -> bool:
    return isinstance(value, int | float) or (isinstance(value, Expr) and value.is_const)


EARLY: dict[str, Callable[..., object]] = {
    "len": len,
    "lowest": _lowest,
    "highest": _highest,
    "inverse": _inverse,
    "ceil_div": _ceil_div,
    "product": _product,
    "broadcast": _broadcast,
    "unravel": _unravel,
    "ravel": _ravel,
    "merge": _merge,
    "without": _without,
    "replace": _replace,
    "insert": _insert,
    "total": _total,
    "round_up": lambda number: math.ceil(number),
    "take": lambda items, order: [items[n] for n in order],
    "repeat": lambda item, count: [item] * count,
    "count": lambda n: list(range(n)),
    "zip": lambda *lists: [list(group) for group in zip(*lists, strict=True)],
    "contains": lambda items, item: item in items,
    "is_static": _is_const,
    "known": _known,
    "bound": _bound,
    "bits": lambda kind: as_type(kind).bits,
    "is_float": lambda kind: as_type(kind).is_float,
    "is_signed": lambda kind: as_type(kind).is_signed,
    "is_integer": lambda kind: as_type(kind).is_integer,
    "sort": sorted,
    "winograd_input": input_steps,
    "winograd_output": output_steps,
    "winograd_weights": weight_steps,
}


def tensor_builtin(name: str, kind: TensorType, arguments: list[object], computing: ScalarType) -> object:
    """Facts about a tensor, or NotImplemented."""
    match name:
        case "shape":
            return list(kind.shape)
        case "dim":
            return kind.shape[as_int(arguments[0])]
        case "rank":
            return kind.rank
        case "type":
            return computing.name
        case "stored_type":
            return kind.scalar.name
        case "block":
            return 1 if kind.layout is None else kind.layout.block_of(as_int(arguments[0]))
        case "halo":
            return [0, 0] if kind.layout is None else list(kind.layout.halo_of(as_int(arguments[0])))
        case "has_halo":
            return kind.layout is not None and any(kind.layout.halo)
    return NotImplemented


# reductions: how two values are combined, and what changes nothing
def _largest(e: Emitter, a: Scalar, b: Scalar) -> Scalar:
    """The larger; a NaN term is passed over, which is one instruction where `max` takes three."""
    above = arith.Compare(b.value, a.value, predicate="gt")
    return Scalar(e.add(arith.Select(e.add(above).result, b.value, a.value)).result)


COMBINE: dict[str, Callable[[Emitter, Scalar, Scalar], Scalar]] = {
    "sum": lambda e, a, b: Scalar(e.add(arith.Add(a.value, b.value)).result),
    "prod": lambda e, a, b: Scalar(e.add(arith.Mul(a.value, b.value)).result),
    "max": lambda e, a, b: Scalar(e.add(arith.Max(a.value, b.value)).result),
    "min": lambda e, a, b: Scalar(e.add(arith.Min(a.value, b.value)).result),
    "largest": _largest,
    "any": lambda e, a, b: Scalar(e.add(arith.Or(a.value, b.value)).result),
    "all": lambda e, a, b: Scalar(e.add(arith.And(a.value, b.value)).result),
}
NEUTRAL: dict[str, Callable[[ScalarType], int | float]] = {
    "sum": lambda kind: 0,
    "prod": lambda kind: 1,
    "max": _lowest,
    "min": _highest,
    "largest": _lowest,
    "any": lambda kind: False,
    "all": lambda kind: True,
}
