"""Common subexpressions, dead code and loop-invariant loads of the loop level.

Unrolling clones what the copies share (a loaded element of A for every column of the tile, a loaded vector of B for
every row); this brings it back to one.
"""

from __future__ import annotations

from dlc.ir.core import Block, Func, Op, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.opdef import PURE
from dlc.ir.types import F32, F64, BufferType, scalar_type

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
    return PURE in op.spec.traits


def _reads_constant_memory(op: Op, stored: set[Value]) -> bool:
    """A load from a buffer that nothing in the kernel writes. (Parameters do not overlap.)"""
    return isinstance(op, LOADS) and op.operands[0] not in stored and isinstance(op.operands[0].type, BufferType)


def _key(op: Op) -> tuple[object, ...]:
    attrs = frozenset(op.attrs.items()) if op.attrs else None
    return (type(op), *map(id, op.operands), attrs)


def _share(block: Block, known: dict[tuple[object, ...], Op], stored: set[Value]) -> bool:
    """`known` holds what the blocks around this one have computed so far."""
    changed = False
    kept: list[Op] = []
    own: list[tuple[object, ...]] = []
    for op in block.ops:
        for region in op.regions:
            changed |= _share(region.block, known, stored)
        if op.regions or not (_is_pure(op) or _reads_constant_memory(op, stored)):
            kept.append(op)
            continue
        key = _key(op)
        first = known.setdefault(key, op)
        if first is op:
            kept.append(op)
            own.append(key)
            continue
        for old, new in zip(op.results, first.results, strict=True):
            old.replace_all_uses_with(new)
        op.drop_operands()
        op.parent = None
    for key in own:
        del known[key]
    changed |= len(kept) < len(block.ops)
    block.ops = kept
    return changed


def _hoist(block: Block, stored: set[Value]) -> bool:
    """Move ops of loop bodies that depend on nothing inside the loop to just before it (innermost loops first).

    A load is moved only out of a loop that is known to run: otherwise it might touch memory that does not exist.
    """
    changed = False
    ops: list[Op] = []
    for op in block.ops:
        for region in op.regions:
            changed |= _hoist(region.block, stored)
        if isinstance(op, loop.For):
            ops += (moved := _take_invariant(op, stored))
            changed |= bool(moved)
            for each in moved:
                each.parent = block
        ops.append(op)
    block.ops = ops
    return changed


def _take_invariant(op: loop.For, stored: set[Value]) -> list[Op]:
    """Take the ops out of a loop's body that depend on nothing inside it."""
    runs = bool(op.trip_count)
    inside: set[Value] = set(op.block.args)
    moved: list[Op] = []
    kept: list[Op] = []
    for inner in op.block.ops:
        movable = not inner.regions and (_is_pure(inner) or (runs and _reads_constant_memory(inner, stored)))
        if movable and inside.isdisjoint(inner.operands):
            moved.append(inner)
        else:
            kept.append(inner)
            inside.update(inner.results)
    op.block.ops = kept
    return moved


def _remove_unused(block: Block) -> bool:
    changed = False
    kept: list[Op] = []
    for op in reversed(block.ops):
        if isinstance(op, loop.For) and op.kind == "serial" and op.trip_count == 0:  # the tail of an even split
            for value, init in zip(op.results, op.inits, strict=True):
                value.replace_all_uses_with(init)
            op.drop_all()
            op.parent = None
            continue
        for region in op.regions:
            changed |= _remove_unused(region.block)
        if op.has_uses() or not _may_go(op):
            kept.append(op)
        else:
            op.drop_all()
            op.parent = None
    changed |= len(kept) < len(block.ops)
    block.ops = kept[::-1]
    return changed


def _may_go(op: Op) -> bool:
    """Whether an op does nothing but compute its results."""
    return _is_pure(op) or isinstance(op, LOADS) or (isinstance(op, loop.For) and not _has_effects(op))


def _has_effects(op: Op) -> bool:
    return any(isinstance(inner, (*STORES, vec.Prefetch, loop.While, loop.Check, loop.Meet)) for inner in op.walk())


def contract_multiply_add(func: Func) -> bool:
    """``x * y + z`` of floats becomes one fused multiply-add where the product has no other use."""
    products: set[Op] = set()
    _contract(func.block, products)
    for block in dict.fromkeys(op.parent for op in products):
        if block is not None:
            block.ops = [op for op in block.ops if op not in products]
    for op in products:
        op.drop_operands()
        op.parent = None
    return bool(products)


def _contract(block: Block, products: set[Op]) -> None:
    """Put multiply-adds in the place of additions; `products` learns what they leave without a use."""
    for at, op in enumerate(block.ops):
        for region in op.regions:
            _contract(region.block, products)
        if not isinstance(op, arith.Add) or scalar_type(op.result.type) not in (F32, F64):
            continue
        for number in (1, 0):
            product = op.operands[number].defined_by(arith.Mul)
            if product is None or not product.result.has_one_use():
                continue
            fused = arith.Fma(product.x, product.y, op.operands[1 - number], loc=op.loc)
            op.result.replace_all_uses_with(fused.result)
            op.drop_operands()
            op.parent, fused.parent = None, block
            block.ops[at] = fused
            products.add(product)
            break
