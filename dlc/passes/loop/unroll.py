"""unroll: the iterations of a loop side by side; loops inside it are jammed into one.

    for i in [0, 2):                    a0, a1 = for k carrying (a0 = 0, a1 = 0):
      a = for k carrying (a = 0):   →     yield a0 + x[0, k], a1 + x[1, k]
        yield a + x[i, k]               y[0] = a0
      y[i] = a                          y[1] = a1

This is what makes a register tile: the accumulators of all iterations become values carried by one loop. The iterations
must be independent, which they are for the loops over an output's elements.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import Formula, Substitution, clone_with, expression, mapped_operands
from dlc.ir.core import Block, Op, Value
from dlc.ir.dialects import loop
from dlc.ir.expr import const
from dlc.passes.loop.loops import body_block, make_loop, recompose, replace_loop, substitution


def unroll(op: loop.For) -> None:
    """Unroll `op` wholly, in order if it carries values. Raises InternalError unless its length is known."""
    count = op.trip_count
    if count is None or not op.lower.is_const:
        raise InternalError(f"cannot unroll loop {op.name_hint!r}: its length is not known", op=op)
    if op.carried:
        _unroll_in_order(op, count)
        return
    first = op.lower.value
    around = substitution(op)
    mappings = [around.copy() for _ in range(count)]
    for n, mapping in enumerate(mappings):
        mapping.formulas[op.variable] = Formula(const(first + n * op.step))
    new = Block()
    _jam(op.block.ops[:-1], mappings, new)
    made = list(new.ops)
    replace_loop(op, made, [])


def _unroll_in_order(op: loop.For, count: int) -> None:
    carried: list[Value] = op.inits
    made: list[Op] = []
    for n in range(count):
        mapping = substitution(op)
        mapping.formulas[op.variable] = Formula(const(op.lower.value + n * op.step))
        mapping.values.update(zip(op.block.args[1:], carried, strict=True))
        made += [clone_with(inner, mapping) for inner in op.block.ops[:-1]]
        carried = [mapping.value(v) for v in op.block.terminator.operands]
    replace_loop(op, made, carried)


def _jam(ops: list[Op], mappings: list[Substitution], into: Block) -> None:
    """Append the runs of ops between loops once per mapping; loops are merged and their bodies jammed.

    Copy after copy, not op after op: in a register tile the broadcast element of a row is then used up before the next
    row's is loaded, and no more registers are alive than the tile needs.
    """
    run: list[Op] = []
    for op in [*ops, None]:
        if op is not None and not isinstance(op, loop.For):
            run.append(op)
            continue
        for mapping in mappings:
            for inner in run:
                into.append(clone_with(inner, mapping))
        run = []
        if op is not None:
            _jam_loop(op, mappings, into)


def _jam_loop(op: loop.For, mappings: list[Substitution], into: Block) -> None:
    pieces = [mapped_operands(op, mapping) for mapping in mappings]
    count = len(op.operands) - op.carried
    bounds = {
        (tuple(operands[: len(operands) - op.carried]), attrs["lower"], attrs["upper"]) for operands, attrs in pieces
    }
    if len(bounds) != 1 or count < 0:
        for mapping in mappings:  # bounds differ between the copies: they stay loops of their own
            into.append(clone_with(op, mapping))
        return
    operands, attrs = pieces[0]
    indices = operands[: len(operands) - op.carried]
    inits = [value for mapped, _ in pieces for value in mapped[len(mapped) - op.carried :]]
    body = body_block(op.name_hint, inits)
    jammed = [mapping.copy() for mapping in mappings]
    for n, mapping in enumerate(jammed):
        mapping.values[op.variable] = body.args[0]
        if op.variable in mapping.ranges:
            mapping.ranges[body.args[0]] = mapping.ranges[op.variable]
        for k, arg in enumerate(op.block.args[1:]):
            mapping.values[arg] = body.args[1 + n * op.carried + k]
            body.args[1 + n * op.carried + k].hint = arg.hint
    _jam(op.block.ops[:-1], jammed, body)
    body.append(loop.Yield(*(m.value(v) for m in jammed for v in op.block.terminator.operands), loc=op.loc))
    lower, upper = expression(attrs, "lower"), expression(attrs, "upper")
    made = make_loop(lower, upper, body, indices, inits, kind=op.kind, name=op.name_hint, step=op.step, loc=op.loc)
    into.append(made)
    for n, mapping in enumerate(mappings):
        for k, value in enumerate(op.results):
            mapping.values[value] = made.results[n * op.carried + k]


def inline_single(op: loop.For) -> None:
    """Replace a loop of one iteration by its body."""
    if op.trip_count != 1 or not op.lower.is_const:
        raise InternalError(f"loop {op.name_hint!r} does not run exactly once", op=op)
    mapping = substitution(op)
    mapping.formulas[op.variable] = Formula(op.lower)
    recompose([op.variable], mapping)
    block = op.regions.pop().block
    for arg, init in zip(block.args[1:], op.inits, strict=True):
        arg.replace_all_uses_with(init)
    ends = list(block.terminator.operands)
    block.terminator.erase()
    replace_loop(op, block.ops, ends)
