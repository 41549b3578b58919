"""Loop and Scan whose number of steps is known: one copy of the body per step."""

from __future__ import annotations

import numpy as np

from dlc.frontends.build import reshaped, shape_of, sliced, static_dim
from dlc.frontends.contents import is_symbolic
from dlc.frontends.context import Handler, Item, NodeContext, Unsupported
from dlc.frontends.records import GraphRecord
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Value
from dlc.ir.dialects.graph_shape import Concat

MOST_NODES = 20_000  # copies of nodes; beyond this the graph would be too large to be of use


def body_of(cx: NodeContext, steps: int) -> GraphRecord:
    body = cx.attribute("body")
    if not isinstance(body, GraphRecord):
        raise Unsupported("its body is missing")
    if steps * max(1, len(body.nodes)) > MOST_NODES:
        raise Unsupported(f"its {steps} steps of {len(body.nodes)} nodes are too many to unroll")
    return body


def loop(cx: NodeContext) -> list[Item | Value]:
    steps, going = _trip_count(cx), _condition(cx.item(1) if cx.has(1) else None)
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
        raise Unsupported("it collects the results of no steps")
    return [*carried, *(_stacked(cx, rows, 0) for rows in collected)]


def _trip_count(cx: NodeContext) -> int:
    if not cx.has(0):
        raise Unsupported("it has no trip count, so its condition alone ends it")
    return max(0, cx.numbers(0, "trip count")[0])


def _condition(item: Item | None) -> bool:
    if item is None:
        return True
    if item.contents is None or is_symbolic(item.contents):
        raise Unsupported("its condition is computed from data")
    return bool(item.contents.reshape(-1)[0])


def scan(cx: NodeContext) -> list[Item | Value]:
    if cx.version < 9:
        raise Unsupported("its form before opset 9 is not supported")
    scanned = cx.integer("num_scan_inputs")
    states = [item for item in cx.inputs[:-scanned] if item is not None]
    inputs = [cx.value_of(item) for item in cx.inputs[-scanned:] if item is not None]
    axes = [
        canonical_axis(axis, len(shape_of(value)))
        for axis, value in zip(cx.integers("scan_input_axes", (0,) * scanned), inputs, strict=True)
    ]
    steps = static_dim(inputs[0], axes[0], "the length of its sequence")
    body = body_of(cx, steps)
    results = len(body.outputs) - len(states)
    backwards = cx.integers("scan_input_directions", (0,) * scanned)
    collected: list[list[Item]] = [[] for _ in range(results)]
    for step in range(steps):
        rows = [
            _row(cx, value, axis, steps - 1 - step if back else step)
            for value, axis, back in zip(inputs, axes, backwards, strict=True)
        ]
        outputs = cx.scope.importer.inline_graph(cx, body, [*states, *rows])
        states = outputs[: len(states)]
        for group, item in zip(collected, outputs[len(states) :], strict=True):
            group.append(item)
    return [*states, *_scanned(cx, collected)]


def _row(cx: NodeContext, value: Value, axis: int, step: int) -> Item:
    shape = shape_of(value)
    row = reshaped(cx, sliced(cx, value, axis, step, 1), (*shape[:axis], *shape[axis + 1 :]))
    return Item(row.type, value=row)


def _scanned(cx: NodeContext, collected: list[list[Item]]) -> list[Value]:
    axes = cx.integers("scan_output_axes", (0,) * len(collected))
    backwards = cx.integers("scan_output_directions", (0,) * len(collected))
    if not all(collected):
        raise Unsupported("it scans a sequence of no elements")
    return [
        _stacked(cx, rows[::-1] if back else rows, axis)
        for rows, axis, back in zip(collected, axes, backwards, strict=True)
    ]


def _stacked(cx: NodeContext, items: list[Item], axis: int) -> Value:
    values = [cx.value_of(item) for item in items]
    at = canonical_axis(axis, len(shape_of(values[0])) + 1)
    rows = [reshaped(cx, v, (*shape_of(v)[:at], 1, *shape_of(v)[at:])) for v in values]
    return rows[0] if len(rows) == 1 else cx.put(Concat(*rows, axis=at))


HANDLERS: dict[str, Handler] = {"Loop": loop, "Scan": scan}
