"""Ops with regions: fused kernels, and branches. A region ends in `graph.yield`.

A group's region sees its arguments only; a branch sees all that is defined before its op.

And guards, which must hold wherever they stand: in a region that is not run they ask for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op, Region, Value
from dlc.ir.dialects.shape_rules import DIM, FindsSizes
from dlc.ir.expr import Dim, as_dim, as_expr, maximum, sym
from dlc.ir.opdef import (
    ANY,
    BOOL_TENSOR,
    FINDS_SIZE,
    PURE,
    TERMINATOR,
    AttrDef,
    attr,
    op_def,
    operand,
    operands,
    rank,
    region,
)
from dlc.ir.requirements import EQUAL, RELATIONS, Requirement
from dlc.ir.types import TensorType, Type


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


@op_def("graph.if", traits={FINDS_SIZE})
class If(FindsSizes):
    """What the first region yields where the condition holds, else what the second does; only that region runs

    A size of a result that is not the same in both is a named dimension: those in `sizes`, in the order of the results
    and of their axes.
    """

    condition = operand(BOOL_TENSOR, rank(0))
    sizes: AttrDef[tuple[str, ...]] = attr(())
    then = region()
    otherwise = region()

    def infer(self) -> tuple[Type, ...]:
        names = iter(self.sizes)
        pairs = zip(yielded_types(self.then), yielded_types(self.otherwise), strict=True)
        return tuple(merged_type(one, other, names) for one, other in pairs)

    def check(self) -> Iterator[str]:
        yield from region_problems(self.then, [], "c1")
        yield from region_problems(self.otherwise, [], "c1")
        kinds = [[(kind.rank, kind.element) if isinstance(kind, TensorType) else None for kind in yielded_types(body)]
                 for body in (self.then, self.otherwise)]  # fmt: skip
        if kinds[0] != kinds[1]:
            yield "c2: both regions must yield values of the same ranks and element types"
        elif len(self.sizes) != len(self.different_sizes()):
            yield "c3: there must be a name for each size that is not the same in both regions"

    def different_sizes(self) -> list[tuple[Dim, Dim]]:
        """The sizes that are not the same in both regions."""
        pairs = zip(yielded_types(self.then), yielded_types(self.otherwise), strict=True)
        return [
            (a, b) for one, other in pairs if isinstance(one, TensorType) and isinstance(other, TensorType)
            for a, b in zip(one.shape, other.shape, strict=True) if a != b
        ]  # fmt: skip

    def found(self) -> dict[str, Dim | None]:
        most = (as_dim(maximum(as_expr(a), as_expr(b))) for a, b in self.different_sizes())
        return dict(zip(self.sizes, most, strict=True))


def merged_type(one: Type, other: Type, names: Iterator[str]) -> Type:
    """The type of what is either `one` or `other`, which differ in sizes at most. Raises ValueError without a name."""
    if not isinstance(one, TensorType) or not isinstance(other, TensorType):
        return one
    shape: list[Dim] = []
    for a, b in zip(one.shape, other.shape, strict=True):
        name = None if a == b else next(names, None)
        if a != b and name is None:
            raise ValueError("a size has no name")
        shape.append(a if name is None else sym(name))
    return TensorType(tuple(shape), one.element)


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


@op_def("graph.fail")
class Fail(Op):
    """The run ends with an error: the branch that this is could not be compiled; its results, of `types`, never are"""

    types: AttrDef[tuple[TensorType, ...]] = attr(())
    text: AttrDef[str] = attr(kind=str)
    what = attr("model")

    def infer(self) -> tuple[Type, ...]:
        return self.types


OPS: tuple[type[Op], ...] = (Yield, Group, If, Require, Fail)
