"""Ops with regions: fused kernels, and branches. A region ends in `graph.yield`.

A group's region sees its arguments only; a branch sees all that is defined before its op.

And guards, which must hold wherever they stand: in a region that is not run they ask for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op, Region, Value
from dlc.ir.dialects.shape_rules import DIM, FindsSizes, tensor
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
from dlc.ir.types import BOOL, SI64, TensorType, Type


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


@op_def("graph.loop", traits={FINDS_SIZE})
class Loop(FindsSizes):
    """Runs its region again and again, `count` times at most and as long as the condition holds

    The operands are the count (si64), if it is `counted`, the condition before the first trip, if it is `conditional`,
    and the first carried values. The region gets the number of the trip, the condition, and the carried values; it
    yields the condition, the carried values for the next trip, and rows. The results are the carried values after the
    last trip, and per row what all trips have yielded, one behind the other: `length` of them.

    A size of a carried value that may change from trip to trip is a named dimension, one of `sizes`: in the region it
    is the one of this trip, behind the loop the last one. So is `length`, if nothing before the loop says it; it is at
    most `most` then.
    """

    values = operands(ANY)
    counted = attr(False)
    conditional = attr(False)
    sizes: AttrDef[tuple[str, ...]] = attr(())
    length: AttrDef[Dim] = attr(kind=DIM)
    most: AttrDef[Dim] = attr(kind=DIM)
    body = region()

    @property
    def inits(self) -> list[Value]:
        return list(self.operands[self.counted + self.conditional :])

    @property
    def carried(self) -> list[Value]:
        """The arguments that hold the carried values."""
        return list(self.body.block.args[2:])

    @property
    def next_values(self) -> list[Value]:
        return list(self.body.block.terminator.operands[1 : 1 + len(self.carried)])

    @property
    def rows(self) -> list[Value]:
        return list(self.body.block.terminator.operands[1 + len(self.carried) :])

    def infer(self) -> tuple[Type, ...]:
        stacked = []
        for kind in (row.type for row in self.rows):
            if not isinstance(kind, TensorType):
                raise TypeError(f"a row is {kind}, not a tensor")
            stacked.append(TensorType((self.length, *kind.shape), kind.element))
        return (*(arg.type for arg in self.carried), *stacked)

    def check(self) -> Iterator[str]:
        args, end = self.body.block.args, self.body.block.terminator
        first = [TensorType((), SI64), TensorType((), BOOL)]
        if [arg.type for arg in args[:2]] != first or len(self.inits) != len(args) - 2:
            yield "c1: the arguments of the region must be a number, a condition, and one for each carried value"
            return
        enough = isinstance(end, Yield) and len(end.operands) > len(self.carried)
        if not enough or end.operands[0].type != first[1]:
            yield "c2: the region must yield a condition and all carried values"
            return
        for init, arg, following in zip(self.inits, self.carried, self.next_values, strict=True):
            kinds = [value.type for value in (init, arg, following)]
            if len({(kind.rank, kind.element) if isinstance(kind, TensorType) else None for kind in kinds}) != 1:
                yield "c3: a carried value must keep its rank and its element type"
                return
            for kind in kinds:
                pairs = zip(tensor(arg).shape, kind.shape, strict=True) if isinstance(kind, TensorType) else ()
                if any(a != b and str(a) not in self.sizes for a, b in pairs):
                    yield "c4: a size of a carried value that changes must be one of `sizes`"
                    return

    def changing(self) -> list[tuple[str, Dim, Dim]]:
        """Per size that may change: its name, what it is at first, and in the next trip."""
        found = []
        for init, arg, following in zip(self.inits, self.carried, self.next_values, strict=True):
            sizes = zip(tensor(arg).shape, tensor(init).shape, tensor(following).shape, strict=True)
            found += [(str(name), a, b) for name, a, b in sizes if str(name) in self.sizes]
        return found

    def found(self) -> dict[str, Dim | None]:
        names: dict[str, Dim | None] = dict.fromkeys(self.sizes)
        if str(self.length) in names and self.most != -1:
            names[str(self.length)] = self.most
        return names


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


OPS: tuple[type[Op], ...] = (Yield, Group, If, Loop, Require, Fail)
