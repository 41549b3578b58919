"""dlc_bind, dlc_shapes, dlc_message and what dlc_run asks for, called as a C program would."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from operator import add, mul

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.codegen.emit.bind import Guard, InputSites, Interface, Size
from dlc.ir.dialects import run
from dlc.ir.expr import Expr, as_dim, const, maximum, minimum, sym
from dlc.ir.expr_atoms import Atom, Compound
from dlc.ir.expr_text import parse_expr
from dlc.ir.requirements import AT_LEAST, EQUAL, ONE_OR_EQUAL, fulfilled
from tests.support.bindings import FINDS, HIGH, LOW, Model, simple

pytestmark = pytest.mark.isa("x86-64")


# -- the sizes of inputs -----------------------------------------------------------------------------------------------


def test_named_dimensions_get_their_values() -> None:
    model = Model(simple(["n, 4", "m, n * 2"], ["n + m, 3", "", "m * n"], ["n", "m"], "n * 64"))
    with model.context() as context:
        for n, m in ((3, 5), (0, 0), (1 << 40, 2)):
            assert context.bind(n, 4, m, n * 2) == 0
            assert context.dims == [n, m]
            assert context.results[:] == context.shapes() == [n + m, 3, m * n]
            assert context.workspace.value == n * 64


def test_a_dimension_may_be_used_before_it_is_named() -> None:
    model = Model(simple(["n * 2 + 1", "m - n", "n", "m"], ["n, m"], ["m", "n"]))
    with model.context() as context:
        assert context.bind(7, 5, 3, 8) == 0
        assert (context.dims, context.shapes()) == ([8, 3], [3, 8])
        assert (context.bind(8, 5, 3, 8), context.detail) == (1, (0, 8))
        assert (context.bind(7, 4, 3, 8), context.detail) == (2, (0, 4))


@pytest.mark.parametrize(
    ("sizes", "code", "detail"),
    [
        ((2, 3, 9, 2), 0, (0, 0)), ((2, 4, 9, 2), 1, (1, 4)), ((2, 3, 9, 3), 2, (1, 3)), ((-1, 3, 9, -1), 1, (0, -1)),
        ((2, 3, -5, 2), 2, (0, -5)), ((2, 3, -5, 1), 2, (0, -5)), ((2, -3, 9, 1), 1, (1, -3)),
        ((0, 3, 0, 0), 0, (0, 0)), ((LOW, 3, 9, LOW), 1, (0, LOW)), ((HIGH, 3, HIGH, HIGH), 0, (0, 0)),
    ],
)  # fmt: skip
def test_the_first_size_that_does_not_fit_is_named(sizes: tuple[int, ...], code: int, detail: tuple[int, int]) -> None:
    with OF_TWO_INPUTS.context() as context:
        assert context.bind(*sizes) == code
        assert context.message() == (
            "no error" if code == 0 else f"input {code - 1}: dimension {detail[0]} is {detail[1]}"
        )
        assert code == 0 or context.detail == detail


OF_TWO_INPUTS = Model(simple(["n, 3", "m, n"], symbols=["n", "m"]))


def test_the_same_name_twice_in_one_input() -> None:
    with Model(simple(["n, n, n + 1"], symbols=["n"])).context() as context:
        assert context.bind(4, 4, 5) == 0
        assert (context.bind(4, 5, 5), context.detail) == (1, (1, 5))
        assert (context.bind(4, 4, 4), context.detail) == (1, (2, 4))


def test_a_declared_size_beyond_63_bits_fits_nothing() -> None:
    with Model(simple(["n", "n * n"], symbols=["n"])).context() as context:
        assert context.bind(1 << 31, 1 << 62) == 0
        assert (context.bind(1 << 32, 0), context.detail) == (2, (0, 0))


def test_a_model_without_inputs_and_results() -> None:
    with Model(simple([])).context() as context:
        assert context.bind() == 0
        assert context.workspace.value == 0
        assert context.run() == 0


# -- guards ------------------------------------------------------------------------------------------------------------


def guard(left: str, relation: str, right: str, code: int, too_large: int) -> Guard:
    check = run.Check(left=parse_expr(left), right=parse_expr(right), relation=relation, message="")
    return Guard(check, code, too_large)


@pytest.mark.parametrize("relation", [EQUAL, AT_LEAST, ONE_OR_EQUAL])
def test_guards_compare(relation: str) -> None:
    texts = ["{0} and {1} of {=m}, {=n}", "too large with {=m}"]
    model = Model(simple(["n, m"], [], ["n", "m"], guards=[guard("n * 2", relation, "m + 1", 2, 3)], messages=texts))
    with model.context() as context:
        for n, m in ((0, 0), (1, 1), (2, 3), (2, 4), (3, 4), (3, 6), (0, 5)):
            holds = fulfilled(n * 2, relation, m + 1)
            assert context.bind(n, m) == (0 if holds else 2)
            assert context.message() == ("no error" if holds else f"{n * 2} and {m + 1} of {m}, {n}")
        assert context.bind(1 << 62, 7) == 3
        assert context.message() == "too large with 7"
        assert context.bind(1, HIGH) == 3


def test_the_first_guard_that_fails_is_the_one_that_is_reported() -> None:
    guards = [guard("n", AT_LEAST, "2", 2, 2), guard("n", AT_LEAST, "4", 3, 3), guard("n % 2", EQUAL, "0", 4, 4)]
    model = Model(simple(["n"], [], ["n"], guards=guards, messages=["two", "four", "even, got {0}"]))
    with model.context() as context:
        assert [context.bind(n) for n in (1, 3, 5, 6)] == [2, 3, 4, 0]


def test_a_wrong_size_of_an_input_comes_before_guards() -> None:
    model = Model(simple(["n, 3"], [], ["n"], guards=[guard("n", AT_LEAST, "2", 2, 2)], messages=["two"]))
    with model.context() as context:
        assert context.bind(1, 4) == 1
        assert context.bind(1, 3) == 2


# -- arithmetic --------------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")


@st.composite
def exprs(draw: st.DrawFn, factors: int = 9) -> Expr:
    """Sums, products, quotients and remainders (by symbols too), minima and maxima."""
    expr = sym(draw(st.sampled_from(NAMES))) * draw(st.integers(-factors, factors)) + draw(st.integers(-9, 9))
    for _ in range(draw(st.integers(0, 4))):
        other = sym(draw(st.sampled_from(NAMES))) * draw(st.integers(-2, factors)) + draw(st.integers(-9, 9))
        kinds = (
            lambda e, o: e + o, lambda e, o: e * o, lambda e, o: o - e, lambda e, o: e * e, minimum, maximum,
            lambda e, o: divided(e, o, "//"), lambda e, o: divided(e, o, "%"), lambda e, o: divided(o, e, "//"),
            lambda e, o: e // 7 + o, lambda e, o: e % 5 * o,
        )  # fmt: skip
        expr = draw(st.sampled_from(kinds))(expr, other)
    return expr


def divided(left: Expr, right: Expr, kind: str) -> Expr:
    if right == 0:
        return left
    return left // right if kind == "//" else left % right


def number(expr: Expr, values: dict[str, int]) -> int | None:
    """The value as checked arithmetic has it: None where a product or a sum on the way leaves 63 bits and a sign.

    A divisor is taken to be 1 where it is less, as in kernels: nothing runs then that needs the quotient.
    """
    total: int | None = 0
    for monomial, factor in expr.terms:
        factors = [*(atom_number(atom, values) for atom in monomial), factor]
        total = held(add, total, functools.reduce(functools.partial(held, mul), factors, 1))
    return total


def atom_number(atom: Atom, values: dict[str, int]) -> int | None:
    if not isinstance(atom, Compound):
        return values[atom]
    left, right = number(atom.left, values), number(atom.right, values)
    if left is None or right is None:
        return None
    match atom.kind:
        case "min" | "max":
            return min(left, right) if atom.kind == "min" else max(left, right)
        case "//":
            return left // max(right, 1)
    return left % max(right, 1)


def held(compute: Callable[[int, int], int], left: int | None, right: int | None) -> int | None:
    """A sum or a product, if 63 bits and a sign hold it and what it is made of."""
    if left is None or right is None:
        return None
    value = compute(left, right)
    return value if LOW <= value <= HIGH else None


sizes = st.integers(0, 12) | st.integers(0, HIGH) | st.sampled_from([0, 1, HIGH, 1 << 31, 1 << 32, 1 << 62])
assignments = st.lists(st.tuples(sizes, sizes, sizes), min_size=4, max_size=12)


@settings(max_examples=40, deadline=None)
@given(exprs(), exprs(), st.sampled_from([EQUAL, AT_LEAST]), assignments)
def test_what_leaves_63_bits_is_an_error_and_never_another_number(
    left: Expr, right: Expr, relation: str, given_sizes: list[tuple[int, int, int]]
) -> None:
    check = run.Check(left=left, right=right, relation=relation, message="")
    model = Model(simple(["a, b, c"], [], NAMES, guards=[Guard(check, 2, 3)], messages=["{0} {1}", "too large"]))
    with model.context() as context:
        for each in given_sizes:
            values = dict(zip(NAMES, each, strict=True))
            first, second = number(left, values), number(right, values)
            if first is None or second is None:
                assert context.bind(*each) == 3, values
            elif fulfilled(first, relation, second):
                assert context.bind(*each) == 0, values
            else:
                assert (context.bind(*each), context.message()) == (2, f"{first} {second}"), values


@settings(max_examples=40, deadline=None)
@given(st.lists(exprs(4), min_size=1, max_size=6), st.lists(st.tuples(*[st.integers(1, 40)] * 3), min_size=3))
def test_results_are_what_the_expressions_say(results: list[Expr], given_sizes: list[tuple[int, int, int]]) -> None:
    interface = simple(["a, b, c"], symbols=NAMES)
    shape = tuple(map(as_dim, results))
    model = Model(Interface(NAMES, interface.inputs, [shape], [shape], interface.workspace, interface.messages))
    with model.context() as context:
        for each in given_sizes:
            values = dict(zip(NAMES, each, strict=True))
            try:
                expected = [expr.evaluate(values) for expr in results]
            except ZeroDivisionError:
                continue
            if any(has_negative_divisor(expr, values) for expr in results):
                continue
            assert context.bind(*each) == 0
            assert context.results[:] == context.shapes() == expected


def has_negative_divisor(expr: Expr, values: dict[str, int]) -> bool:
    """Sizes are never divided by such: kernels take a divisor to be at least 1."""
    compounds = [atom for monomial, _ in expr.terms for atom in monomial if isinstance(atom, Compound)]
    return any(
        (atom.kind in ("//", "%") and atom.right.evaluate(values) < 1)
        or has_negative_divisor(atom.left, values) or has_negative_divisor(atom.right, values)
        for atom in compounds
    )  # fmt: skip


@pytest.mark.parametrize(
    ("expr", "n", "m", "fits"),
    [
        ("n + m", HIGH, 0, True), ("n + m", HIGH, 1, False), ("n * m", 1 << 31, 1 << 31, True),
        ("n * m", 1 << 32, 1 << 31, False), ("n * m", HIGH, HIGH, False), ("n * 4", HIGH // 4, 0, True),
        ("n * 4", HIGH // 4 + 1, 0, False), ("n - m", 3, 4, False), ("n - m", 4, 4, True), ("n // m", 5, 0, True),
        ("n % m", 5, 0, True), ("n * m // 4", 1 << 32, 1 << 32, False), ("min(n * m, 5)", 1 << 32, 1 << 32, False),
        ("max(n - m, 0)", 0, HIGH, True), ("(n - m) // 2 + 1", 0, 1, True), ("(n - m) // 2 + 1", 0, 3, False),
    ],
)  # fmt: skip
def test_sizes_are_at_least_zero_and_below_two_to_the_63(expr: str, n: int, m: int, fits: bool) -> None:
    model = Model(simple(["n, m"], [], ["n", "m"], sizes=[Size(parse_expr(expr), 2)], messages=["not {0}"]))
    with model.context() as context:
        assert context.bind(n, m) == (0 if fits else 2)


def test_a_number_that_no_register_holds_is_an_error_too() -> None:
    model = Model(simple(["n"], [], ["n"], sizes=[Size(const(1 << 70) + sym("n"), 2)], messages=["no"]))
    with model.context() as context:
        assert context.bind(0) == 2


# -- the workspace -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
def test_the_scratch_memory_of_all_threads_is_part_of_the_workspace(threads: int) -> None:
    model = Model(simple(["n"], [], ["n"], "n * 128", scratch=192))
    with model.context(threads) as context:
        assert context.bind(5) == 0
        assert context.workspace.value == 5 * 128 + 192 * threads
        for bodies in (1, 7):
            body = ctypes.CFUNCTYPE(ctypes.c_int32)(lambda: 0)
            assert context.library.dlc_set_parallel(context.pointer, body, None, bodies) == 0
            assert context.bind(5) == 0
            assert context.workspace.value == 5 * 128 + 192 * max(threads, bodies)


@pytest.mark.parametrize(("n", "fits"), [(HIGH // 64, True), (HIGH // 64 + 1, False)])
def test_a_workspace_beyond_63_bits_is_an_error(n: int, fits: bool) -> None:
    with Model(simple(["n"], [], ["n"], "n * 64")).context() as context:
        assert context.bind(n) == (0 if fits else 2)
        assert fits or context.message() == "the workspace is too large"
    with Model(simple(["n"], [], ["n"], "n * 64", scratch=64)).context() as context:
        assert context.bind(n) == 2
        assert context.bind(n // 2) == 0


def test_a_run_needs_the_workspace_at_a_line_of_memory() -> None:
    memory = np.zeros(4096, np.uint8)
    start = memory.ctypes.data + -memory.ctypes.data % 64
    with Model(simple(["n"], [], ["n"], "n * 64")).context() as context:
        assert context.bind(2) == 0
        assert context.run(start) == 0
        for wrong in (None, start + 1, start + 32, start + 63):
            assert context.run(wrong) == -2
            assert context.message() == "dlc_run: the workspace must not be null, and must be aligned to 64 bytes"
        assert context.run(start) == 0
        assert context.message() == "no error"
        assert context.bind(0) == 0
        assert context.run(None) == 0


# -- a context that is bound to nothing --------------------------------------------------------------------------------


def test_a_run_needs_sizes_that_were_accepted() -> None:
    with Model(simple(["n, 3"], [], ["n"])).context() as context:
        assert context.run() == -1
        assert context.message() == "dlc_run: the sizes of the inputs must have been accepted by dlc_bind"
        assert context.bind(2, 3) == 0
        assert (context.run(), context.run()) == (0, 0)
        assert context.bind(2, 4) == 1
        assert context.run() == -1
        assert context.bind(2, 3) == 0
        assert context.run() == 0


def test_a_guard_or_a_size_that_fails_leaves_the_context_bound_to_nothing() -> None:
    failing = [guard("n", AT_LEAST, "3", 2, 2)]
    model = Model(simple(["n"], [], ["n"], "n * 1048576", failing, [Size(sym("n") * -1 + 10, 3)], ["three", "ten"]))
    memory = np.zeros(16 << 20, np.uint8)
    start = memory.ctypes.data + -memory.ctypes.data % 64
    with model.context() as context:
        for n, code in ((2, 2), (11, 3), (HIGH // 64, 3)):
            assert context.bind(5) == context.run(start) == 0
            assert context.bind(n) == code
            assert context.run(start) == -1


def test_another_thread_pool_undoes_the_binding() -> None:
    with Model(simple(["n"], [], ["n"])).context() as context:
        assert context.bind(2) == context.run() == 0
        body = ctypes.CFUNCTYPE(ctypes.c_int32)(lambda: 0)
        for each in (body, None):
            assert context.library.dlc_set_parallel(context.pointer, each, None, 2) == 0
            assert context.run() == -1
            assert context.bind(2) == context.run() == 0


def test_contexts_know_nothing_of_each_other() -> None:
    model = Model(simple(["n"], ["n * 2"], ["n"]))
    with model.context() as one, model.context() as other:
        assert one.bind(3) == 0
        assert other.run() == -1
        assert other.bind(8) == 0
        assert (one.dims, one.shapes(), other.dims, other.shapes()) == ([3], [6], [8], [16])


# -- sizes that a run finds --------------------------------------------------------------------------------------------


def test_a_size_that_a_run_finds_is_bound_to_its_most_and_then_told() -> None:
    k, n = sym("k"), sym("n")
    interface = Interface(
        symbols=["n", "k"],
        inputs=[InputSites((n,), 1)],
        results=[(k, 2), (k * 3, n)],
        most=[(n, 2), (n * 3, n)],
        workspace=Size(const(0), 2),
        messages=["input", "workspace", "not {0}"],
        uppers={"k": n},
        sizes=[Size(k * k * 4, 3)],
    )
    with Model(interface, FINDS.replace("@@slot@@", "1")).context() as context:
        assert context.bind(7) == 0
        assert context.results[:] == [7, 2, 21, 7]
        found = np.array([4], np.int64)
        assert context.run(None, found.ctypes.data) == 0
        assert context.shapes() == [4, 2, 12, 7]
        assert context.dims == [7, 4]
        assert context.bind(1 << 32) == 3
        assert context.bind(5) == 0
        assert context.shapes() == [5, 2, 15, 5]
