"""Common subexpressions, dead code and loop-invariant loads of the loop level.

Unrolling clones what the copies share (a loaded element of A for every column of the tile, a loaded vector of B for
every row); this brings it back to one.
"""

from __future__ import annotations

from dlc.ir.core import Block, Func, Op, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.opdef import PURE
from dlc.ir.types import BufferType

LOADS = (buf.Load, vec.Load, vec.Gather)
STORES = (buf.Store, vec.Store)


def clean(func: Func) -> bool:
    """Share equal pure ops and loads, move invariant ones out of loops, remove what is unused; returns whether any."""
    changed = _hoist(func.block, _stored(func))
    changed |= _share(func.block, {}, _stored(func))
    return _remove_unused(func.block) or changed


def _stored(func: Func) -> set[Value]:
    """Buffers that some op of the function writes."""
    return {op.operands[1] for op in func.walk() if isinstance(op, STORES)}


def _is_pure(op: Op) -> bool:
    return op.spec.has(PURE)


def _reads_constant_memory(op: Op, stored: set[Value]) -> bool:
    """A load from a buffer that nothing in the kernel writes. (Parameters do not overlap.)"""
    return isinstance(op, LOADS) and op.operands[0] not in stored and isinstance(op.operands[0].type, BufferType)


def _key(op: Op) -> tuple[object, ...]:
    return (type(op), tuple(map(id, op.operands)), tuple(sorted(op.attrs.items(), key=lambda item: item[0])))


def _share(block: Block, outer: dict[tuple[object, ...], Op], stored: set[Value]) -> bool:
    known = dict(outer)
    changed = False
    for op in list(block.ops):
        if op.regions:
            for region in op.regions:
                changed |= _share(region.block, known, stored)
            continue
        if not (_is_pure(op) or _reads_constant_memory(op, stored)):
            continue
        key = _key(op)
        first = known.setdefault(key, op)
        if first is not op:
            for old, new in zip(op.results, first.results, strict=True):
                old.replace_all_uses_with(new)
            op.erase()
            changed = True
    return changed


def _hoist(block: Block, stored: set[Value]) -> bool:
    """Move ops of loop bodies that depend on nothing inside the loop to just before it (innermost loops first).

    A load is moved only out of a loop that is known to run: otherwise it might touch memory that does not exist.
    """
    changed = False
    for op in list(block.ops):
        for region in op.regions:
            changed |= _hoist(region.block, stored)
        if not isinstance(op, loop.For):
            continue
        runs = bool(op.trip_count)
        inside: set[Value] = set(op.block.args)
        for inner in list(op.block.ops):
            movable = not inner.regions and (_is_pure(inner) or (runs and _reads_constant_memory(inner, stored)))
            if movable and not any(v in inside for v in inner.operands):
                op.block.remove(inner)
                block.insert_before(op, inner)
                changed = True
            else:
                inside.update(inner.results)
    return changed


def _remove_unused(block: Block) -> bool:
    changed = False
    for op in reversed(list(block.ops)):
        for region in op.regions:
            changed |= _remove_unused(region.block)
        removable = _is_pure(op) or isinstance(op, LOADS) or (isinstance(op, loop.For) and not _has_effects(op))
        if removable and not op.has_uses():
            op.erase()
            changed = True
    return changed


def _has_effects(op: Op) -> bool:
    return any(isinstance(inner, (*STORES, vec.Prefetch, loop.While, loop.Check, loop.Meet)) for inner in op.walk())


def contract_multiply_add(func: Func) -> bool:
    """``x * y + z`` of floats becomes one fused multiply-add where the product has no other use."""
    changed = False
    for op in list(func.walk()):
        if not isinstance(op, arith.Add) or not _is_float(op):
            continue
        for number in (1, 0):
            product = op.operands[number].defined_by(arith.Mul)
            if product is None or not product.result.has_one_use() or op.parent is None:
                continue
            fused = arith.Fma(product.x, product.y, op.operands[1 - number], loc=op.loc)
            op.parent.insert_before(op, fused)
            op.result.replace_all_uses_with(fused.result)
            op.erase()
            product.erase()
            changed = True
            break
    return changed


def _is_float(op: Op) -> bool:
    kind = op.result.type
    return str(kind).endswith(("f32", "f64", "f32>", "f64>"))
