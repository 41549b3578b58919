"""One random schedule step on a kernel, through the transforms' own interfaces."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from dlc.ir.core import Func
from dlc.ir.dialects import loop
from dlc.passes.loop.accumulate import accumulate
from dlc.passes.loop.automatic import schedule_automatically
from dlc.passes.loop.cleanup import clean, contract_multiply_add
from dlc.passes.loop.fuse import fuse
from dlc.passes.loop.loops import all_loops, only_inner_loop
from dlc.passes.loop.reduce import vectorize_reduction
from dlc.passes.loop.reorder import interchange
from dlc.passes.loop.split import cut, split
from dlc.passes.loop.unroll import inline_single, unroll
from dlc.passes.loop.vectorize import vectorize

Step = Callable[[st.DrawFn, Func], None]


def some_loop(draw: st.DrawFn, func: Func, fits: Callable[[loop.For], bool] = lambda op: True) -> loop.For | None:
    found = all_loops(func)
    if draw(st.integers(0, 9)):  # now and then one that does not fit
        found = [op for op in found if fits(op)]
    return found[draw(st.integers(0, len(found) - 1))] if found else None


def on_loop(act: Callable[[st.DrawFn, loop.For], object], fits: Callable[[loop.For], bool] = lambda op: True) -> Step:
    def step(draw: st.DrawFn, func: Func) -> None:
        op = some_loop(draw, func, fits)
        if op is not None:
            act(draw, op)

    return step


def holds_a_loop(op: loop.For) -> bool:
    return only_inner_loop(op) is not None


def do_split(draw: st.DrawFn, op: loop.For) -> None:
    tails = ["peel", "guard"] if op.carried else ["peel", "guard", "block"]
    factor, tail = draw(st.sampled_from([2, 3, 4, 8, 16])), draw(st.sampled_from(tails))
    split(op, factor, op.name_hint + ".o", op.name_hint + ".i", tail)


def do_cut(draw: st.DrawFn, op: loop.For) -> None:
    most = op.trip_count
    if most is not None:
        cut(op, draw(st.integers(0, most)), op.name_hint, op.name_hint)


def do_unroll(draw: st.DrawFn, op: loop.For) -> None:
    if (op.trip_count or 0) <= 8:
        unroll(op)


def do_vectorize(draw: st.DrawFn, op: loop.For) -> None:
    if op.trip_count is not None and op.trip_count <= 8:
        vectorize(op, max(op.trip_count, draw(st.sampled_from([2, 4, 8]))))


def do_vectorize_inner(draw: st.DrawFn, func: Func) -> None:
    """Split with a guard, then vectorize what is inside: `valid` comes from here."""
    op = some_loop(draw, func, lambda op: not op.carried)
    if op is None or op.carried or op.lower != 0:
        return
    lanes = draw(st.sampled_from([2, 4, 8]))
    outer, _ = split(op, lanes, op.name_hint + ".o", op.name_hint + ".v", tail="guard")
    if outer is not None and isinstance(outer.block.ops[0], loop.For):
        vectorize(outer.block.ops[0], lanes)


STEPS: dict[str, Step] = {
    "split": on_loop(do_split),
    "cut": on_loop(do_cut),
    "interchange": on_loop(lambda draw, op: interchange(op), holds_a_loop),
    "unroll": on_loop(do_unroll),
    "inline": on_loop(lambda draw, op: inline_single(op), lambda op: op.trip_count == 1),
    "vectorize": on_loop(do_vectorize, lambda op: not op.carried),
    "vectorize in a split": do_vectorize_inner,
    "vectorize reduction": on_loop(
        lambda draw, op: vectorize_reduction(op, draw(st.sampled_from([2, 3, 4, 8]))), lambda op: op.carried > 0
    ),
    "accumulate": on_loop(
        lambda draw, op: accumulate(op, draw(st.sampled_from([2, 4, 8])), draw(st.sampled_from([0, 16]))),
        lambda op: op.carried > 0,
    ),
    "fuse": on_loop(lambda draw, op: fuse(op, op.name_hint), holds_a_loop),
    "clean": lambda draw, func: clean(func),
    "contract": lambda draw, func: contract_multiply_add(func),
    "automatic": lambda draw, func: schedule_automatically(func, draw(st.sampled_from([4, 8])), False),
}
