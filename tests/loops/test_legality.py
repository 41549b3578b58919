"""Transforms that do not fit raise and leave the kernel as it was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dlc.errors import InternalError
from dlc.ir.core import Func, Value
from dlc.ir.dialects import arith, loop
from dlc.ir.expr import Expr, sym
from dlc.ir.types import F32, SI32, BufferType
from dlc.passes.loop.accumulate import accumulate
from dlc.passes.loop.contract import contract
from dlc.passes.loop.fuse import fuse
from dlc.passes.loop.loops import all_loops, named_loops, runs_at_least_once
from dlc.passes.loop.reduce import vectorize_reduction
from dlc.passes.loop.reorder import interchange, reorder
from dlc.passes.loop.share import share
from dlc.passes.loop.split import split
from dlc.passes.loop.spread import spread
from dlc.passes.loop.unroll import inline_single, unroll
from dlc.passes.loop.vectorize import NotVectorizable, vectorize
from tests.loops.nests import Nest, problems_of, text_of
from tests.loops.test_golden import doubled, passes, row_sums, running_sums

N = sym("n")


def triangle() -> Func:
    """The inner loop's length depends on the outer variable."""
    nest = Nest([BufferType((5, 5), F32, "output")])
    nest.loop("i", 5, lambda n, i: n.loop("j", i + 1, lambda m, j: m.store(m.constant(1.0), m.args[0], i, j)))
    return nest.done()


def scattered() -> Func:
    """y[i * i % 7] = i, and a sum stored at one place again and again."""
    nest = Nest([BufferType((7,), SI32, "output"), BufferType((1,), SI32, "output")])

    def body(n: Nest, i: Expr) -> None:
        value = n.add(arith.Cast(n.index(i), to=SI32))
        n.store(value, n.args[0], i * i % 7)

    nest.loop("i", 7, body)
    nest.loop("same", 7, lambda n, i: n.store(n.add(arith.Cast(n.index(i), to=SI32)), n.args[1], 0))
    return nest.done()


def differences() -> Func:
    """A sum whose step is no plain combination: a = x[k] - a."""
    nest = Nest([BufferType((9,), F32, "input"), BufferType((1,), F32, "output")])

    def term(n: Nest, at: list[Expr], acc: Value) -> Value:
        return n.add(arith.Sub(n.load(n.args[0], at[0]), acc))

    nest.store(nest.sums([("k", 9)], nest.constant(0.0), term), nest.args[1], 0)
    return nest.done()


def stepped() -> Func:
    func = doubled()
    named_loops(func, "j")[0].step = 2
    return func


def long_sums() -> Func:
    func = row_sums()
    named_loops(func, "i")[0].kind = "parallel"
    return func


def first(name: str, act: Callable[..., object], *rest: object) -> Callable[[Func], object]:
    return lambda func: act(named_loops(func, name)[0], *rest)


CASES: dict[str, tuple[Callable[[], Func], Callable[[Func], object], str]] = {
    "split by steps": (stepped, first("j", split, 4, "o", "i"), "must run from 0 by 1"),
    "interchange imperfect": (row_sums, first("i", interchange), "holds more than a loop"),
    "interchange triangle": (triangle, first("i", interchange), "bounds of 'j' depend on 'i'"),
    "reorder other names": (doubled, first("i", reorder, ["j", "k"]), "cannot reorder the nest"),
    "unroll unknown length": (lambda: doubled(N), first("i", unroll), "its length is not known"),
    "inline twice": (doubled, first("i", inline_single), "does not run exactly once"),
    "fuse imperfect": (row_sums, first("i", fuse, "f"), "cannot be fused"),
    "fuse triangle": (triangle, first("i", fuse, "f"), "cannot be fused"),
    "fuse steps": (stepped, first("i", fuse, "f"), "must run from 0 by 1"),
    "vectorize a sum": (row_sums, first("k", vectorize, 8), "carry nothing"),
    "vectorize scattered": (scattered, first("i", vectorize, 8), "do not follow one another evenly"),
    "vectorize one place": (scattered, first("same", vectorize, 8), "do not follow one another evenly"),
    "vectorize triangle": (triangle, first("i", vectorize, 5), "differ by lane"),
    "reduce differences": (differences, first("k", vectorize_reduction, 4), "not a plain reduction"),
    "reduce elements": (doubled, first("j", vectorize_reduction, 4), "not a plain reduction"),
    "reduce few": (lambda: row_sums(2, 3), first("k", vectorize_reduction, 4), "shorter than a vector"),
    "accumulate differences": (differences, first("k", accumulate, 4), "not a plain reduction"),
    "contract without lanes": (row_sums, first("k", contract, "n"), "there is no loop 'n'"),
    "share a part": (running_sums, lambda func: share(func, ("j",), 2), "must be in one shared loop"),
    "share steps": (running_sums, lambda func: share(func, ("s", "i", "j"), 2), "must be in one shared loop"),
    "spread a part": (running_sums, lambda func: spread(func, ["j"]), "outside of the loops to be spread"),
    "spread what has no known end": (lambda: passes(N), lambda func: spread(func, ["g"]), "bound that is known"),
    "share sums": (long_sums, lambda func: share(func, ("k",), 2), "carry nothing"),
    "contract floats": (row_sums, first("k", contract, "i"), "not the product of two widened loads"),
}


@pytest.mark.parametrize("name", CASES)
def test_refusal_changes_nothing(name: str) -> None:
    make, change, message = CASES[name]
    func = make()
    before = text_of(func)
    with pytest.raises((InternalError, NotVectorizable), match=message):
        change(func)
    assert text_of(func) == before
    assert problems_of(func) == []


def test_loops_of_a_guarded_split_are_known_to_run() -> None:
    """Which is what lets their first iteration's reads stand outside of any loop."""
    func = doubled(2, N)
    split(named_loops(func, "j")[0], 4, "o", "i", "guard")
    assert [runs_at_least_once(op) for op in all_loops(func)] == [True, False, True]
    split(named_loops(func, "i")[1], 2, "p", "q", "guard")
    assert [runs_at_least_once(op) for op in named_loops(func, "q")] == [True]


def test_tails_of_unknown_length_are_not_known_to_run() -> None:
    func = doubled(2, N)
    _, tail = split(named_loops(func, "j")[0], 4, "o", "i")
    assert isinstance(tail, loop.For)
    assert not runs_at_least_once(tail)
