"""Control flow that is decided while the model is imported, and sequences whose members are known then."""

from __future__ import annotations

import numpy as np

from dlc.frontends.build import assume_parts, reshaped, shape_of, sliced
from dlc.frontends.contents import is_symbolic
from dlc.frontends.context import Handler, Item, NodeContext, Unsupported
from dlc.frontends.ops_shape import known
from dlc.frontends.records import GraphRecord
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Value
from dlc.ir.dialects.graph_shape import Concat
from dlc.ir.dialects.shape_rules import dim_sum, tensor
from dlc.ir.expr import Dim
from dlc.ir.types import ListType, Type

MOST_PARTS = 20_000  # of a sequence: each is a value of the graph


def if_(cx: NodeContext) -> list[Item]:
    """One branch in place of the operator, where the condition is known."""
    condition = cx.contents(0)
    if condition is None or is_symbolic(condition):
        raise Unsupported("its condition is computed from data")
    branch = cx.attribute("then_branch" if condition.reshape(-1)[0] else "else_branch")
    if not isinstance(branch, GraphRecord):
        raise Unsupported("a branch is missing")
    return cx.scope.importer.inline_graph(cx, branch)


# -- sequences ---------------------------------------------------------------------------------------------------------


def sequence(cx: NodeContext, members: list[Item]) -> Item:
    kind = ListType(members[0].type if members else Type())
    return Item(kind, members=tuple(members), hint=cx.node.outputs[0])


def members_of(cx: NodeContext, position: int = 0) -> list[Item]:
    members = cx.item(position).members
    if members is None:
        raise Unsupported("the members of its sequence are not known at compile time")
    return list(members)


def construct(cx: NodeContext) -> Item:
    return sequence(cx, [item for item in cx.inputs if item is not None])


def empty(cx: NodeContext) -> Item:
    return sequence(cx, [])


def length(cx: NodeContext) -> Item:
    return known(cx, np.array(len(members_of(cx)), np.int64))


def at(cx: NodeContext) -> Item:
    members = members_of(cx)
    (position,) = cx.numbers(1, "position")
    return members[canonical_axis(position, len(members), "position")]


def insert(cx: NodeContext) -> Item:
    members = members_of(cx)
    position = cx.numbers(2, "position")[0] if cx.has(2) else len(members)
    members.insert(position, cx.item(1))
    return sequence(cx, members)


def erase(cx: NodeContext) -> Item:
    members = members_of(cx)
    del members[cx.numbers(1, "position")[0] if cx.has(1) else -1]
    return sequence(cx, members)


def concat(cx: NodeContext) -> Value:
    values = [cx.value_of(item) for item in members_of(cx)]
    new = cx.flag("new_axis")
    axis = canonical_axis(cx.integer("axis"), tensor(values[0]).rank + new)
    if new:
        values = [reshaped(cx, v, (*shape_of(v)[:axis], 1, *shape_of(v)[axis:])) for v in values]
    return cx.put(Concat(*values, axis=axis))


def split(cx: NodeContext) -> Item:
    x = cx.x()
    axis = canonical_axis(cx.integer("axis", 0), tensor(x).rank)
    dim = tensor(x).shape[axis]
    given = cx.contents(1) if cx.has(1) else np.array(1)
    if cx.has(1) and (given is None or given.ndim == 1):
        sizes = cx.dims(1, "split")
        assume_parts(cx, dim, sizes)
    else:
        sizes = _sizes_by(dim, cx.numbers(1, "split")[0] if cx.has(1) else 1)
    parts: list[Item] = []
    start: Dim = 0
    for number, size in enumerate(sizes):
        part = sliced(cx, x, axis, start, size)
        if not cx.has(1) and not cx.flag("keepdims", True):
            part = reshaped(cx, part, (*shape_of(x)[:axis], *shape_of(x)[axis + 1 :]))
        parts.append(Item(part.type, value=part, hint=f"{cx.node.outputs[0]}_{number}"))
        start = dim_sum((start, size))
    return sequence(cx, parts)


def _sizes_by(dim: Dim, step: int) -> tuple[Dim, ...]:
    if not isinstance(dim, int):
        raise Unsupported(f"it splits an axis whose size {dim} is known only at run time")
    if step < 1 or dim > step * MOST_PARTS:
        raise Unsupported(f"it splits {dim} elements by {step}, expected 1 to {MOST_PARTS} parts")
    return tuple(min(step, dim - start) for start in range(0, dim, step))


def sequence_map(cx: NodeContext) -> list[Item]:
    """The body once for each member; inputs that are no sequences are the same for all."""
    members = members_of(cx)
    body = cx.attribute("body")
    if not isinstance(body, GraphRecord):
        raise Unsupported("its body is missing")
    others = [item for item in cx.inputs[1:] if item is not None]
    if any(len(item.members) != len(members) for item in others if item.members is not None):
        raise Unsupported("its sequences have different numbers of members")
    if len(members) * max(1, len(body.nodes)) > MOST_PARTS:
        raise Unsupported(f"its {len(members)} steps of {len(body.nodes)} nodes are too many to unroll")
    steps = [
        cx.scope.importer.inline_graph(
            cx, body, [member, *(item if item.members is None else item.members[number] for item in others)]
        )
        for number, member in enumerate(members)
    ]
    rows = zip(*steps, strict=True) if steps else [()] * len(cx.node.outputs)
    return [
        Item(ListType(row[0].type if row else Type()), members=tuple(row), hint=name)
        for name, row in zip(cx.node.outputs, rows, strict=True)
    ]


# -- optionals: at import a value is there or it is not ----------------------------------------------------------------


def optional(cx: NodeContext) -> Item:
    if not cx.has(0):
        raise Unsupported("an optional without a value is not supported")
    return cx.item(0)


def has_element(cx: NodeContext) -> Item:
    return known(cx, np.array(cx.has(0), np.bool_))


HANDLERS: dict[str, Handler] = {
    "If": if_, "SequenceConstruct": construct, "SequenceEmpty": empty, "SequenceLength": length, "SequenceAt": at,
    "SequenceInsert": insert, "SequenceErase": erase, "ConcatFromSequence": concat, "SplitToSequence": split,
    "SequenceMap": sequence_map,
    "Optional": optional, "OptionalGetElement": optional, "OptionalHasElement": has_element,
}  # fmt: skip
