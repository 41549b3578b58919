"""vectorize: the iterations of a short loop in the lanes of vectors.

    for i in [0, 16):                    c = 0.0 (x16)
      a = for k carrying (a = 0.0):      a = for k carrying (a = c):
        yield a + x[k] * w[k, i]    →      yield a + broadcast(x[k]) * w[k, 0..15]
      y[i] = a                           y[0..15] = a

What depends on the loop's variable becomes a vector, the rest stays scalar and is broadcast where the two meet. A loop
that runs less often than there are lanes (its bound a ``min``) limits its memory accesses with ``valid``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlc.ir.access import (
    Composer,
    Formula,
    Substitution,
    clone_with,
    expression,
    expressions,
    index_operands,
    index_span,
    is_indexed,
    mapped_operands,
)
from dlc.ir.core import Block, Op, Region, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.expr import Expr, const, sym
from dlc.ir.expr_bounds import bounds
from dlc.ir.types import INDEX, BufferType, ScalarType, VectorType
from dlc.passes.loop.loops import all_loops, make_loop, once_if_at_all, replace_loop, runs_at_least_once, substitution
from dlc.passes.loop.unroll import inline_single


class NotVectorizable(Exception):
    """The loop holds something that has no vector form; the message says what."""


def vectorize(op: loop.For, lanes: int, fill: bool = False) -> None:
    """Replace `op`, which runs from 0 at most `lanes` times and carries nothing, by its body on vectors.

    `fill`: stores may write the lanes past the loop's end if they lie in the buffer's innermost axis (a block that is
    to be filled up). Raises NotVectorizable and leaves the IR as it was if the body cannot be expressed on vectors.
    """
    if op.carried or not op.lower.is_const or op.lower.value or op.step != 1:
        raise NotVectorizable(f"loop {op.name_hint!r} must run from 0 by 1 and carry nothing")
    if op.trip_count == 0:
        replace_loop(op, [], [])
        return
    if op.trip_count == 1 and lanes > 1:  # one lane: stores along an axis of one element do not move at all
        inline_single(op)
        return
    full = op.upper.is_const and op.upper.value == lanes
    worker = _Vectorizer(op, lanes, None if full else op.upper, fill)
    body = worker.run()
    if runs_at_least_once(op):
        replace_loop(op, list(body.ops), [])
        return
    body.add_arg(INDEX)  # what the first iteration reads need not exist
    replace_loop(op, [once_if_at_all(op, body, [], [])], [])


class _Vectorizer:
    """One run of `vectorize`: which values vary by lane, and what replaces them."""

    def __init__(self, op: loop.For, lanes: int, valid: Expr | None, fill: bool) -> None:
        self.loop = op
        self.fill = fill
        self.lanes = lanes
        self.valid = valid  # over op.indices
        self.varying = _varying_values(op)
        self.mapping: Substitution = substitution(op)
        # uniform parts see the first iteration
        self.mapping.formulas[op.variable] = Formula(const(0))
        self.mapping.ranges[op.variable] = (0, lanes - 1)
        self.vectors: dict[Value, Value] = {}
        self.lane_numbers: Value | None = None
        self.spread: dict[tuple[Value, int], Value] = {}
        self.forms: dict[type[Op], Callable[[Any, Block], None]] = {  # all else is computed lane by lane
            loop.For: self.inner_loop, loop.If: self.branch, loop.Check: self.check,
            buf.Load: self.load, buf.Store: self.store, arith.Index: self.index,
        }  # fmt: skip
        self.made: list[Block] = []  # to be taken apart if it turns out that the loop cannot be vectorized

    def run(self) -> Block:
        """The vector form of the loop's body. Raises NotVectorizable and leaves no trace."""
        into = self.new_block()
        try:
            self.block(self.loop.block.ops[:-1], into)
        except NotVectorizable:
            self.undo()
            raise
        return into

    def new_block(self, like: Block | None = None, inits: list[Value] | None = None) -> Block:
        """A block without arguments, or with those of a loop's body `like`."""
        types = [INDEX, *(v.type for v in inits or [])] if like is not None else []
        self.made.append(Block(types, [a.hint for a in like.args] if like is not None else []))
        return self.made[-1]

    def undo(self) -> None:
        for block in self.made:
            for op in block.ops:
                op.drop_all()

    # -- operands ----------------------------------------------------------------------------------------------------

    def vector(self, value: Value, into: Block) -> Value:
        """The vector that stands for `value`: its own, or its scalar in every lane."""
        if value in self.vectors:
            return self.vectors[value]
        scalar = self.mapping.value(value)
        key = (scalar, id(into))
        if key not in self.spread:
            made: Op
            if isinstance(scalar.owner, arith.Constant):
                kind = VectorType(self.lanes, _scalar(scalar))
                made = arith.Constant(value=scalar.owner.value, type=kind, loc=scalar.owner.loc)
            else:
                made = vec.Broadcast(scalar, lanes=self.lanes, loc=self.loop.loc)
            self.spread[key] = into.append(made).result
        return self.spread[key]

    def coefficient(self, expr: Expr, indices: list[Value]) -> int | None:
        """How `expr` moves from lane to lane: a constant, or None if that is not constant."""
        total = 0
        for n, value in enumerate(indices):
            name = f"d{n}"
            if name not in expr.symbols():
                continue
            if value is self.loop.variable:
                if not expr.is_linear_in(name):
                    return None
                total += expr.coefficient(name)
            elif value in self.varying:
                return None
        return total

    # -- ops ---------------------------------------------------------------------------------------------------------

    def block(self, ops: list[Op], into: Block) -> None:
        for op in ops:
            self.op(op, into)

    def op(self, op: Op, into: Block) -> None:
        if (form := self.forms.get(type(op))) is not None:
            form(op, into)
        elif self.varying.isdisjoint(op.results):
            if op.regions or (not op.results):
                raise NotVectorizable(f"{op.name} has no vector form")
            into.append(clone_with(op, self.mapping))
        else:
            self.lane_by_lane(op, into)

    def lane_by_lane(self, op: Op, into: Block) -> None:
        if not op.name.startswith("arith."):
            raise NotVectorizable(f"{op.name} has no vector form")
        known = self.vectors
        if isinstance(op, arith.Select) and op.condition not in self.varying:
            values = [self.mapping.value(op.condition), *(self.vector(v, into) for v in op.operands[1:])]
        else:
            values = [known[v] if v in known else self.vector(v, into) for v in op.operands]
        types = [VectorType(self.lanes, _scalar(v)) for v in op.results]
        made = into.append(type(op).unchecked(values, op.attrs, types, loc=op.loc))
        for old, new in zip(op.results, made.results, strict=True):
            new.hint = old.hint
            self.vectors[old] = new

    def accesses(self, op: Op, at: tuple[Expr, ...]) -> tuple[list[int], bool]:
        """The step per axis, and whether it is constant on all axes."""
        steps = []
        for expr in at:
            step = self.coefficient(expr, index_operands(op))
            if step is None:
                return [], False
            steps.append(step)
        return steps, True

    def simplified_at(self, op: Op) -> tuple[Expr, ...]:
        at = op.attrs["at"]
        exprs = tuple([e for e in (at if isinstance(at, tuple) else ()) if isinstance(e, Expr)])
        if not any(e.has_compounds() for e in exprs):
            return exprs
        composer = Composer(Substitution(ranges=self.mapping.ranges))
        composer.operands = list(index_operands(op))
        return tuple(map(composer.simplified, exprs))

    def load(self, op: buf.Load, into: Block) -> None:
        at = self.simplified_at(op)
        steps, linear = self.accesses(op, at)
        if linear and not any(steps):
            operands, attrs = self.mapped(op, at)
            copy = into.append(buf.Load.unchecked(operands, attrs, [op.result.type], loc=op.loc))
            copy.result.hint = op.result.hint
            self.mapping.values[op.result] = copy.result
            return
        if not linear:
            self.gather(op, into)
            return
        operands, attrs = self.mapped(op, at)
        step = () if steps == [0] * (len(steps) - 1) + [1] else tuple(steps)
        attrs |= {"lanes": self.lanes, "step": step}
        operands, attrs = self.limited(operands, attrs, op.buffer, 1)
        kind = VectorType(self.lanes, _scalar(op.result))
        made = vec.Load.unchecked(operands, _trimmed(attrs, vec.Load), [kind], loc=op.loc)
        made.result.hint = op.result.hint
        self.vectors[op.result] = into.append(made).result

    def mapped(self, op: Op, at: tuple[Expr, ...]) -> tuple[list[Value], dict[str, object]]:
        if at == op.attrs["at"]:
            operands, attrs = mapped_operands(op, self.mapping)
            return operands, dict(attrs)
        plain = _with_at(op, at)
        operands, attrs = mapped_operands(plain, self.mapping)
        plain.drop_operands()
        return operands, dict(attrs)

    def limited(
        self, operands: list[Value], attrs: dict[str, object], buffer: Value, start: int
    ) -> tuple[list[Value], dict[str, object]]:
        """Add `valid` unless no harm can come from the lanes past the loop's end."""
        reads = start == 1
        if self.valid is None or ((reads or self.fill) and self._inside(operands[start:], attrs, buffer)):
            return operands, attrs
        composer = Composer(self.mapping)
        composer.operands = list(operands[start:])
        composer._numbers = {v: n for n, v in enumerate(composer.operands)}
        valid = composer.expr(self.valid, self.loop.indices)
        return [*operands[:start], *composer.operands], attrs | {"valid": valid}

    def _inside(self, indices: list[Value], attrs: dict[str, object], buffer: Value) -> bool:
        """Whether all lanes lie inside the buffer's innermost axis."""
        kind = buffer.type
        at = attrs["at"]
        if not isinstance(kind, BufferType) or not isinstance(at, tuple) or attrs.get("step"):
            return False
        width = kind.shape[-1]
        ranges = {f"d{n}": self.mapping.ranges.get(v, (None, None)) for n, v in enumerate(indices)}
        high = bounds(at[-1], ranges)[1]
        if not isinstance(width, int) or high is None:
            return False
        return high + self.lanes <= width

    def gather(self, op: buf.Load, into: Block) -> None:
        operands, attrs = [self.mapping.value(op.buffer)], dict(op.attrs)
        for value in index_operands(op):
            operands.append(self.lane_index(value, into))
        attrs["lanes"] = self.lanes
        if self.valid is not None:
            start = len(operands)
            shift = {f"d{n}": sym(f"d{n + start - 1}") for n in range(len(self.loop.indices))}
            attrs["valid"] = self.valid.substitute(shift)
            operands += [self.mapping.value(v) for v in self.loop.indices]
        made = vec.Gather.unchecked(operands, attrs, [VectorType(self.lanes, _scalar(op.result))], loc=op.loc)
        self.vectors[op.result] = into.append(made).result

    def lane_index(self, value: Value, into: Block) -> Value:
        """An index operand as a vector where it varies."""
        if value is self.loop.variable:
            if self.lane_numbers is None or id(into) != self._lane_block:
                made = vec.Lanes(expr=const(0), lanes=self.lanes, loc=self.loop.loc)
                self.lane_numbers = into.append(made).result
                self._lane_block = id(into)
            return self.lane_numbers
        return self.vectors.get(value, self.mapping.value(value))

    _lane_block = 0

    def store(self, op: buf.Store, into: Block) -> None:
        at = self.simplified_at(op)
        steps, linear = self.accesses(op, at)
        if not linear or not any(steps):
            raise NotVectorizable("lanes store to places that do not follow one another evenly")
        operands, attrs = self.mapped(op, at)
        operands[0] = self.vector(op.value, into)
        step = () if steps == [0] * (len(steps) - 1) + [1] else tuple(steps)
        attrs["step"] = step
        operands, attrs = self.limited(operands, attrs, op.buffer, 2)
        into.append(vec.Store.unchecked(operands, _trimmed(attrs, vec.Store), loc=op.loc))

    def index(self, op: arith.Index, into: Block) -> None:
        step = self.coefficient(op.expr, op.indices)
        if step == 0:
            into.append(clone_with(op, self.mapping))
            return
        if step is None:
            operands = [self.lane_index(v, into) for v in op.indices]
            made = vec.Lanes(*operands, expr=op.expr, lanes=self.lanes, step=0, loc=op.loc)
        else:
            operands, attrs = mapped_operands(op, self.mapping)
            made = vec.Lanes(*operands, expr=attrs["expr"], lanes=self.lanes, step=step, loc=op.loc)
        self.vectors[op.result] = into.append(made).result

    def check(self, op: loop.Check, into: Block) -> None:
        """The condition in all lanes that are no longer than the loop."""
        if op.condition not in self.varying:
            into.append(clone_with(op, self.mapping))
            return
        condition = self.vector(op.condition, into)
        if self.valid is not None:
            numbers = into.append(vec.Lanes(expr=const(0), lanes=self.lanes, loc=op.loc)).result
            limit = into.append(arith.Index(*map(self.mapping.value, self.loop.indices), expr=self.valid, loc=op.loc))
            ends = into.append(vec.Broadcast(limit.result, lanes=self.lanes, loc=op.loc)).result
            past = into.append(arith.Compare(numbers, ends, predicate="ge", loc=op.loc)).result
            condition = into.append(arith.Or(condition, past, loc=op.loc)).result
        known = [self.vector(v, into) if v in self.varying else self.mapping.value(v) for v in (op.first, op.second)]
        into.append(loop.Check(condition, *known, message=op.message, loc=op.loc))

    def inner_loop(self, op: loop.For, into: Block) -> None:
        if any(v is self.loop.variable or v in self.varying for v in op.indices):
            raise NotVectorizable(f"the bounds of loop {op.name_hint!r} differ by lane")
        operands, attrs = mapped_operands(op, self.mapping)
        indices = operands[: len(operands) - op.carried]
        wide = [arg in self.varying for arg in op.block.args[1:]]
        inits = [self.vector(v, into) if w else self.mapping.value(v) for v, w in zip(op.inits, wide, strict=True)]
        body = self.new_block(op.block, inits)
        self.mapping.values[op.variable] = body.args[0]
        if op.variable in self.mapping.ranges:
            self.mapping.ranges[body.args[0]] = self.mapping.ranges[op.variable]
        self._bind(op.block.args[1:], body.args[1:], wide)
        self.block(op.block.ops[:-1], body)
        yields = op.block.terminator.operands
        ends = [self.vector(v, body) if w else self.mapping.value(v) for v, w in zip(yields, wide, strict=True)]
        body.append(loop.Yield(*ends, loc=op.loc))
        lower, upper = expression(attrs, "lower"), expression(attrs, "upper")
        made = make_loop(lower, upper, body, indices, inits, kind=op.kind, name=op.name_hint, step=op.step, loc=op.loc)
        into.append(made)
        self._bind(op.results, made.results, wide)

    def _bind(self, old: list[Value], new: list[Value], wide: list[bool]) -> None:
        for a, b, w in zip(old, new, wide, strict=True):
            if w:
                self.vectors[a] = b
            else:
                self.mapping.values[a] = b

    def branch(self, op: loop.If, into: Block) -> None:
        if op.condition in self.varying:
            raise NotVectorizable("a branch is taken in some lanes only")
        wide = [v in self.varying for v in op.results]
        regions = []
        for region in op.regions:
            block = self.new_block()
            self.block(region.block.ops[:-1], block)
            yields = region.block.terminator.operands
            ends = [self.vector(v, block) if w else self.mapping.value(v) for v, w in zip(yields, wide, strict=True)]
            block.append(loop.Yield(*ends, loc=op.loc))
            regions.append(Region([block]))
        made = into.append(loop.If(self.mapping.value(op.condition), regions=regions, loc=op.loc))
        self._bind(op.results, made.results, wide)


def _scalar(value: Value) -> ScalarType:
    if not isinstance(value.type, ScalarType):
        raise NotVectorizable(f"a {value.type} cannot be put in lanes")
    return value.type


def _with_at(op: Op, at: tuple[Expr, ...]) -> Op:
    return type(op).unchecked(op.operands, {**op.attrs, "at": at}, [v.type for v in op.results], loc=op.loc)


def _trimmed(attrs: dict[str, object], kind: type[Op]) -> dict[str, object]:
    return {k: v for k, v in attrs.items() if k in kind.spec.attrs and v != kind.spec.attrs[k].default}


def _varying_values(op: loop.For) -> set[Value]:
    """Values inside `op` that differ between its iterations: a fixed point over the values carried by inner loops."""
    varying: set[Value] = {op.variable}
    carries = any(inner.carried for inner in all_loops(op))
    while True:
        before = len(varying)
        _mark(op.block, varying)
        if not carries or len(varying) == before:
            return varying


def _mark(block: Block, varying: set[Value]) -> None:
    for op in block.ops:
        if isinstance(op, loop.For):
            yields = op.block.terminator.operands
            for init, arg, end, result in zip(op.inits, op.block.args[1:], yields, op.results, strict=True):
                if init in varying or end in varying:
                    varying |= {arg, result}
            _mark(op.block, varying)
        elif op.regions:
            for region in op.regions:
                _mark(region.block, varying)
                ends = region.block.terminator.operands
                varying.update(r for r, v in zip(op.results, ends, strict=False) if v in varying)
            if op.operands and op.operands[0] in varying:
                varying.update(op.results)
        elif _depends(op, varying):
            varying.update(op.results)


def _depends(op: Op, varying: set[Value]) -> bool:
    if not is_indexed(op):
        return not varying.isdisjoint(op.operands)
    start, stop = index_span(op)
    used: set[str] = set()
    for value in expressions(op).values():
        for item in value if isinstance(value, tuple) else (value,):
            used |= item.symbols() if isinstance(item, Expr) else set()
    return any(v in varying and f"d{n}" in used for n, v in enumerate(op.operands[start:stop]))
