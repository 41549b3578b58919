"""Memory: loads and stores at integer expressions of index operands.

The attribute `at` holds one expression per axis of the buffer over ``d0``, ``d1``, … (the index operands, in order) and
named dimensions. Keeping the whole index in one attribute is what makes substituting a loop's variable, or asking how
an access moves with a loop, a matter of algebra.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op, Value
from dlc.ir.opdef import BUFFER, INDEX_VALUE, SCALAR_OR_VECTOR, attr, op_def, operand, operands
from dlc.ir.types import SI64, BufferType, Type


def buffer_type(value: Value) -> BufferType:
    if not isinstance(value.type, BufferType):
        raise TypeError(f"{value.type} is not a buffer")
    return value.type


def check_index(op: Op, buffer: Value, at: tuple[object, ...]) -> Iterator[str]:
    if isinstance(buffer.type, BufferType) and len(at) != buffer.type.rank:
        yield f"c1: {len(at)} indices for a buffer of rank {buffer.type.rank}"


@op_def("buf.load")
class Load(Op):
    """One element of a buffer."""

    buffer = operand(BUFFER)
    indices = operands(INDEX_VALUE)
    at = attr(kind=tuple)

    def infer(self) -> tuple[Type, ...]:
        return (buffer_type(self.buffer).element,)

    def check(self) -> Iterator[str]:
        return check_index(self, self.buffer, self.at)


@op_def("buf.store")
class Store(Op):
    """Put one element into a buffer."""

    value = operand(SCALAR_OR_VECTOR)
    buffer = operand(BUFFER)
    indices = operands(INDEX_VALUE)
    at = attr(kind=tuple)

    def check(self) -> Iterator[str]:
        yield from check_index(self, self.buffer, self.at)
        if isinstance(self.buffer.type, BufferType) and self.value.type != self.buffer.type.element:
            yield f"c2: a {self.value.type} cannot go into a {self.buffer.type}"


@op_def("buf.scratch")
class Scratch(Op):
    """A small buffer of the kernel's own; undefined at first, gone when the enclosing block ends.

    A `shared` one is the same for all threads of a team (`dlc/ir/teams.py`).
    """

    type = attr(kind=BufferType)
    shared = attr(False)

    def infer(self) -> tuple[Type, ...]:
        return (self.type,)

    def check(self) -> Iterator[str]:
        if not all(isinstance(dim, int) for dim in self.type.shape):
            yield "c1: scratch must have a static shape"


@op_def("buf.publish")
class Publish(Op):
    """Make the named dimension `symbol` known: it is `value` from here on, for this kernel and those after it.

    Stands at the top of a kernel. Buffers whose type mentions the symbol may not be touched before.
    """

    value = operand(SCALAR_OR_VECTOR)
    symbol = attr(kind=str)

    def check(self) -> Iterator[str]:
        if self.value.type != SI64:
            yield f"c1: a size is a si64, got a {self.value.type}"


OPS = (Load, Store, Scratch, Publish)
