"""Ops with regions: fused kernels, and (to come) if, loop and recurrence. A region ends in `graph.yield`.

And guards, which must hold wherever they stand: in a region that is not run they ask for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op, Region, Value
from dlc.ir.dialects.shape_rules import DIM
from dlc.ir.expr import Dim
from dlc.ir.opdef import ANY, PURE, TERMINATOR, AttrDef, attr, op_def, operands, region
from dlc.ir.requirements import EQUAL, RELATIONS, Requirement
from dlc.ir.types import Type


@op_def("graph.yield", traits={TERMINATOR})
class Yield(Op):
    """The results of the region it ends"""

    values = operands(ANY)


def yielded_types(body: Region) -> tuple[Type, ...]:
    """The types of what a region yields."""
    return tuple(value.type for value in body.block.terminator.operands)


def region_problems(body: Region, inputs: list[Value], code: str) -> Iterator[str]:
    """Violations of the contract of a region: its arguments have the types of `inputs`, its end is a yield."""
    if [arg.type for arg in body.block.args] != [value.type for value in inputs]:
        yield f"{code}: the arguments of the region must have the types of the inputs"
    if not body.block.ops or not isinstance(body.block.terminator, Yield):
        yield f"{code}: the region must end in graph.yield"


@op_def("graph.group", traits={PURE})
class Group(Op):
    """Ops that become one kernel; the region sees only its arguments, which are the inputs"""

    inputs = operands(ANY)
    kernel: AttrDef[str] = attr(kind=str)
    body = region()

    def infer(self) -> tuple[Type, ...]:
        return yielded_types(self.body)

    def check(self) -> Iterator[str]:
        yield from region_problems(self.body, self.inputs, "c1")


@op_def("graph.require")
class Require(Op):
    """The run ends with an error unless `left` stands in the relation to `right`; `what` is the op that needs it"""

    left: AttrDef[Dim] = attr(kind=DIM)
    right: AttrDef[Dim] = attr(kind=DIM)
    relation = attr(EQUAL)
    text: AttrDef[str] = attr(kind=str)
    what = attr("model")

    @property
    def requirement(self) -> Requirement:
        return Requirement(self.left, self.relation, self.right, self.text)

    def check(self) -> Iterator[str]:
        if self.relation not in RELATIONS:
            yield f"c1: relation must be one of {', '.join(RELATIONS)}"

    def requires(self) -> Iterator[Requirement]:
        yield self.requirement


OPS: tuple[type[Op], ...] = (Yield, Group, Require)
