"""Between floats and the integers that stand for them: real = (stored - zero_point) * scale."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op, Value
from dlc.ir.dialects.shape_rules import axes_in_range, elementwise_type, tensor
from dlc.ir.opdef import FLOAT_TENSOR, INTEGER_TENSOR, PURE, AttrDef, attr, op_def, operand
from dlc.ir.requirements import Requirement, equal
from dlc.ir.types import Layout, ScalarType, TensorType, Type


class Scaled(Op):
    """Base: scale and zero_point are scalars, or vectors along `axis`."""

    axis: AttrDef[int | None] = attr(None)
    layout: AttrDef[Layout | None] = attr(None)

    def converted(self, x: Value, element: ScalarType) -> tuple[Type, ...]:
        found = elementwise_type((x,), self.layout)
        return (TensorType(found.shape, element, found.layout),)

    def check_scales(self, x: Value, scale: Value, zero_point: Value) -> Iterator[str]:
        shape, shapes = tensor(x).shape, (tensor(scale).shape, tensor(zero_point).shape)
        if self.axis is None:
            if shapes != ((), ()):
                yield "c1: scale and zero_point must be scalars where there is no axis"
        elif not axes_in_range((self.axis,), len(shape)):
            yield "c2: axis must be one of x's"
        elif any(len(each) != 1 for each in shapes):
            yield "c5: scale and zero_point must be vectors where there is an axis"

    def requires(self) -> Iterator[Requirement]:
        if self.axis is None:
            return
        size = tensor(self.operands[0]).shape[self.axis]
        for value in self.operands[1:]:
            yield from equal(tensor(value).shape[0], size, "c3: scale and zero_point must be as long as the axis")


@op_def("graph.quantize", traits={PURE})
class Quantize(Scaled):
    """x / scale rounded half to even, plus zero_point, held in the range of `to`"""

    x = operand(FLOAT_TENSOR)
    scale = operand(FLOAT_TENSOR)
    zero_point = operand(INTEGER_TENSOR)
    to: AttrDef[ScalarType] = attr(kind=ScalarType)

    def infer(self) -> tuple[Type, ...]:
        return self.converted(self.x, self.to)

    def check(self) -> Iterator[str]:
        yield from self.check_scales(self.x, self.scale, self.zero_point)
        if not self.to.is_integer or tensor(self.zero_point).scalar != self.to:
            yield "c4: zero_point must have the integer type of the result"
        if tensor(self.x).scalar != tensor(self.scale).scalar:
            yield "c6: x and scale must have one element type"


@op_def("graph.dequantize", traits={PURE})
class Dequantize(Scaled):
    """(x - zero_point) * scale, in the type of scale"""

    x = operand(INTEGER_TENSOR)
    scale = operand(FLOAT_TENSOR)
    zero_point = operand(INTEGER_TENSOR)

    def infer(self) -> tuple[Type, ...]:
        return self.converted(self.x, tensor(self.scale).scalar)

    def check(self) -> Iterator[str]:
        yield from self.check_scales(self.x, self.scale, self.zero_point)
        if tensor(self.zero_point).scalar != tensor(self.x).scalar:
            yield "c4: zero_point must have the type of x"


OPS: tuple[type[Op], ...] = (Quantize, Dequantize)
