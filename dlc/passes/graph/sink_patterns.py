"""Patterns of simplify-shapes that move reshapes, transposes and broadcasts below elementwise ops.

    f(reshape(x), c)      ->  reshape(f(x, c))         c of one element, or along trailing axes that the reshape keeps
    f(reshape(x), reshape(y))  ->  reshape(f(x, y))    x and y of one shape
    f(reshape(x), y)      ->  reshape(f(x, reshape(y)))    x comes from a contraction and y does not: see `is_anchored`
    f(transpose(x), c)    ->  transpose(f(x, c'))      c a constant: c' is its inverse transpose
    f(broadcast(x), c)    ->  broadcast(f(x, c))       c of one element
    norm(reshape(x))      ->  reshape(norm(x))         for softmax, layer_norm and the like along axes that stay
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from dlc.ir.core import Attribute, Op, Value
from dlc.ir.dialects.graph_math import Elementwise
from dlc.ir.dialects.graph_nn import AlongAxis, Conv, ConvTranspose, MatMul, TrailingAxes
from dlc.ir.dialects.graph_shape import Broadcast, Reshape, Transpose
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.expr import product
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter, rebuilt
from dlc.ir.types import TensorType
from dlc.passes.graph.constants import is_constant_expression

Movement = Reshape | Transpose | Broadcast
CONTRACTIONS = (MatMul, Conv, ConvTranspose)
Operands = list[Callable[[Rewriter], Value]]  # made only when all operands are known to follow


class SinkMovement(Pattern[Elementwise]):
    """f(move(x), …) -> move(f(x, …))"""

    def rewrite(self, op: Elementwise, rw: Rewriter) -> NoMatch | None:
        move = next((each for value in op.operands if (each := movement(value, op)) is not None), None)
        if move is None:
            return NoMatch("no operand is a movement of which this is the only user")
        follow = FOLLOWERS[type(move)]
        makers: Operands = []
        for value in op.operands:
            maker = follow(move, value)
            if maker is None:
                return NoMatch("another operand cannot follow the movement")
            makers.append(maker)
        if op.layout is not None or tensor(op.result).layout is not None:
            return NoMatch("the op chooses a layout")
        made = rw.insert(rebuilt(op, [make(rw) for make in makers]), move)
        moved = rebuilt(move, [made.result])
        rw.replace(op, rw.insert(moved, move).result)
        return None


def movement(value: Value, op: Op) -> Movement | None:
    """The movement that makes an operand of the result's shape. Only a reshape, which is free, may have other users."""
    found = value.defining_op
    if not isinstance(found, Reshape | Transpose | Broadcast):
        return None
    if not isinstance(found, Reshape) and value.users() != [op]:
        return None
    if isinstance(found, Broadcast) and tensor(found.x).elements == tensor(value).elements:
        return None
    return found if tensor(value).shape == tensor(op.result).shape else None


Maker = Callable[[Rewriter], Value]


def same(value: Value) -> Maker:
    return lambda rw: value


def stripped(shape: Shape) -> Shape:
    """The shape without leading axes of size 1, which broadcasting would add."""
    return shape[sum(1 for _ in takewhile(lambda dim: dim == 1, shape)) :]


def one_element(value: Value, most: int) -> Maker | None:
    """A value of one element, with at most `most` axes."""
    shape = tensor(value).shape
    if any(dim != 1 for dim in shape):
        return None
    return same(value) if len(shape) <= most else lambda rw: rw.insert(Reshape(value, shape=())).result


def kept_axes(source: Shape, target: Shape) -> int:
    """How many trailing axes a reshape keeps."""
    pairs = zip(reversed(source), reversed(target), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def is_anchored(value: Value, depth: int = 8) -> bool:
    """Whether a value is computed from a contraction by elementwise ops alone, so that it has the contraction's shape.

    Where two shapes meet, the contraction's wins: what has it can be fused into the contraction.
    """
    op = value.defining_op
    if isinstance(op, CONTRACTIONS):
        return True
    return isinstance(op, Elementwise) and depth > 0 and any(is_anchored(each, depth - 1) for each in op.operands)


def past_reshape(move: Op, value: Value) -> Maker | None:
    source, target = tensor(move.operands[0]).shape, tensor(move.result).shape
    inner = value.defined_by(Reshape)
    if inner is not None and tensor(inner.x).shape == source and tensor(value).shape == target:
        return same(inner.x)
    if (alone := one_element(value, len(source))) is not None:
        return alone
    if tensor(value).elements == product(target):
        follows = is_anchored(move.operands[0]) and not is_anchored(value if inner is None else inner.x)
        return (lambda rw: rw.insert(Reshape(value, shape=source)).result) if follows else None
    kept = kept_axes(source, target)
    extent = stripped(tensor(value).shape)
    if len(extent) > kept:
        return None
    if tensor(value).rank <= len(source):
        return same(value)
    return lambda rw: rw.insert(Reshape(value, shape=extent)).result


def past_transpose(move: Op, value: Value) -> Maker | None:
    perm = move.attrs["perm"]
    if not isinstance(move, Transpose) or not isinstance(perm, tuple):
        return None
    inner = value.defined_by(Transpose)
    if inner is not None and inner.perm == move.perm and tensor(value).shape == tensor(move.result).shape:
        return same(inner.x)
    count = len(move.perm)
    if (alone := one_element(value, count)) is not None:
        return alone
    if not is_constant_expression(value):
        return None
    shape = tensor(value).shape
    full = (1,) * (count - len(shape)) + shape
    inverse = tuple(move.perm.index(axis) for axis in range(count))

    def make(rw: Rewriter) -> Value:
        wide = value if full == shape else rw.insert(Reshape(value, shape=full)).result
        return rw.insert(Transpose(wide, perm=inverse)).result

    return make


def past_broadcast(move: Op, value: Value) -> Maker | None:
    if value is move.result:
        return same(move.operands[0])
    kind = value.type
    return one_element(value, tensor(move.operands[0]).rank) if isinstance(kind, TensorType) else None


FOLLOWERS: dict[type[Op], Callable[[Op, Value], Maker | None]] = {
    Reshape: past_reshape,
    Transpose: past_transpose,
    Broadcast: past_broadcast,
}


class SinkBelowNormalisation(Pattern[AlongAxis | TrailingAxes]):
    """softmax(reshape(x)) -> reshape(softmax(x)) where the reshape keeps the axes that count"""

    def rewrite(self, op: AlongAxis | TrailingAxes, rw: Rewriter) -> NoMatch | None:
        move = op.x.defined_by(Reshape)
        if move is None or op.layout is not None:
            return NoMatch("x is no reshape")
        source, target = tensor(move.x).shape, tensor(op.x).shape
        axes = op.axes if isinstance(op, TrailingAxes) else (op.axis,)
        if min(axes) < len(target) - kept_axes(source, target):
            return NoMatch("the reshape changes an axis along which the op works")
        moved = tuple(axis + len(source) - len(target) for axis in axes)
        changed: dict[str, Attribute] = {"axes": moved} if isinstance(op, TrailingAxes) else {"axis": moved[0]}
        made = rw.insert(rebuilt(op, [move.x], changed), move)
        rw.replace(op, rw.insert(Reshape(made.result, shape=target), move).result)
        return None


class FlattenMatMul(Pattern[MatMul]):
    """matmul(x, matrix) -> reshape(matmul(x as a matrix, matrix)): all rows of x form one long side"""

    def rewrite(self, op: MatMul, rw: Rewriter) -> NoMatch | None:
        shape, width = tensor(op.a).shape, tensor(op.b).shape
        if len(shape) < 3 or len(width) != 2 or op.layout is not None:
            return NoMatch("not many matrices times one")
        rows = rw.insert(Reshape(op.a, shape=(product(shape[:-1]), shape[-1])))
        made = rw.insert(rebuilt(op, [rows.result, op.b]))
        rw.replace(op, rw.insert(Reshape(made.result, shape=tensor(op.result).shape)).result)
        return None


SINK_PATTERNS: tuple[AnyPattern, ...] = (SinkMovement(), SinkBelowNormalisation(), FlattenMatMul())
