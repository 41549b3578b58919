"""How the generator adds elementwise ops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as ops
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.types import BOOL, F32, SI32, SI64, UI8, ScalarType, TensorType
from tests.differential.growing import Draw, Growing, is_bool, is_float, is_integer, is_number

Step = Callable[[Draw, Growing], Op | None]
Test = Callable[[TensorType], bool]


def unary(kind: type[Op], test: Test = is_float, exact: bool = False, attrs: dict[str, object] | None = None) -> Step:
    def step(draw: Draw, growing: Growing) -> Op | None:
        x = growing.pick(draw, test, exact)
        return None if x is None else growing.add(kind(x, **attrs or {}))

    return step


def after(first: Step, kind: type[Op]) -> Step:
    """An op on a prepared operand, which keeps it inside the op's domain."""

    def step(draw: Draw, growing: Growing) -> Op | None:
        prepared = first(draw, growing)
        return None if prepared is None else growing.add(kind(prepared.result))

    return step


def positive(draw: Draw, growing: Growing) -> Op | None:
    """|x| + 1.5: the domain of acosh, log, sqrt and reciprocal."""
    x = growing.pick(draw, is_float)
    size = None if x is None else growing.add(ops.Abs(x))
    return None if size is None else growing.add(ops.Add(size.result, growing.constant(np.asarray(1.5, np.float32))))


def stretches(shape: Shape, wanted: Shape) -> bool:
    """Whether a shape broadcasts to (not only with) `wanted` whatever the symbols stand for."""
    if len(shape) > len(wanted):
        return False
    return all(dim in (1, goal) for dim, goal in zip(shape[::-1], wanted[::-1], strict=False))


def other(draw: Draw, growing: Growing, x: Value) -> Value:
    """A value that broadcasts with x: one that is there, or a constant of part of its shape."""
    wanted = tensor(x)

    def fits(kind: TensorType) -> bool:
        return kind.scalar == wanted.scalar and stretches(kind.shape, wanted.shape)

    found = growing.pick(draw, fits)
    if found is not None and draw(st.booleans()):
        return found
    keep = [isinstance(dim, int) and draw(st.booleans()) for dim in wanted.shape]
    shape = [growing.size(dim) if kept else 1 for dim, kept in zip(wanted.shape, keep, strict=True)]
    return growing.weight(*shape[draw(st.integers(0, len(shape))) :], element=wanted.scalar)


def binary(kind: type[Op], test: Test = is_float, exact: bool = False, attrs: dict[str, object] | None = None) -> Step:
    def step(draw: Draw, growing: Growing) -> Op | None:
        x = growing.pick(draw, test, exact)
        if x is None:
            return None
        y = other(draw, growing, x)
        if exact and y not in growing.exact:
            return None
        return growing.add(kind(x, y, **attrs or {}))

    return step


def by_constant(kind: type[Op], numbers: list[float], test: Test, element: ScalarType | None = None) -> Step:
    """A binary op whose right operand is a constant scalar."""

    def step(draw: Draw, growing: Growing) -> Op | None:
        x = growing.pick(draw, test, exact=test is not is_float)
        if x is None:
            return None
        dtype = (element or tensor(x).scalar).dtype
        return growing.add(kind(x, growing.constant(np.asarray(draw(st.sampled_from(numbers)), dtype))))

    return step


def cast(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: True, exact=True)
    to = draw(st.sampled_from((F32, SI32, SI64, BOOL, UI8)))
    return None if x is None else growing.add(ops.Cast(x, to=to))


def where(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, is_number)
    if x is None:
        return None
    y, shape = other(draw, growing, x), tensor(x).shape
    c = growing.pick(draw, lambda kind: is_bool(kind) and stretches(kind.shape, shape))
    return growing.add(ops.Where(c if c is not None else growing.weight(1, element=BOOL), x, y))


SMOOTH = (
    ops.Abs, ops.Neg, ops.Exp, ops.Sin, ops.Cos, ops.Atan, ops.Sinh, ops.Cosh, ops.Tanh, ops.Asinh, ops.Erf,
    ops.Sigmoid, ops.Relu, ops.Softplus, ops.Softsign, ops.LeakyRelu, ops.Elu, ops.Selu, ops.Celu, ops.HardSigmoid,
    ops.HardSwish, ops.Gelu, ops.Mish, ops.Swish,
)  # fmt: skip
JUMPS = (
    ops.Sign, ops.Ceil, ops.Floor, ops.Round, ops.ThresholdedRelu, ops.Shrink, ops.IsNan, ops.IsInf,
)  # fmt: skip
COMPARES = (ops.Equal, ops.Less, ops.LessEqual, ops.Greater, ops.GreaterEqual)
ARITHMETIC = (ops.Add, ops.Sub, ops.Mul, ops.Minimum, ops.Maximum)
BITWISE = (ops.BitwiseAnd, ops.BitwiseOr, ops.BitwiseXor)
INVERSES = (ops.Asin, ops.Acos, ops.Tan)  # of numbers below 1 in size
SPLIT = by_constant(ops.Mul, [0.1], is_float)  # numbers are below LARGE = 8

STEPS: dict[type[Op], Step] = {
    **{kind: unary(kind) for kind in SMOOTH},
    **{kind: unary(kind, exact=True) for kind in JUMPS},
    **{kind: after(positive, kind) for kind in (ops.Log, ops.Sqrt, ops.Reciprocal, ops.Acosh)},
    **{kind: after(SPLIT, kind) for kind in (*INVERSES, ops.Atanh)},
    **{kind: binary(kind, is_number) for kind in ARITHMETIC},
    **{kind: binary(kind, is_number, exact=True) for kind in COMPARES},
    **{kind: binary(kind, is_bool) for kind in (ops.And, ops.Or, ops.Xor)},
    **{kind: binary(kind, is_integer) for kind in BITWISE},
    **{kind: by_constant(kind, [0, 1, 3], is_integer) for kind in (ops.ShiftLeft, ops.ShiftRight)},
    ops.Div: by_constant(ops.Div, [1, 2, -3, 5], is_number),
    ops.Mod: by_constant(ops.Mod, [1, 2, -3, 5], is_integer),
    ops.Pow: by_constant(ops.Pow, [0, 1, 2, 3], is_number),
    ops.Prelu: binary(ops.Prelu),
    ops.Not: unary(ops.Not, is_bool),
    ops.BitwiseNot: unary(ops.BitwiseNot, is_integer),
    ops.Clip: unary(ops.Clip, attrs={"low": -1.0, "high": 1.5}),
    ops.Cast: cast,
    ops.Where: where,
}
