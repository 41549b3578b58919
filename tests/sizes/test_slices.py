"""Slices and splits of axes whose sizes only the run knows: at each size what ONNX says, and never an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from dlc.frontends.load import load_model
from dlc.ir.dialects.graph_flow import Require
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import assert_same, compiled, expected, model, node

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]

MOST, LEAST = (1 << 63) - 1, -(1 << 63)
SIZES = (0, 1, 2, 3, 5, 7, 13)
NUMBERS = (  # start, end, step
    (-100, MOST, 1), (100, MOST, 1), (5, 8, 1), (8, 5, 1), (1, -1, 1), (-1, MOST, 1), (0, -1, 1), (1, MOST, 1),
    (-5, -2, 1), (-2, 5, 1), (2, (1 << 31) - 1, 1), (LEAST, 3, 1), (0, MOST, 2), (1, MOST, 2), (1, -2, 3),
    (0, MOST, MOST), (2, 9, 1 << 40), (-1, LEAST, -1), (MOST, LEAST, -1), (MOST, LEAST, -2), (3, 0, -1),
    (-2, 1, -1), (5, -7, -3), (4, LEAST, -2), (-1, -(1 << 31), -1), (MOST, 0, LEAST), (-3, -5, -1), (0, LEAST, -1),
)  # fmt: skip
EXPRESSIONS = (  # over n, the size of the axis, and m, the size of another input's
    ("0", "m"), ("m", "n"), ("n-5", "n//2"), ("n//2", "n"), ("0-m", "n"), ("m", "m+2"), ("m-n", "n"), ("n-1", "n"),
    ("0", "n-m"), ("m-4", "0-1"),
)  # fmt: skip


def shape_arithmetic() -> Iterator[onnx.NodeProto]:
    """Vectors of one element for each expression."""
    yield node("Shape", ["x"], ["n"], end=1)
    yield node("Shape", ["z"], ["m"], end=1)
    for text in sorted({each for pair in EXPRESSIONS for each in pair} - {"n", "m"}):
        sign = next((each for each in ("+", "-", "//") if each in text), "")
        left, _, right = text.partition(sign) if sign else ("0", "", text)
        kind = {"+": "Add", "-": "Sub", "//": "Div", "": "Add"}[sign]
        yield node(kind, [operand(left), operand(right)], [text])


def operand(text: str) -> str:
    return f"c{text}" if text.isdecimal() else text


def sliced() -> onnx.ModelProto:
    """Each slice of an input and of something computed, alone and with something behind it."""
    nodes = [node("Relu", ["x"], ["h"]), *shape_arithmetic()]
    weights = {f"c{number}": np.array([number]) for number in (0, 1, 2, 4, 5)} | {"axis": np.array([0])}
    outputs = []
    for number, (start, end, step) in enumerate(NUMBERS):
        given = {f"s{number}": start, f"e{number}": end, f"t{number}": step}
        weights |= {name: np.array([value]) for name, value in given.items()}
        names = [f"s{number}", f"e{number}", "axis", f"t{number}"]
        nodes.append(node("Slice", ["h" if number % 2 else "x", *names], [f"y{number}"]))
        outputs.append(f"y{number}")
    for number, (low, high) in enumerate(EXPRESSIONS):
        nodes.append(node("Slice", ["h", low, high, "axis"], [f"part{number}"]))
        nodes.append(node("Exp", [f"part{number}"], [f"z{number}"]))
        outputs.append(f"z{number}")
    return model(nodes, {"x": ("f32", ("n", 3)), "z": ("f32", ("m",))}, dict.fromkeys(outputs, "f32"), weights, 18)


def as_onnx_says(x: np.ndarray, start: int, end: int, step: int) -> np.ndarray:
    """The text of Slice-13, word by word: the reference holds no start of a negative step at 0, ONNX Runtime takes

    INT_MAX for "to the end" backwards.
    """
    size = len(x)
    start, end = (each + size if each < 0 else each for each in (start, end))
    low, high = (0, size) if step > 0 else (-1, size - 1)
    first = min(max(start, 0), high)
    return x[[*range(first, min(max(end, low), high), step)]]


def test_slices() -> None:
    proto = sliced()
    ready = compiled(proto)
    reference = ReferenceEvaluator(proto)
    rng = np.random.default_rng(3)
    for size in SIZES:
        x = rng.standard_normal((size, 3)).astype(np.float32)
        for other in (0, 1, 4):
            feeds = {"x": x, "z": np.zeros(other, np.float32)}
            found = ready.run(feeds)
            for number, limits in enumerate(NUMBERS):
                right = as_onnx_says(np.maximum(x, 0) if number % 2 else x, *limits)
                assert_same(found[f"y{number}"], right, 0)
            wanted = dict(zip(found, reference.run(None, feeds), strict=True))
            for number in range(len(EXPRESSIONS)):
                assert_same(found[f"z{number}"], wanted[f"z{number}"], 1e-5)


def test_the_text_is_what_the_reference_and_onnx_runtime_agree_on() -> None:
    """At most they differ from each other, and then one of them is right."""
    proto = sliced()
    reference = ReferenceEvaluator(proto)
    for size in (1, 5):
        feeds = {"x": np.arange(3 * size, dtype=np.float32).reshape(size, 3), "z": np.zeros(1, np.float32)}
        for number, (a, b) in enumerate(zip(reference.run(None, feeds), expected(proto, feeds), strict=True)):
            if number < len(NUMBERS):
                right = as_onnx_says(feeds["x"], *NUMBERS[number])
                assert any(each.shape == right.shape and (each == right).all() for each in (a, b)), NUMBERS[number]


def test_no_slice_needs_a_guard() -> None:
    assert not [op for op in load_model(sliced()).main.walk() if isinstance(op, Require)]


def behind() -> onnx.ModelProto:
    """What other passes make of slices: views, products, pieces of concatenations, differences of neighbours."""
    first = {"from": np.array([1]), "to": np.array([MOST]), "zero": np.array([0]), "one": np.array([1])}
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("Slice", ["h", "from", "to"], ["rest"]),
        node("Slice", ["h", "zero", "minus"], ["front"]),
        node("Slice", ["h", "zero", "one"], ["head"]),
        node("Slice", ["h", "minus", "to"], ["tail"]),
        node("MatMul", ["rest", "w"], ["product"]),
        node("Sub", ["rest", "front"], ["steps"]),
        node("Concat", ["tail", "head", "front"], ["turned"], axis=0),
        node("MatMul", ["turned", "w"], ["both"]),
        node("Slice", ["rest", "from", "to"], ["later"]),
        node("ReduceSum", ["later", "zero"], ["total"], keepdims=0),
    ]
    weights = {**first, "minus": np.array([-1]), "w": np.ones((3, 8), np.float32)}
    outputs = dict.fromkeys(("product", "steps", "both", "turned", "later", "total"), "f32")
    return model(nodes, {"x": ("f32", ("n", 3))}, outputs, weights, 18)


def test_what_reads_slices_reads_nothing_else() -> None:
    proto = behind()
    ready = compiled(proto)
    assert not [op for op in load_model(proto).main.walk() if isinstance(op, Require)]
    for size in (*SIZES, 40):
        feeds = {"x": np.random.default_rng(size).standard_normal((size, 3)).astype(np.float32)}
        for array, wanted in zip(ready.run(feeds).values(), ReferenceEvaluator(proto).run(None, feeds), strict=True):
            assert_same(array, np.asarray(wanted), 1e-5)


# -- splits ------------------------------------------------------------------------------------------------------------

COUNTS = (2, 3, 5)


def split(kinds: Sequence[int]) -> onnx.ModelProto:
    nodes, outputs = [node("Relu", ["x"], ["h"])], []
    for count in kinds:
        names = [f"y{count}_{part}" for part in range(count)]
        nodes.append(node("Split", ["h"], names, f"split{count}", axis=0, num_outputs=count))
        outputs += names
    return model(nodes, {"x": ("f32", ("n", 3))}, dict.fromkeys(outputs, "f32"), None, 18)


def test_splits_into_a_number_of_parts() -> None:
    proto = split(COUNTS)
    ready, reference = compiled(proto), ReferenceEvaluator(proto)
    assert not [op for op in load_model(proto).main.walk() if isinstance(op, Require)]
    for size in (*SIZES, 4, 6, 15):
        x = np.arange(3 * size, dtype=np.float32).reshape(size, 3)
        for array, wanted in zip(ready.run({"x": x}).values(), reference.run(None, {"x": x}), strict=True):
            assert_same(array, wanted, 0)


def test_sizes_of_splits_that_are_expressions() -> None:
    nodes = [
        node("Shape", ["x"], ["n"], end=1),
        node("Div", ["n", "two"], ["half"]),
        node("Sub", ["n", "half"], ["other"]),
        node("Concat", ["half", "other"], ["sizes"], axis=0),
        node("Split", ["x", "sizes"], ["a", "b"], "the_split", axis=0),
    ]
    proto = model(nodes, {"x": ("f32", ("n", 3))}, {"a": "f32", "b": "f32"}, {"two": np.array([2])}, 18)
    ready = compiled(proto)
    for size in SIZES:
        x = np.arange(3 * size, dtype=np.float32).reshape(size, 3)
        found = ready.run({"x": x})
        assert_same(found["a"], x[: size // 2], 0)
        assert_same(found["b"], x[size // 2 :], 0)
