"""What each transform makes of a small kernel, in full. ``python -m tests.loops.test_golden`` writes the files anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlc.ir.core import Func, Value
from dlc.ir.dialects import arith, buf
from dlc.ir.expr import Expr, as_expr, sym
from dlc.ir.types import F32, UI8, BufferType
from dlc.passes.loop.accumulate import accumulate
from dlc.passes.loop.automatic import schedule_automatically
from dlc.passes.loop.cleanup import clean, contract_multiply_add
from dlc.passes.loop.contract import contract
from dlc.passes.loop.fuse import fuse
from dlc.passes.loop.loops import named_loops
from dlc.passes.loop.prefetch import prefetch
from dlc.passes.loop.reduce import vectorize_reduction
from dlc.passes.loop.reorder import reorder
from dlc.passes.loop.share import share
from dlc.passes.loop.split import cut, split
from dlc.passes.loop.spread import spread
from dlc.passes.loop.unroll import inline_single, unroll
from dlc.passes.loop.vectorize import vectorize
from tests.loops.int8 import product
from tests.loops.nests import Nest, text_of

FOLDER = Path(__file__).parent / "golden"


def row_sums(rows: Expr | int = 3, depth: Expr | int = 10) -> Func:
    """y[i] = sum over k of x[i, k] * w[k]."""
    shape = tuple(e.value if e.is_const else e for e in map(as_expr, (rows, depth)))
    nest = Nest(
        [BufferType(shape, F32, "input"), BufferType(shape[1:], F32, "input"), BufferType(shape[:1], F32, "output")]
    )

    def body(n: Nest, i: Expr) -> None:
        def term(t: Nest, terms: list[Expr], acc: Value) -> Value:
            return t.add(arith.Add(acc, t.add(arith.Mul(t.load(t.args[0], i, terms[0]), t.load(t.args[1], terms[0])))))

        n.store(n.sums([("k", depth)], n.constant(0.0), term), n.args[2], i)

    nest.loop("i", rows, body)
    return nest.done()


def doubled(rows: Expr | int = 2, columns: Expr | int = 10) -> Func:
    """y[i, j] = x[i, j] + x[i, j] * s[i]."""
    shape = tuple(e.value if e.is_const else e for e in map(as_expr, (rows, columns)))
    nest = Nest(
        [BufferType(shape, F32, "input"), BufferType(shape[:1], F32, "input"), BufferType(shape, F32, "output")]
    )

    def body(n: Nest, index: list[Expr]) -> None:
        x = n.load(n.args[0], *index)
        n.store(n.add(arith.Add(x, n.add(arith.Mul(x, n.load(n.args[1], index[0]))))), n.args[2], *index)

    nest.loops([("i", rows), ("j", columns)], body)
    return nest.done()


def table() -> Func:
    """y[i] = t[7 - i // 2, i * i % 3]."""
    nest = Nest([BufferType((8, 3), UI8, "input"), BufferType((8,), UI8, "output")])
    nest.loop("i", 8, lambda n, i: n.store(n.load(n.args[0], 7 - i // 2, i * i % 3), n.args[1], i))
    return nest.done()


def columns() -> Func:
    """y[j, i] = x[i, 3 * j]."""
    nest = Nest([BufferType((4, 13), F32, "input"), BufferType((5, 4), F32, "output")])
    nest.loops(
        [("i", 4), ("j", 5)], lambda n, at: n.store(n.load(n.args[0], at[0], at[1] * 3), n.args[1], at[1], at[0])
    )
    return nest.done()


def running_sums() -> Func:
    """y[b, s, j] = x[b, 0, j] + … + x[b, s, j]: a state that each step reads and writes."""
    nest = Nest([BufferType((2, 3, 6), F32, "input"), BufferType((2, 3, 6), F32, "output")])

    def sequence(n: Nest, b: Expr) -> None:
        state = n.add(buf.Scratch(type=BufferType((6,), F32, "scratch")))

        def unit(m: Nest, at: list[Expr]) -> None:
            total = m.add(arith.Add(m.load(state, at[1]), m.load(m.args[0], b, *at)))
            m.store(total, state, at[1])
            m.store(total, m.args[1], b, *at)

        n.loop("i", 6, lambda m, i: m.store(m.constant(0.0), state, i))
        n.loops([("s", 3), ("j", 6)], unit)

    nest.loop("b", 2, sequence)
    func = nest.done()
    named_loops(func, "b")[0].kind = "parallel"
    return func


def shared(func: Func) -> None:
    share(func, ("i", "j.o"), 4)


def panels(rows: Expr | int) -> Func:
    """y[p, i, j] = sum over k of x[i, k] * w[p, k, j], in tiles of two rows by a panel of two cache lines."""
    m = as_expr(rows).value if as_expr(rows).is_const else rows
    types = [
        BufferType((m, 6), F32, "input"),
        BufferType((3, 6, 32), F32, "const"),
        BufferType((3, m, 32), F32, "output"),
    ]
    nest = Nest(types)

    def body(n: Nest, at: list[Expr]) -> None:
        def term(t: Nest, terms: list[Expr], acc: Value) -> Value:
            x, w = t.load(t.args[0], at[1], terms[0]), t.load(t.args[1], at[0], terms[0], at[2])
            return t.add(arith.Add(acc, t.add(arith.Mul(x, w))))

        n.store(n.sums([("k", 6)], n.constant(0.0), term), n.args[2], *at)

    nest.loops([("p", 3), ("i", rows), ("j", 32)], body)
    func = nest.done()
    in_order(on("i", split, 2, "i.o", "i.i"), on("j", vectorize, 32), on("i.i", unroll), clean)(func)
    return func


def ahead(func: Func) -> None:
    prefetch(func, func.args[1], "p", "i.o")


def passes(rows: Expr | int = 6) -> Func:
    """y[b, g] = x[b, g] + … + x[b, g], a term in each of two passes; b is parallel."""
    m = as_expr(rows).value if as_expr(rows).is_const else rows
    nest = Nest([BufferType((3, m), F32, "input"), BufferType((3, m), F32, "output")])

    def body(n: Nest, at: list[Expr]) -> None:
        total = n.add(arith.Add(n.load(n.args[0], at[0], at[2]), n.load(n.args[1], at[0], at[2])))
        n.store(total, n.args[1], at[0], at[2])

    nest.loops([("b", 3), ("p", 2), ("g", rows)], body)
    func = nest.done()
    named_loops(func, "b")[0].kind = "parallel"
    return func


def remade() -> Func:
    """y[s, i, j] = sum over k of x[i, k] * u[s, k, j] for each panel p, where u[s, k, j] = w[p, k, j] + s."""
    nest = Nest(
        [
            BufferType((5, 6), F32, "input"),
            BufferType((3, 6, 32), F32, "const"),
            BufferType((3, 2, 5, 32), F32, "output"),
        ]
    )

    def panel(n: Nest, p: Expr) -> None:
        u = n.add(buf.Scratch(type=BufferType((2, 6, 32), F32, "scratch")))

        def made(m: Nest, at: list[Expr]) -> None:
            w = m.load(m.args[1], p, *at)
            for s in range(2):
                m.store(m.add(arith.Add(w, m.constant(float(s)))), u, s, *at)

        def product(m: Nest, at: list[Expr]) -> None:
            def term(t: Nest, terms: list[Expr], acc: Value) -> Value:
                x, w = t.load(t.args[0], at[1], terms[0]), t.load(u, at[0], terms[0], at[2])
                return t.add(arith.Add(acc, t.add(arith.Mul(x, w))))

            m.store(m.sums([("k", 6)], m.constant(0.0), term), m.args[2], p, *at)

        n.loops([("a", 6), ("b", 32)], made)
        n.loops([("s", 2), ("i", 5), ("j", 32)], product)

    nest.loop("p", 3, panel)
    func = nest.done()
    in_order(on("b", vectorize, 32), on("j", vectorize, 32), clean)(func)
    return func


def beside(func: Func) -> None:
    prefetch(func, func.args[1], "p", "i")


def rows_ahead(func: Func) -> None:
    prefetch(func, func.args[0], "i.o")


def on(name: str, act: Callable[..., object], *rest: object) -> Callable[[Func], None]:
    def change(func: Func) -> None:
        act(named_loops(func, name)[0], *rest)

    return change


def in_order(*changes: Callable[[Func], object]) -> Callable[[Func], None]:
    def change(func: Func) -> None:
        for each in changes:
            each(func)

    return change


def guarded(name: str, lanes: int) -> Callable[[Func], None]:
    return in_order(on(name, split, lanes, "o", "v", "guard"), on("v", vectorize, lanes))


def int8(func: Func) -> None:
    on("k", split, 4, "k.o", "k.i")(func)
    on("n", split, 8, "n.o", "n.v")(func)
    contract(named_loops(func, "k.i")[0], "n.v")


CASES: dict[str, tuple[Callable[[], Func], Callable[[Func], object]]] = {
    "split_with_a_tail": (row_sums, on("k", split, 4, "k.o", "k.i")),
    "split_with_a_guard": (lambda: doubled(2, sym("n")), on("j", split, 4, "j.o", "j.i", "guard")),
    "split_in_blocks": (lambda: doubled(2, 6), on("j", split, 4, "j.o", "j.i", "block")),
    "share": (running_sums, in_order(on("j", split, 4, "j.o", "j.i", "block"), shared)),
    "cut": (doubled, on("j", cut, 7, "j.a", "j.b")),
    "reorder": (doubled, on("i", reorder, ["j", "i"])),
    "unroll_and_jam": (row_sums, on("i", unroll)),
    "inline_single": (lambda: row_sums(1), on("i", inline_single)),
    "vectorize": (lambda: doubled(2, 8), on("j", vectorize, 8)),
    "vectorize_some_lanes": (lambda: doubled(2, 10), guarded("j", 8)),
    "vectorize_around_a_sum": (lambda: row_sums(4), on("i", vectorize, 4)),
    "vectorize_gather": (table, on("i", vectorize, 8)),
    "vectorize_with_a_step": (columns, on("j", vectorize, 5)),
    "vectorize_reduction": (row_sums, on("k", vectorize_reduction, 4)),
    "accumulate": (row_sums, on("k", accumulate, 4)),
    "fuse": (lambda: doubled(sym("m"), 10), on("i", fuse, "f")),
    "automatic": (lambda: doubled(sym("m"), sym("n")), lambda func: schedule_automatically(func, 8, False)),
    "clean": (lambda: row_sums(2), in_order(on("i", unroll), clean)),
    "prefetch": (lambda: panels(8), ahead),
    "spread": (passes, lambda func: spread(func, ["g"])),
    "prefetch_of_rows": (lambda: panels(8), rows_ahead),
    "prefetch_panel": (remade, beside),
    "prefetch_rows_unknown": (lambda: panels(sym("m")), ahead),
    "contract_multiply_add": (lambda: doubled(2, 10), contract_multiply_add),
    "contract": (lambda: product(2, 10, 8, 8).func, int8),
}


def text_for(name: str) -> str:
    make, change = CASES[name]
    func = make()
    before = text_of(func)
    change(func)
    return f"// before\n{before}\n// after\n{text_of(func)}"


@pytest.mark.parametrize("name", CASES)
def test_text(name: str) -> None:
    assert text_for(name) == (FOLDER / f"{name}.txt").read_text("utf-8")


def test_every_file_has_a_case() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.txt")) == sorted(CASES)


if __name__ == "__main__":
    for each in CASES:
        (FOLDER / f"{each}.txt").write_text(text_for(each), "utf-8")
