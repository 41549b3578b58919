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

Sizes of inputs that meet in an axis that broadcasts may be equal, or one of them 1. A model that has such pairs gets
two bodies. In `main` all pairs are equal: names are replaced as above, and there are no guards for the pairs, which are
the attribute `pairs`; a run whose sizes make them all equal takes it. Any other run takes `general`, where guards
refuse what does not fit, and a `graph.broadcast` stands wherever an operand may be repeated. An operand without one
that differs from the result along some axis and is not 1 there has that size in all runs: no pass need ask.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import field
from functools import reduce
from math import gcd

from dlc.errors import UserError
from dlc.ir.broadcast import sizes_met
from dlc.ir.core import GENERAL, Attribute, Block, Func, Module, Op
from dlc.ir.dialects.graph_flow import Require
from dlc.ir.dialects.graph_shape import Broadcast
from dlc.ir.dialects.shape_rules import broadcast_dim, tensor
from dlc.ir.expr import FOLD, ZERO, Dim, Expr, as_dim, as_expr, sym
from dlc.ir.expr_atoms import Atom
from dlc.ir.expr_bounds import bounds
from dlc.ir.expr_cases import Facts, assuming, facts_of
from dlc.ir.opdef import FINDS_SIZE
from dlc.ir.requirements import ALIKE, AT_LEAST, BROADCASTS, EQUAL, ONE_OR_EQUAL, Requirement, decided, requirements
from dlc.ir.rewrite import found_sizes
from dlc.ir.types import TensorType, Type
from dlc.record import record

Name = Callable[[Op], str]  # what the message calls an op: the user's word for it
Needs = Mapping[Op, Sequence[Requirement]]
Known = dict[tuple[Expr, str], int]  # what has been required: (surplus without its constant, relation): the constant


def plain_name(op: Op) -> str:
    return op.name.removeprefix("graph.")


def insert_guards(
    module: Module, also: Needs | None = None, name: Name = plain_name, sure: Container[Op] = ()
) -> None:  # fmt: skip
    """Put a guard before each op that needs one; make a second body if axes may broadcast.

    `also` is what an importer has relied on besides. What ops in `sure` declare holds because of how the importer has
    made their attributes. Raises UserError where no sizes can fulfil what the model needs.
    """
    main = module.main
    if not _has_symbols(main):
        return
    general = Guarding(main, also or {}, name, sure)
    general.plan()
    if (pairs := general.undecided()) and (equal := _with_equal_pairs(general, pairs)) is not None:
        main.name = GENERAL
        module.funcs["main"] = equal.main
        module.funcs[GENERAL] = main
        equal.finish()
        sides = (side for need in pairs for side in (need.left, need.right))
        equal.main.attrs["pairs"] = tuple(map(as_dim, sides))
    general.finish()


def _with_equal_pairs(general: Guarding, pairs: Sequence[Requirement]) -> Guarding | None:
    """A copy of the body in which all pairs count as equal; None if no sizes make them so."""
    copy = general.main.clone()
    old = dict(zip(copy.walk(), general.main.walk(), strict=True))
    also = {op: general.also[old[op]] for op in old if old[op] in general.also}
    sure = {op for op in old if old[op] in general.sure}
    equal = Guarding(copy, also, lambda op: general.name(old[op]), sure, {*pairs}, {*general.decided_pairs()})
    try:
        equal.plan()
    except UserError:  # without the pairs there was none
        return None
    return equal


def _has_symbols(main: Func) -> bool:
    """Whether any size depends on the run."""
    types = [arg.type for arg in main.args]
    named = any(isinstance(dim, Expr) for kind in types if isinstance(kind, TensorType) for dim in kind.shape)
    return named or any(op.spec.has(FINDS_SIZE) for op in main.walk())


@record(frozen=False)
class Guarding:
    """One walk over a body: what has been required so far, and which names are equal to something for that reason."""

    main: Func
    also: Needs
    name: Name
    sure: Container[Op] = ()
    equal: set[Requirement] = field(default_factory=set)  # pairs that count as equal
    decided: set[Requirement] = field(default_factory=set)  # pairs that need no guard, since others decide them
    found: set[str] = field(default_factory=set)
    equals: dict[str, Expr] = field(default_factory=dict)
    facts: Facts = ()  # that guards of the body say, over names that are not replaced
    pairs: dict[Requirement, list[Require]] = field(default_factory=dict)  # sizes of inputs that may broadcast
    edits: list[tuple[Block, list[Op]]] = field(default_factory=list)

    def plan(self) -> None:
        """Find out what is to be done; nothing changes before `finish`."""
        self.found = {*found_sizes(self.main.block)}
        self.block(self.main.block, outermost=True)
        for guard in (op for _, ops in self.edits for op in ops if isinstance(op, Require)):
            if self.resized(guard.requirement).holds() is False:  # by what a later guard has said
                raise self.never(guard)

    def finish(self) -> None:
        dropped = {guard for need in (*self.equal, *self.decided_pairs()) for guard in self.pairs.get(need, ())}
        for block, ops in self.edits:
            block.ops[:] = [op for op in ops if op not in dropped]
            for op in block.ops:
                op.parent = block
        if self.equals or self.equal:
            self.main.attrs["declared"] = tuple(arg.type for arg in self.main.args)
        if self.equals or self.equal or self.facts:
            rename_dims(self.main, self.equals, self.facts)
        self.stretch(self.main.block, outermost=True)

    # -- pairs -------------------------------------------------------------------------------------------------------

    def undecided(self) -> list[Requirement]:
        """The pairs that are open when all that must be equal is."""
        return [need for need in self.pairs if not self.resized(need).holds()]

    def decided_pairs(self) -> list[Requirement]:
        return [need for need in self.pairs if self.resized(need).holds()]

    def resized(self, need: Requirement) -> Requirement:
        """The requirement in terms of the names that are left."""
        names = Names(self.equals, self.facts)
        left, right = names.of(as_expr(need.left)), names.of(as_expr(need.right))
        return Requirement(left, need.relation, right, need.text)

    # -- guards ------------------------------------------------------------------------------------------------------

    def block(self, block: Block, outermost: bool = False, outer: Known | None = None) -> None:
        known = dict(outer or {})
        ops: list[Op] = []
        for op in block.ops:
            own = isinstance(op, Require)  # an importer's own: as good as one put in here
            relied_on = self.also.get(op, ())
            for need in (*relied_on, *requirements(op, op not in self.sure)):
                chosen = own or need in relied_on
                if (guard := self.guard(op, need, known, outermost, chosen)) is not None:
                    ops.append(guard)
            for region in op.regions:
                for inner in region.blocks:
                    self.block(inner, outer=known)
            if not own:
                ops.append(op)
        self.edits.append((block, ops))

    def guard(self, op: Op, need: Requirement, known: Known, outermost: bool, chosen: bool) -> Require | None:
        """The guard for one requirement, unless it holds anyway. What an importer has chosen to rely on is read
        nowhere if it is that one size broadcasts to another: then there is no pair."""
        reads = need.relation == ALIKE or (need.relation == ONE_OR_EQUAL and not chosen)
        pair = outermost and reads and self.found.isdisjoint(need.distance.symbols())
        if pair and need in self.decided:
            return None
        left = self.resized(need)
        if pair and need in self.equal:
            left = Requirement(left.left, EQUAL, left.right, left.text)
        surplus = assuming(left.surplus, self.facts)
        holds = decided(surplus, left.relation)
        if holds or follows(surplus, left.relation, known):
            return None
        if left.relation in BROADCASTS and follows(left.distance, EQUAL, known):
            return None
        made = Require(
            left=as_dim(need.left), right=as_dim(need.right), relation=need.relation, text=need.sentence,
            what=op.what if isinstance(op, Require) else self.name(op), loc=op.loc,
        )  # fmt: skip
        if holds is False:
            raise self.never(made)
        known[surplus.varying, left.relation] = surplus.constant
        if pair:
            self.pairs.setdefault(need, []).append(made)
        if outermost and left.relation == EQUAL:
            self.rename(surplus)
        if outermost and left.relation in (EQUAL, AT_LEAST):
            self.learn(surplus, left.relation == EQUAL)
        return made

    @staticmethod
    def never(guard: Require) -> UserError:
        return UserError(f"{guard.what} '{guard.loc}': {guard.text}, which no sizes of the inputs can fulfil")

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
            self.equals = {old: as_expr(resized(value, {symbol: other})) for old, value in self.equals.items()}
            self.equals[symbol] = other
            return

    # -- axes that are repeated --------------------------------------------------------------------------------------

    def stretch(self, block: Block, outermost: bool = False) -> None:
        """Put a broadcast wherever an operand may have to be repeated."""
        for op in list(block.ops):
            for inner in (inner for region in op.regions for inner in region.blocks):
                self.stretch(inner)
            for number, whole in list(op.stretched()):
                shape = tensor(op.operands[number]).shape
                pairs = zip(shape, whole[len(whole) - len(shape) :], strict=True)
                wanted = tuple(b if self.repeats(a, b, outermost) else a for a, b in pairs)
                if wanted != shape:
                    made = Broadcast(op.operands[number], shape=wanted, loc=op.loc)
                    block.insert_before(op, made)
                    op.set_operand(number, made.result)

    def repeats(self, size: Dim, whole: Dim, outermost: bool) -> bool:
        """Whether an axis may have one element where the result has more."""
        if isinstance(size, int) or size == whole:
            return False
        equal = bool(self.equal) and outermost and self.found.isdisjoint(size.symbols() | as_expr(whole).symbols())
        return not equal


def declared_types(main: Func) -> list[Type]:
    """The types of the inputs as the model declares them, before any name was replaced."""
    declared = [kind for kind in main.listed("declared") if isinstance(kind, Type)]
    return declared or [arg.type for arg in main.args if getattr(arg.type, "space", "input") != "output"]


def pairs_of(main: Func) -> list[tuple[Expr, Expr]]:
    """The sizes that are equal in runs of this body, if there is another."""
    sides = [as_expr(side) for side in main.listed("pairs") if isinstance(side, int | Expr)]
    return list(zip(sides[::2], sides[1::2], strict=True))


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
        return as_dim(assuming(as_expr(resized(as_dim(dim), self.values)), self.facts))


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


def resized(dim: Dim, values: Mapping[str, Expr]) -> Dim:
    """A dimension with names replaced; a size of an axis that broadcasts is that of what its parts are then."""
    if isinstance(dim, int) or values.keys().isdisjoint(dim.symbols()):
        return dim
    total = ZERO
    for monomial, factor in dim.terms:
        atoms = list(monomial)
        term = as_expr(factor)
        for most, least in [(a, b) for a in atoms for b in atoms if _kinds(a, b) == ("max", "min")]:
            met = sizes_met(Expr((((most, least), 1),)))
            if len(met) > 1 and most in atoms and least in atoms:
                atoms.remove(most)
                atoms.remove(least)
                term = term * as_expr(reduce(_met, (resized(as_dim(size), values) for size in met)))
        for atom in atoms:
            term = term * _resized_atom(atom, values)
        total = total + term
    return as_dim(total)


def _kinds(*atoms: Atom) -> tuple[str, ...]:
    return tuple("" if isinstance(atom, str) else atom.kind for atom in atoms)


def _met(left: Dim, right: Dim) -> Dim:
    if isinstance(left, int) and isinstance(right, int):  # those that never fit are refused elsewhere
        return left if right == 1 else right
    return broadcast_dim(left, right)


def _resized_atom(atom: Atom, values: Mapping[str, Expr]) -> Expr:
    if isinstance(atom, str):
        return as_expr(values.get(atom, sym(atom)))
    left, right = resized(as_dim(atom.left), values), resized(as_dim(atom.right), values)
    return FOLD[atom.kind](as_expr(left), as_expr(right))
