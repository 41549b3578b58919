"""What ONNX leaves open, and what dlc makes of it: models of all such cases, with results computed in plain Python.

    float -> integer   saturates, NaN is 0
    x / 0, x mod 0     of integers are 0; the least one by -1 wraps around
    x << n, x >> n     shift everything out where n is the width or more
    x ** n             of integers wraps around; a negative power leaves what 1 and -1 give
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.frontends.models import code_of

FLOATS = {name: np.dtype(name) for name in ("float64", "float32", "float16")} | {
    "bfloat16": np.dtype(ml_dtypes.bfloat16)
}
INTEGERS = {name: np.dtype(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}

NUMBERS = (
    0.0, -0.0, 0.5, -0.5, 0.999, -0.999, 1.5, -1.5, 2.5, 127.0, 127.9, 128.0, -128.0, -128.9, -129.0, 255.0, 255.9,
    256.0, 300.0, -300.0, 32767.9, 32768.0, -32769.0, 65535.9, 65536.0, 70000.0, -70000.0, 2147483520.0, 2147483647.5,
    2147483648.0, -2147483648.0, -2147483649.0, 4294967040.0, 4294967295.5, 4294967296.0, 1e10, -1e10,
    9223371487098961920.0, 9223372036854775808.0, -9223372036854775808.0, 1.8446742974197924e19, 1.8446744073709552e19,
    1e20, -1e20, 3e38, 1e-30, math.inf, -math.inf, math.nan,
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """One node on given operands and what it gives."""

    op: str
    operands: tuple[np.ndarray, ...]
    expected: np.ndarray
    attributes: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        attributes = "".join(f"-{value}" for _, value in self.attributes)
        return f"{self.op}{attributes}-{self.operands[0].dtype}-{self.expected.dtype}"


def limits(kind: np.dtype) -> tuple[int, int]:
    found = np.iinfo(kind)
    return int(found.min), int(found.max)


def wrapped(number: int, kind: np.dtype) -> int:
    low, high = limits(kind)
    return (number - low) % (high - low + 1) + low


def truncated(number: float, kind: np.dtype) -> int:
    if math.isnan(number):
        return 0
    low, high = limits(kind)
    if math.isinf(number):
        return high if number > 0 else low
    return min(max(int(number), low), high)


def quotient(a: int, b: int) -> int:
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def power(a: int, b: int) -> int:
    return a**b if b >= 0 else {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)


PAIRWISE: dict[str, Callable[[int, int], int]] = {
    "Div": quotient,
    "Mod": lambda a, b: 0 if b == 0 else a % b,
    "Mod-fmod": lambda a, b: 0 if b == 0 else a - b * quotient(a, b),
    "Pow": power,
}
ATTRIBUTES: dict[str, tuple[tuple[str, object], ...]] = {"Mod-fmod": (("fmod", 1),)}


def casts() -> Iterator[Example]:
    for source in FLOATS.values():
        with np.errstate(all="ignore"):
            x = np.array(NUMBERS).astype(source)
        for target in INTEGERS.values():
            found = np.array([truncated(float(number), target) for number in x], target)
            yield Example("Cast", (x,), found, (("to", code_of(found)),))
    for source in INTEGERS.values():
        x = np.array(interesting(source), source)
        for target in INTEGERS.values():
            found = np.array([wrapped(int(number), target) for number in x], target)
            yield Example("Cast", (x,), found, (("to", code_of(found)),))


def interesting(kind: np.dtype) -> list[int]:
    low, high = limits(kind)
    return sorted({max(low, -7), max(low, -1), 0, 1, 2, 3, 7, low, low + 1, high - 1, high, high // 2, low // 3})


def arithmetic() -> Iterator[Example]:
    for kind in INTEGERS.values():
        numbers = interesting(kind)
        pairs = [(a, b) for a in numbers for b in numbers]
        for name, right in PAIRWISE.items():
            chosen = [(a, b) for a, b in pairs if name != "Pow" or abs(b) < 70]
            a, b = (np.array(side, kind) for side in zip(*chosen, strict=True))
            found = np.array([wrapped(right(*pair), kind) for pair in chosen], kind)
            yield Example(name.partition("-")[0], (a, b), found, ATTRIBUTES.get(name, ()))
        if kind.kind == "u":
            yield from shifts(kind)


def shifts(kind: np.dtype) -> Iterator[Example]:
    width = kind.itemsize * 8
    pairs = [(a, n) for a in interesting(kind) for n in (0, 1, width - 1, width, width + 1, limits(kind)[1])]
    a, n = (np.array(side, kind) for side in zip(*pairs, strict=True))
    left = [wrapped(x << by, kind) if by < width else 0 for x, by in pairs]
    right = [x >> by if by < width else 0 for x, by in pairs]
    yield Example("BitShift", (a, n), np.array(left, kind), (("direction", "LEFT"),))
    yield Example("BitShift", (a, n), np.array(right, kind), (("direction", "RIGHT"),))


EXAMPLES = (*casts(), *arithmetic())


def repeated(example: Example, times: int) -> Example:
    operands = tuple(np.tile(operand, times) for operand in example.operands)
    return Example(example.op, operands, np.tile(example.expected, times), example.attributes)


def model_of_all(examples: tuple[Example, ...], constant: bool) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of all examples, and its feeds. An output `y<n>` for each; operands are inputs, or constants."""
    nodes, given = [], {}
    for number, example in enumerate(examples):
        names = []
        for operand in example.operands:
            key = next((k for k, array in given.items() if array is operand), None) or f"x{len(given)}"
            given[key] = operand
            names.append(key)
        nodes.append(helper.make_node(example.op, names, [f"y{number}"], **dict(example.attributes)))
    outputs = [
        helper.make_tensor_value_info(f"y{n}", code_of(example.expected), example.expected.shape)
        for n, example in enumerate(examples)
    ]
    inputs = [helper.make_tensor_value_info(key, code_of(array), [f"n{len(array)}"]) for key, array in given.items()]
    inputs, weights = ([], [tensor_of(array, key) for key, array in given.items()]) if constant else (inputs, [])
    graph = helper.make_graph(nodes, "open", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return model, {} if constant else given


def tensor_of(array: np.ndarray, name: str) -> onnx.TensorProto:
    if array.dtype != ml_dtypes.bfloat16:
        return numpy_helper.from_array(array, name)
    return helper.make_tensor(name, TensorProto.BFLOAT16, array.shape, array.tobytes(), raw=True)


def assert_as_expected(found: dict[str, np.ndarray], examples: tuple[Example, ...]) -> None:
    """All results, in value and type; says which operands gave what."""
    wrong = []
    for number, example in enumerate(examples):
        got = found[f"y{number}"]
        assert got.dtype == example.expected.dtype and got.shape == example.expected.shape, example.name
        for at in np.flatnonzero(got != example.expected)[:2]:
            operands = ", ".join(str(operand[at]) for operand in example.operands)
            wrong.append(f"{example.name}({operands}) = {got[at]}, expected {example.expected[at]}")
    assert not wrong, f"{len(wrong)} differ: " + "; ".join(wrong[:40])
