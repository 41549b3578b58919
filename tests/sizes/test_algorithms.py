"""Algorithms where sizes are not known: one module, right for few and for many."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import dlc
from dlc.driver.pipeline import Options, lowered_module
from dlc.ir.expr import Expr
from dlc.passes.lower.plan_memory import Life, lives
from dlc.target import Target
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import compiled, expected, model, node
from tests.tolerances import assert_close

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]
RANDOM = np.random.default_rng(0)


def f32(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def agree(ready: dlc.CompiledModel, proto: onnx.ModelProto, feeds: dict[str, np.ndarray], tolerance: str) -> None:
    for found, wanted in zip(ready.run(feeds).values(), expected(proto, feeds), strict=True):
        assert_close(found, wanted, tolerance)


def test_rows_of_several_symbols_are_one_side_of_a_product() -> None:
    """Also where each symbol is few, and where tiles of two heights do not fill the rows."""
    proto = model(
        [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "x"], ["y"])],
        {"x": ("f32", ["batch", "seq", 64])},
        {"y": "f32"},
        {"w": f32(64, 64) / 8},
    )
    ready = compiled(proto)
    for batch, seq in ((1, 1), (2, 7), (3, 0), (0, 5), (1, 19), (5, 4), (13, 11), (1, 128), (4, 64)):
        agree(ready, proto, {"x": f32(batch, seq, 64)}, "op")


def test_buffers_of_unknown_size_share_places() -> None:
    """A chain of layers takes the memory of two of its results, not of all."""
    nodes = []
    for number in range(8):
        nodes += [
            node("MatMul", [f"x{number}", "w"], [f"m{number}"]),
            node("Softmax", [f"m{number}"], [f"x{number + 1}"], axis=-1),
        ]
    proto = model(nodes, {"x0": ("f32", ["batch", "seq", 64])}, {"x8": "f32"}, {"w": f32(64, 64)})
    main = lowered_module(proto, Options(Target.parse("host"))).module.main
    workspace = main.attrs["workspace"]
    assert isinstance(workspace, Expr)
    one = 3 * 50 * 64 * 4
    assert workspace.evaluate({"batch": 3, "seq": 50}) <= 2 * one + 128
    agree(compiled(proto), proto, {"x0": f32(3, 50, 64)}, "network")


def test_places_of_buffers_that_live_at_once_are_apart_at_all_sizes() -> None:
    """Sizes of several symbols, none larger than another one at all sizes."""
    nodes = [
        node("MatMul", ["x", "w"], ["q"]),
        node("Transpose", ["q"], ["t"], perm=[0, 2, 1]),
        node("MatMul", ["q", "t"], ["s"]),
        node("Softmax", ["s"], ["p"], axis=-1),
        node("MatMul", ["p", "q"], ["o"]),
        node("ReduceSum", ["p"], ["r"], keepdims=0),
        node("Mul", ["o", "r"], ["y"]),
    ]
    proto = model(nodes, {"x": ("f32", ["batch", "seq", 32])}, {"y": "f32"}, {"w": f32(32, 32) / 6})
    main = lowered_module(proto, Options(Target.parse("host"))).module.main
    alive = lives(main)
    assert len(alive) > 4
    ready = compiled(proto)
    for batch, seq in ((1, 1), (3, 40), (40, 3), (200, 1), (0, 9), (7, 0)):
        sizes = {"batch": batch, "seq": seq}
        for number, life in enumerate(alive):
            start, end = ends(life, sizes)
            for other in alive[:number]:
                if life.overlaps(other):
                    first, last = ends(other, sizes)
                    assert end <= first or last <= start
        agree(ready, proto, {"x": f32(batch, seq, 32)}, "network")


def ends(life: Life, sizes: dict[str, int]) -> tuple[int, int]:
    offset = life.ops[0].offset
    assert isinstance(offset, Expr)
    start = offset.evaluate(sizes)
    assert start % 64 == 0
    return start, start + life.size.evaluate(sizes)

