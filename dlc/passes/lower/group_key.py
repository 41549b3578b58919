"""Which groups share a kernel."""

from __future__ import annotations

from dlc.ir.core import Value
from dlc.ir.dialects import graph_flow, graph_shape


def group_key(group: graph_flow.Group) -> object:
    """Equal for groups that can share a kernel: the same ops on the same types."""
    numbers: dict[Value, int] = {}
    for arg in group.body.block.args:
        numbers[arg] = len(numbers)
    constant_inputs = tuple(isinstance(v.owner, graph_shape.Constant) for v in group.operands)
    ops = []
    for op in group.body.block.ops:
        for value in op.results:
            numbers[value] = len(numbers)
        attrs = tuple(sorted(((k, _hashable(v)) for k, v in op.attrs.items()), key=lambda item: item[0]))
        ops.append((op.name, tuple(numbers[v] for v in op.operands), attrs, tuple(v.type for v in op.results)))
    return (tuple(a.type for a in group.body.block.args), constant_inputs, tuple(ops))


def _hashable(value: object) -> object:
    return (type(value).__name__, value) if isinstance(value, bool | int | float) else value
