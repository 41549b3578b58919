"""Give every buffer of the arena its place, and every constant its place among the weights.

A buffer is alive from the first call that touches it to the last. Buffers whose lives overlap must not: placing them is
interval colouring with sizes, done greedily, larger buffers first, each at the lowest offset that is free during its
life (Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020, section 4.2). Buffers whose
size depends on named dimensions come behind the others; those of equal size share a place when their lives allow. A
dimension that a kernel finds out counts with its upper bound.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar

from dlc.errors import InternalError
from dlc.ir.core import Func, Module, Value
from dlc.ir.dialects import run
from dlc.ir.expr import Expr, const
from dlc.ir.levels import Level
from dlc.ir.size_bounds import Uppers, elements_at_most, upper_bounds
from dlc.ir.types import BufferType
from dlc.passes.base import Pass, PassContext
from dlc.record import record

ALIGN = 64


@record
class PlanMemory(Pass):
    """See the top of the file."""

    name: ClassVar[str] = "plan-memory"
    needs: ClassVar[Level] = Level.LOOP
    leaves: ClassVar[Level] = Level.LOOP

    def run(self, module: Module, cx: PassContext) -> bool:
        main = module.main
        before = places(main)
        place_constants(main)
        place_buffers(main)
        return places(main) != before


def places(main: Func) -> list[object]:
    """All that the pass decides."""
    offsets = [op.attrs.get("offset") for op in main.block.ops if isinstance(op, run.Alloc | run.Constant)]
    return [main.attrs.get("workspace"), main.attrs.get("weights"), *offsets]


@record(frozen=False)
class Life:
    """A buffer of the arena, its size in bytes and the calls between which it is alive (inclusive)."""

    op: run.Alloc
    size: Expr
    first: int
    last: int

    def overlaps(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


def byte_size(kind: BufferType, uppers: Uppers = MappingProxyType({})) -> Expr:
    """Bytes of a buffer, rounded up to whole cache lines."""
    size = elements_at_most(kind.shape, uppers) * kind.element.bytes
    return (size + (ALIGN - 1)) // ALIGN * ALIGN


def lives(main: Func) -> list[Life]:
    """The buffers of the arena with their lives."""
    found: dict[Value, Life] = {}
    behind: dict[Value, Value] = {}
    uppers = upper_bounds(main)
    for number, op in enumerate(main.block.ops):
        if isinstance(op, run.Alloc):
            found[op.result] = Life(op, byte_size(op.type, uppers), number, number)
        elif isinstance(op, run.View):
            behind[op.result] = behind.get(op.buffer, op.buffer)
        for value in op.operands:
            life = found.get(behind.get(value, value))
            if life is not None and isinstance(op, run.Call):
                life.last = number
    return list(found.values())


def place_buffers(main: Func) -> None:
    known = [life for life in lives(main) if life.size.is_const]
    known.sort(key=lambda life: (-life.size.value, life.first))
    placed: list[tuple[int, Life]] = []
    for life in known:
        offset = 0
        for start, other in sorted((s, o) for s, o in placed_around(placed, life)):
            if start - offset >= life.size.value:
                break
            offset = max(offset, start + other)
        placed.append((offset, life))
        life.op.attrs["offset"] = const(offset)
    total: Expr = const(max((offset + life.size.value for offset, life in placed), default=0))
    slots: list[tuple[Expr, Expr, list[Life]]] = []  # size, offset, who lives there
    for life in lives(main):
        if life.size.is_const:
            continue
        slot = next((s for s in slots if s[0] == life.size and not any(life.overlaps(o) for o in s[2])), None)
        if slot is None:
            slot = (life.size, total, [])
            slots.append(slot)
            total = total + life.size
        slot[2].append(life)
        life.op.attrs["offset"] = slot[1]
    main.attrs["workspace"] = total


def placed_around(placed: list[tuple[int, Life]], life: Life) -> list[tuple[int, int]]:
    """(offset, size) of the placed buffers that are alive together with `life`."""
    return [(offset, other.size.value) for offset, other in placed if other.overlaps(life)]


def place_constants(main: Func) -> None:
    """Constants of equal contents and layout share a place."""
    offsets: dict[object, int] = {}
    end = 0
    for op in main.block.ops:
        if not isinstance(op, run.Constant):
            continue
        key = (op.value.key, op.tensor)
        if key not in offsets:
            size = byte_size(op.tensor.buffer())
            if not size.is_const:
                raise InternalError("a constant must have a static shape", op=op)
            offsets[key] = end
            end += size.value
        op.attrs["offset"] = const(offsets[key])
    main.attrs["weights"] = end
