"""Where the channels of an image come from, through slices, concatenations and shuffles of channels.

A shuffle is reshape (1, a·b, …) → (1, a, b, …), a transpose of these two axes, and a reshape back. Images of one batch
only: their channels are pieces of memory.
"""

from __future__ import annotations

from dlc.ir.core import Op, Value
from dlc.ir.dialects.graph_shape import Concat, Reshape, Slice, Transpose
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.types import TensorType

Origin = tuple[Value, int]  # a channel of a value that is no such movement


class Origins:
    """Remembers what it has found."""

    def __init__(self) -> None:
        self.movements: set[Op] = set()  # the ops that have been looked through
        self.shuffled: set[Value] = set()  # values behind a shuffle
        self.channels: dict[Value, list[Origin]] = {}
        self.sources: dict[Value, list[Value]] = {}  # what the movements start from, even if no channel of it is left

    def of(self, value: Value) -> list[Origin]:
        """The origin of each channel."""
        if value not in self.channels:
            self.channels[value] = self._find(value)
        return self.channels[value]

    def is_moved(self, value: Value) -> bool:
        if not isinstance(value.owner, Slice | Concat | Reshape) or not channel_count(value):
            return False
        self.of(value)
        return value.owner in self.movements

    def _find(self, value: Value) -> list[Origin]:
        count = channel_count(value)
        op = value.defining_op
        found: list[Origin] | None = None
        if count and isinstance(op, Slice) and channel_count(op.x):
            found = self._sliced(op)
        elif count and isinstance(op, Concat) and op.axis == 1 and all(map(channel_count, op.parts)):
            found = self._joined(op)
        elif count and isinstance(op, Reshape):
            found = self._shuffled(op)
        if found is not None and op is not None:
            self.movements.add(op)
            return found
        self.sources[value] = [value]
        return [(value, channel) for channel in range(count)]

    def _sliced(self, op: Slice) -> list[Origin] | None:
        shape, start, size = tensor(op.x).shape, op.starts[1], op.sizes[1]
        if not isinstance(start, int) or not isinstance(size, int):
            return None
        steps = op.steps or (1,) * len(shape)
        others = [n for n in range(len(shape)) if n != 1]
        if any(op.sizes[n] != shape[n] or op.starts[n] != 0 or steps[n] != 1 for n in others):
            return None
        inner = self.of(op.x)
        self._follow(op.result, [op.x])
        return [inner[start + n * steps[1]] for n in range(size)]

    def _joined(self, op: Concat) -> list[Origin]:
        inner = [each for part in op.parts for each in self.of(part)]
        self._follow(op.result, op.parts)
        return inner

    def _shuffled(self, op: Reshape) -> list[Origin] | None:
        turned = op.x.defined_by(Transpose)
        apart = turned.x.defined_by(Reshape) if turned is not None else None
        if turned is None or apart is None or apart.x.type != op.result.type:
            return None
        middle = tensor(apart.result).shape
        leading = 1 if middle[0] == 1 else 0
        rows, columns = middle[leading : leading + 2]
        swapped = (*range(leading), leading + 1, leading, *range(leading + 2, len(turned.perm)))
        inner = self.of(apart.x)
        if turned.perm != swapped or not isinstance(rows, int) or not isinstance(columns, int):
            return None
        if rows * columns != len(inner):
            return None
        self.movements |= {turned, apart}
        self._follow(op.result, [apart.x])
        self.shuffled.add(op.result)
        return [inner[row * columns + column] for column in range(columns) for row in range(rows)]

    def _follow(self, value: Value, before: list[Value]) -> None:
        self.sources[value] = list(dict.fromkeys(source for each in before for source in self.sources[each]))
        if any(each in self.shuffled for each in before):
            self.shuffled.add(value)


def channel_count(value: Value) -> int:
    """How many channels an image has, if that is known and it is a single one; else 0."""
    kind = value.type
    if not isinstance(kind, TensorType) or kind.rank < 3 or kind.shape[0] != 1 or kind.layout is not None:
        return 0
    return kind.shape[1] if isinstance(kind.shape[1], int) else 0
