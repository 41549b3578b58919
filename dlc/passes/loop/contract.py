"""contract: a short innermost reduction over narrow operands becomes one contraction in groups.

    for n in [0, 16):                                        a = for o carrying (a = 0 x 16):
      a = for o carrying a:                            →       x' = repeat(x[4*o .. 4*o+3]) to 64 lanes
        for g in [0, 4) carrying a:                            w' = w[o, 0..15, 0..3]
          a + cast(x[4*o + g]) * cast(w[o, n, g])              yield vec.dot(a, x', w')

The loop over lanes (`n`) is vectorized on the way, with everything in it. The groups of `w` must be the last axis of
its buffer and the lanes the axis before it, which is what a layout with ``block(n:…, k:4)`` gives.

A last, incomplete group (k not a multiple of 4; the loop over `g` is shorter) loads only what there is of `x`, and
zeros for the rest. What fills up the group in `w` is read but multiplied by zero, so its being undefined does no harm:
hence operands are integers. A reduction in the lanes that does not have this form is vectorized as any other.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import Composer, Formula, index_operands
from dlc.ir.core import Block, Op, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.expr import Expr, const
from dlc.ir.expr_bounds import bounds
from dlc.ir.types import BufferType, ScalarType, VectorType, scalar_type
from dlc.passes.loop.loops import replace_loop, runs_at_least_once
from dlc.passes.loop.vectorize import NotVectorizable, _Vectorizer
from dlc.record import record


@record
class Product:
    """The one term of a reduction: the load that is the same for all lanes, and the load that has a group per lane."""

    uniform: buf.Load
    grouped: buf.Load
    group: int


def contract(op: loop.For, lanes_loop: str, lanes: int | None = None, fill: bool = False) -> None:
    """Vectorize the loop called `lanes_loop` around the reduction `op`, and contract `op` and what is like it inside.

    `lanes`: as wide as this if the loop is shorter, else as wide as it is long; `fill`: as in `vectorize`. Does nothing
    if `op` went along with an earlier reduction in the same lanes. Raises NotVectorizable, leaving the IR as it was.
    """
    if not _is_attached(op):
        return
    around = _loop_around(op, lanes_loop)
    if around.carried or around.lower != 0 or around.step != 1 or not runs_at_least_once(around):
        raise NotVectorizable(f"loop {lanes_loop!r} must run from 0 by 1, at least once, and carry nothing")
    longest = bounds(around.upper)[1]
    if longest is None:
        raise NotVectorizable(f"the length of loop {lanes_loop!r} is not known")
    width = max(lanes or 0, longest)
    full = around.upper.is_const and around.upper.value == width
    worker = _Contractor(around, width, None if full else around.upper, fill)
    body = worker.run()
    if op not in worker.contracted:
        worker.undo()
        raise NotVectorizable(f"loop {op.name_hint!r} is no sum of products in groups: {worker.reason}")
    replace_loop(around, list(body.ops), [])


def _is_attached(op: Op) -> bool:
    """Whether the op is still in its function, and not in a loop that has been replaced."""
    inside: Op | None = op
    while inside is not None:
        if inside.parent is None:
            return False
        inside = inside.parent_op()
    return True


def _loop_around(op: Op, name: str) -> loop.For:
    around = op.parent_op()
    while around is not None:
        if isinstance(around, loop.For) and around.name_hint == name:
            return around
        around = around.parent_op()
    raise InternalError(f"there is no loop {name!r} around the reduction", op=op)


class _Contractor(_Vectorizer):
    """Vectorizes a loop; reductions inside it that have the form become contractions."""

    def __init__(self, op: loop.For, lanes: int, valid: Expr | None, fill: bool) -> None:
        super().__init__(op, lanes, valid, fill)
        self.contracted: set[Op] = set()
        self.reason = "it is not inside the lanes"

    def inner_loop(self, op: loop.For, into: Block) -> None:
        product = self.product(op)
        if product is None:
            super().inner_loop(op, into)
            return
        total = self.vector(op.inits[0], into)
        uniform = self.repeated(op, product, into)
        grouped = self.panel(op, product, into)
        if scalar_type(grouped.type).name == "ui8" and scalar_type(uniform.type).name != "ui8":
            uniform, grouped = grouped, uniform  # instructions want the unsigned operand first
        made = into.append(vec.Dot(total, uniform, grouped, loc=op.loc))
        made.result.hint = op.results[0].hint
        self.vectors[op.results[0]] = made.result
        self.contracted.add(op)

    # -- whether it has the form -------------------------------------------------------------------------------------

    def product(self, op: loop.For) -> Product | None:
        """The reduction's term, or None, with the reason noted."""
        loads = _product_of_loads(op)
        if loads is None or op.lower != 0 or op.step != 1 or op.carried != 1:
            self.reason = "its term is not the product of two widened loads of integers"
            return None
        varying = [load for load in loads if any(self.steps(load, self.loop.variable))]
        if len(varying) != 1 or op.results[0] not in self.varying:
            self.reason = "one operand must be the same in all lanes, the other one not"
            return None
        grouped = varying[0]
        uniform = loads[0] if loads[1] is grouped else loads[1]
        group = self.group_of(op, grouped)
        if group is None or not self.is_contiguous(op, uniform):
            return None
        if bounds(op.upper)[1] not in range(1, group + 1) or not runs_at_least_once(op):
            self.reason = f"it must run at least once and at most {group} times"
            return None
        return Product(uniform, grouped, group)

    def steps(self, load: buf.Load, variable: Value) -> list[int]:
        """By how much the variable moves each axis of an access; -1 where that is not a constant."""
        names = [f"d{n}" for n, v in enumerate(index_operands(load)) if v is variable]
        at = self.simplified_at(load)
        return [_step(expr, names[0]) if names else 0 for expr in at]

    def group_of(self, op: loop.For, grouped: buf.Load) -> int | None:
        """The size of a group if lanes of groups fill whole rows of the last two axes."""
        self.reason = (
            "the groups must be the last axis of an operand, the lanes the one before it, and all inside of it"
        )
        kind = grouped.buffer.type
        if not isinstance(kind, BufferType) or kind.rank < 2:
            return None
        rest = [0] * (kind.rank - 2)
        if self.steps(grouped, self.loop.variable) != [*rest, 1, 0] or self.steps(grouped, op.variable) != [
            *rest,
            0,
            1,
        ]:
            return None
        rows, group = kind.shape[-2:]
        *_, row, member = self.starts(op, grouped)
        if not isinstance(rows, int) or not isinstance(group, int) or member != 0:
            return None
        ranges = {f"d{n}": self.mapping.ranges.get(v, (None, None)) for n, v in enumerate(index_operands(grouped))}
        last = bounds(row, ranges)[1]
        return group if last is not None and last + self.lanes <= rows else None

    def is_contiguous(self, op: loop.For, uniform: buf.Load) -> bool:
        self.reason = "the group of the operand that all lanes share must be contiguous"
        steps = self.steps(uniform, op.variable)
        return bool(steps) and steps == [*[0] * (len(steps) - 1), 1]

    def starts(self, op: loop.For, load: buf.Load) -> list[Expr]:
        """The index of the first lane's first member."""
        zero = {f"d{n}": 0 for n, v in enumerate(index_operands(load)) if v in (op.variable, self.loop.variable)}
        return [expr.substitute(zero) for expr in self.simplified_at(load)]

    # -- the operands ------------------------------------------------------------------------------------------------

    def repeated(self, op: loop.For, product: Product, into: Block) -> Value:
        """The group that all lanes share, once per lane."""
        self.mapping.formulas[op.variable] = Formula(const(0))
        operands, attrs = self.mapped(product.uniform, self.simplified_at(product.uniform))
        attrs["lanes"] = product.group
        if op.upper != product.group:
            composer = Composer(self.mapping)
            composer.operands = list(operands[1:])
            composer._numbers = {v: n for n, v in enumerate(composer.operands)}
            attrs["valid"] = composer.expr(op.upper, op.indices)
            operands = [operands[0], *composer.operands]
        element = product.uniform.buffer.type
        made = vec.Load.unchecked(operands, attrs, [VectorType(product.group, scalar_type(element))], loc=op.loc)
        return into.append(vec.Broadcast(into.append(made).result, lanes=self.lanes * product.group, loc=op.loc)).result

    def panel(self, op: loop.For, product: Product, into: Block) -> Value:
        """The groups of all lanes."""
        self.mapping.formulas[op.variable] = Formula(const(0))
        operands, attrs = self.mapped(product.grouped, self.simplified_at(product.grouped))
        count = self.lanes * product.group
        attrs["lanes"] = count
        kind = VectorType(count, scalar_type(product.grouped.buffer.type))
        return into.append(vec.Load.unchecked(operands, attrs, [kind], loc=op.loc)).result


def _step(expr: Expr, name: str) -> int:
    return expr.coefficient(name) if expr.is_linear_in(name) else -1


def _product_of_loads(op: loop.For) -> tuple[buf.Load, buf.Load] | None:
    """The loads in ``carried + cast(load) * cast(load)``, which must be the whole body."""
    if len(op.block.args) != 2:
        return None
    total, carried = op.block.terminator.operands[0], op.block.args[1]
    factors = _factors(total.defining_op, carried)
    loads = [load for factor in factors if (load := _widened_load(factor)) is not None]
    sums = 2 if total.defined_by(arith.Add) else 1  # ops: loads, casts, the product and the sum, the yield
    if len(loads) != 2 or len(carried.uses) != 1 or len(op.block.ops) != len({f.owner for f in factors}) + 2 + sums + 1:
        return None
    return loads[0], loads[1]


def _factors(end: Op | None, carried: Value) -> list[Value]:
    """x and y of ``carried + x * y``."""
    if isinstance(end, arith.Fma) and end.z is carried:
        return [end.x, end.y]
    if isinstance(end, arith.Add) and carried in end.operands:
        other = end.operands[0] if end.operands[1] is carried else end.operands[1]
        product = other.defined_by(arith.Mul)
        return [product.x, product.y] if product is not None else []
    return []


def _widened_load(value: Value) -> buf.Load | None:
    cast = value.defined_by(arith.Cast)
    load = cast.x.defined_by(buf.Load) if cast is not None else None
    if load is None or cast is None or not isinstance(load.result.type, ScalarType):
        return None
    narrow, wide = load.result.type, cast.to
    return load if narrow.is_integer and wide.is_integer and narrow.bits < wide.bits else None
