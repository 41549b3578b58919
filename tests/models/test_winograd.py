"""Networks of 3 x 3 convolutions, which go by Winograd's algorithm, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import dlc
from dlc.driver.compile import write_library
from dlc.driver.pipeline import Options, lowered_module
from dlc.target import Target
from tests.models.zoo import model_of, weight
from tests.support.qemu_runner import run_under_qemu
from tests.tolerances import assert_close

TARGETS = ["host", *(pytest.param(name, marks=pytest.mark.isa(name)) for name in ("x86-64-v3", "x86-64-v2"))]
CHANNELS = 36


def network(batch: int | str, rows: int | str, columns: int | str) -> onnx.ModelProto:
    """Convolutions with bias, residual, relu, unequal padding and a pool; then some on an image of few tiles."""
    rng = np.random.default_rng(5)
    weights, nodes, last = [], [helper.make_node("Conv", ["x", "w"], ["c0"], kernel_shape=[1, 1])], "c0"
    weights.append(weight("w", rng.standard_normal((CHANNELS, 3, 1, 1))))
    for n, pads in enumerate([(1, 1, 1, 1), (0, 1, 2, 1), (1, 1, 1, 1), (1, 1, 1, 1)], start=1):
        weights.append(weight(f"w{n}", rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) / 18))
        weights.append(weight(f"b{n}", rng.standard_normal(CHANNELS)))
        nodes.append(helper.make_node("Conv", [last, f"w{n}", f"b{n}"], [f"c{n}"], pads=pads))
        nodes.append(helper.make_node("Add", [f"c{n}", last], [f"a{n}"]))
        nodes.append(helper.make_node("Relu", [f"a{n}"], [f"r{n}"]))
        last = f"r{n}"
        if n == 2:
            nodes.append(helper.make_node("MaxPool", [last], ["p"], kernel_shape=[3, 3], strides=[4, 4], pads=[1] * 4))
            last = "p"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["y"]))
    return model_of(nodes, weights, (batch, 3, rows, columns), (batch, CHANNELS, 1, 1))


def strided(batch: int | str, rows: int | str, columns: int | str) -> onnx.ModelProto:
    """Strides of two, and windows of four and five, with a bias and a relu each."""
    rng = np.random.default_rng(7)
    weights, nodes, last = [], [helper.make_node("Conv", ["x", "w"], ["c0"], kernel_shape=[1, 1])], "c0"
    weights.append(weight("w", rng.standard_normal((CHANNELS, 3, 1, 1))))
    cases = ((3, 2, (1,) * 4), (5, 1, (2,) * 4), (4, 2, (0, 1, 2, 1)), (4, 1, (1, 2, 2, 1)), (5, 2, (2, 0, 2, 3)))
    for n, (window, stride, pads) in enumerate(cases, start=1):
        weights.append(weight(f"w{n}", rng.standard_normal((CHANNELS, CHANNELS, window, window)) / 6 / window))
        weights.append(weight(f"b{n}", rng.standard_normal(CHANNELS)))
        nodes.append(helper.make_node("Conv", [last, f"w{n}", f"b{n}"], [f"c{n}"], pads=pads, strides=[stride] * 2))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"]))
        last = f"r{n}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["y"]))
    return model_of(nodes, weights, (batch, 3, rows, columns), (batch, CHANNELS, 1, 1))


def expected(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def winograd_kernels(model: onnx.ModelProto, target: str) -> list[str]:
    funcs = lowered_module(model, Options(Target.parse(target))).module.funcs
    return [name for name in funcs if name.startswith(("winograd_conv", "winograd_output"))]


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(6).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", [(1, 40, 37), (2, 19, 22), (1, 6, 5)], ids=str)
def test_networks_by_winograd(size: tuple[int, int, int], target: str) -> None:
    model, x = network(*size), image(size[0], 3, *size[1:])
    assert_close(dlc.compile(model, target=target)(x), expected(model, x), "network")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", [(1, 70, 67), (2, 41, 64)], ids=str)
def test_strides_and_larger_windows(size: tuple[int, int, int], target: str) -> None:
    model, x = strided(*size), image(size[0], 3, *size[1:])
    assert len(winograd_kernels(model, target)) >= 2
    assert_close(dlc.compile(model, target=target)(x), expected(model, x), "network")


FIRST = [(7, (3, 3, 3, 3), 40, 36), (7, (2, 2, 3, 3), 40, 36), (5, (2, 1, 1, 2), 36, 40)]


@pytest.mark.parametrize("case", FIRST, ids=str)
def test_first_convolutions(case: tuple[int, tuple[int, ...], int, int]) -> None:
    """Of few channels, with a stride of two: the phases of the image become channels."""
    window, pads, rows, columns = case
    rng = np.random.default_rng(8)
    weights = [weight("w", rng.standard_normal((64, 3, window, window)) / window), weight("b", rng.standard_normal(64))]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=pads, strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    shape = [2, 64, *((n + pads[i] + pads[i + 2] - window) // 2 + 1 for i, n in enumerate((rows, columns)))]
    model, x = model_of(nodes, weights, (2, 3, rows, columns), tuple(shape)), image(2, 3, rows, columns)
    assert winograd_kernels(model, "x86-64-v4@datapath=256")
    assert_close(dlc.compile(model)(x), expected(model, x), "network")


def test_sizes_known_at_run_time() -> None:
    strides = strided("batch", "rows", "columns")
    assert_close(dlc.compile(strides)(image(2, 3, 45, 58)), expected(strides, image(2, 3, 45, 58)), "network")
    model = network("batch", "rows", "columns")
    compiled = dlc.compile(model)
    for size in ((1, 33, 30), (3, 7, 9), (2, 64, 17)):
        x = image(size[0], 3, *size[1:])
        assert_close(compiled(x), expected(model, x), "network")


def test_threads_do_not_change_the_bits() -> None:
    model, x = network(1, 40, 37), image(1, 3, 40, 37)
    one, three = (dlc.compile(model, threads=count)(x) for count in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_which_algorithm_is_used() -> None:
    def ops(**options: object) -> set[str]:
        module = lowered_module(network(1, 40, 37), Options(Target.parse("x86-64-v4"), **options)).module  # type: ignore[arg-type]
        return {name.rsplit("_", 1)[0] for name in module.funcs}

    assert "winograd_conv" in ops()
    assert not any(name.startswith("winograd") for name in ops(exact=True) | ops(disable=("winograd",)))


def test_winograd_on_aarch64(tmp_path: Path) -> None:
    model, x = network(1, 22, 19), image(1, 3, 22, 19)
    write_library(model, Options(Target.parse("aarch64")), tmp_path / "arm.so")
    found = run_under_qemu(tmp_path / "arm.so", {"x": x}, threads=2)
    assert_close(found["y"], expected(model, x), "network")
