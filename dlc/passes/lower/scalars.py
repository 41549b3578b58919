"""Values of the kernel language while it is being elaborated, and arithmetic on them.

A value is known at compile time (a number, a string, a list, a type), or an index (`Expr` over loop variables and named
dimensions), or a scalar that the kernel computes (`Scalar`). Arithmetic stays on the earliest of these levels.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeVar

from dlc.errors import UserError
from dlc.ir.access import renamed
from dlc.ir.core import Block, Location, Op, Value
from dlc.ir.dialects import arith
from dlc.ir.expr import Expr, as_expr, maximum, minimum, sym
from dlc.ir.types import BF16, BOOL, F16, F32, INDEX, SI64, ScalarType
from dlc.record import record

OpT = TypeVar("OpT", bound=Op)


@record
class Scalar:
    """A number in a register of the kernel."""

    value: Value

    @property
    def type(self) -> ScalarType:
        kind = self.value.type
        if not isinstance(kind, ScalarType):
            raise TypeError(f"{kind} is not a scalar")
        return kind


BINARY: dict[str, type[Op]] = {"+": arith.Add, "-": arith.Sub, "*": arith.Mul, "/": arith.Div, "%": arith.Rem}
COMPARE = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


class Emitter:
    """Appends ops to the current block and remembers which loop variable stands behind which symbol."""

    def __init__(self, loc: Location) -> None:
        self.loc = loc
        self.block = Block()
        self.variables: dict[str, Value] = {}
        self._count = 0

    def add(self, op: OpT) -> OpT:
        op.loc = self.loc
        return self.block.append(op)

    def fresh_variable(self, value: Value) -> Expr:
        """A symbol for a loop's variable (or another index value) in expressions."""
        self._count += 1
        name = f"i{self._count}'"
        self.variables[name] = value
        return sym(name)

    def localized(self, exprs: tuple[Expr, ...]) -> tuple[list[Value], tuple[Expr, ...]]:
        """Expressions over variables as index operands and expressions over ``d0``, ``d1``, …"""
        operands: list[Value] = []
        places: dict[str, Expr] = {}
        for expr in exprs:
            for name in sorted(expr.symbols()):
                if name not in places and name in self.variables:
                    places[name] = sym(f"d{len(operands)}")
                    operands.append(self.variables[name])
        return operands, tuple([renamed(e, places) for e in exprs])

    # -- levels ------------------------------------------------------------------------------------------------------

    def constant(self, number: int | float, kind: ScalarType) -> Scalar:
        return Scalar(self.add(arith.Constant(value=_of_type(number, kind), type=kind)).result)

    def index_value(self, expr: Expr) -> Scalar:
        operands, (local,) = self.localized((expr,))
        return Scalar(self.add(arith.Index(*operands, expr=local)).result)

    def scalar(self, value: object, kind: ScalarType | None = None) -> Scalar:
        """`value` as a scalar; a literal takes the type `kind`."""
        if isinstance(value, Scalar):
            return value
        if isinstance(value, bool):
            return self.constant(value, kind or BOOL)
        if isinstance(value, Expr) and not value.is_const:
            number = self.index_value(value)
            return number if kind in (None, INDEX) else self.cast(number, kind)
        if isinstance(value, Expr):
            value = value.value
        if isinstance(value, int | float):
            return self.constant(value, kind or (F32 if isinstance(value, float) else INDEX))
        raise UserError(f"a number is needed, got {value!r}")

    def pair(self, left: object, right: object) -> tuple[Scalar, Scalar]:
        """Two operands of one type: a literal or an index takes the type of the other."""
        if isinstance(left, Scalar):
            a, b = left, self.scalar(right, left.type)
        elif isinstance(right, Scalar):
            a, b = self.scalar(left, right.type), right
        else:
            a, b = self.scalar(left), self.scalar(right)
        if a.type != b.type and {a.type, b.type} == {INDEX, SI64}:
            b = self.cast(b, a.type)
        if a.type != b.type:
            raise UserError(f"operands have the types {a.type} and {b.type}: cast one of them")
        return a, b

    # -- arithmetic --------------------------------------------------------------------------------------------------

    def cast(self, value: Scalar, kind: ScalarType) -> Scalar:
        """`value` in the type `kind`; a half that was widened is itself again."""
        if value.type == kind:
            return value
        inner = value.value.defined_by(arith.Cast)
        if kind in (F16, BF16) and inner is not None and inner.x.type == kind and value.type == F32:
            return Scalar(inner.x)
        return Scalar(self.add(arith.Cast(value.value, to=kind)).result)

    def unary(self, op: type[Op], value: Scalar) -> Scalar:
        return Scalar(self.add(op(value.value)).result)

    def binary(self, kind: str, left: object, right: object) -> object:
        if kind in ("==", "!=") and (left is None or right is None):  # whether there is one, whatever it is
            return (left is right) == (kind == "==")
        if isinstance(left, list) or isinstance(right, list):
            return self._lists(kind, left, right)
        if not isinstance(left, Scalar) and not isinstance(right, Scalar):
            return early(kind, left, right)
        a, b = self.pair(left, right)
        if kind in COMPARE:
            return Scalar(self.add(arith.Compare(a.value, b.value, predicate=COMPARE[kind])).result)
        if kind == "//":
            kind = "/"
        if kind in ("and", "or"):
            op: type[Op] = arith.And if kind == "and" else arith.Or
            return Scalar(self.add(op(a.value, b.value)).result)
        return Scalar(self.add(BINARY[kind](a.value, b.value)).result)

    def _lists(self, kind: str, left: object, right: object) -> object:
        if kind in ("==", "!=") and isinstance(left, list) and isinstance(right, list):
            return (left == right) == (kind == "==")
        if isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                raise UserError(f"lists of {len(left)} and {len(right)} members cannot be combined by {kind!r}")
            return [self.binary(kind, a, b) for a, b in zip(left, right, strict=True)]
        if isinstance(left, list):
            return [self.binary(kind, a, right) for a in left]
        return [self.binary(kind, left, b) for b in as_list(right)]

    def select(self, condition: Scalar, then: object, otherwise: object) -> Scalar:
        a, b = self.pair(then, otherwise)
        return Scalar(self.add(arith.Select(condition.value, a.value, b.value)).result)

    def extreme(self, kind: str, left: object, right: object) -> object:
        if isinstance(left, Scalar) or isinstance(right, Scalar):
            a, b = self.pair(left, right)
            op = arith.Min if kind == "min" else arith.Max
            return Scalar(self.add(op(a.value, b.value)).result)
        if isinstance(left, float) or isinstance(right, float):
            return (min if kind == "min" else max)(as_number(left), as_number(right))
        made = (minimum if kind == "min" else maximum)(as_index(left), as_index(right))
        return made.value if made.is_const else made


def as_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise UserError(f"a list is needed, got {value!r}")
    return value


class UnknownSize(UserError):
    """A kernel needs a number when the model is compiled, where sizes of the run decide."""

    def __init__(self, message: str, expr: Expr) -> None:
        super().__init__(message)
        self.expr = expr


def as_index(value: object) -> Expr:
    """A whole number or an index."""
    if isinstance(value, float) and value.is_integer():
        return as_expr(int(value))
    if not isinstance(value, int | str | Expr):
        raise UserError(f"an index is needed, got {value!r}")
    return as_expr(value)


def as_int(value: object) -> int:
    """A whole number known at compile time."""
    index = as_index(value)
    if not index.is_const:
        raise UnknownSize(f"{index} is not known at compile time", index)
    return index.value


def as_number(value: object) -> int | float:
    """A number known at compile time."""
    if isinstance(value, Expr) and value.is_const:
        return value.value
    if isinstance(value, Expr):
        raise UnknownSize(f"{value} is not known at compile time", value)
    if not isinstance(value, int | float):
        raise UserError(f"a number is needed that is known at compile time, got {value!r}")
    return value


def early(kind: str, left: object, right: object) -> object:
    """Arithmetic on numbers and indices."""
    if kind == "and":
        return left and right
    if kind == "or":
        return left or right
    if kind in COMPARE:
        return _compare(kind, left, right)
    if isinstance(left, Expr) or isinstance(right, Expr):
        if isinstance(left, float) or isinstance(right, float):
            raise UserError(f"an index and a fraction cannot be combined by {kind!r}: cast the index")
        made = _ARITHMETIC[kind](as_index(left), as_index(right))
        return made.value if isinstance(made, Expr) and made.is_const else made
    return _ARITHMETIC[kind](left, right)


_ARITHMETIC: dict[str, Callable[[Any, Any], object]] = {  # two numbers, or two indices
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b if isinstance(a, int | Expr) and isinstance(b, int | Expr) else a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _compare(kind: str, left: object, right: object) -> bool:
    if left is None or right is None:
        return _ORDER[kind](left, right)
    if isinstance(left, Expr) or isinstance(right, Expr):
        difference = as_index(left) - as_index(right)
        if kind in ("==", "!="):
            return (difference == 0) == (kind == "==")
        if not difference.is_const:
            raise UnknownSize(f"{left} {kind} {right} is not known at compile time", difference)
        left, right = difference.value, 0
    return _ORDER[kind](left, right)


def _of_type(number: int | float, kind: ScalarType) -> bool | int | float:
    if kind == BOOL:
        return bool(number)
    if kind.is_float:
        return float(number)
    if isinstance(number, float) and number != int(number):
        raise UserError(f"{number} is not an integer, as {kind} needs")
    return int(number)
