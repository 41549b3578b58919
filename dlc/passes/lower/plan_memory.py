"""Give every buffer of the arena its place, and every constant its place among the weights, in each body.

A buffer is alive from the first call that touches it to the last. One that is written where a kernel reads another for
the last time, element by element, takes over its place (`in_place.py`): the two are one, with one life.

Buffers whose lives overlap must not: placing them is interval colouring with sizes, done greedily, larger buffers
first, each at the lowest offset that is free during its life (Pisarchyk and Lee, "Efficient memory management for deep
neural net inference", 2020, section 4.2). Buffers whose size depends on named dimensions come behind the others, by the
same rule for typical sizes; they share places where expressions show that they never meet. A dimension that a kernel
finds out counts with its upper bound.

For tests of memory safety, `apart` gives each buffer whole pages of its own instead, none of them written in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from dlc.errors import InternalError
from dlc.ir.core import Func, Module, Op, Value
from dlc.ir.dialects import run
from dlc.ir.expr import Expr, as_dim, as_expr, const, maximum, product
from dlc.ir.expr_bounds import nonnegative
from dlc.ir.levels import Level
from dlc.ir.size_bounds import Uppers, bounded, elements_at_most, upper_bounds
from dlc.ir.types import BufferType
from dlc.ir.typical import batch_names, typical
from dlc.passes.base import Pass, PassContext
from dlc.record import record

ALIGN = 64
PAGE = 4096
MOST_COMPOUNDS = 5
FLUSH_START, FLUSH_END = "start", "end"


@record
class PlanMemory(Pass):
    """See the top of the file."""

    name: ClassVar[str] = "plan-memory"
    needs: ClassVar[Level] = Level.LOOP
    leaves: ClassVar[Level] = Level.LOOP

    apart: str = ""  # "start" or "end": where in its own pages a buffer lies, a page that nobody uses around each

    def run(self, module: Module, cx: PassContext) -> bool:
        before = places(module)
        place_constants(module)
        for body in module.bodies:
            mark_late(body)
            if self.apart:
                place_apart(body, self.apart)
            else:
                place_buffers(body)
        return places(module) != before


def places(module: Module) -> list[object]:
    """All that the pass decides."""
    found = [body.attrs.get(name) for body in module.bodies for name in ("workspace", "weights")]
    ops = [op for body in module.bodies for op in body.walk()]
    return [*found, *(op.attrs.get("offset") for op in ops if isinstance(op, run.Alloc | run.Constant))]


def mark_late(body: Func) -> None:
    """Buffers that have no place in the arena: their size is data, and nothing bounds it."""
    uppers = upper_bounds(body)
    for op in body.walk():
        if isinstance(op, run.Alloc):
            op.attrs["late"] = op.late or byte_size(op.type, uppers) is None


@record(frozen=False, eq=False)
class Life:
    """Buffers in one place of the arena, their size in bytes and the calls between which it is in use (inclusive)."""

    ops: list[run.Alloc]
    size: Expr
    first: int
    last: int

    def overlaps(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def byte_size(kind: BufferType, uppers: Uppers = MappingProxyType({})) -> Expr | None:
    """Bytes of a buffer, rounded up to whole cache lines; None if data decides them without a bound."""
    most = elements_at_most(kind.shape, uppers)
    return None if most is None else (most * kind.element.bytes + (ALIGN - 1)) // ALIGN * ALIGN


def lives(main: Func, in_place: bool = True) -> list[Life]:
    """The buffers of the arena with their lives; those written in place joined to what they are written over."""
    found: dict[Value, Life] = {}
    behind: dict[Value, tuple[Value, ...]] = {}  # of views, and of what branches hand on: the buffers that they lie in
    uppers = upper_bounds(main)
    ops = list(main.walk())  # numbered as they come: branches one after the other, so they share memory
    numbers = {op: number for number, op in enumerate(ops)}
    loops: list[run.Loop] = []  # around the op
    for number, op in enumerate(ops):
        if isinstance(op, run.Alloc) and not op.late and (size := byte_size(op.type, uppers)) is not None:
            if op.parent is not main.block and not nonnegative(size):
                size = maximum(size, const(0))  # of a branch that is not taken it may be anything
            found[op.result] = Life([op], size, number, number)
        elif isinstance(op, run.View):
            behind[op.result] = roots(op.buffer, behind)
        elif isinstance(op, run.If):
            ends = [body.block.terminator.operands for body in (op.then, op.otherwise)]
            for value, *handed in zip(op.results, *ends, strict=True):
                behind[value] = tuple(root for each in handed for root in roots(each, behind))
        elif isinstance(op, run.Loop):
            turns = loop_buffers(op, behind)
            behind |= turns
            loops.append(op)
        while loops and not inside(op, loops[-1]):
            loops.pop()
        for root in (root for value in op.operands for root in roots(value, behind)):
            if (life := found.get(root)) is not None and isinstance(op, USES):
                life.last = max(life.last, number)
                for loop in loops:  # what is older than a loop is read again in the next trip
                    if life.first < numbers[loop]:
                        life.last = max(life.last, numbers[loop.body.block.terminator])
    for number, op in enumerate(ops):
        if in_place and isinstance(op, run.Call) and op.over:
            take_over(op, number, found, behind, ops)
    return list(dict.fromkeys(found.values()))


USES = (run.Call, run.Read, run.If, run.Loop, run.Yield)


def inside(op: Op, loop: run.Loop) -> bool:
    around: Op | None = op
    while around is not None and around is not loop:
        around = around.parent_op()
    return around is loop


def loop_buffers(loop: run.Loop, behind: Mapping[Value, tuple[Value, ...]]) -> dict[Value, tuple[Value, ...]]:
    """What the arguments and results of a loop may lie in."""
    args = iter(loop.body.block.args)
    found: dict[Value, tuple[Value, ...]] = {}
    for result, late, buffers in zip(loop.results, loop.late, loop.carried, strict=True):
        lie_in = tuple(root for each in buffers for root in roots(each, behind))
        found[result] = found[next(args)] = lie_in
        if not late:
            found[next(args)] = lie_in
    return found | {arg: roots(stack, behind) for arg, stack in zip(args, loop.stacks, strict=True)}


def roots(value: Value, behind: Mapping[Value, tuple[Value, ...]]) -> tuple[Value, ...]:
    """The buffers that a value may lie in."""
    return behind.get(value, (value,))


def take_over(
    call: run.Call, number: int, found: dict[Value, Life], behind: Mapping[Value, tuple[Value, ...]], ops: list[Op]
) -> None:  # fmt: skip
    """Have the buffer that a call writes continue the life of one that ends there, if it may and there is one."""
    written = call.operands[-1]
    lie_in = [roots(value, behind) for value in call.operands]
    all_of_them = [root for each in lie_in for root in each]
    if written not in found or all_of_them.count(written) != 1:
        return
    for at in call.over:
        root = lie_in[at][0]
        life, new = found.get(root), found[written]
        if life is None or life.last != number or all_of_them.count(root) != 1 or elements(root) != elements(written):
            continue
        between = ops[new.first : number]
        if len(lie_in[at]) == 1 and life.size == new.size and not touched_before(between, written, behind):
            life.ops += new.ops
            life.last = new.last
            found[written] = life
            return


def touched_before(ops: list[Op], written: Value, behind: Mapping[Value, tuple[Value, ...]]) -> bool:
    """Whether calls among these do more to a buffer that is written later than to zero its halo."""
    calls = [{root for value in op.operands for root in roots(value, behind)} for op in ops if isinstance(op, run.Call)]
    return any(written in each and len(each) > 1 for each in calls)


def elements(buffer: Value) -> Expr:
    kind = buffer.type
    if not isinstance(kind, BufferType):
        raise InternalError(f"{kind} is not a buffer")
    return as_expr(product(kind.shape))


def place_buffers(main: Func) -> None:
    # longer lives leave less room for others: now and then it takes less memory to write nothing in place
    plans = [(alive, placed_known(alive)) for alive in (lives(main), lives(main, in_place=False))]
    alive, placed = min(plans, key=lambda plan: end_of(plan[1]))
    for offset, life in placed:
        give(life, const(offset))
    unknown, main.attrs["workspace"] = place_unknown(alive, const(end_of(placed)), batch_names(main))
    for each in unknown:
        give(each.life, each.offset)


@record
class Unknown:
    """A buffer whose size is not known: where it begins and ends, and typical numbers for these."""

    life: Life
    offset: Expr
    end: Expr
    first: int
    last: int

    def apart(self, offset: Expr, end: Expr, first: int, last: int) -> bool:
        """Whether a buffer of those ends shares no byte with this one, whatever the sizes."""
        if first >= self.last:
            return visibly_nonnegative(offset - self.end)
        return last <= self.first and visibly_nonnegative(self.offset - end)


def visibly_nonnegative(expr: Expr) -> bool:
    """Whether an expression is at least 0, if that takes few cases to see: each quotient or minimum may double them."""
    compounds = {atom for monomial, _ in expr.terms for atom in monomial if not isinstance(atom, str)}
    return len(compounds) <= MOST_COMPOUNDS and nonnegative(expr)


def place_unknown(alive: list[Life], start: Expr, batches: frozenset[str]) -> tuple[list[Unknown], Expr]:
    """Places for the buffers of unknown size, from `start` on, and where the last one ends.

    As for known sizes, typical ones deciding what is larger and what lies lower. But a place is taken only where no
    sizes let two buffers meet; where that cannot be seen, above all others.
    """
    sizes = {life: typical(as_dim(life.size), batches) for life in alive if not life.size.is_const}
    placed: list[Unknown] = []
    roof, height = start, typical(as_dim(start), batches)
    for life in sorted(sizes, key=lambda life: (-sizes[life], life.first)):
        around = [each for each in placed if each.life.overlaps(life)]
        places = dict([(start, typical(as_dim(start), batches)), *((each.end, each.last) for each in around)])
        for offset, first in (*sorted(places.items(), key=lambda place: place[1]), (roof, height)):
            end, last = offset + life.size, first + sizes[life]
            if all(each.apart(offset, end, first, last) for each in around) and (
                visibly_nonnegative(roof - end) or visibly_nonnegative(end - roof)
            ):
                break
        placed.append(Unknown(life, offset, end, first, last))
        if not visibly_nonnegative(roof - end):
            roof, height = end, last
    return placed, roof


def place_apart(main: Func, flush: str) -> None:
    """A buffer begins with its pages or ends with them, to the byte: code relies on the elements' alignment alone."""
    total: Expr = const(PAGE)
    for life in lives(main, in_place=False):
        (op,) = life.ops
        size = bounded(elements_at_most(op.type.shape, upper_bounds(main))) * op.type.element.bytes
        room = (size + (PAGE - 1)) // PAGE * PAGE
        give(life, total + room - size if flush == FLUSH_END else total)
        total = total + room + PAGE
    main.attrs["workspace"] = total


def placed_known(alive: list[Life]) -> list[tuple[int, Life]]:
    """Offsets for the buffers of known size."""
    known = sorted((life for life in alive if life.size.is_const), key=lambda life: (-life.size.value, life.first))
    placed: list[tuple[int, Life]] = []
    for life in known:
        offset = 0
        for start, other in sorted((s, o) for s, o in placed_around(placed, life)):
            if start - offset >= life.size.value:
                break
            offset = max(offset, start + other)
        placed.append((offset, life))
    return placed


def end_of(placed: list[tuple[int, Life]]) -> int:
    return max((offset + life.size.value for offset, life in placed), default=0)


def give(life: Life, offset: Expr) -> None:
    for op in life.ops:
        op.attrs["offset"] = offset


def placed_around(placed: list[tuple[int, Life]], life: Life) -> list[tuple[int, int]]:
    """(offset, size) of the placed buffers that are alive together with `life`."""
    return [(offset, other.size.value) for offset, other in placed if other.overlaps(life)]


def place_constants(module: Module) -> None:
    """Constants of equal contents and layout share a place, in whichever body they are."""
    offsets: dict[object, int] = {}
    end = 0
    for op in (op for body in module.bodies for op in body.walk()):
        if not isinstance(op, run.Constant):
            continue
        key = (op.value.key, op.tensor)
        if key not in offsets:
            size = byte_size(op.tensor.buffer())
            if size is None or not size.is_const:
                raise InternalError("a constant must have a static shape", op=op)
            offsets[key] = end
            end += size.value
        op.attrs["offset"] = const(offsets[key])
    module.main.attrs["weights"] = end
