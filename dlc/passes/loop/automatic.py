"""The schedule of kernels that have none of their own: put what is innermost and contiguous in lanes, share the outer loops.

Loops over a result's elements are vectorized along the axis in which the result is stored contiguously; a reduction that
is innermost is vectorized along its own loop. What cannot be expressed on vectors stays scalar.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import index_operands
from dlc.ir.core import Func, Op
from dlc.ir.dialects import buf, loop
from dlc.passes.loop.fuse import fuse
from dlc.passes.loop.loops import all_loops, only_inner_loop
from dlc.passes.loop.reduce import vectorize_reduction
from dlc.passes.loop.split import split
from dlc.passes.loop.unroll import inline_single
from dlc.passes.loop.vectorize import NotVectorizable, vectorize

WIDE = 4  # vectors per step of a long reduction: hides the latency of its additions


def schedule_automatically(func: Func, lanes: int, fill: bool) -> None:
    """Vectorize and parallelize `func` as far as its loops allow."""
    _drop_single_loops(func)
    for op in _innermost(func):
        if op.parent is None:
            continue  # went along with a loop around it
        if op.carried:
            _reduction(op, lanes)
        else:
            _elements(op, lanes, fill)
    _share_outer_loops(func)


def _drop_single_loops(func: Func) -> None:
    """Loops of one iteration only hide the perfect nest around them."""
    for op in reversed(all_loops(func)):
        if op.trip_count == 1 and op.lower.is_const:
            inline_single(op)


def _innermost(func: Func) -> list[loop.For]:
    """Loops to put in lanes: those along which results lie contiguously, and innermost reductions outside of them."""
    loops = all_loops(func)
    elements = [op for op in loops if not op.carried and _moves_along_stores(op)]
    inside = {inner for op in elements for inner in op.walk()}
    reductions = [op for op in loops if op.carried and op not in inside and not _stores(op) and _is_innermost(op)]
    return [*elements, *reductions]


def _is_innermost(op: loop.For) -> bool:
    return not any(isinstance(inner, loop.For) for inner in op.walk() if inner is not op)


def _stores(op: Op) -> list[buf.Store]:
    return [inner for inner in op.walk() if isinstance(inner, buf.Store)]


def _moves_along_stores(op: loop.For) -> bool:
    """Whether the loop's variable moves every store by one element."""
    stores = _stores(op)
    for store in stores:
        names = [f"d{n}" for n, v in enumerate(index_operands(store)) if v is op.variable]
        if len(names) != 1 or store.at[-1].coefficient(names[0]) != 1 or not store.at[-1].is_linear_in(names[0]):
            return False
        if any(names[0] in e.symbols() for e in store.at[:-1]):
            return False
    return bool(stores)


def _elements(op: loop.For, lanes: int, fill: bool) -> None:
    if not _moves_along_stores(op) or op.lower != 0:
        return
    count = op.trip_count
    name = op.name_hint
    if count is not None and count < lanes:
        if count < 2:
            return
        _try_vectorize(op, lanes if fill else count, fill)
        return
    outer, _ = split(op, lanes, name + ".o", name + ".v", tail="guard")
    if outer is None:
        raise InternalError(f"loop {name!r} vanished", op=op)
    inner = next(o for o in outer.block.ops if isinstance(o, loop.For))
    _try_vectorize(inner, lanes, fill)


def _try_vectorize(op: loop.For, lanes: int, fill: bool) -> None:
    try:
        vectorize(op, lanes, fill)
    except NotVectorizable:
        return  # stays scalar: right, only slower


def _reduction(op: loop.For, lanes: int) -> None:
    count = op.trip_count
    wide = lanes * WIDE if count is None or count >= lanes * WIDE * 2 else lanes
    try:
        vectorize_reduction(op, wide)
    except NotVectorizable:
        return


def _share_outer_loops(func: Func) -> None:
    """Fuse the outermost perfect nest into one parallel loop, if it is all that the kernel does."""
    loops = [op for op in func.block.ops if isinstance(op, loop.For | loop.While | loop.If | buf.Store)]
    if len(loops) != 1 or not isinstance(loops[0], loop.For) or loops[0].carried or loops[0].lower != 0:
        return
    top = loops[0]
    while (inner := only_inner_loop(top)) is not None and not inner.carried and inner.lower == 0 and inner.step == 1:
        if top.variable in inner.indices or not _has_loops(inner):
            break
        top = fuse(top, top.name_hint)
    top.kind = "parallel"


def _has_loops(op: loop.For) -> bool:
    """A fused innermost loop would pay a division per element: leave it serial."""
    return any(isinstance(inner, loop.For) for inner in op.block.ops)
