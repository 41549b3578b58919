"""Loop and Scan: few steps of a known number as so many copies of the body, all else as one region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dlc.errors import UserError
from dlc.frontends import from_data
from dlc.frontends.build import assume_equal, reshaped, shape_of, sliced, transposed
from dlc.frontends.contents import is_symbolic
from dlc.frontends.context import Handler, Item, NodeContext, Unsupported
from dlc.frontends.ops_flow import discard
from dlc.frontends.records import GraphRecord, TensorRecord, TypeRecord, ValueRecord
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Block, Builder, Region, Value
from dlc.ir.dialects.graph_flow import Loop, Yield
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_math import Sub
from dlc.ir.dialects.graph_shape import Concat, Iota
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, as_expr, sym
from dlc.ir.types import BOOL, SI64, TensorType

MOST_NODES = 20_000  # copies of nodes; beyond this the graph would be too large to be of use
FEW_NODES = 256  # copies that take no longer to compile than a loop, and run faster: their ops share kernels
MOST_ROWS = 1 << 24  # that room is made for where a condition may end the loop before
MOST_ROUNDS = 8  # until the sizes of carried values no longer change from one import of the body to the next


def body_of(cx: NodeContext, steps: int) -> GraphRecord:
    body = cx.attribute("body")
    if not isinstance(body, GraphRecord):
        raise Unsupported("its body is missing")
    if steps * max(1, len(body.nodes)) > MOST_NODES:
        raise Unsupported(f"its {steps} steps of {len(body.nodes)} nodes are too many to unroll")
    return body


def loop(cx: NodeContext) -> list[Item | Value]:
    body = cx.attribute("body")
    if not isinstance(body, GraphRecord):
        raise Unsupported("its body is missing")
    count = cx.contents(0) if cx.has(0) else None
    steps = None if count is None or is_symbolic(count) else int(count.reshape(-1)[0])
    if steps is not None and steps < 0:
        raise Unsupported(f"its trip count is {steps}, expected 0 or more")
    if steps is not None and steps * max(1, len(body.nodes)) <= FEW_NODES:
        try:
            return unrolled(cx, steps)
        except Undecidable:
            pass
    try:
        return rolled(cx, body, [item for item in cx.inputs[2:] if item is not None])
    except NotTensors as reason:
        if steps is None or steps * max(1, len(body.nodes)) > MOST_NODES:
            raise Unsupported(str(reason)) from reason
        return unrolled(cx, steps)


class Undecidable(Unsupported):
    """A loop whose end only the run knows."""


class NotTensors(Unsupported):
    """A loop that carries what a region cannot."""


def unrolled(cx: NodeContext, steps: int) -> list[Item | Value]:
    """A copy of the body per step."""
    tried = Builder(Block(), loc=cx.builder.loc)
    inner = NodeContext(cx.node, cx.version, cx.inputs, tried, cx.store, cx.scope)
    problems = len(cx.scope.importer.problems)
    try:
        found = _copies(inner, steps)
    except Undecidable:
        discard(tried.block)
        del cx.scope.importer.problems[problems:]
        raise
    for op in tried.block.ops:
        cx.builder.insert(op)
    tried.block = cx.builder.block  # where constants among the results belong now
    return found


def _copies(cx: NodeContext, steps: int) -> list[Item | Value]:
    going = _condition(cx.item(1) if cx.has(1) else None)
    body = body_of(cx, steps)
    carried = [item for item in cx.inputs[2:] if item is not None]
    collected: list[list[Item]] = [[] for _ in range(len(body.outputs) - 1 - len(carried))]
    for step in range(steps):
        if not going:
            break
        count = Item.known(np.array(step, np.int64))
        outputs = cx.scope.importer.inline_graph(cx, body, [count, Item.known(np.array(True)), *carried])
        going = _condition(outputs[0])
        carried = outputs[1 : 1 + len(carried)]
        for rows, item in zip(collected, outputs[1 + len(carried) :], strict=True):
            rows.append(item)
    if not all(collected):
        raise Undecidable("it collects the results of no steps")
    return [*carried, *(_stacked(cx, rows, 0) for rows in collected)]


def rolled(cx: NodeContext, body: GraphRecord, carried: Sequence[Item]) -> list[Item | Value]:
    """The body as a region."""
    counted, conditional = cx.has(0), cx.has(1)
    for position, kind in ((0, SI64), (1, BOOL)):
        if cx.has(position) and (cx.type(position).elements != 1 or cx.type(position).scalar != kind):
            what = "trip count must be one int64" if position == 0 else "condition must be one bool"
            raise Unsupported(f"its {what}, got {cx.type(position)}")
    head = [reshaped(cx, cx.x(n), ()) for n in (0, 1) if cx.has(n)]

    def length(always: bool, names: list[str]) -> tuple[Dim, Dim]:
        return trips_of(cx, counted, conditional, always, names)

    def given(inner: NodeContext, block: Block) -> list[Item]:
        return [argument(inner, arg) for arg in block.args]

    return looped(cx, body, head, carried, given, length, counted=counted, conditional=conditional)


Given = Callable[[NodeContext, Block], list[Item]]  # what the body gets, in the region
Length = Callable[[bool, list[str]], tuple[Dim, Dim]]


def argument(inner: NodeContext, arg: Value) -> Item:
    return Item(arg.type, value=arg, builder=inner.builder, hint=arg.hint or "")


def looped(
    cx: NodeContext, body: GraphRecord, head: Sequence[Value], carried: Sequence[Item], given: Given, trips: Length, *,
    counted: bool, conditional: bool,
) -> list[Item | Value]:  # fmt: skip
    """The op for a body, imported anew until the sizes of what it carries settle."""
    if any(item.members is not None or not isinstance(item.type, TensorType) for item in carried):
        raise NotTensors("it carries a sequence or an optional")
    inits = [cx.value_of(item) for item in carried]
    types = [tensor(value) for value in inits]
    names: list[str] = []
    for _ in range(MOST_ROUNDS):
        block, always = loop_body(cx, body, types, given)
        following = [tensor(v) for v in block.terminator.operands[1 : 1 + len(inits)]]
        widened = [widen(cx, *kinds, names) for kinds in zip(types, following, strict=True)]
        if widened == types:
            break
        discard(block)
        types = widened
    else:
        raise Unsupported("the sizes of its carried values never settle")
    rows = [tensor(value) for value in block.terminator.operands[1 + len(inits) :]]
    try:
        if any(as_expr(dim).symbols() & {*names} for row in rows for dim in row.shape):
            raise Unsupported("the results that it collects have other sizes in each trip")
        length, most = trips(always, names) if rows else (0, -1)
    except Unsupported:
        discard(block)
        raise
    made = Loop(
        *head, *inits, counted=counted, conditional=conditional, sizes=tuple(names), length=length, most=most,
        regions=[Region([block])],
    )  # fmt: skip
    return list(cx.put_op(made).results)


def loop_body(
    cx: NodeContext, body: GraphRecord, types: Sequence[TensorType], given: Given
) -> tuple[Block, bool]:  # fmt: skip
    """The region for carried values of these types, and whether its condition always holds."""
    block = Block([TensorType((), SI64), TensorType((), BOOL), *types])
    inner = NodeContext(cx.node, cx.version, cx.inputs, Builder(block, loc=cx.builder.loc), cx.store, cx.scope)
    importer, problems = cx.scope.importer, len(cx.scope.importer.problems)
    try:
        outputs = importer.inline_graph(inner, body, given(inner, block))
        if len(outputs) < 1 + len(types):  # a Scan has no condition
            raise Unsupported("its body has fewer results than it carries values")
        if len(importer.problems) > problems:
            raise Unsupported("its body could not be imported")
        if any(item.members is not None or not isinstance(item.type, TensorType) for item in outputs):
            raise NotTensors("it yields a sequence or an optional")
        condition = outputs[0].contents
        always = condition is not None and not is_symbolic(condition) and bool(condition.all())
        always = always or outputs[0].value is block.args[1]
        inner.builder.loc = cx.builder.loc
        values = [inner.value_of(item) for item in outputs]
        values[0] = reshaped(inner, values[0], ())
        block.append(Yield(*values))
    except (Unsupported, UserError):
        discard(block)
        raise
    return block, always


def widen(cx: NodeContext, now: TensorType, following: TensorType, names: list[str]) -> TensorType:
    """The type with a name for each size that is another one in the next trip."""
    if now.rank != following.rank or now.element != following.element:
        raise Unsupported(f"a carried value is {now} in one trip and {following} in the next: a rank would be data")
    shape = list(now.shape)
    for axis, (dim, size) in enumerate(zip(now.shape, following.shape, strict=True)):
        if dim != size and str(dim) not in names:
            stem = next(filter(None, cx.node.outputs), cx.node.op_type)
            names.append(cx.scope.unique(f"{stem}_now"))
            shape[axis] = sym(names[-1])
    return TensorType(tuple(shape), now.element)


def trips_of(
    cx: NodeContext, counted: bool, conditional: bool, always: bool, names: list[str]
) -> tuple[Dim, Dim]:  # fmt: skip
    """How many rows a loop stacks, and the most that it can be, if that is a name of its own."""
    if not counted:
        raise Unsupported("it collects results, and nothing bounds the number of its trips")
    (count,) = from_data.sizes(cx, 0, "trip count")
    if always and not conditional:
        return count, -1
    if isinstance(count, int) and count > MOST_ROWS:
        raise Unsupported(f"it collects results, and its condition alone ends it before {count} trips")
    names.append(cx.scope.unique(f"{next(filter(None, cx.node.outputs), cx.node.op_type)}_trips"))
    return sym(names[-1]), count


def _condition(item: Item | None) -> bool:
    if item is None:
        return True
    if item.contents is None or is_symbolic(item.contents):
        raise Undecidable("its condition is computed from data")
    return bool(item.contents.reshape(-1)[0])


def scan(cx: NodeContext) -> list[Item | Value]:
    body = cx.attribute("body")
    if not isinstance(body, GraphRecord):
        raise Unsupported("its body is missing")
    scanned = cx.integer("num_scan_inputs")
    if cx.version < 9:
        return scan_of_batches(cx, body, scanned)
    states = [item for item in cx.inputs[: len(cx.inputs) - scanned] if item is not None]
    values = [cx.value_of(item) for item in cx.inputs[len(cx.inputs) - scanned :] if item is not None]
    axes = [
        canonical_axis(axis, len(shape_of(value)))
        for axis, value in zip(cx.integers("scan_input_axes", (0,) * scanned), values, strict=True)
    ]
    backwards = [bool(each) for each in cx.integers("scan_input_directions", (0,) * scanned)]
    found = scanned_over(cx, body, states, list(zip(values, axes, backwards, strict=True)))
    count = len(found) - len(states)
    output_axes = cx.integers("scan_output_axes", (0,) * count)
    turned = cx.integers("scan_output_directions", (0,) * count)
    stacks = [cx.value_of(each) if isinstance(each, Item) else each for each in found[len(states) :]]
    placed = [_placed(cx, *each) for each in zip(stacks, output_axes, turned, strict=True)]
    return [*found[: len(states)], *placed]


Scanned = Sequence[tuple[Value, int, bool]]  # a sequence, its axis, and whether it is read backwards


def scanned_over(
    cx: NodeContext, body: GraphRecord, states: Sequence[Item], inputs: Scanned
) -> list[Item | Value]:  # fmt: skip
    """The last states, and what the steps have yielded, stacked along a first axis."""
    length = shape_of(inputs[0][0])[inputs[0][1]]
    for value, axis, _ in inputs[1:]:
        assume_equal(cx, shape_of(value)[axis], length, "all sequences must have one length")
    few = isinstance(length, int) and length * max(1, len(body.nodes)) <= FEW_NODES
    if isinstance(length, int) and length and few:
        return _scan_copies(cx, body, states, inputs, length)
    step = from_data.of_dims(cx, (length,))
    last = reshaped(cx, cx.put(Sub(step, from_data.number(cx, 1))), ())

    def given(inner: NodeContext, block: Block) -> list[Item]:
        items = [argument(inner, arg) for arg in block.args[2:]]
        for value, axis, back in inputs:
            place = inner.put(Sub(last, block.args[0])) if back else block.args[0]
            items.append(argument(inner, inner.put(Gather(value, place, axis=axis))))
        return items

    return looped(
        cx, with_condition(body), [reshaped(cx, step, ())], states, given, lambda always, names: (length, -1),
        counted=True, conditional=False,
    )  # fmt: skip


def with_condition(body: GraphRecord) -> GraphRecord:
    """The body of a Scan as that of a Loop whose condition always holds."""
    name = "always"
    while any(name in (*node.inputs, *node.outputs) for node in body.nodes):
        name += "_"
    true = TensorRecord(name, (), BOOL, "BOOL", lambda: np.array(True))
    outputs = (ValueRecord(name, TypeRecord("tensor", BOOL, shape=())), *body.outputs)
    return replace(body, initializers=(*body.initializers, true), outputs=outputs)


def scan_of_batches(cx: NodeContext, body: GraphRecord, scanned: int) -> list[Item | Value]:
    """Opset 8: all values have a batch as first axis and are scanned along the second; each member by itself."""
    if cx.has(0):
        raise Unsupported("its sequence_lens are not supported")
    items = [item for item in cx.inputs[1:] if item is not None]
    values = [cx.value_of(item) for item in items]
    count = len(values) - scanned
    batch = shape_of(values[0])[0]
    if not isinstance(batch, int) or not batch:
        raise Unsupported(f"its batch is {batch}, expected a number above 0")
    backwards = [bool(each) for each in cx.integers("directions", (0,) * scanned)]
    members = []
    for number in range(batch):
        own = [_row(cx, value, 0, number) for value in values]
        inputs = [(cx.value_of(row), 0, back) for row, back in zip(own[count:], backwards, strict=True)]
        members.append([_as_item(each) for each in scanned_over(cx, body, own[:count], inputs)])
    return [_stacked(cx, list(rows), 0) for rows in zip(*members, strict=True)]


def _as_item(each: Item | Value) -> Item:
    return each if isinstance(each, Item) else Item(each.type, value=each)


def _placed(cx: NodeContext, stack: Value, axis: int, back: int) -> Value:
    """Rows along the axis that was asked for, the last one first if it goes backwards."""
    shape = shape_of(stack)
    if back:
        places = cx.put(Iota(shape=(shape[0],), axis=0))
        last = cx.put(Sub(from_data.of_dims(cx, (shape[0],)), from_data.number(cx, 1)))
        stack = cx.put(Gather(stack, cx.put(Sub(last, places)), axis=0))
    at = canonical_axis(axis, len(shape))
    return transposed(cx, stack, (*range(1, at + 1), 0, *range(at + 1, len(shape))))


def _scan_copies(
    cx: NodeContext, body: GraphRecord, states: Sequence[Item], inputs: Scanned, steps: int
) -> list[Item | Value]:  # fmt: skip
    results = len(body.outputs) - len(states)
    collected: list[list[Item]] = [[] for _ in range(results)]
    now = list(states)
    for step in range(steps):
        rows = [_row(cx, value, axis, steps - 1 - step if back else step) for value, axis, back in inputs]
        outputs = cx.scope.importer.inline_graph(cx, body, [*now, *rows])
        now = outputs[: len(states)]
        for group, item in zip(collected, outputs[len(states) :], strict=True):
            group.append(item)
    return [*now, *(_stacked(cx, rows, 0) for rows in collected)]


def _row(cx: NodeContext, value: Value, axis: int, step: int) -> Item:
    shape = shape_of(value)
    row = reshaped(cx, sliced(cx, value, axis, step, 1), (*shape[:axis], *shape[axis + 1 :]))
    return Item(row.type, value=row)


def _stacked(cx: NodeContext, items: list[Item], axis: int) -> Value:
    values = [cx.value_of(item) for item in items]
    at = canonical_axis(axis, len(shape_of(values[0])) + 1)
    rows = [reshaped(cx, v, (*shape_of(v)[:at], 1, *shape_of(v)[at:])) for v in values]
    return rows[0] if len(rows) == 1 else cx.put(Concat(*rows, axis=at))


HANDLERS: dict[str, Handler] = {"Loop": loop, "Scan": scan}
