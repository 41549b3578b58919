"""Which dimensions the ops of an imported graph take to be equal, though their symbols do not say so.

``Add(x: [n], y: [m])`` is fine when n and m turn out the same. The compiled code relies on it, so the artefact checks
it for each new shape: a pair (a, b) becomes the two assumptions a - b >= 0 and b - a >= 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Module, Op
from dlc.ir.dialects import graph_nn, graph_shape
from dlc.ir.expr import Dim, Expr, as_expr
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.types import TensorType

Pair = tuple[Dim, Dim]


def equal_dims(module: Module) -> Iterator[Expr]:
    """Expressions that must be at least 0, each once, for all ops of the module."""
    seen: dict[Expr, None] = {}
    for op in module.walk():
        for a, b in pairs(op):
            surplus = as_expr(a) - as_expr(b)
            if not surplus.is_const:
                seen |= {surplus: None, -surplus: None}
    return iter(seen)


def pairs(op: Op) -> Iterator[Pair]:
    """The dimensions that `op` takes to be equal."""
    shapes = [value.type.shape for value in op.operands if isinstance(value.type, TensorType)]
    if op.spec.has(ELEMENTWISE):
        yield from broadcast_pairs(shapes)
    elif isinstance(op, graph_nn.MatMul):
        yield shapes[0][-1], shapes[1][-2]
        yield from broadcast_pairs([shape[:-2] for shape in shapes])
    elif isinstance(op, graph_shape.Concat):
        for shape in shapes[1:]:
            yield from ((a, b) for n, (a, b) in enumerate(zip(shapes[0], shape, strict=True)) if n != op.axis)
    elif isinstance(op, graph_nn.Conv):
        yield shapes[0][1], as_expr(shapes[1][1]) * op.groups


def broadcast_pairs(shapes: list[tuple[Dim, ...]]) -> Iterator[Pair]:
    """Dimensions at the same place, counted from the last, that are not broadcast."""
    for number, left in enumerate(shapes):
        for right in shapes[number + 1 :]:
            for a, b in zip(reversed(left), reversed(right), strict=False):
                if a != 1 and b != 1:
                    yield a, b
