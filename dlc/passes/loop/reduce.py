"""vectorize-reduction: the terms of a sum (product, minimum, …) in lanes, combined at the end.

    a = for k carrying (a = init):        v = for k.o carrying (v = neutral x lanes):
      yield a + x[k]                 →      yield v + x[k.o * lanes + 0..]
                                          a = init + reduce(v)
                                          a = for the rest of k carrying a: …

The terms are added in another order; how they are grouped depends on the lanes alone, never on threads.
"""

from __future__ import annotations

from dlc.ir.core import Block, Op, Region, Value
from dlc.ir.dialects import arith, loop, vec
from dlc.ir.expr import as_expr
from dlc.ir.types import INDEX, ScalarType, VectorType
from dlc.passes.loop.loops import replace_loop
from dlc.passes.loop.split import split
from dlc.passes.loop.vectorize import NotVectorizable, _Vectorizer

_KINDS: dict[type[Op], str] = {
    arith.Add: "add", arith.Fma: "add", arith.Mul: "mul", arith.Min: "min", arith.Max: "max", arith.And: "and",
    arith.Or: "or",
}  # fmt: skip
_COMBINERS: dict[str, type[Op]] = {
    "add": arith.Add, "mul": arith.Mul, "min": arith.Min, "max": arith.Max, "and": arith.And, "or": arith.Or,
}  # fmt: skip


def reduction_kinds(op: loop.For) -> list[str] | None:
    """How each carried value is accumulated, or None if some is not a plain reduction."""
    kinds = []
    for number, arg in enumerate(op.block.args[1:]):
        end = op.block.terminator.operands[number]
        combiner = end.defining_op
        if not isinstance(arg.type, ScalarType):
            return None
        if combiner is None or type(combiner) not in _KINDS or combiner.parent is not op.block or len(arg.uses) != 1:
            return None
        at = next(iter(arg.uses))[1]
        if next(iter(arg.uses))[0] is not combiner or len(end.uses) != 1:
            return None
        if isinstance(combiner, arith.Fma) and at != 2:
            return None
        kinds.append(_KINDS[type(combiner)])
    return kinds or None


def neutral(kind: str, element: ScalarType) -> object:
    if kind == "add":
        return 0
    if kind == "mul":
        return 1
    if kind in ("and", "or"):
        return kind == "and" if element.name == "bool" else (-1 if kind == "and" else 0)
    if element.is_float:
        return float("inf") if kind == "min" else float("-inf")
    top = 1 << (element.bits - element.is_signed)
    if kind == "min":
        return top - 1
    return -top if element.is_signed else 0


def vectorize_reduction(op: loop.For, lanes: int) -> None:
    """Put the terms of the reduction `op` in `lanes` lanes. Raises NotVectorizable, leaving the IR as it was."""
    kinds = reduction_kinds(op)
    if kinds is None or op.step != 1 or op.lower != 0:
        raise NotVectorizable(f"loop {op.name_hint!r} is not a plain reduction")
    if any(isinstance(inner, loop.For | loop.If | loop.While) for inner in op.block.ops):
        raise NotVectorizable(f"loop {op.name_hint!r} contains other loops")
    if op.trip_count is not None and op.trip_count < lanes:
        raise NotVectorizable(f"loop {op.name_hint!r} is shorter than a vector")
    _try_body(op, lanes)
    outer, _ = split(op, lanes, op.name_hint + ".o", op.name_hint + ".v")
    if outer is not None:
        _widen(outer, lanes, kinds)


def _try_body(op: loop.For, lanes: int) -> None:
    """Vectorize the body into nowhere, so that a failure comes before any change."""
    worker = _Vectorizer(op, lanes, None, False)
    into = worker.new_block()
    worker.varying.update(op.block.args[1:])
    worker.vectors.update({arg: arg for arg in op.block.args[1:]})
    try:
        worker.varying |= _accumulated(op)
        worker.block([o for o in op.block.ops[:-1] if not _combines(o, op)], into)
    finally:
        worker.undo()


def _combines(inner: Op, op: loop.For) -> bool:
    return any(v in op.block.terminator.operands for v in inner.results)


def _accumulated(op: loop.For) -> set[Value]:
    return set(op.block.terminator.operands)


def _widen(outer: loop.For, lanes: int, kinds: list[str]) -> None:
    inner = next(o for o in outer.block.ops if isinstance(o, loop.For))
    before: list[Op] = []
    inits: list[Value] = []
    for value, kind in zip(outer.inits, kinds, strict=True):
        element = value.type
        if not isinstance(element, ScalarType):
            raise NotVectorizable("a vector is accumulated already")
        start = arith.Constant(value=neutral(kind, element), type=VectorType(lanes, element), loc=outer.loc)
        before.append(start)
        inits.append(start.result)
    body = Block([INDEX, *(v.type for v in inits)], [a.hint for a in outer.block.args])
    worker = _Vectorizer(inner, lanes, None, False)
    worker.mapping.values[outer.variable] = body.args[0]
    if outer.variable in worker.mapping.ranges:
        worker.mapping.ranges[body.args[0]] = worker.mapping.ranges[outer.variable]
    worker.varying |= set(inner.block.args[1:]) | _accumulated(inner)
    worker.vectors.update(zip(inner.block.args[1:], body.args[1:], strict=True))
    worker.block(inner.block.ops[:-1], body)
    ends = [worker.vectors[v] for v in inner.block.terminator.operands]
    body.append(loop.Yield(*ends, loc=outer.loc))
    made = _loop_like(outer, body, inits)
    after: list[Op] = []
    results = []
    for value, wide, kind in zip(outer.inits, made.results, kinds, strict=True):
        total = vec.Reduce(wide, kind=kind, loc=outer.loc)
        joined = _COMBINERS[kind](value, total.result, loc=outer.loc)
        after += [total, joined]
        results.append(joined.result)
    replace_loop(outer, [*before, made, *after], results)


def _loop_like(outer: loop.For, body: Block, inits: list[Value]) -> loop.For:
    from_zero = as_expr(0)
    return loop.For(
        *outer.indices, *inits, lower=from_zero, upper=outer.upper, carried=len(inits), name_hint=outer.name_hint,
        regions=[Region([body])], loc=outer.loc,
    )  # fmt: skip
