"""accumulate: a nest of sums (products, minima, …) with the terms of its innermost loop in lanes, the tail masked.

    a = for r: for k in [0, 21) carrying a:      v = for r carrying (v = neutral x 16):
      yield a + f(x[r, k])                    →      v + f(x[r, 0..15]) + (lane < 5 ? f(x[r, 16..]) : neutral)
                                                 a = init + reduce(v)

The vector is carried through the whole nest and combined once. The terms are added in another order; how they are
grouped depends on the lanes alone, never on threads.
"""

from __future__ import annotations

from dlc.ir.access import Formula, expression, mapped_operands
from dlc.ir.core import Block, Value
from dlc.ir.dialects import arith, loop, vec
from dlc.ir.expr import const, minimum
from dlc.ir.types import INDEX, SI32, ScalarType, VectorType
from dlc.passes.loop.loops import make_loop, only_inner_loop, runs_at_least_once, substitution
from dlc.passes.loop.reduce import _COMBINERS, _try_body, _widen, neutral, reduction_kinds
from dlc.passes.loop.split import split
from dlc.passes.loop.vectorize import NotVectorizable, _Vectorizer


def accumulate(inner: loop.For, lanes: int, wide: int = 0) -> None:
    """Put the terms of the reduction `inner` in `lanes` lanes. A single long loop first goes in steps of `wide`.

    Raises NotVectorizable, leaving the IR as it was, if the terms cannot be computed on vectors.
    """
    kinds = reduction_kinds(inner)
    if kinds is None or inner.step != 1 or inner.lower != 0:
        raise NotVectorizable(f"loop {inner.name_hint!r} is not a plain reduction")
    if inner.trip_count == 0:
        raise NotVectorizable(f"loop {inner.name_hint!r} never runs")
    if any(end.defined_by(arith.Fma) for end in inner.block.terminator.operands):
        raise NotVectorizable(f"loop {inner.name_hint!r} is contracted already")
    if any(isinstance(op, loop.For | loop.If | loop.While) for op in inner.block.ops):
        raise NotVectorizable(f"loop {inner.name_hint!r} contains other loops")
    _try_body(inner, lanes)
    top = _nest_around(inner)
    if top is inner and wide:
        main, tail = split(inner, wide, inner.name_hint + ".o", inner.name_hint + ".v")
        if main is not None:
            _widen(main, wide, kinds)
        if tail is None:
            return
        inner = top = tail
    name = inner.name_hint
    main, tail = split(inner, lanes, name + ".o", name + ".v")
    whole = [op for op in (main, tail) if op is not None]
    _carry_vector(whole if top is inner else [top], kinds, lanes)


def _nest_around(inner: loop.For) -> loop.For:
    """The outermost loop of the perfect nest of sums that ends in `inner`."""
    top = inner
    while True:
        around = top.parent_op()
        if not isinstance(around, loop.For) or not around.carried or only_inner_loop(around) is not top:
            return top
        top = around


def _carry_vector(nest: list[loop.For], kinds: list[str], lanes: int) -> None:
    block = nest[0].parent
    if block is None:
        raise NotVectorizable("a loop without a block")
    first, last = nest[0], nest[-1]
    new = Block()
    starts = []
    for value, kind in zip(first.inits, kinds, strict=True):
        element = _element(value)
        starts.append(
            new.append(
                arith.Constant(value=neutral(kind, element), type=VectorType(lanes, element), loc=first.loc)
            ).result
        )
    ends = _Rebuilt(kinds, lanes, first).sequence(nest, starts, new)
    totals = []
    for value, vector, kind in zip(first.inits, ends, kinds, strict=True):
        total = new.append(vec.Reduce(vector, kind=kind, loc=first.loc))
        totals.append(new.append(_COMBINERS[kind](value, total.result, loc=first.loc)).result)
    at = block.index_of(first)
    for offset, op in enumerate(list(new.ops)):
        block.insert(at + offset, op)
    for old, made in zip(last.results, totals, strict=True):
        old.replace_all_uses_with(made)
    for op in reversed(nest):
        op.erase()


def _element(value: Value) -> ScalarType:
    if not isinstance(value.type, ScalarType):
        raise NotVectorizable("a vector is accumulated already")
    return value.type


class _Rebuilt:
    """Copies of the loops of a nest that carry vectors; the innermost ones become straight vector code."""

    def __init__(self, kinds: list[str], lanes: int, top: loop.For) -> None:
        self.kinds = kinds
        self.lanes = lanes
        self.mapping = substitution(top)

    def sequence(self, ops: list[loop.For], carried: list[Value], into: Block) -> list[Value]:
        for op in ops:
            inner = [o for o in op.block.ops if isinstance(o, loop.For)]
            carried = self.around(op, inner, carried, into) if inner else self.terms(op, carried, into)
        return carried

    def around(self, op: loop.For, inner: list[loop.For], carried: list[Value], into: Block) -> list[Value]:
        operands, attrs = mapped_operands(op, self.mapping)
        indices = operands[: len(operands) - op.carried]
        body = Block([INDEX, *(v.type for v in carried)], [a.hint for a in op.block.args])
        self.mapping.values[op.variable] = body.args[0]
        if op.variable in self.mapping.ranges:
            self.mapping.ranges[body.args[0]] = self.mapping.ranges[op.variable]
        ends = self.sequence(inner, body.args[1:], body)
        body.append(loop.Yield(*ends, loc=op.loc))
        lower, upper = expression(attrs, "lower"), expression(attrs, "upper")
        made = make_loop(lower, upper, body, indices, carried, name=op.name_hint, step=op.step, loc=op.loc)
        into.append(made)
        return made.results

    def terms(self, op: loop.For, carried: list[Value], into: Block) -> list[Value]:
        """One vector of terms, or what there is of it, which may be nothing."""
        if runs_at_least_once(op):
            return self.vector_of_terms(op, carried, into)
        probe = arith.Index(*op.indices, expr=minimum(1, op.upper), loc=op.loc)
        operands, attrs = mapped_operands(probe, self.mapping)
        probe.drop_operands()
        body = Block([INDEX, *(v.type for v in carried)])
        ends = self.vector_of_terms(op, body.args[1:], body)
        body.append(loop.Yield(*ends, loc=op.loc))
        runs = expression(attrs, "expr")
        once = make_loop(const(0), runs, body, operands, carried, name=op.name_hint + ".once", loc=op.loc)
        return into.append(once).results

    def vector_of_terms(self, op: loop.For, carried: list[Value], into: Block) -> list[Value]:
        full = op.upper.is_const and op.upper.value == self.lanes
        worker = _Vectorizer(op, self.lanes, None if full else op.upper, False)
        worker.mapping.values.update(self.mapping.values)
        worker.mapping.ranges.update({v: r for v, r in self.mapping.ranges.items() if v is not op.variable})
        worker.mapping.formulas[op.variable] = Formula(const(0))
        ends = op.block.terminator.operands
        combiners = [end.defining_op for end in ends]
        worker.block([o for o in op.block.ops[:-1] if o not in combiners], into)
        mask = None if full else self.mask(op, worker, into)
        results = []
        for before, combiner, arg, kind in zip(carried, combiners, op.block.args[1:], self.kinds, strict=True):
            if combiner is None or isinstance(combiner, arith.Fma):
                raise NotVectorizable("a sum that is contracted already")
            term = next(v for v in combiner.operands if v is not arg)
            value = worker.vector(term, into)
            if mask is not None:
                element = _element(term)
                rest = into.append(arith.Constant(value=neutral(kind, element), type=value.type, loc=op.loc)).result
                value = into.append(arith.Select(mask, value, rest, loc=op.loc)).result
            results.append(into.append(_COMBINERS[kind](before, value, loc=op.loc)).result)
        return results

    def mask(self, op: loop.For, worker: _Vectorizer, into: Block) -> Value:
        """The lanes before the loop's end."""
        probe = arith.Index(*op.indices, expr=op.upper, loc=op.loc)
        operands, attrs = mapped_operands(probe, worker.mapping)
        probe.drop_operands()
        count = into.append(arith.Index(*operands, expr=attrs["expr"], loc=op.loc)).result
        narrow = into.append(arith.Cast(count, to=SI32, loc=op.loc)).result
        limit = into.append(vec.Broadcast(narrow, lanes=self.lanes, loc=op.loc)).result
        numbers = into.append(vec.Lanes(expr=const(0), lanes=self.lanes, loc=op.loc)).result
        lanes = into.append(arith.Cast(numbers, to=SI32, loc=op.loc)).result
        return into.append(arith.Compare(lanes, limit, predicate="lt", loc=op.loc)).result
