"""Finding loops, making them, and putting their pieces in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlc.errors import InternalError
from dlc.ir.access import Substitution, clone_parts
from dlc.ir.core import Block, Func, Location, Op, Region, Value
from dlc.ir.dialects import loop
from dlc.ir.expr import Expr, ceil_div, minimum, sym
from dlc.ir.expr_atoms import Compound
from dlc.ir.expr_bounds import Range, last_index
from dlc.ir.types import INDEX


def named_loops(root: Func | Op, name: str) -> list[loop.For]:
    """All loops called `name`, in program order. (A transform may have made several from one.)"""
    return [op for op in all_loops(root) if op.name_hint == name]


def all_loops(root: Func | Op) -> list[loop.For]:
    return [op for op in walk_nests(root) if isinstance(op, loop.For)]


def walk_nests(root: Func | Op) -> Iterator[Op]:
    """The ops at and in `root` that have regions, outer before inner: few among many."""
    if isinstance(root, Op):
        yield root
    for region in root.regions if isinstance(root, Op) else (root.body,):
        for block in region.blocks:
            for op in [op for op in block.ops if op.regions]:
                yield from walk_nests(op)


def variable_ranges(op: Op) -> dict[Value, Range]:
    """The ranges of the variables of the loops around and in `op`."""
    ranges: dict[Value, Range] = {}
    around: Op | None = op
    while around is not None:
        if isinstance(around, loop.For):
            _note(around, ranges)
        around = around.parent_op()
    for inner in all_loops(op):
        _note(inner, ranges)
    return ranges


def _note(op: loop.For, ranges: dict[Value, Range]) -> None:
    if op.lower.is_const and op.block.args:
        ranges[op.variable] = (op.lower.value, last_index(op.upper))  # a bound min(c, …) still has the bound c


def substitution(op: Op) -> Substitution:
    """An empty substitution that knows the ranges of all loop variables in sight of `op`."""
    return Substitution(ranges=variable_ranges(op))


def make_loop(
    lower: Expr,
    upper: Expr,
    body: Block,
    indices: Iterable[Value] = (),
    inits: Iterable[Value] = (),
    *,
    kind: str = "serial",
    name: str = "",
    step: int = 1,
    loc: Location,
) -> loop.For:
    carried = list(inits)
    made = loop.For(
        *indices, *carried, lower=lower, upper=upper, step=step, carried=len(carried), kind=kind, name_hint=name,
        regions=[Region([body])], loc=loc,
    )  # fmt: skip
    for number, value in enumerate(made.results):
        value.hint = body.args[number + 1].hint
    return made


def body_block(name: str, carried: Iterable[Value] = ()) -> Block:
    """A loop body's block: the variable (called as the loop) and arguments like `carried`."""
    values = list(carried)
    return Block([INDEX, *(v.type for v in values)], [name.replace(".", "_") or "i", *(v.hint for v in values)])


def runs_at_least_once(op: loop.For) -> bool:
    """Whether `op` is known to run: its length is, or it is a guarded split's inner loop, ``min(f, n - o * f)``."""
    if op.trip_count is not None:
        return op.trip_count > 0
    atom = op.upper.terms[0][0][0] if len(op.upper.terms) == 1 else None  # not constant: the monomial has an atom
    if op.lower != 0 or not isinstance(atom, Compound) or op.upper.terms[0] != ((atom,), 1) or atom.kind != "min":
        return False
    limit, rest = (atom.left, atom.right) if atom.left.is_const else (atom.right, atom.left)
    if not limit.is_const or limit.value < 1:
        return False
    return any(_covers(around, op, rest) for around in _loops_around(op))


def _loops_around(op: Op) -> Iterator[loop.For]:
    around = op.parent_op()
    while around is not None:
        if isinstance(around, loop.For):
            yield around
        around = around.parent_op()


def _covers(around: loop.For, op: loop.For, rest: Expr) -> bool:
    """Whether `around` runs over the blocks of what `rest` leaves over: rest = n - o * f for o in [0, ceil(n / f))."""
    if around.variable not in op.indices or around.lower != 0 or around.step != 1:
        return False
    name = f"d{op.indices.index(around.variable)}"
    factor = -rest.coefficient(name)
    if factor < 1 or not rest.is_linear_in(name) or any(v not in op.indices for v in around.indices):
        return False
    places = {f"d{n}": sym(f"d{op.indices.index(v)}") for n, v in enumerate(around.indices)}
    return around.upper.substitute(places) == ceil_div(rest + sym(name) * factor, factor)


def once_if_at_all(op: loop.For, body: Block, inits: Iterable[Value], ends: Iterable[Value]) -> loop.For:
    """A loop around `body` (without its yield) that runs once if `op` runs at all."""
    body.append(loop.Yield(*ends, loc=op.loc))
    return make_loop(op.lower, minimum(1, op.upper), body, op.indices, inits, name=op.name_hint + ".once", loc=op.loc)


def replace_loop(old: loop.For, new: list[Op], results: list[Value]) -> None:
    """Put `new` in the place of `old`, whose results become `results`."""
    block = old.parent
    if block is None:
        raise InternalError("a loop without a block cannot be replaced", op=old)
    at = block.index_of(old)
    for offset, op in enumerate(new):
        block.insert(at + offset, op)
    for value, other in zip(old.results, results, strict=True):
        value.replace_all_uses_with(other)
    old.erase()


def take_body(op: loop.For, name: str = "") -> tuple[Block, Value]:
    """The body of `op`, for another loop called `name`: with a variable of its own; and the old one, still used."""
    (block,) = op.regions.pop().blocks
    old = block.args[0]
    block.args[0] = Value(INDEX, block, 0, name.replace(".", "_") or "i")
    return block, old


def recompose(variables: Iterable[Value], mapping: Substitution) -> None:
    """Put the formulas of `mapping` in the place of index values, in the ops themselves.

    Where that changes how often a loop runs, the ops that its variable moves are simplified anew.
    """
    waiting = list(dict.fromkeys(op for value in variables for op in value.users()))
    while waiting:
        op = waiting.pop()
        operands, attrs = clone_parts(op, mapping)
        op.set_operands(operands)
        op.attrs = attrs
        if isinstance(op, loop.For):
            before = mapping.ranges.get(op.variable)
            _note(op, mapping.ranges)
            if mapping.ranges.get(op.variable) != before:
                waiting += op.variable.users()


def only_inner_loop(op: loop.For) -> loop.For | None:
    """The loop that makes up the whole body of `op` (with values carried straight through), if there is one."""
    ops = op.block.ops
    if len(ops) != 2 or not isinstance(ops[0], loop.For):
        return None
    inner = ops[0]
    if op.carried:
        straight = inner.inits == op.block.args[1:] and op.block.terminator.operands == inner.results
        return inner if straight and inner.carried == op.carried else None
    return inner if not inner.carried else None
