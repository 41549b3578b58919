"""Ops of no meaning, declared for tests of the IR: every kind of operand, attribute, result and region."""

from dlc.ir.core import Op
from dlc.ir.dialects import func
from dlc.ir.expr import Expr
from dlc.ir.opdef import (
    ANY,
    COMMUTATIVE,
    FLOAT_TENSOR,
    PURE,
    TERMINATOR,
    attr,
    op_def,
    operand,
    operands,
    optional_operand,
    rank,
    region,
    result,
)
from dlc.ir.pool import DenseRef
from dlc.ir.types import TensorType, Type


@op_def("test.source", traits={PURE})
class Source(Op):
    """A value out of nowhere."""

    type = attr(kind=Type)

    def infer(self):
        return (self.type,)


@op_def("test.constant", traits={PURE})
class Constant(Op):
    """A constant of the pool."""

    value = attr(kind=DenseRef)
    type = attr(kind=TensorType)

    def infer(self):
        return (self.type,)


@op_def("test.add", traits={PURE, COMMUTATIVE})
class Add(Op):
    """Two operands of one type."""

    x = operand(ANY)
    y = operand(ANY)

    def infer(self):
        return (self.x.type,)

    def check(self):
        if self.x.type != self.y.type:
            yield f"c1: operands must have one type, got {self.x.type} and {self.y.type}"


@op_def("test.conv", traits={PURE})
class Conv(Op):
    """Constraints, an optional operand, attributes with defaults and a required one."""

    x = operand(FLOAT_TENSOR, rank(2))
    w = operand(FLOAT_TENSOR)
    bias = optional_operand(FLOAT_TENSOR)
    pads = attr((0, 0))
    alpha = attr(1.0)
    exact = attr(False)
    groups = attr(1)
    mode = attr("same")
    index = attr(kind=Expr)

    def infer(self):
        if len(self.pads) != 2:
            raise ValueError(f"pads must be two, got {len(self.pads)}")
        return (self.x.type,)


@op_def("test.split")
class Split(Op):
    """Two named results."""

    x = operand(ANY)
    first = result()
    second = result()

    def infer(self):
        return (self.x.type, self.x.type)


@op_def("test.bag")
class Bag(Op):
    """Any operands, any attribute; its results are its operands' types."""

    values = operands(ANY)
    a = attr(None)
    b = attr(None)
    c = attr(0.0)

    def infer(self):
        return tuple(value.type for value in self.values)


@op_def("test.loop")
class Loop(Op):
    """One region whose end yields the results."""

    inits = operands(ANY)
    body = region()

    def infer(self):
        return tuple(value.type for value in self.inits)


@op_def("test.branch")
class Branch(Op):
    """Two regions."""

    condition = operand(ANY)
    then = region()
    otherwise = region()

    def infer(self):
        return tuple(value.type for value in self.then.block.terminator.operands)


@op_def("test.yield", traits={TERMINATOR})
class Yield(Op):
    """Ends a region."""

    values = operands(ANY)


OPS = (Source, Constant, Add, Conv, Split, Bag, Loop, Branch, Yield)
DIALECTS = (func.OPS, OPS)
