"""Ops with a sum inside: convolution, matmul, pooling, reduction and normalisation.

A `layout` attribute is the memory layout of the result; None is row-major. Axes are canonical: 0 <= axis < rank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlc.ir.core import Op, Value
from dlc.ir.dialects.shape_rules import (
    Shape,
    axes_in_range,
    broadcast,
    matmul_shape,
    reduced_shape,
    tensor,
    transposed_window_shape,
    window_attr_problem,
    window_shape,
)
from dlc.ir.expr import as_dim, as_expr
from dlc.ir.opdef import (
    COMPARES,
    FLOAT_TENSOR,
    INTEGER_TENSOR,
    NUMBER_TENSOR,
    PURE,
    TENSOR,
    AttrDef,
    attr,
    op_def,
    operand,
    optional_operand,
    rank,
    result,
)
from dlc.ir.requirements import Requirement, at_least, broadcast_alike, divisible, equal
from dlc.ir.types import BF16, F16, F32, SI64, Layout, ScalarType, TensorType, Type

Ints = tuple[int, ...]
STORED_NARROWER = ((F32, F16), (F32, BF16))
REDUCTIONS = (
    "sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square",
)  # fmt: skip


class Placed(Op):
    """Base of ops whose result may be stored in a chosen `layout`."""

    layout: AttrDef[Layout | None] = attr(None)


class Contraction(Placed):
    """Base of sums of products: operands may be integers narrower than the `accumulator`, the result's type.

    The second one may be f16 or bf16 where the first is f32: weights that are stored so.
    """

    accumulator: AttrDef[ScalarType | None] = attr(None)

    def contracted(self, shape: Shape) -> tuple[Type, ...]:
        return (TensorType(shape, self.accumulator or tensor(self.operands[0]).element, self.layout),)

    def check_elements(self) -> Iterator[str]:
        left, right = tensor(self.operands[0]).scalar, tensor(self.operands[1]).scalar
        integers = left.is_integer and right.is_integer and self.accumulator is not None
        if left != right and not integers and (left, right) not in STORED_NARROWER:
            yield "c1: the operands must have one element type, or be integers with an accumulator"


@op_def("graph.matmul", traits={PURE})
class MatMul(Contraction):
    """Matrix products over the last two axes, the axes before them broadcast"""

    a = operand(NUMBER_TENSOR)
    b = operand(NUMBER_TENSOR)

    def infer(self) -> tuple[Type, ...]:
        return self.contracted(matmul_shape(tensor(self.a).shape, tensor(self.b).shape))

    def check(self) -> Iterator[str]:
        yield from self.check_elements()
        if tensor(self.a).rank < 2 or tensor(self.b).rank < 2:
            yield "c2: both operands must have at least two axes"

    def requires(self) -> Iterator[Requirement]:
        a, b = tensor(self.a).shape, tensor(self.b).shape
        yield from equal(a[-1], b[-2], "c3: the last axis of a must equal the last but one of b")
        yield from broadcast_alike((a[:-2], b[:-2]), "c4: the axes before the last two must broadcast")

    def stretched(self) -> Iterator[tuple[int, Shape]]:
        a, b = tensor(self.a).shape, tensor(self.b).shape
        whole = broadcast((a[:-2], b[:-2]))
        yield 0, (*whole, *a[-2:])
        yield 1, (*whole, *b[-2:])


@op_def("graph.conv", traits={PURE})
class Conv(Contraction):
    """Convolution over 1 to 3 spatial axes of x (N,C,*S), or of the `channels` of x listed, with w (O,C/groups,*K)"""

    x = operand(NUMBER_TENSOR)
    w = operand(NUMBER_TENSOR)
    channels = optional_operand(INTEGER_TENSOR, rank(1))  # each held between 0 and the last that x has
    strides: AttrDef[Ints] = attr(())  # empty: ones
    pads: AttrDef[Ints] = attr(())  # before each axis, then after each; empty: zeros
    dilations: AttrDef[Ints] = attr(())
    groups = attr(1)

    def infer(self) -> tuple[Type, ...]:
        x, w = tensor(self.x).shape, tensor(self.w).shape
        sizes = window_shape(x[2:], w[2:], self.strides, self.pads, self.dilations)
        return self.contracted((x[0], w[0], *sizes))

    def check(self) -> Iterator[str]:
        yield from self.check_elements()
        x, w = tensor(self.x).shape, tensor(self.w).shape
        if not 3 <= len(x) <= 5 or len(x) != len(w):
            yield "c2: x and w must have one rank from 3 to 5"
            return
        if problem := window_attr_problem(len(x) - 2, self.strides, self.pads, self.dilations):
            yield f"c5: {problem}"
        if self.groups < 1:
            yield "c6: there must be at least one group"

    def requires(self) -> Iterator[Requirement]:
        x, w = tensor(self.x).shape, tensor(self.w).shape
        read = x[1] if self.channels is None else tensor(self.channels).shape[0]
        inputs = as_dim(as_expr(w[1]) * self.groups)
        yield from equal(read, inputs, "c3: channels of x must equal channels of w times groups")
        yield from divisible(w[0], self.groups, "c4: groups must divide the channels of the result")
        if self.channels is not None:
            yield from at_least(x[1], 1, "c7: x must have channels to choose from")
        for size in w[2:]:
            yield from at_least(size, 1, "c8: the window must not be empty")
        for size in window_shape(x[2:], w[2:], self.strides, self.pads, self.dilations):
            yield from at_least(size, 1, "c9: the window must fit into the padded image")


@op_def("graph.conv_transpose", traits={PURE})
class ConvTranspose(Contraction):
    """The gradient of a convolution: x (N,C,*S) spread with w (C,O/groups,*K)"""

    x = operand(NUMBER_TENSOR)
    w = operand(NUMBER_TENSOR)
    strides: AttrDef[Ints] = attr(())
    pads: AttrDef[Ints] = attr(())  # cut from the result
    dilations: AttrDef[Ints] = attr(())
    groups = attr(1)
    output_padding: AttrDef[Ints] = attr(())  # added to the result's size after each axis

    def infer(self) -> tuple[Type, ...]:
        x, w = tensor(self.x).shape, tensor(self.w).shape
        sizes = transposed_window_shape(x[2:], w[2:], self.strides, self.pads, self.dilations, self.output_padding)
        return self.contracted((x[0], as_dim(as_expr(w[1]) * self.groups), *sizes))

    def check(self) -> Iterator[str]:
        yield from self.check_elements()
        x, w = tensor(self.x).shape, tensor(self.w).shape
        if not 3 <= len(x) <= 5 or len(x) != len(w):
            yield "c2: x and w must have one rank from 3 to 5"
            return
        if problem := window_attr_problem(len(x) - 2, self.strides, self.pads, self.dilations):
            yield f"c5: {problem}"
        if len(self.output_padding) not in (0, len(x) - 2):
            yield "c6: output_padding must have one number per spatial axis or be empty"
        if self.groups < 1:
            yield "c7: there must be at least one group"

    def requires(self) -> Iterator[Requirement]:
        x, w = tensor(self.x).shape, tensor(self.w).shape
        yield from equal(x[1], w[0], "c3: x and w must have the same channels")
        yield from divisible(w[0], self.groups, "c4: groups must divide the channels of x")
        for size in (*x[2:], *w[2:]):
            yield from at_least(size, 1, "c8: the image and the window must not be empty")
        sizes = transposed_window_shape(x[2:], w[2:], self.strides, self.pads, self.dilations, self.output_padding)
        for size in sizes:
            yield from at_least(size, 1, "c9: the pads must leave something of the result")


class Windowed(Placed):
    """Base of pools of x (N,C,*S)."""

    x = operand(NUMBER_TENSOR)
    window: AttrDef[Ints] = attr(kind=tuple)
    strides: AttrDef[Ints] = attr(())
    pads: AttrDef[Ints] = attr(())  # before each axis, then after each; empty: zeros
    dilations: AttrDef[Ints] = attr(())
    ceil = attr(False)  # a last, incomplete window counts

    def pooled(self) -> TensorType:
        x = tensor(self.x)
        sizes = window_shape(x.shape[2:], self.window, self.strides, self.pads, self.dilations, self.ceil)
        return TensorType((*x.shape[:2], *sizes), x.element, self.layout)

    def check(self) -> Iterator[str]:
        spatial = tensor(self.x).rank - 2
        if not 1 <= spatial <= 3 or len(self.window) != spatial:
            yield "c1: x must have 1 to 3 spatial axes and window one number for each"
        elif min(self.window) < 1:
            yield "c4: the sizes of the window must be 1 or more"
        elif problem := window_attr_problem(spatial, self.strides, self.pads, self.dilations):
            yield f"c2: {problem}"

    def requires(self) -> Iterator[Requirement]:
        for size in self.pooled().shape[2:]:
            yield from at_least(size, 1, "c5: the window must fit into the padded image")


@op_def("graph.pool", traits={PURE})
class Pool(Windowed):
    """The maximum, average or p-norm of each window of x; padding counts for averages if `count_include_pad`"""

    kind: AttrDef[str] = attr(kind=str)
    count_include_pad = attr(False)
    p = attr(2)

    def infer(self) -> tuple[Type, ...]:
        return (self.pooled(),)

    def check(self) -> Iterator[str]:
        yield from super().check()
        if self.kind not in ("max", "average", "lp"):
            yield "c3: kind must be max, average or lp"
        if self.kind == "lp" and not (tensor(self.x).scalar.is_float and self.p >= 1):
            yield "c5: a p-norm must be of floats, with p 1 or more"


@op_def("graph.max_pool_indices", traits={PURE})
class MaxPoolIndices(Windowed):
    """The maximum of each window and its index in x as a whole; the spatial axes count row-major or column-major"""

    column_major = attr(False)
    values = result()
    indices = result()

    def infer(self) -> tuple[Type, ...]:
        values = self.pooled()
        return (values, TensorType(values.shape, SI64))


@op_def("graph.reduce", traits={PURE})
class Reduce(Placed):
    """x reduced over `axes`"""

    x = operand(TENSOR)
    kind: AttrDef[str] = attr(kind=str)
    axes: AttrDef[Ints] = attr(kind=tuple)
    keepdims = attr(True)

    def infer(self) -> tuple[Type, ...]:
        x = tensor(self.x)
        return (TensorType(reduced_shape(x.shape, self.axes, self.keepdims), x.element, self.layout),)

    def check(self) -> Iterator[str]:
        if self.kind not in REDUCTIONS:
            yield f"c1: kind must be one of {', '.join(REDUCTIONS)}"
        if not axes_in_range(self.axes, tensor(self.x).rank):
            yield "c2: axes must be axes of x, each once"


@op_def("graph.arg_reduce", traits={PURE, COMPARES})
class ArgReduce(Op):
    """The index of the maximum or minimum along `axis`; of equals the first, or the last"""

    x = operand(NUMBER_TENSOR)
    kind: AttrDef[str] = attr(kind=str)
    axis = attr(0)
    keepdims = attr(True)
    last = attr(False)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(reduced_shape(tensor(self.x).shape, (self.axis,), self.keepdims), SI64),)

    def check(self) -> Iterator[str]:
        if self.kind not in ("max", "min"):
            yield "c1: kind must be max or min"
        yield from axes_problem("c2", (self.axis,), self.x)

    def requires(self) -> Iterator[Requirement]:
        yield from at_least(tensor(self.x).shape[self.axis], 1, "c3: the axis must not be empty")


def axes_problem(code: str, axes: Sequence[int], x: Value) -> Iterator[str]:
    if not axes_in_range(axes, tensor(x).rank):
        yield f"{code}: axes must be axes of x, each once"


class AlongAxis(Placed):
    """Base of ops that normalise along one `axis` and keep the shape."""

    x = operand(FLOAT_TENSOR)
    axis = attr(0)

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.x).with_layout(self.layout),)

    def check(self) -> Iterator[str]:
        yield from axes_problem("c1", (self.axis,), self.x)


@op_def("graph.softmax", traits={PURE})
class Softmax(AlongAxis):
    """exp(x) / sum(exp(x)) along `axis`"""


@op_def("graph.log_softmax", traits={PURE})
class LogSoftmax(AlongAxis):
    """x - log(sum(exp(x))) along `axis`"""


@op_def("graph.hardmax", traits={PURE, COMPARES})
class Hardmax(AlongAxis):
    """1 at the first maximum along `axis`, 0 elsewhere"""


@op_def("graph.batch_norm", traits={PURE})
class BatchNorm(Placed):
    """(x - mean) / sqrt(var + epsilon) * scale + bias, per channel (axis 1)"""

    x = operand(FLOAT_TENSOR)
    scale = operand(FLOAT_TENSOR, rank(1))
    bias = operand(FLOAT_TENSOR, rank(1))
    mean = operand(FLOAT_TENSOR, rank(1))
    var = operand(FLOAT_TENSOR, rank(1))
    epsilon = attr(1e-5)

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.x).with_layout(self.layout),)

    def check(self) -> Iterator[str]:
        if tensor(self.x).rank < 2:
            yield "c1: x must have at least two axes"

    def requires(self) -> Iterator[Requirement]:
        channels = tensor(self.x).shape[1]
        for value in self.operands[1:]:
            count = tensor(value).shape[0]
            yield from equal(count, channels, "c2: scale, bias, mean and var must have one number per channel of x")


class TrailingAxes(Placed):
    """Base of normalisations over trailing `axes`, without scale and bias; statistics are float32 at least."""

    x = operand(FLOAT_TENSOR)
    axes: AttrDef[Ints] = attr(kind=tuple)
    epsilon = attr(1e-5)

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.x).with_layout(self.layout),)

    def check(self) -> Iterator[str]:
        count = tensor(self.x).rank
        if not self.axes or tuple(self.axes) != tuple(range(count - len(self.axes), count)):
            yield "c1: axes must be trailing axes of x, in order"


@op_def("graph.layer_norm", traits={PURE})
class LayerNorm(TrailingAxes):
    """(x - mean) / sqrt(variance + epsilon) over the trailing axes"""


@op_def("graph.rms_norm", traits={PURE})
class RmsNorm(TrailingAxes):
    """x / sqrt(mean(x * x) + epsilon) over the trailing axes"""


@op_def("graph.lrn", traits={PURE})
class Lrn(Placed):
    """x / (bias + alpha / size * the sum of squares of `size` channels around) ** beta; channels are axis 1"""

    x = operand(FLOAT_TENSOR)
    size: AttrDef[int] = attr(kind=int)
    alpha = attr(0.0001)
    beta = attr(0.75)
    bias = attr(1.0)

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.x).with_layout(self.layout),)

    def check(self) -> Iterator[str]:
        if tensor(self.x).rank < 2 or self.size < 1:
            yield "c1: x must have at least two axes and size be at least 1"


OPS: tuple[type[Op], ...] = (
    MatMul, Conv, ConvTranspose, Pool, MaxPoolIndices, Reduce, ArgReduce, Softmax, LogSoftmax, Hardmax, BatchNorm,
    LayerNorm, RmsNorm, Lrn,
)  # fmt: skip
