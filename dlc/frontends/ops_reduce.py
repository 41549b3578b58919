"""Reductions, running sums, and what orders elements along an axis."""

from __future__ import annotations

from dlc.frontends import from_data
from dlc.frontends.build import broadcasted, cast, reduced, reshaped, sliced
from dlc.frontends.contents import least
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.frontends.shapes import canonical_axis, flattened, reduced_axes
from dlc.ir.core import Value
from dlc.ir.dialects.graph_index import CumSum, TopK
from dlc.ir.dialects.graph_math import Mul
from dlc.ir.dialects.graph_nn import ArgReduce, Hardmax, LogSoftmax, Softmax
from dlc.ir.dialects.graph_shape import Concat
from dlc.ir.dialects.shape_rules import replaced, tensor
from dlc.ir.expr import Dim, as_dim, as_expr
from dlc.ir.types import BOOL, UI8


def reduction(kind: str, since: int = 18) -> Handler:
    """`since`: the opset that made the axes an input."""

    def handler(cx: NodeContext) -> Value:
        x, keepdims = cx.x(), cx.flag("keepdims", True)
        is_bool = tensor(x).scalar == BOOL
        numbers = cast(cx, x, UI8) if is_bool else x
        if cx.version >= since and from_data.is_data(cx, 1):
            noop = cx.flag("noop_with_empty_axes")
            y = from_data.reduced_by(
                cx, numbers, 1, keepdims, noop, lambda v, axes: reduced(cx, v, kind, axes, keepdims=False)
            )
        else:
            y = reduced(cx, numbers, kind, reduced_axes(cx, tensor(x).rank, since), keepdims)
        return cast(cx, y, BOOL) if is_bool else y

    return handler


def arg_reduction(kind: str) -> Handler:
    def handler(cx: NodeContext) -> Value:
        axis = canonical_axis(cx.integer("axis", 0), cx.type().rank)
        keepdims, last = cx.flag("keepdims", True), cx.flag("select_last_index")
        return cx.put(ArgReduce(cx.x(), kind=kind, axis=axis, keepdims=keepdims, last=last))

    return handler


def along_axis(kind: type[Softmax] | type[LogSoftmax] | type[Hardmax]) -> Handler:
    """Softmax and its like. Before opset 13 all axes from `axis` on are taken as one."""

    def handler(cx: NodeContext) -> Value:
        x = cx.x()
        shape = tensor(x).shape
        axis = canonical_axis(cx.integer("axis", -1 if cx.version >= 13 else 1), len(shape))
        if cx.version >= 13 or axis == len(shape) - 1 or all(dim == 1 for dim in shape[axis + 1 :]):
            return cx.put(kind(x, axis=axis))
        flat = reshaped(cx, x, flattened(shape, axis))
        return reshaped(cx, cx.put(kind(flat, axis=1)), shape)

    return handler


def cum_sum(cx: NodeContext) -> Value:
    exclusive, reverse = cx.flag("exclusive"), cx.flag("reverse")
    if from_data.is_data(cx, 1):
        y = cx.put(CumSum(from_data.around_axis(cx, cx.x(), 1), axis=1, exclusive=exclusive, reverse=reverse))
        return reshaped(cx, y, cx.shape())
    (axis,) = cx.numbers(1, "axis")
    found = canonical_axis(axis, cx.type().rank)
    return cx.put(CumSum(cx.x(), axis=found, exclusive=exclusive, reverse=reverse))


def cum_prod(cx: NodeContext) -> Value:
    """Running products by doubling: after step k each element holds the product of the 2ᵏ elements up to it."""
    x = cx.x()
    shape = tensor(x).shape
    if from_data.is_data(cx, 1):
        x, axis, most = from_data.around_axis(cx, x, 1), 1, from_data.largest(shape)
    else:
        axis = canonical_axis(cx.numbers(1, "axis")[0], len(shape))
        most = shape[axis]
    if not isinstance(most, int):
        raise Unsupported(f"it multiplies along an axis whose size {most} is known only at run time")
    reverse, distance = cx.flag("reverse"), 1
    if cx.flag("exclusive"):
        x = _moved(cx, x, axis, 1, reverse)
    while distance < most:
        x = cx.put(Mul(x, _moved(cx, x, axis, distance, reverse)))
        distance *= 2
    return reshaped(cx, x, shape)


def _moved(cx: NodeContext, x: Value, axis: int, distance: int, reverse: bool) -> Value:
    """x moved along the axis, ones where it came from."""
    shape = tensor(x).shape
    gone = least(distance, shape[axis])
    kept = sliced(cx, x, axis, gone if reverse else 0, as_dim(as_expr(shape[axis]) - gone))
    ones = broadcasted(cx, cx.number(1, x), replaced(shape, axis, gone))
    return cx.put(Concat(*((kept, ones) if reverse else (ones, kept)), axis=axis))


def top_k(cx: NodeContext) -> tuple[Value, Value]:
    count: Dim = cx.integer("k") if cx.version < 10 else 0
    axis = canonical_axis(cx.integer("axis", -1), cx.type().rank)
    if cx.version >= 10:
        (count,) = from_data.sizes(cx, 1, "k", (cx.shape()[axis],))
    if isinstance(count, int) and count < 0:
        raise Unsupported(f"its k is {count}")
    largest, ordered = cx.flag("largest", True), cx.flag("sorted", True)
    op = cx.put_op(TopK(cx.x(), axis=axis, k=count, largest=largest, sorted=ordered))
    return op.results[0], op.results[1]


HANDLERS: dict[str, Handler] = {
    "ReduceSum": reduction("sum", 13), "ReduceMean": reduction("mean"), "ReduceMax": reduction("max"),
    "ReduceMin": reduction("min"), "ReduceProd": reduction("prod"), "ReduceL1": reduction("l1"),
    "ReduceL2": reduction("l2"), "ReduceLogSum": reduction("log_sum"), "ReduceLogSumExp": reduction("log_sum_exp"),
    "ReduceSumSquare": reduction("sum_square"), "ArgMax": arg_reduction("max"), "ArgMin": arg_reduction("min"),
    "Softmax": along_axis(Softmax), "LogSoftmax": along_axis(LogSoftmax), "Hardmax": along_axis(Hardmax),
    "CumSum": cum_sum, "CumProd": cum_prod, "TopK": top_k,
}  # fmt: skip
