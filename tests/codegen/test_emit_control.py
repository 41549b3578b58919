"""Branches, loops that stop on a condition, scratch memory, masks and index arithmetic, compiled and evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlc.ir.core import Block, Builder, Region, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.expr import Expr, as_expr, maximum, minimum, sym
from dlc.ir.types import BOOL, F32, INDEX, SI32, SI64, UI8, BufferType, ScalarType
from dlc.passes.loop.loops import named_loops
from dlc.target import Target, host_can_run
from tests.loops.nests import Case, Nest, contents, same, text_of
from tests.support.compiled import run_compiled


@pytest.fixture(params=("x86-64-v2", "x86-64-v3", "host"))
def target(request: pytest.FixtureRequest) -> Target:
    wanted = Target.parse(str(request.param))
    can_run, missing = host_can_run(wanted)
    if not can_run:
        pytest.skip(f"this machine lacks {', '.join(missing)}")
    return wanted


def agrees(case: Case, folder: Path, target: Target) -> None:
    actual = run_compiled(case.func, case.arrays, folder, target, case.symbols)
    assert same(case.run(), actual), text_of(case.func)


def i32(size: int, space: str = "input") -> BufferType:
    return BufferType((size,), SI32, space)


def test_branch_with_results_and_effects(target: Target, tmp_path: Path) -> None:
    """y[i] = x < 0 ? -x : x * x, and the negative ones are noted in z."""
    nest = Nest([i32(23), i32(23, "output"), i32(23, "output")])
    x, y, z = nest.args

    def body(n: Nest, i: Expr) -> None:
        element = n.load(x, i)
        negative = n.add(arith.Compare(element, n.constant(0, SI32), predicate="lt"))
        outer, then, otherwise = n.b, Block(), Block()
        n.b = Builder(then)
        n.store(element, z, i)
        n.b.insert(loop.Yield(n.add(arith.Neg(element))))
        n.b = Builder(otherwise)
        total = n.carry("j", 3, [element], lambda m, j, a: [m.add(arith.Add(a[0], m.load(x, j)))])[0]
        n.b.insert(loop.Yield(total))
        n.b = outer
        made = n.b.insert(loop.If(negative, regions=[Region([then]), Region([otherwise])]))
        n.store(made.result, y, i)

    nest.loop("i", 23, body)
    agrees(Case(nest.done(), [contents((23,), SI32, 1), np.zeros(23, "i4"), np.zeros(23, "i4")]), tmp_path, target)


def test_zigzag_loops_turn_round_each_time(target: Target, tmp_path: Path) -> None:
    """y[s, t] is the last element of x that a loop over some, none or one of them came to."""
    ends = (5, 0, 1)
    nest = Nest([i32(5), BufferType((len(ends), 4), SI32, "output")])
    x, y = nest.args

    def body(n: Nest, t: Expr) -> None:
        for row, end in enumerate(ends):
            n.loop("z", end, lambda m, j, row=row: m.store(m.load(x, j), y, row, t))  # type: ignore[misc]

    nest.loop("t", 4, body)
    func = nest.done()
    for each in named_loops(func, "z"):
        each.zigzag = True
    arrays = [np.arange(5, dtype=np.int32), np.full((len(ends), 4), -1, np.int32)]
    found = run_compiled(func, arrays, tmp_path, target, {})
    np.testing.assert_array_equal(found[-1], [[4, 0, 4, 0], [-1] * 4, [0] * 4])


def test_while_loop(target: Target, tmp_path: Path) -> None:
    """How many steps the Collatz sequence of each number takes, in a loop that carries the longest."""
    nest = Nest([i32(30), i32(30, "output"), i32(1, "output")])
    x, y, longest = nest.args

    def steps(n: Nest, start: Value) -> Value:
        zero, one, two, three = (n.constant(k, SI32) for k in (0, 1, 2, 3))
        before, after = Block([SI32, SI32]), Block([SI32, SI32])
        outer, n.b = n.b, Builder(before)
        more = n.add(arith.Compare(before.args[0], one, predicate="gt"))
        n.b.insert(loop.Condition(more, *before.args))
        n.b = Builder(after)
        number, count = after.args
        even = n.add(arith.Compare(n.add(arith.Rem(number, two)), zero, predicate="eq"))
        half = n.add(arith.Div(number, two))
        larger = n.add(arith.Add(n.add(arith.Mul(number, three)), one))
        n.b.insert(loop.Yield(n.add(arith.Select(even, half, larger)), n.add(arith.Add(count, one))))
        n.b = outer
        return n.b.insert(loop.While(start, zero, regions=[Region([before]), Region([after])])).results[1]

    def body(n: Nest, i: Expr, carried: list[Value]) -> list[Value]:
        count = steps(n, n.load(x, i))
        n.store(count, y, i)
        return [n.add(arith.Max(carried[0], count))]

    most = nest.carry("i", 30, [nest.constant(0, SI32)], body)[0]
    nest.store(most, longest, as_expr(0))
    agrees(Case(nest.done(), [np.arange(30, dtype="i4"), np.zeros(30, "i4"), np.zeros(1, "i4")]), tmp_path, target)


def test_scratch_memory_in_a_loop(target: Target, tmp_path: Path) -> None:
    """Prefix sums of each row through a scratch buffer."""
    nest = Nest([BufferType((5, 9), F32, "input"), BufferType((5, 9), F32, "output")])
    x, y = nest.args

    def row(n: Nest, i: Expr) -> None:
        kept = n.add(buf.Scratch(type=BufferType((10,), F32, "scratch")))
        n.store(n.constant(0.0), kept, as_expr(0))
        n.loop("j", 9, lambda m, j: m.store(m.add(arith.Add(m.load(kept, j), m.load(x, i, j))), kept, j + 1))
        n.loop("k", 9, lambda m, k: m.store(m.load(kept, k + 1), y, i, k))

    nest.loop("i", 5, row)
    agrees(Case(nest.done(), [contents((5, 9), F32, 2), np.zeros((5, 9), "f4")]), tmp_path, target)


X, N, D = sym("i"), sym("n"), sym("d")
INDEX_FORMULAS = (
    (X - 20) // 4, (X - 20) % 4, (X - 20) // 7, (X - 20) % 7, (X * 3 - 50) // 5 * 2 - (X - 9) % 6,
    (X - 20) // -3, (X - 20) % -3, (X - 20) // D, (X - 20) % D, (X + N) // D % 3, minimum(X, N - X),
    maximum(X - N, 7 - X) * X, X * X * N - D * X + 5, (X * N) // (D * 2), N - 1 - (X % N), as_expr(-4),
)  # fmt: skip


@pytest.mark.parametrize("formula", INDEX_FORMULAS, ids=str)
def test_index_arithmetic(formula: Expr, target: Target, tmp_path: Path) -> None:
    nest = Nest([BufferType((40,), SI64, "output")])
    nest.loop(
        "i", 40, lambda n, i: n.store(n.add(arith.Cast(n.index(formula.substitute({"i": i})), to=SI64)), n.args[0], i)
    )
    agrees(Case(nest.done(), [np.zeros(40, "i8")], {"n": 11, "d": 3}), tmp_path, target)


def test_division_by_an_empty_dimension_does_not_trap(target: Target, tmp_path: Path) -> None:
    """The quotient can be computed outside of the loop that does not run."""
    nest = Nest([BufferType((3, N), F32, "output")])
    one = nest.constant(1.0)
    nest.loop("i", 3, lambda n, i: n.loop("j", N, lambda m, j: m.store(one, m.args[0], i, (i * 5) // N + j)))
    agrees(Case(nest.done(), [np.zeros((3, 0), "f4")], {"n": 0}), tmp_path, target)


@pytest.mark.parametrize("valid", [0, 1, 5, 8, 11, None])
@pytest.mark.parametrize("kind", (F32, SI32, UI8, BOOL, SI64), ids=str)
@pytest.mark.parametrize("step", [(), (0, 2), (1, 0), (1, 3)])
def test_masked_lanes(
    step: tuple[int, ...], kind: ScalarType, valid: int | None, target: Target, tmp_path: Path
) -> None:
    """Lanes past `valid` read as zero and are not written; the number of valid lanes is known only when running."""
    needed = 8 if valid is None else max(1, min(8, valid))
    rows, columns = ((needed - 1) * s + 1 for s in (step or (0, 1)))
    types = [
        BufferType((rows, columns), kind, "input"),
        BufferType((rows, columns), kind, "output"),
        BufferType((8,), kind, "output"),
    ]
    nest = Nest(types)
    x, y, z = nest.args
    limit = None if valid is None else N
    loaded = nest.add(vec.Load(x, at=(as_expr(0), as_expr(0)), lanes=8, step=step, valid=limit))
    nest.b.insert(vec.Store(loaded, y, at=(as_expr(0), as_expr(0)), step=step, valid=limit))
    nest.b.insert(vec.Store(loaded, z, at=(as_expr(0),)))
    arrays = [contents((rows, columns), kind, 3), np.zeros((rows, columns), kind.dtype), np.zeros(8, kind.dtype)]
    agrees(Case(nest.done(), arrays, {"n": valid or 0}), tmp_path, target)


@pytest.mark.parametrize("valid", [0, 3, 8, None])
@pytest.mark.parametrize("kind", (F32, UI8, BOOL), ids=str)
def test_gather(kind: ScalarType, valid: int | None, target: Target, tmp_path: Path) -> None:
    """x[i, (i * i + lanes) % 7] for lanes of i."""
    nest = Nest([BufferType((8, 7), kind, "input"), BufferType((8,), kind, "output")])
    numbers = nest.add(vec.Lanes(expr=as_expr(0), lanes=8))
    squares = nest.add(vec.Lanes(numbers, expr=sym("d0") * sym("d0"), lanes=8, step=1))
    limit = None if valid is None else N
    found = nest.add(vec.Gather(nest.args[0], numbers, squares, at=(sym("d0"), sym("d1") % 7), lanes=8, valid=limit))
    nest.b.insert(vec.Store(found, nest.args[1], at=(as_expr(0),)))
    arrays = [contents((8, 7), kind, 4), np.zeros(8, kind.dtype)]
    agrees(Case(nest.done(), arrays, {"n": valid or 0}), tmp_path, target)


COMBINED = [
    (how, kind) for how in vec.REDUCTIONS for kind in (F32, SI32, UI8) if not (kind == F32 and how in ("and", "or"))
]


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 8, 13, 16, 64])
@pytest.mark.parametrize(("how", "kind"), [*COMBINED, ("and", BOOL), ("or", BOOL)], ids=str)
def test_reduce(how: str, lanes: int, kind: ScalarType, target: Target, tmp_path: Path) -> None:
    nest = Nest([BufferType((lanes,), kind, "input"), BufferType((1,), kind, "output")])
    loaded = nest.add(vec.Load(nest.args[0], at=(as_expr(0),), lanes=lanes))
    nest.store(nest.add(vec.Reduce(loaded, kind=how)), nest.args[1], as_expr(0))
    array = contents((lanes,), kind, 5)
    if kind.is_float and how in ("min", "max") and lanes > 3:
        array[2] = np.nan
    agrees(Case(nest.done(), [array, np.zeros(1, kind.dtype)]), tmp_path, target)


def test_extract_and_broadcast(target: Target, tmp_path: Path) -> None:
    nest = Nest([BufferType((4,), SI32, "input"), BufferType((12,), SI32, "output")])
    loaded = nest.add(vec.Load(nest.args[0], at=(as_expr(0),), lanes=4))
    wide = nest.add(vec.Broadcast(loaded, lanes=12))
    third = nest.add(vec.Broadcast(nest.add(vec.Extract(loaded, lane=2)), lanes=12))
    nest.b.insert(vec.Store(nest.add(arith.Mul(wide, third)), nest.args[1], at=(as_expr(0),)))
    agrees(Case(nest.done(), [contents((4,), SI32, 6), np.zeros(12, "i4")]), tmp_path, target)


def test_index_stored_as_data(target: Target, tmp_path: Path) -> None:
    nest = Nest([BufferType((6,), INDEX, "output"), BufferType((6,), F32, "output")])

    def body(n: Nest, i: Expr) -> None:
        n.store(n.index(i * 5 - 7), n.args[0], i)
        doubled = n.name(n.add(arith.Add(n.load(n.args[0], i), n.load(n.args[0], i))))
        n.store(n.add(arith.Cast(n.index(doubled // 3), to=F32)), n.args[1], i)

    nest.loop("i", 6, body)
    agrees(Case(nest.done(), [np.zeros(6, "i8"), np.zeros(6, "f4")]), tmp_path, target)
