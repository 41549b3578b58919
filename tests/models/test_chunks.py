"""Work is cut for several threads, whatever the sizes, and the bits do not depend on how many there are."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.driver.build import main_text, named_dims
from dlc.driver.compile import make_options
from dlc.driver.pipeline import lowered_module
from dlc.ir.dialects import run
from dlc.ir.expr import as_expr
from tests.support.onnx_models import assert_same, compiled, expected, model, node


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("batch", [(), (3,)], ids=["plain", "batched"])
def test_products_whose_last_panel_is_narrow_are_cut_into_chunks(batch: tuple[int, ...], rows: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*batch, rows, 64)).astype(np.float32)
    w = rng.standard_normal((*batch, 64, 100)).astype(np.float32)
    proto = model([node("MatMul", ["x", "w"], ["y"])], {"x": ("f32", x.shape)}, {"y": "f32"}, {"w": w})
    lowered = lowered_module(proto.SerializeToString(), make_options("host", None, 3, (), False))
    calls = [op for op in lowered.module.main.block.ops if isinstance(op, run.Call)]
    assert max(as_expr(call.chunks).value for call in calls) > 1
    one, two, three = (compiled(proto, threads).run({"x": x})["y"] for threads in (1, 2, 3))
    assert np.array_equal(one, two) and np.array_equal(one, three)
    assert_same(one, expected(proto, {"x": x})[0], 1e-4)


# one long row of positions with tiles of two heights, small weights and large; lines; panels of two widths
CONVOLUTIONS = [(64, 56, 256, 0), (72, 9, 136, 0), (480, 7, 160, 0), (160, 7, 328, 1), (64, 13, 72, 1)]


@pytest.mark.parametrize("batch", [1, 2, "batch"])
@pytest.mark.parametrize(("channels", "size", "outputs", "pad"), CONVOLUTIONS)
def test_convolutions_are_cut_for_one_image_too(
    channels: int, size: int, outputs: int, pad: int, batch: int | str
) -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((outputs, channels, 1 + 2 * pad, 1 + 2 * pad)).astype(np.float32)
    conv = node("Conv", ["x", "w"], ["c"], pads=[pad] * 4)
    ends = {"x": ("f32", (batch, channels, size, size))}, {"y": "f32"}
    proto = model([conv, node("Conv", ["c", "v"], ["y"])], *ends, {"w": w, "v": w[:64, :1, :1, :1].repeat(outputs, 1)})
    lowered = lowered_module(proto.SerializeToString(), make_options("x86-64-v3", None, 3, (), False))
    calls = [op for op in lowered.module.main.block.ops if isinstance(op, run.Call) and op.kernel.startswith("conv")]
    sizes = {name: 1 for call in calls for name in as_expr(call.chunks).symbols()}
    assert calls and all(as_expr(call.chunks).evaluate(sizes) > 1 for call in calls)
    x = rng.standard_normal((2 if batch == "batch" else batch, channels, size, size)).astype(np.float32)
    one, three = (compiled(proto, threads).run({"x": x})["y"] for threads in (1, 3))
    assert np.array_equal(one, three)
    assert_same(one, expected(proto, {"x": x})[0], 1e-3)


@pytest.mark.parametrize(("rows", "how"), [(50, "alone"), (20_000, "parallel"), ("batch", "select")])
def test_little_work_stays_on_the_calling_thread(rows: int | str, how: str) -> None:
    proto = model([node("Relu", ["x"], ["y"])], {"x": ("f32", (rows, 64))}, {"y": "f32"})
    lowered = lowered_module(proto.SerializeToString(), make_options("host", None, 3, (), False))
    text = main_text(lowered.module, named_dims(lowered.module))
    calls = [line for line in text.splitlines() if "(ptr %ctx, ptr @" in line or "select" in line]
    assert any(how in line for line in calls), calls
    assert (how == "alone") != any("@dlc_parallel" in line for line in calls)
    for count in (1, 7, 30_000) if rows == "batch" else (rows,):
        x = np.random.default_rng(0).standard_normal((count, 64)).astype(np.float32)
        assert np.array_equal(compiled(proto, 2).run({"x": x})["y"], np.maximum(x, 0))
