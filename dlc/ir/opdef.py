"""Declaring ops: a class with descriptors from which building, checking, printing and parsing follow.

    @op_def("graph.conv2d", traits={PURE})
    class Conv2d(Op):
        x = operand(FLOAT_TENSOR, rank(4))
        w = operand(FLOAT_TENSOR, rank(4))
        strides = attr((1, 1))

        def infer(self) -> tuple[Type, ...]: ...

``Conv2d(x, w, strides=(2, 2))`` builds one (operands first, attributes by keyword, regions by ``regions=``), infers the
types of its results and leaves it without a parent; a `Builder` or `Rewriter` inserts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any, Generic, TypeVar, cast, overload

from dlc.errors import InternalError
from dlc.ir.core import UNKNOWN, Attribute, Location, Op, Region, Value
from dlc.ir.types import BufferType, ScalarType, TensorType, Type, VectorType, scalar_type
from dlc.record import record

# -- traits: data, no behaviour ----------------------------------------------------------------------------------------

PURE = "pure"  # no effect but its results: may be removed when unused, and shared when equal
COMMUTATIVE = "commutative"  # the first two operands may change places
ELEMENTWISE = "elementwise"  # each element of the result depends on the (broadcast) elements at its place alone
TERMINATOR = "terminator"  # ends a block
CONSTANT = "constant"  # has no operands and one known value
COMPARES = "compares"  # its result says how elements compare, with one another or with 0
FINDS_SIZE = "finds-size"  # its attribute `size` or `sizes` names dimensions that are found out when the op runs


@record
class Constraint:
    """A condition on the type of an operand. `text` completes the sentence "must be …"."""

    text: str
    holds: Callable[[Type], bool]


def is_a(kind: type[Type], text: str) -> Constraint:
    return Constraint(text, lambda t: isinstance(t, kind))


ANY = Constraint("of any type", lambda t: True)
TENSOR = is_a(TensorType, "a tensor")
FLOAT_TENSOR = Constraint("a tensor of floats", lambda t: isinstance(t, TensorType) and t.scalar.is_float)
INTEGER_TENSOR = Constraint("a tensor of integers", lambda t: isinstance(t, TensorType) and t.scalar.is_integer)
SI64_TENSOR = Constraint("a tensor of si64", lambda t: isinstance(t, TensorType) and t.scalar.name == "si64")
BOOL_TENSOR = Constraint("a tensor of bools", lambda t: isinstance(t, TensorType) and t.scalar.name == "bool")
NUMBER_TENSOR = Constraint(
    "a tensor of numbers", lambda t: isinstance(t, TensorType) and (t.scalar.is_float or t.scalar.is_integer)
)
BUFFER = is_a(BufferType, "a buffer")
SCALAR_OR_VECTOR = Constraint("a scalar or a vector", lambda t: isinstance(t, ScalarType | VectorType))
VECTOR = is_a(VectorType, "a vector")
INDEX_VALUE = Constraint("of type index", lambda t: isinstance(t, ScalarType) and t.name == "index")
BOOL_VALUE = Constraint(
    "a bool or a vector of bools", lambda t: isinstance(t, ScalarType | VectorType) and scalar_type(t).name == "bool"
)


def rank(wanted: int) -> Constraint:
    return Constraint(f"of rank {wanted}", lambda t: isinstance(t, TensorType | BufferType) and t.rank == wanted)


# -- descriptors -------------------------------------------------------------------------------------------------------


@record(frozen=False)
class OperandDef:
    """One operand, an optional trailing operand (``%?``) or a variadic group of operands."""

    constraints: tuple[Constraint, ...]
    kind: str = "one"  # "one" | "optional" | "many"
    name: str = ""
    index: int = 0
    after: int = 0  # operands declared after a variadic group


class _One(OperandDef):
    def __get__(self, op: Op | None, owner: type[Op]) -> Value:
        if op is None:
            return cast(Value, self)  # the class attribute is the declaration itself
        return op.operands[self.index] if self.index >= 0 else op.operands[len(op.operands) + self.index]


class _Optional(OperandDef):
    def __get__(self, op: Op | None, owner: type[Op]) -> Value | None:
        if op is None:
            return cast(Value, self)
        return op.operands[self.index] if self.index < len(op.operands) else None


class _Many(OperandDef):
    def __get__(self, op: Op | None, owner: type[Op]) -> list[Value]:
        if op is None:
            return cast(list[Value], self)
        return op.operands[self.index : len(op.operands) - self.after]


def operand(*constraints: Constraint) -> _One:
    return _One(constraints)


def optional_operand(*constraints: Constraint) -> _Optional:
    """May be absent; only after all others, and absent only together with those after it."""
    return _Optional(constraints, "optional")


def operands(*constraints: Constraint) -> _Many:
    """Any number of operands; at most one such group in an op."""
    return _Many(constraints, "many")


A = TypeVar("A")
T = TypeVar("T", bound=Op)


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


class AttrDef(Generic[A]):
    """An attribute with a default, or without one (`REQUIRED`)."""

    __slots__ = ("default", "kind", "name")

    def __init__(self, default: A | _Required, kind: type[A] | None) -> None:
        self.default = default
        self.kind = kind
        self.name = ""

    @overload
    def __get__(self, op: None, owner: type[Op]) -> AttrDef[A]: ...
    @overload
    def __get__(self, op: Op, owner: type[Op]) -> A: ...
    def __get__(self, op: Op | None, owner: type[Op]) -> A | AttrDef[A]:
        if op is None:
            return self
        return cast(A, op.attrs.get(self.name, self.default))  # the verifier checks the kind

    def __set__(self, op: Op, value: A) -> None:
        op.attrs[self.name] = value


@overload
def attr(default: A) -> AttrDef[A]: ...
@overload
def attr(*, kind: type[A]) -> AttrDef[A]: ...
def attr(default: Any = REQUIRED, *, kind: Any = None) -> AttrDef[Any]:
    """An attribute; without a default it must be given, and `kind` says what Python type it has."""
    return AttrDef(default, kind if kind is not None or default is REQUIRED or default is None else type(default))


class _Result:
    __slots__ = ("index", "name")

    def __init__(self) -> None:
        self.index = 0
        self.name = ""

    def __get__(self, op: Op | None, owner: type[Op]) -> Value:
        return cast(Value, self) if op is None else op.results[self.index]


def result() -> Any:
    """A named result; ops with one result may leave it out and use ``op.result``."""
    return _Result()


class _RegionDef:
    __slots__ = ("index", "name")

    def __init__(self) -> None:
        self.index = 0
        self.name = ""

    def __get__(self, op: Op | None, owner: type[Op]) -> Region:
        return cast(Region, self) if op is None else op.regions[self.index]


def region() -> Any:
    return _RegionDef()


# -- the declaration ---------------------------------------------------------------------------------------------------


@record
class OpSpec:
    """What `op_def` read from a class."""

    name: str
    traits: frozenset[str]
    operands: tuple[OperandDef, ...]
    attrs: dict[str, AttrDef[Any]]
    results: tuple[str, ...]
    regions: tuple[str, ...]
    summary: str = field(compare=False, default="")

    def has(self, trait: str) -> bool:
        return trait in self.traits

    def operand_defs(self, count: int) -> list[OperandDef]:
        """The declaration of each of `count` operands. Raises ValueError if so many do not fit."""
        many = [d for d in self.operands if d.kind == "many"]
        least = sum(d.kind == "one" for d in self.operands)
        if count < least or (not many and count > len(self.operands)):
            raise ValueError(f"expected {least}{' or more' if many else ''} operands, got {count}")
        defs: list[OperandDef] = []
        for definition in self.operands:
            extra = count - (len(self.operands) - 1) if definition.kind == "many" else 1
            defs += [definition] * extra
        return defs[:count]


def op_def(name: str, traits: Iterable[str] = ()) -> Callable[[type[T]], type[T]]:
    """Read the descriptors of an op class into its `OpSpec` and give it a constructor."""

    def declare(cls: type[T]) -> type[T]:
        body: dict[str, object] = {}
        for base in reversed(cls.__mro__):
            if issubclass(base, Op) and base is not Op:
                body |= vars(base)
        operand_list = [v for v in body.values() if isinstance(v, OperandDef)]
        results = [v for v in body.values() if isinstance(v, _Result)]
        regions = [v for v in body.values() if isinstance(v, _RegionDef)]
        attrs = {n: v for n, v in body.items() if isinstance(v, AttrDef)}
        many = next((n for n, d in enumerate(operand_list) if d.kind == "many"), None)
        for n, (key, definition) in enumerate((k, v) for k, v in body.items() if isinstance(v, OperandDef)):
            definition.name = key
            definition.index = n if many is None or n <= many else n - len(operand_list)
            definition.after = len(operand_list) - 1 - n
        named: tuple[Sequence[_Result | _RegionDef], ...] = (results, regions)
        for group in named:
            for n, item in enumerate(group):
                item.index = n
                item.name = next(k for k, v in body.items() if v is item)
        for key, attribute in attrs.items():
            attribute.name = key
        cls.spec = OpSpec(
            name, frozenset(traits), tuple(operand_list), attrs, tuple(r.name for r in results),
            tuple(r.name for r in regions), (cls.__doc__ or "").split("\n")[0],
        )  # fmt: skip
        cls.__init__ = _construct  # type: ignore[method-assign]  # what Op declares under TYPE_CHECKING
        return cls

    return declare


def _same(value: Attribute, default: object) -> bool:
    """Whether a value is the default, kind and sign included (1 is not True, 0.0 is not -0.0)."""
    return type(value) is type(default) and value == default and repr(value) == repr(default)


def _construct(
    self: Op,
    *operand_values: Value | None,
    regions: Iterable[Region] = (),
    loc: Location = UNKNOWN,
    **attrs: Attribute,
) -> None:
    """Operands in declared order (a trailing None is an absent operand), attributes by name."""
    values = list(operand_values)
    while values and values[-1] is None:
        values.pop()
    known = self.spec.attrs
    if not attrs.keys() <= known.keys() or None in values:
        unknown = sorted(attrs.keys() - known.keys())
        found = f"unknown attributes {unknown} or an absent operand in the middle"
        raise InternalError(f"{self.spec.name}: {found}")
    self.operands = cast(list[Value], values)  # the check above excludes None
    self.attrs = {
        key: attrs[key]
        for key, definition in known.items()
        if key in attrs and not _same(attrs[key], definition.default)
    }
    self.regions = []
    self.parent = None
    self.loc = loc
    self.results = []
    for number, value in enumerate(self.operands):
        value.uses[self, number] = None
    for item in regions:
        self.add_region(item)
    self.results = [Value(t, self, n) for n, t in enumerate(self.infer())]
