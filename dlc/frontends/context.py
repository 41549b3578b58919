"""What an operator's handler sees: the node, its inputs, and how to add ops to the graph level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from dlc.errors import InternalError
from dlc.frontends.contents import is_integral, is_symbolic
from dlc.frontends.records import AttributeValue, NodeRecord, Reference
from dlc.ir.core import Builder, Location, Op, Value
from dlc.ir.dialects.graph_math import Cast
from dlc.ir.dialects.graph_shape import Constant, Dims, Reshape
from dlc.ir.expr import Dim, Expr, as_dim
from dlc.ir.pool import ConstantPool
from dlc.ir.types import SI64, Array, TensorType, Type, scalar_of

if TYPE_CHECKING:
    from dlc.frontends.importer import Scope

T = TypeVar("T", bound=Op)


class Unsupported(Exception):
    """An operator, attribute or type that dlc cannot import; the text is the reason."""


class Item:
    """A value of the model: its type, its contents if they are known, and the IR value once something needs it.

    `members` are the items of a sequence, known at import; `builder` is where a constant is put when it is needed.
    """

    __slots__ = ("builder", "contents", "hint", "members", "type", "value")

    def __init__(
        self,
        item_type: Type,
        *,
        contents: Array | None = None,
        value: Value | None = None,
        builder: Builder | None = None,
        members: tuple[Item, ...] | None = None,
        hint: str = "",
    ) -> None:
        self.type = item_type
        self.contents = contents
        self.value = value
        self.builder = builder
        self.members = members
        self.hint = hint

    @classmethod
    def known(cls, contents: Array, builder: Builder | None = None, hint: str = "") -> Item:
        """An item of known numbers."""
        kind = TensorType(contents.shape, scalar_of(contents.dtype))
        return cls(kind, contents=contents, builder=builder, hint=hint)

    @property
    def tensor(self) -> TensorType:
        if not isinstance(self.type, TensorType):
            raise Unsupported(f"expected a tensor, got {self.type}")
        return self.type


Output: TypeAlias = "Value | Item | None"
Handler: TypeAlias = "Callable[[NodeContext], Output | Sequence[Output]]"


class ConstantStore:
    """Makes constants, and keys of big weights that were computed ahead (see `importer`)."""

    def __init__(self, pool: ConstantPool) -> None:
        self.pool = pool
        self.keys: dict[int, Callable[[], str]] = {}  # by the address of the array: its key

    def constant(self, array: Array) -> Constant:
        key = self.keys.get(id(array))
        ref = self.pool.add(array) if key is None else self.pool.add_lazy(key(), lambda: array)
        return Constant(value=ref, type=TensorType(array.shape, scalar_of(array.dtype)))


class NodeContext:
    """One node while it is imported. Ops that handlers `put` carry the node's location."""

    def __init__(
        self, node: NodeRecord, version: int, inputs: Sequence[Item | None], builder: Builder, store: ConstantStore,
        scope: Scope,
    ) -> None:  # fmt: skip
        self.node = node
        self.version = version  # of the operator set that the node belongs to
        self.inputs = inputs
        self.builder = builder
        self.store = store
        self.scope = scope

    # -- ops ---------------------------------------------------------------------------------------------------------

    def put(self, op: Op) -> Value:
        """Add an op with one result."""
        return self.put_op(op).result

    def put_op(self, op: T) -> T:
        return self.builder.insert(op)

    def constant(self, array: Array) -> Value:
        return self.put(self.store.constant(array))

    def number(self, value: float | int | bool, like: Value) -> Value:
        """A scalar of the element type of `like`."""
        if not isinstance(like.type, TensorType):
            raise InternalError(f"expected a tensor, got {like.type}")
        return self.constant(np.array(value, like.type.scalar.dtype))

    # -- inputs ------------------------------------------------------------------------------------------------------

    def has(self, position: int) -> bool:
        return position < len(self.inputs) and self.inputs[position] is not None

    def item(self, position: int) -> Item:
        item = self.inputs[position] if position < len(self.inputs) else None
        if item is None:
            raise Unsupported(f"input {position} is missing")
        return item

    def x(self, position: int = 0) -> Value:
        """The IR value of an input."""
        return self.value_of(self.item(position))

    def maybe(self, position: int) -> Value | None:
        return self.x(position) if self.has(position) else None

    def values(self) -> list[Value]:
        """All inputs that are there."""
        return [self.value_of(item) for item in self.inputs if item is not None]

    def type(self, position: int = 0) -> TensorType:
        return self.item(position).tensor

    def shape(self, position: int = 0) -> tuple[Dim, ...]:
        return self.type(position).shape

    def contents(self, position: int) -> Array | None:
        """The known contents of an input; None if it is absent or not known."""
        return self.item(position).contents if self.has(position) else None

    def value_of(self, item: Item) -> Value:
        if item.value is None:
            if item.contents is None:
                raise Unsupported(f"'{item.hint}' is a sequence where a tensor is expected")
            item.value = self._materialised(item, item.contents)
            item.value.hint = item.hint or None
        return item.value

    def _materialised(self, item: Item, contents: Array) -> Value:
        builder = item.builder or self.builder
        loc = builder.loc
        builder.loc = Location((item.hint,)) if item.hint else loc
        if is_symbolic(contents):
            value = self._symbolic(builder, item.tensor, contents)
        else:
            value = builder.insert(self.store.constant(contents)).result
        builder.loc = loc
        return value

    def _symbolic(self, builder: Builder, wanted: TensorType, contents: Array) -> Value:
        if not is_integral(contents):
            raise InternalError(f"{self.node.label}: contents that no op can state")
        value = builder.insert(Dims(values=tuple(contents.reshape(-1).tolist()), scalar=not contents.shape)).result
        if contents.ndim > 1:
            value = builder.insert(Reshape(value, shape=contents.shape)).result
        return value if wanted.scalar == SI64 else builder.insert(Cast(value, to=wanted.scalar)).result

    # -- inputs that must be known -------------------------------------------------------------------------------------

    def known(self, position: int, what: str) -> Array:
        """The contents of an input that dlc needs at compile time."""
        item = self.item(position)
        contents = item.contents
        if contents is None and isinstance(item.type, TensorType) and item.type.shape == (0,):
            return np.zeros(0, item.type.scalar.dtype)
        if contents is None:
            raise Unsupported(f"its {what} is computed from data; dlc needs it at compile time")
        return contents

    def dims(self, position: int, what: str) -> tuple[Dim, ...]:
        """An input that holds sizes, numbers or expressions of the model's dimensions."""
        return tuple(_as_dim(value, what) for value in self.known(position, what).reshape(-1))

    def numbers(self, position: int, what: str) -> tuple[int, ...]:
        """An input that holds plain integers."""
        return tuple(_as_int(value, what) for value in self.dims(position, what))

    # -- attributes ----------------------------------------------------------------------------------------------------

    def attribute(self, name: str) -> AttributeValue:
        value = self.node.attributes.get(name)
        return None if isinstance(value, Reference) else value

    def integer(self, name: str, default: int | None = None) -> int:
        return _typed(self, name, int, default)

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.integer(name, int(default)))

    def decimal(self, name: str, default: float | None = None) -> float:
        return _typed(self, name, float, default)

    def text(self, name: str, default: str | None = None) -> str:
        return _typed(self, name, str, default)

    def integers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A list of integers; an empty one is the empty tuple."""
        value = _typed(self, name, tuple, default)
        if not all(isinstance(each, int) for each in value):
            raise Unsupported(f"its attribute {name} must be a list of integers")
        return value


A = TypeVar("A")


def _typed(cx: NodeContext, name: str, kind: type[A], default: A | None) -> A:
    value = cx.attribute(name)
    if value is None:
        if default is None:
            raise Unsupported(f"its attribute {name} is missing")
        return default
    if not isinstance(value, kind):
        raise Unsupported(f"its attribute {name} must be of type {kind.__name__}, got {type(value).__name__}")
    return value


def _as_dim(value: object, what: str) -> Dim:
    if isinstance(value, Expr):
        return as_dim(value)
    if isinstance(value, int | np.integer | bool | np.bool_):
        return int(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    raise Unsupported(f"its {what} must be made of integers, got {value}")


def _as_int(value: Dim, what: str) -> int:
    if not isinstance(value, int):
        raise Unsupported(f"its {what} depends on the dimension {value}; dlc needs a number at compile time")
    return value
