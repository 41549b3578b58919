"""Guards: what ops need of sizes, where the sizes of a run must decide it, as ops of the graph.

    %y = graph.add(%a, %b)      ->     graph.require() {left = <n>, right = <m>, text = …}
                                       %y = graph.add(%a, %b)

Put in once, right after import. From then on no pass has to remember what it relies on: guards are not pure, so
nothing removes them. A guard stands in the block of the op that needs it, and nothing moves it out of a region, since
a branch that is not taken must not refuse the run.

Where a guard of `main` itself says that a named dimension equals something, the name is replaced by that everywhere
else, and minima that a guard of `main` decides are decided: where ``min(512, n)`` must equal n it is n. So types that
had to be equal are equal to all passes. Inputs are then no longer of the types that the model declares; those stand in
the attribute `declared` of `main`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import field
from math import gcd

from dlc.errors import UserError
from dlc.ir.core import Attribute, Block, Func, Op
from dlc.ir.dialects.graph_flow import Require
from dlc.ir.expr import Dim, Expr, as_dim
from dlc.ir.expr_bounds import bounds
from dlc.ir.expr_cases import Facts, assuming, facts_of
from dlc.ir.opdef import FINDS_SIZE
from dlc.ir.requirements import AT_LEAST, EQUAL, Requirement, decided, requirements
from dlc.ir.rewrite import found_sizes
from dlc.ir.types import TensorType, Type
from dlc.record import record

Name = Callable[[Op], str]  # what the message calls an op: the user's word for it
Known = dict[tuple[Expr, str], int]  # what has been required: (surplus without its constant, relation): the constant


def plain_name(op: Op) -> str:
    return op.name.removeprefix("graph.")


def insert_guards(
    main: Func, also: Mapping[Op, Sequence[Requirement]] | None = None, name: Name = plain_name,
    sure: Container[Op] = (),
) -> None:  # fmt: skip
    """Put a guard before each op that needs one; `also`: what an importer has relied on besides.

    What ops in `sure` declare holds because of how the importer has made their attributes.
    Raises UserError where no sizes can fulfil what the model needs.
    """
    if not _has_symbols(main):
        return
    guarding = _Guarding(also or {}, name, sure, found={*found_sizes(main.block)})
    guarding.block(main.block, outermost=True)
    if guarding.equals:
        main.attrs["declared"] = tuple(arg.type for arg in main.args)
    if guarding.equals or guarding.facts:
        rename_dims(main, guarding.equals, guarding.facts)


def _has_symbols(main: Func) -> bool:
    """Whether any size depends on the run."""
    types = [arg.type for arg in main.args]
    named = any(isinstance(dim, Expr) for kind in types if isinstance(kind, TensorType) for dim in kind.shape)
    return named or any(op.spec.has(FINDS_SIZE) for op in main.walk())


@record(frozen=False)
class _Guarding:
    """One walk: what has been required so far, and which names are equal to something for that reason."""

    also: Mapping[Op, Sequence[Requirement]]
    name: Name
    sure: Container[Op]
    found: set[str]
    equals: dict[str, Expr] = field(default_factory=dict)
    facts: Facts = ()  # that guards of `main` say, over names that are not replaced

    def block(self, block: Block, outermost: bool = False, outer: Known | None = None) -> None:
        known = dict(outer or {})
        ops: list[Op] = []
        for op in block.ops:
            if isinstance(op, Require):  # an importer's own: as good as one put in here
                if (guard := self.guard(op, op.requirement, known, outermost)) is not None:
                    guard.parent = block
                    ops.append(guard)
                continue
            for each in (*self.also.get(op, ()), *requirements(op, op not in self.sure)):
                if (guard := self.guard(op, each, known, outermost)) is not None:
                    guard.parent = block
                    ops.append(guard)
            for region in op.regions:
                for inner in region.blocks:
                    self.block(inner, outer=known)
            ops.append(op)
        block.ops[:] = ops

    def guard(self, op: Op, need: Requirement, known: Known, outermost: bool) -> Require | None:
        """The guard for one requirement, unless it holds anyway."""
        surplus = assuming(need.surplus.substitute(self.equals), self.facts)
        holds = decided(surplus, need.relation)
        if holds or follows(surplus, need.relation, known):
            return None
        made = Require(
            left=as_dim(need.left), right=as_dim(need.right), relation=need.relation, text=need.sentence,
            what=op.what if isinstance(op, Require) else self.name(op), loc=op.loc,
        )  # fmt: skip
        if holds is False:
            raise UserError(f"{made.what} '{op.loc}': {need.sentence}, which no sizes of the inputs can fulfil")
        known[surplus.varying, need.relation] = surplus.constant
        if outermost and need.relation == EQUAL:
            self.rename(surplus)
        if outermost and need.relation in (EQUAL, AT_LEAST):
            self.learn(surplus, need.relation == EQUAL)
        return made

    def learn(self, surplus: Expr, equal: bool) -> None:
        """Remember what decides minima from here on."""
        facts = (*self.facts, *facts_of(surplus, equal))
        named = dict.fromkeys(each.substitute(self.equals) for each in facts)
        self.facts = tuple(each for each in named if not each.is_const and not each.symbols() & self.found)

    def rename(self, surplus: Expr) -> None:
        """Replace a name that `surplus` = 0 makes equal to something by that, if it says as much about the size."""
        common = gcd(*(factor for _, factor in surplus.terms))
        surplus = Expr(tuple((monomial, factor // common) for monomial, factor in surplus.terms))
        for symbol in sorted(surplus.symbols() - self.found):
            factor = surplus.coefficient(symbol)
            if abs(factor) != 1 or not surplus.is_linear_in(symbol):
                continue
            other = surplus.substitute({symbol: 0}) * -factor
            low = bounds(other)[0]
            if low is None or low < 0 or other.symbols() & self.found:
                continue
            self.equals = {old: value.substitute({symbol: other}) for old, value in self.equals.items()}
            self.equals[symbol] = other
            return


def declared_types(main: Func) -> list[Type]:
    """The types of the inputs as the model declares them, before any name was replaced."""
    declared = [kind for kind in main.listed("declared") if isinstance(kind, Type)]
    return declared or [arg.type for arg in main.args if getattr(arg.type, "space", "input") != "output"]


def follows(surplus: Expr, relation: str, known: Known) -> bool:
    """Whether a requirement holds wherever those that are known do."""
    if relation == AT_LEAST:
        return known.get((surplus.varying, relation), surplus.constant + 1) <= surplus.constant
    return any(known.get((each.varying, relation)) == each.constant for each in (surplus, -surplus))


# -- replacing names of dimensions -------------------------------------------------------------------------------------


@record
class Names:
    """What named dimensions are replaced by, and what is known of sizes then."""

    values: Mapping[str, Expr]
    facts: Facts = ()

    def of(self, dim: Expr) -> Dim:
        return as_dim(assuming(dim.substitute(self.values), self.facts))


def rename_dims(main: Func, values: Mapping[str, Expr], facts: Facts = ()) -> None:
    """Replace named dimensions in all types and attributes but those of guards, which speak of what was given."""
    names = Names(values, facts)
    for arg in main.args:
        if isinstance(arg.type, TensorType):
            arg.type = renamed_type(arg.type, names)
    for op in main.block.ops:
        _rename_in(op, names)
    main.results = tuple(value.type for value in main.terminator.operands)


def _rename_in(op: Op, names: Names) -> None:
    if isinstance(op, Require):
        return
    op.attrs = {key: renamed(value, names) for key, value in op.attrs.items()}
    for block in (block for region in op.regions for block in region.blocks):
        for arg in block.args:
            arg.type = renamed_type(arg.type, names) if isinstance(arg.type, TensorType) else arg.type
        for inner in block.ops:
            _rename_in(inner, names)
    for value, kind in zip(op.results, op.infer(), strict=True):  # what a region yields has its new type by now
        value.type = kind


def renamed(value: Attribute, names: Names) -> Attribute:
    match value:
        case Expr():
            return names.of(value)
        case tuple():
            return tuple(renamed(each, names) for each in value)
        case TensorType():
            return renamed_type(value, names)
    return value


def renamed_type(kind: TensorType, names: Names) -> TensorType:
    shape = tuple(names.of(dim) if isinstance(dim, Expr) else dim for dim in kind.shape)
    return kind if shape == kind.shape else TensorType(shape, kind.element, kind.layout)
