"""Each arithmetic op on each type it is for computes compiled what the evaluator says, as scalars and in lanes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlc.ir.core import Op
from dlc.ir.dialects import arith
from dlc.ir.expr import as_expr
from dlc.ir.types import BOOL, FLOATS, INDEX, SIGNED, UNSIGNED, Array, BufferType, ScalarType
from dlc.passes.loop.loops import all_loops
from dlc.passes.loop.split import split
from dlc.passes.loop.vectorize import vectorize
from dlc.target import Target, host_can_run
from tests.loops.nests import Case, Nest
from tests.support.compiled import run_compiled
from tests.tolerances import assert_close

TARGETS = ("x86-64-v2", "x86-64-v3", "host")
INTEGERS = (*SIGNED, *UNSIGNED)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    wanted = Target.parse(str(request.param))
    can_run, missing = host_can_run(wanted)
    if not can_run:
        pytest.skip(f"this machine lacks {', '.join(missing)}")
    return wanted


def interesting(kind: ScalarType) -> Array:
    """Values at which operations go wrong: ends of ranges, signs, halves, infinities, NaN."""
    if kind == BOOL:
        return np.array([False, True])
    if kind.is_float:
        numbers = [
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            1.0,
            -1.0,
            3.75,
            -7.25,
            100.0,
            127.5,
            128.0,
            -129.0,
            300.0,
            6e4,
            np.inf,
            -np.inf,
            np.nan,
            1e-3,
        ]
        wide = [3e9, -3e9, 1e19, -1e19, 16777217.0, 1e30, 65519.0, 65520.0, 0.1, 1 / 3]
        return np.array(numbers + wide).astype(kind.dtype)
    limits = np.iinfo(kind.dtype)
    numbers = [
        0,
        1,
        2,
        3,
        5,
        7,
        8,
        15,
        31,
        63,
        64,
        100,
        127,
        limits.max,
        limits.max - 1,
        limits.min,
        limits.min + 1,
        limits.max // 3,
    ]
    numbers += [-1, -2, -3, -7, -100, -128] if kind.is_signed else [128, 200, 255]
    return np.array(numbers).astype(kind.dtype)


def pairs(kind: ScalarType) -> tuple[Array, Array]:
    values = interesting(kind)
    x, y = np.meshgrid(values, values)
    return x.reshape(-1).copy(), y.reshape(-1).copy()


def case_of(kind: type[Op], inputs: list[Array], types: list[ScalarType], result: ScalarType, **attrs: object) -> Case:
    """y[i] = op(x0[i], x1[i], …), eight lanes at a time and then one by one."""
    size = len(inputs[0])
    nest = Nest([*(BufferType((size,), t, "input") for t in types), BufferType((size,), result, "output")])

    def body(n: Nest, i: object) -> None:
        operands = [n.load(arg, i) for arg in n.args[:-1]]  # type: ignore[arg-type]
        n.store(n.add(kind(*operands, **attrs)), n.args[-1], i)  # type: ignore[arg-type]

    nest.loop("i", as_expr(size), body)  # type: ignore[arg-type]
    return Case(nest.done(), [*inputs, np.zeros(size, result.dtype)])


def check(case: Case, folder: Path, target: Target, tolerance: str = "exact") -> None:
    (expected,) = case.run()[-1:]
    for lanes in (0, 8):
        if lanes:
            split(all_loops(case.func)[0], lanes, "o", "v")
            vectorize(all_loops(case.func)[1], lanes)
        actual = run_compiled(case.func, case.arrays, folder, target)[-1]
        assert_close(actual, expected, tolerance, name=f"{lanes} lanes")


FLOAT_BINARY = (arith.Add, arith.Sub, arith.Mul, arith.Div, arith.Min, arith.Max)
INTEGER_BINARY = (*FLOAT_BINARY, arith.Rem, arith.And, arith.Or, arith.Xor, arith.Shl, arith.Shr)


def named(value: object) -> str:
    return value.spec.name if isinstance(value, type) and issubclass(value, Op) else str(value)


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@pytest.mark.parametrize("op", FLOAT_BINARY, ids=named)
def test_float_binary(op: type[Op], kind: ScalarType, target: Target, tmp_path: Path) -> None:
    check(case_of(op, [*pairs(kind)], [kind, kind], kind), tmp_path, target)


@pytest.mark.parametrize("kind", FLOATS[:2], ids=str)
def test_float_remainder_of_small_quotients(kind: ScalarType, target: Target, tmp_path: Path) -> None:
    x, y = pairs(kind)
    fits = np.isfinite(x) & np.isfinite(y) & (np.abs(x) < 100) & (np.abs(y) > 0.4)
    check(case_of(arith.Rem, [x[fits], y[fits]], [kind, kind], kind), tmp_path, target)


@pytest.mark.parametrize("kind", (*INTEGERS, INDEX), ids=str)
@pytest.mark.parametrize("op", INTEGER_BINARY, ids=named)
def test_integer_binary(op: type[Op], kind: ScalarType, target: Target, tmp_path: Path) -> None:
    check(case_of(op, [*pairs(kind)], [kind, kind], kind), tmp_path, target)


@pytest.mark.parametrize("op", (arith.And, arith.Or, arith.Xor, arith.Min, arith.Max), ids=named)
def test_bool_binary(op: type[Op], target: Target, tmp_path: Path) -> None:
    x, y = (np.tile(side, 5) for side in pairs(BOOL))
    check(case_of(op, [x, y], [BOOL, BOOL], BOOL), tmp_path, target)


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@pytest.mark.parametrize(
    "op", (arith.Neg, arith.Abs, arith.Sqrt, arith.Floor, arith.Ceil, arith.Trunc, arith.Round), ids=named
)
def test_float_unary(op: type[Op], kind: ScalarType, target: Target, tmp_path: Path) -> None:
    check(case_of(op, [interesting(kind)], [kind], kind), tmp_path, target)


@pytest.mark.parametrize("kind", FLOATS[:2], ids=str)
@pytest.mark.parametrize("op", (arith.Floor, arith.Ceil, arith.Trunc, arith.Round), ids=named)
def test_rounding_without_an_instruction(op: type[Op], kind: ScalarType, tmp_path: Path) -> None:
    check(case_of(op, [interesting(kind)], [kind], kind), tmp_path, Target.parse("x86-64"))


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
@pytest.mark.parametrize("op", (arith.Neg, arith.Abs), ids=named)
def test_integer_unary(op: type[Op], kind: ScalarType, target: Target, tmp_path: Path) -> None:
    check(case_of(op, [interesting(kind)], [kind], kind), tmp_path, target)


@pytest.mark.parametrize("kind", (*FLOATS, *INTEGERS), ids=str)
@pytest.mark.parametrize("predicate", arith.PREDICATES)
def test_compare(predicate: str, kind: ScalarType, target: Target, tmp_path: Path) -> None:
    check(case_of(arith.Compare, [*pairs(kind)], [kind, kind], BOOL, predicate=predicate), tmp_path, target)


@pytest.mark.parametrize("kind", (*FLOATS, *INTEGERS, BOOL), ids=str)
def test_select(kind: ScalarType, target: Target, tmp_path: Path) -> None:
    x, y = (np.tile(side, 5) for side in pairs(kind))
    flags = (np.arange(len(x)) % 3 == 0).copy()
    check(case_of(arith.Select, [flags, x, y], [BOOL, kind, kind], kind), tmp_path, target)


@pytest.mark.parametrize("source", (*FLOATS, *INTEGERS, BOOL), ids=str)
@pytest.mark.parametrize("to", (*FLOATS, *INTEGERS, BOOL), ids=str)
def test_cast(source: ScalarType, to: ScalarType, target: Target, tmp_path: Path) -> None:
    values = np.tile(interesting(source), 10 if source == BOOL else 1)
    check(case_of(arith.Cast, [values], [source], to, to=to), tmp_path, target)


@pytest.mark.parametrize(
    ("source", "to"), [("f32", "si32"), ("si32", "f32"), ("ui64", "f64"), ("f16", "ui16"), ("si8", "ui8")]
)
def test_bitcast(source: str, to: str, target: Target, tmp_path: Path) -> None:
    kinds = ScalarType(source), ScalarType(to)
    case = case_of(arith.Bitcast, [interesting(kinds[0])], [kinds[0]], kinds[1], to=kinds[1])
    expected = interesting(kinds[0]).view(kinds[1].dtype)
    assert np.array_equal(run_compiled(case.func, case.arrays, tmp_path, target)[-1].view("u1"), expected.view("u1"))


@pytest.mark.parametrize("kind", FLOATS[:2], ids=str)
def test_fma(kind: ScalarType, target: Target, tmp_path: Path) -> None:
    x, y = pairs(kind)
    z = np.full_like(x, 0.375)
    small = (np.abs(x) < 1e5) & (np.abs(y) < 1e5)
    check(case_of(arith.Fma, [x[small], y[small], z[small]], [kind] * 3, kind), tmp_path, target, "rounded")


@pytest.mark.parametrize("kind", (SIGNED[2], UNSIGNED[0]), ids=str)
def test_integer_fma(kind: ScalarType, target: Target, tmp_path: Path) -> None:
    x, y = pairs(kind)
    check(case_of(arith.Fma, [x, y, y], [kind] * 3, kind), tmp_path, target)
