"""Branches, and sequences whose members are known while the model is imported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlc.errors import UserError
from dlc.frontends.build import assume_equal, assume_parts, reshaped, shape_of, sliced
from dlc.frontends.contents import is_symbolic
from dlc.frontends.context import Handler, Item, NodeContext, Unsupported
from dlc.frontends.ops_shape import known
from dlc.frontends.records import GraphRecord
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Block, Builder, Region, Value
from dlc.ir.dialects.graph_flow import Fail, If, Yield
from dlc.ir.dialects.graph_math import Cast, Equal
from dlc.ir.dialects.graph_shape import Concat, Constant, Dims, Reshape
from dlc.ir.dialects.shape_rules import dim_sum, tensor
from dlc.ir.expr import Dim
from dlc.ir.pool import ConstantPool
from dlc.ir.types import BOOL, ListType, TensorType, Type

MOST_PARTS = 20_000  # of a sequence: each is a value of the graph


def if_(cx: NodeContext) -> list[Item]:
    """One branch in place of the operator where the condition is known, else both."""
    branches = [cx.attribute(name) for name in ("then_branch", "else_branch")]
    graphs = [branch for branch in branches if isinstance(branch, GraphRecord)]
    if len(graphs) != 2:
        raise Unsupported("a branch is missing")
    condition = cx.contents(0)
    if condition is not None and not is_symbolic(condition):
        return cx.scope.importer.inline_graph(cx, graphs[0 if condition.reshape(-1)[0] else 1])
    if cx.type().elements != 1 or cx.type().scalar != BOOL:
        raise Unsupported(f"its condition must be one bool, got {cx.type()}")
    return branched(cx, reshaped(cx, cx.x(), ()), graphs)


def branched(cx: NodeContext, condition: Value, graphs: Sequence[GraphRecord]) -> list[Item]:
    """Both branches as regions, of which a run takes one; one that cannot be compiled is an error where it is taken."""
    importer = cx.scope.importer
    tried: list[Block | str] = []
    problems, all_problems = importer.problems, []
    for graph in graphs:
        importer.problems = []
        try:
            tried.append(region_of(cx, graph))
        except Unsupported as reason:
            tried.append(str(importer.problems[0] if importer.problems else reason))
        except UserError as error:
            tried.append(error.message)
        all_problems += importer.problems
    importer.problems = problems
    good = [block for block in tried if isinstance(block, Block)]
    if not good:
        problems += all_problems
        raise Unsupported("; ".join(map(str, tried)))
    types = tuple(tensor(value) for value in good[0].terminator.operands)
    made = [block if isinstance(block, Block) else failing(cx, block, types) for block in tried]
    ranks = [[tensor(value).rank for value in block.terminator.operands] for block in made]
    if ranks[0] != ranks[1] and (sizes := size_condition(condition, importer.pool)) is not None:
        for block in made:
            discard(block)
        text = "sizes decide the rank of its result, so the model is compiled for those with which its condition holds"
        assume_equal(cx, *sizes, text)
        return importer.inline_graph(cx, graphs[0])
    return joined(cx, condition, made)


def failing(cx: NodeContext, reason: str, types: tuple[TensorType, ...]) -> Block:
    """A branch that says why it cannot run."""
    block = Block()
    text = f"this branch cannot run with inputs of these sizes and types: {reason}"
    fail = block.append(Fail(types=types, text=text, what=cx.node.op_type, loc=cx.builder.loc))
    block.append(Yield(*fail.results))
    return block


def joined(cx: NodeContext, condition: Value, made: Sequence[Block]) -> list[Item]:
    """The op for two branches."""
    ends = [block.terminator.operands for block in made]
    for name, one, other in zip(cx.node.outputs, *ends, strict=True):
        a, b = tensor(one), tensor(other)
        if a.rank != b.rank:
            raise Unsupported(
                f"'{name}' has {a.rank} axes in its first branch and {b.rank} in the other: its condition, which is"
                " known only at run time, would decide a rank"
            )
        if a.element != b.element:
            raise Unsupported(f"'{name}' is {a.element} in its first branch and {b.element} in the other")
    kinds = [[tensor(value) for value in end] for end in ends]
    count = sum(a != b for one, other in zip(*kinds, strict=True) for a, b in zip(one.shape, other.shape, strict=True))
    stem = next(filter(None, cx.node.outputs), cx.node.op_type)
    names = tuple(cx.scope.unique(f"{stem}_size") for _ in range(count))
    op = cx.put_op(If(condition, sizes=names, regions=[Region([block]) for block in made]))
    return [Item(v.type, value=v, hint=name) for v, name in zip(op.results, cx.node.outputs, strict=True)]


def size_condition(condition: Value, pool: ConstantPool) -> tuple[Dim, Dim] | None:
    """The two sizes that a condition compares for equality, if that is what it does."""
    equal = _origin(condition).defined_by(Equal)
    sides = [] if equal is None else [_one_size(value, pool) for value in equal.operands]
    return (sides[0], sides[1]) if len(sides) == 2 and sides[0] is not None and sides[1] is not None else None


def _origin(value: Value) -> Value:
    """What a value is the same number as."""
    while (op := value.defining_op) is not None and isinstance(op, Reshape | Cast):
        value = op.operands[0]
    return value


def _one_size(value: Value, pool: ConstantPool) -> Dim | None:
    value = _origin(value)
    if (dims := value.defined_by(Dims)) is not None:
        return dims.values[0] if len(dims.values) == 1 else None
    known = value.defined_by(Constant)
    if known is None or known.type.elements != 1 or not known.type.scalar.is_integer:
        return None
    return int(pool.get(known.value).reshape(-1)[0])


def region_of(cx: NodeContext, graph: GraphRecord, inputs: Sequence[Item] = ()) -> Block:
    """A graph that stands in an attribute, as a block; what it yields are tensors."""
    block = Block()
    inner = NodeContext(cx.node, cx.version, cx.inputs, Builder(block, loc=cx.builder.loc), cx.store, cx.scope)
    try:
        items = cx.scope.importer.inline_graph(inner, graph, inputs)
        if cx.scope.importer.problems:
            raise Unsupported("it could not be imported")
        inner.builder.loc = cx.builder.loc
        block.append(Yield(*(inner.value_of(item) for item in items)))
    except (Unsupported, UserError):
        discard(block)
        raise
    return block


def discard(block: Block) -> None:
    """Take back a block that nothing holds, so that it uses no value any more."""
    for op in reversed(block.ops):
        op.drop_all()


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
