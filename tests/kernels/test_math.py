"""Every elementwise op of the kernel library, compiled for the host, against its meaning.

Functions are measured against their meaning in extended precision, everything else against the meaning itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from dlc.ir.core import Op
from dlc.ir.dialects import graph_math as ops
from dlc.ir.dialects import graph_quant
from dlc.ir.eval import graph_math
from dlc.ir.eval import graph_quant as quant_meanings
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.types import BF16, BOOL, F16, F32, F64, SIGNED, UNSIGNED, ScalarType, TensorType
from dlc.kernel_language.library import standard_library
from dlc.target import Target
from tests.kernels.compiled import Compiled, One, assembly, vector, write_library
from tests.kernels.samples import COUNT, elements, floats, integers, pairs
from tests.tolerances import assert_close, assert_within_ulps

Array = NDArray[np.generic]
INTEGERS = (*SIGNED, *UNSIGNED)
FLOATS = (F32, F64)
NUMBERS = (*FLOATS, *INTEGERS)


@dataclass
class Case:
    """One op on one element type (or several)."""

    label: str
    make: Callable[..., Op]
    types: tuple[ScalarType, ...]
    arrays: list[Array]
    exact: Callable[..., Array] | None = None  # of extended precision, where the op's meaning is not
    function: str = ""  # its row in FUNCTION_ULPS; empty: the meaning's own bits
    close: str = "exact"
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def one(self) -> One:
        shapes = self.shapes or [array.shape for array in self.arrays]
        types = tuple(TensorType(shape, scalar) for shape, scalar in zip(shapes, self.types, strict=True))
        return One(re.sub(r"\W", "_", self.label), self.make, types)


# -- functions ---------------------------------------------------------------------------------------------------------


def _erfc(x: Array) -> Array:
    return np.array([math.erfc(v) for v in x.astype(np.float64)], np.longdouble)


def exact_gelu(x: Array) -> Array:
    return x * _erfc(-x / np.sqrt(np.longdouble(2))) / 2


def exact_gelu_tanh(x: Array) -> Array:
    inner = np.sqrt(8 / np.longdouble("3.14159265358979323846264338")) * (x + np.longdouble(0.044715) * x**3)
    return x / (1 + np.exp(-inner))


def exact_mish(x: Array) -> Array:
    e = np.exp(np.minimum(x, 100))
    return x * (e * (e + 2) / (e * (e + 2) + 2))


FUNCTIONS: list[tuple[str, Callable[..., Op], str, Callable[..., Array] | None]] = [
    *((kind.spec.name, kind, kind.spec.name.removeprefix("graph."), None) for kind in (
        ops.Exp, ops.Log, ops.Sqrt, ops.Reciprocal, ops.Asin, ops.Acos, ops.Atan, ops.Sinh, ops.Cosh, ops.Tanh,
        ops.Asinh, ops.Acosh, ops.Atanh, ops.Erf, ops.Sigmoid, ops.Softplus, ops.Softsign, ops.Elu, ops.Selu, ops.Celu,
        ops.HardSigmoid, ops.HardSwish, ops.Swish, ops.Sin, ops.Cos, ops.Tan,
    )),
    ("mish", ops.Mish, "mish", exact_mish),
    ("gelu", ops.Gelu, "gelu", exact_gelu),
    ("gelu-tanh", lambda x: ops.Gelu(x, approximate="tanh"), "gelu", exact_gelu_tanh),
    ("elu-2", lambda x: ops.Elu(x, alpha=2.0), "elu", None),
    ("celu-0.5", lambda x: ops.Celu(x, alpha=0.5), "celu", None),
    ("celu-negative", lambda x: ops.Celu(x, alpha=-16.0), "celu", None),
    ("selu-2", lambda x: ops.Selu(x, alpha=2.0, gamma=3.0), "selu", None),
    ("swish-2", lambda x: ops.Swish(x, alpha=2.0), "swish", None),
    ("hard_sigmoid-2", lambda x: ops.HardSigmoid(x, alpha=0.25, beta=0.375), "hard_sigmoid", None),
]  # fmt: skip
LARGEST = {"sin": 1e5, "cos": 1e5, "tan": 1e5}  # the reduction is documented up to there


def function_cases() -> list[Case]:
    cases = []
    for scalar in FLOATS:
        for label, make, function, exact in FUNCTIONS:
            x = floats(scalar.dtype.type, len(cases), largest=LARGEST.get(function, np.inf))
            cases.append(Case(f"{label} {scalar}", make, (scalar,), [x], exact, function))
        a, b = pairs(scalar.dtype.type, 7)
        b[: COUNT // 2] = reachable_exponents(a[: COUNT // 2], scalar)
        cases.append(Case(f"pow {scalar}", ops.Pow, (scalar, scalar), [a, b], None, "pow"))
    return cases


def reachable_exponents(bases: Array, scalar: ScalarType) -> Array:
    """Exponents with which powers neither overflow nor underflow."""
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        largest = math.log(float(np.finfo(scalar.dtype).max)) / np.abs(np.log(np.abs(bases.astype(np.float64))))
        numbers = rng.uniform(-1, 1, len(bases)) * np.minimum(largest, 1e6)
    return np.where(bases < 0, np.rint(numbers), numbers).astype(scalar.dtype)


# -- arithmetic --------------------------------------------------------------------------------------------------------

UNARY_EXACT: list[tuple[str, Callable[..., Op], tuple[ScalarType, ...]]] = [
    ("abs", ops.Abs, NUMBERS), ("neg", ops.Neg, NUMBERS), ("sign", ops.Sign, NUMBERS), ("relu", ops.Relu, NUMBERS),
    ("ceil", ops.Ceil, FLOATS), ("floor", ops.Floor, FLOATS), ("round", ops.Round, FLOATS),
    ("is_nan", ops.IsNan, FLOATS), ("is_inf", ops.IsInf, FLOATS), ("not", ops.Not, (BOOL,)),
    ("is_inf-positive", lambda x: ops.IsInf(x, detect_negative=False), FLOATS),
    ("is_inf-negative", lambda x: ops.IsInf(x, detect_positive=False), FLOATS),
    ("is_inf-never", lambda x: ops.IsInf(x, detect_negative=False, detect_positive=False), FLOATS),
    ("bitwise_not", ops.BitwiseNot, INTEGERS),
    ("leaky_relu", ops.LeakyRelu, FLOATS), ("leaky_relu-2", lambda x: ops.LeakyRelu(x, alpha=2.0), FLOATS),
    ("thresholded_relu", ops.ThresholdedRelu, FLOATS), ("shrink", ops.Shrink, NUMBERS),
    ("shrink-1", lambda x: ops.Shrink(x, bias=1.5, lambd=1.5), NUMBERS),
    ("clip", ops.Clip, NUMBERS), ("clip-low", lambda x: ops.Clip(x, low=-1.5), NUMBERS),
    ("clip-high", lambda x: ops.Clip(x, high=6), NUMBERS),
    ("clip-wide", lambda x: ops.Clip(x, low=-1e12, high=1e25), NUMBERS),
    ("clip-both", lambda x: ops.Clip(x, low=0.0, high=6.0), NUMBERS),
]  # fmt: skip
BINARY_EXACT: list[tuple[type[Op], tuple[ScalarType, ...]]] = [
    (ops.Add, NUMBERS), (ops.Sub, NUMBERS), (ops.Mul, NUMBERS), (ops.Minimum, NUMBERS), (ops.Maximum, NUMBERS),
    (ops.Prelu, (*FLOATS, *SIGNED)), (ops.BitwiseAnd, INTEGERS), (ops.BitwiseOr, INTEGERS), (ops.BitwiseXor, INTEGERS),
    (ops.And, (BOOL,)), (ops.Or, (BOOL,)), (ops.Xor, (BOOL,)), (ops.Div, FLOATS),
    *((kind, (*NUMBERS, BOOL)) for kind in (ops.Equal, ops.Less, ops.LessEqual, ops.Greater, ops.GreaterEqual)),
]  # fmt: skip


def operand_pair(scalar: ScalarType) -> list[Array]:
    if scalar.is_float:
        return list(pairs(scalar.dtype.type, 1))
    return [elements(scalar.dtype, 1), elements(scalar.dtype, 2)]


def arithmetic_cases() -> list[Case]:
    cases = [
        Case(f"{label} {scalar}", make, (scalar,), [unary_operand(label, scalar)])
        for label, make, types in UNARY_EXACT
        for scalar in types
    ]
    for kind, types in BINARY_EXACT:
        cases += [Case(f"{kind.spec.name} {scalar}", kind, (scalar, scalar), operand_pair(scalar)) for scalar in types]
    for scalar in (*NUMBERS, BOOL):
        chosen = elements(BOOL.dtype, 5)
        cases.append(Case(f"where {scalar}", ops.Where, (BOOL, scalar, scalar), [chosen, *operand_pair(scalar)]))
    return cases + integer_cases() + remainder_cases()


def unary_operand(label: str, scalar: ScalarType) -> Array:
    x = elements(scalar.dtype, 4)
    return x // 2 if label.startswith("shrink") and scalar.is_integer else x  # beyond it leaves the range: unspecified


def integer_cases() -> list[Case]:
    """Division by anything but 0, shifts up to more than the width, powers with exponents of both signs."""
    cases = []
    for scalar in INTEGERS:
        kind, two = scalar.dtype.type, (scalar, scalar)
        a, divisor = integers(kind, 1), integers(kind, 2)
        divisor = np.where(divisor == 0, kind(3), divisor)
        amount = integers(kind, 3, low=0, high=scalar.bits + 2)
        exponent = integers(kind, 4, low=-20 if scalar.is_signed else 0, high=min(300, int(np.iinfo(kind).max)))
        cases += [
            Case(f"div {scalar}", ops.Div, two, [a, divisor]),
            Case(f"mod {scalar}", ops.Mod, two, [a, divisor]),
            Case(f"fmod {scalar}", lambda a, b: ops.Mod(a, b, fmod=True), two, [a, divisor]),
            Case(f"shift_left {scalar}", ops.ShiftLeft, two, [a, amount]),
            Case(f"shift_right {scalar}", ops.ShiftRight, two, [a, amount]),
            Case(f"pow {scalar}", ops.Pow, two, [integers(kind, 5), exponent]),
        ]
    return cases


def remainder_cases() -> list[Case]:
    """Remainders of floats are exact up to quotients of 2^48."""
    cases = []
    for scalar in FLOATS:
        a, b = pairs(scalar.dtype.type, 11)
        with np.errstate(all="ignore"):
            far = np.isfinite(a) & np.isfinite(b) & (np.abs(a / b) > 2.0**47) & (b != 0)
        a[far], two = b[far] * scalar.dtype.type(12345.678), (scalar, scalar)
        b[np.abs(b) < 1e-290] = 0
        cases += [
            Case(f"mod {scalar}", ops.Mod, two, [a, b], close="rounded"),
            Case(f"fmod {scalar}", lambda a, b: ops.Mod(a, b, fmod=True), two, [a, b]),
        ]
    return cases


def cast_cases() -> list[Case]:
    kinds = (*NUMBERS, BOOL)
    return [
        Case(f"cast {source} {to}", lambda x, to=to: ops.Cast(x, to=to), (source,), [elements(source.dtype, 6)])
        for source in kinds
        for to in kinds
    ]


WHOLE = 12_000  # whole vectors: the masked tails of halves are tested with the emitter


def half_cases() -> list[Case]:
    """Half precision is computed in f32 and rounded at the store."""
    cases = []
    for scalar in (F16, BF16):
        x, y = elements(scalar.dtype, 8)[:WHOLE], elements(scalar.dtype, 9)[:WHOLE]
        for kind, exact in ((ops.Exp, np.exp), (ops.Tanh, np.tanh), (ops.Gelu, exact_gelu), (ops.Relu, None)):
            close = "gelu" if kind is ops.Gelu else "function" if exact else "rounded"
            cases.append(Case(f"{kind.spec.name} {scalar}", kind, (scalar,), [x], exact, close=close))
        cases.append(Case(f"add {scalar}", ops.Add, (scalar, scalar), [x, y], close="rounded"))
        cases.append(Case(f"cast {scalar} f32", lambda x: ops.Cast(x, to=F32), (scalar,), [x]))
        wide = elements(F32.dtype, 10)[:WHOLE]
        cases.append(Case(f"cast f32 {scalar}", lambda x, to=scalar: ops.Cast(x, to=to), (F32,), [wide]))
    return cases


def quantize_cases() -> list[Case]:
    cases = []
    rng = np.random.default_rng(12)
    x = (rng.normal(0, 3, (37, 5, 19))).astype(np.float32)
    x.reshape(-1)[:4] = (np.inf, -np.inf, 1e30, -1e30)
    for axis, count in ((None, 0), (1, 5), (2, 19)):
        shape = (count,) if count else ()
        scale = rng.uniform(0.01, 0.1, shape).astype(np.float32)
        shapes = [x.shape, shape, shape]
        for to in INTEGERS[:3] + INTEGERS[4:7]:
            low, high = (-5, 6) if to.is_signed else (0, 9)
            zero = rng.integers(low, high, shape).astype(to.dtype)
            stored = elements(to.dtype, 13)[: x.size].reshape(x.shape)
            cases += [
                Case(f"quantize {to} {axis}", lambda *v, to=to, axis=axis: graph_quant.Quantize(*v, to=to, axis=axis),
                     (F32, F32, to), [x, scale, zero], close="quantized", shapes=shapes),
                Case(f"dequantize {to} {axis}", lambda *v, axis=axis: graph_quant.Dequantize(*v, axis=axis),
                     (to, F32, to), [stored, scale, zero], shapes=shapes),
            ]  # fmt: skip
    return cases


CASES = {
    case.label: case
    for case in (*function_cases(), *arithmetic_cases(), *cast_cases(), *half_cases(), *quantize_cases())
}


LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64")
RUNNABLE = ["host", *(pytest.param(level, marks=pytest.mark.isa(level)) for level in LEVELS[:2])]


@pytest.fixture(scope="module")
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    ones = [case.one for case in CASES.values()]
    return Compiled(ones, Target.parse(request.param), tmp_path_factory.mktemp("math"))


MEANINGS = {**graph_math.MEANINGS, **quant_meanings.MEANINGS}


def meaning(case: Case, arrays: list[Array]) -> Array:
    op = case.one.op()
    with np.errstate(all="ignore"):
        if case.exact is not None:
            return case.exact(*arrays)
        return MEANINGS[type(op)](op, *arrays)


@pytest.mark.parametrize("compiled", RUNNABLE, indirect=True, scope="module")
@pytest.mark.parametrize("label", [label for label, case in CASES.items() if case.function])
def test_functions_are_within_their_ulps(label: str, compiled: Compiled) -> None:
    case = CASES[label]
    exact = meaning(case, [array.astype(np.longdouble) for array in case.arrays])
    assert_within_ulps(compiled.run(case.one.name, case.arrays), exact, case.function, label)


@pytest.mark.parametrize("compiled", RUNNABLE, indirect=True, scope="module")
@pytest.mark.parametrize("label", [label for label, case in CASES.items() if not case.function])
def test_arithmetic_is_the_meanings(label: str, compiled: Compiled) -> None:
    case = CASES[label]
    got = compiled.run(case.one.name, case.arrays)
    halves = (F16.dtype, BF16.dtype)
    arrays = [array.astype(np.float32) if array.dtype in halves else array for array in case.arrays]
    with np.errstate(over="ignore"):
        want = np.asarray(meaning(case, arrays)).astype(got.dtype)
    assert_close(flushed(got), flushed(want), case.close, name=label)


def flushed(array: Array) -> Array:
    """The array with what may come out of flushed denormals as 0; those of f16 are ordinary numbers of f32."""
    if array.dtype.kind not in "fV" or array.dtype == np.float16:
        return array
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(array) < 2 * float(ml_dtypes.finfo(array.dtype).tiny), array.dtype.type(0), array)


# -- the code ----------------------------------------------------------------------------------------------------------

SCALAR_X86 = re.compile(
    r"\tv?((add|sub|mul|div|min|max|sqrt|fn?m(add|sub)\d+)s[sd]|cvtt?s[sid]2\w+|u?comis[sd]|p(ext|ins)r\w|call\w?)\t"
)
SCALAR_ARM = re.compile(r"\t(f(add|sub|mul|div|n?m(add|sub)|min|max|sqrt)\t[sd]\d|[su]mov\t|bl\t)")
SHORTEST = {"relu f32": ("maxps", "fmax", 1), "clip-both f32": ("m(ax|in)ps", "f(max|min)", 2)}


def whole_vectors(case: Case) -> One:
    one = case.one
    return One(one.name, one.make, tuple(vector(kind.scalar, 1024) for kind in one.types))


@pytest.mark.parametrize("level", LEVELS[2:])  # the linker says it of the others when they are compiled to be run
def test_no_kernel_calls_anything(level: str, tmp_path: Path) -> None:
    write_library([case.one for case in CASES.values()], Target.parse(level), tmp_path / "kernels.so")


@pytest.mark.parametrize("level", LEVELS)
def test_functions_are_vector_code(level: str) -> None:
    cases = [case for case in CASES.values() if case.types[0] in FLOATS and (case.function or len(case.arrays) == 1)]
    target, checked = Target.parse(level), [c for c in cases if not c.label.startswith(("cast", "is_"))]
    pattern = SCALAR_ARM if target.arch == "aarch64" else SCALAR_X86
    text = assembly([whole_vectors(case) for case in checked], target)
    for case in checked:
        body = text[text.index(f"\n{case.one.name}:") :].split("\n.Lfunc_end")[0]
        assert not pattern.search(body), f"{case.label} on {level}: {pattern.search(body)}"  # type: ignore[union-attr]
        if case.label in SHORTEST:
            x86, arm, count = SHORTEST[case.label]
            found = re.findall(rf"\tv?(?:{arm if target.arch == 'aarch64' else x86})\t", body)
            assert len(found) == count, f"{case.label} on {level} takes {len(found)} instructions"


def test_every_elementwise_op_has_its_function() -> None:
    library = standard_library()
    names = [kind.spec.name.removeprefix("graph.") for kind in ops.OPS if ELEMENTWISE in kind.spec.traits]
    assert [name for name in names if not library.functions(name)] == []
