"""Networks of products that go by Strassen's algorithm, against ONNX Runtime."""

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
WIDTH, INNER = 768, 1536


def network(batch: int | str, length: int | str) -> onnx.ModelProto:
    """Two products of the same rows, one with a bias and GELU behind it, one back to the width, and a residual sum."""
    rng = np.random.default_rng(5)
    weights = [
        weight("w1", rng.standard_normal((WIDTH, INNER)) / 28), weight("b1", rng.standard_normal(INNER)),
        weight("w2", rng.standard_normal((WIDTH, INNER)) / 28),
        weight("w3", rng.standard_normal((INNER, WIDTH)) / 39), weight("b3", rng.standard_normal(WIDTH)),
        weight("root", np.array(0.5**0.5)), weight("one", np.array(1.0)), weight("half", np.array(0.5)),
    ]  # fmt: skip
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["p1"]), helper.make_node("Add", ["p1", "b1"], ["s1"]),
        helper.make_node("Mul", ["s1", "root"], ["r1"]), helper.make_node("Erf", ["r1"], ["e1"]),
        helper.make_node("Add", ["e1", "one"], ["o1"]), helper.make_node("Mul", ["s1", "o1"], ["t1"]),
        helper.make_node("Mul", ["t1", "half"], ["g1"]), helper.make_node("MatMul", ["x", "w2"], ["p2"]),
        helper.make_node("Mul", ["g1", "p2"], ["m"]), helper.make_node("MatMul", ["m", "w3"], ["p3"]),
        helper.make_node("Add", ["p3", "b3"], ["s3"]), helper.make_node("Add", ["s3", "x"], ["y"]),
    ]  # fmt: skip
    return model_of(nodes, weights, (batch, length, WIDTH), (batch, length, WIDTH))


def expected(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def rows(*shape: int) -> np.ndarray:
    return np.random.default_rng(6).standard_normal((*shape, WIDTH)).astype(np.float32)


def kernels(model: onnx.ModelProto, target: str = "x86-64-v4", **options: object) -> list[str]:
    module = lowered_module(model, Options(Target.parse(target), **options)).module  # type: ignore[arg-type]
    return [name.rsplit("_", 1)[0] for name in module.funcs]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", [(1, 197), (3, 67)], ids=str)
def test_networks_by_strassen(size: tuple[int, int], target: str) -> None:
    model, x = network(*size), rows(*size)
    assert_close(dlc.compile(model, target=target)(x), expected(model, x), "network")


def test_rows_known_at_run_time() -> None:
    model = network("batch", "length")
    assert "strassen_matmul" in kernels(model)
    compiled = dlc.compile(model)
    for size in ((1, 1), (1, 2), (5, 1), (1, 55), (1, 56), (2, 31), (1, 130), (3, 100), (0, 7), (2, 0)):
        x = rows(*size)
        assert_close(compiled(x), expected(model, x), "network")


def test_threads_do_not_change_the_bits() -> None:
    model, x = network(1, 150), rows(1, 150)
    one, three = (dlc.compile(model, threads=count)(x) for count in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_when_it_is_used() -> None:
    used = kernels(network(1, 197))
    assert used.count("strassen_matmul") == 3
    assert used.count("strassen_input") == 2, "products of the same rows share what is made of them"
    small = kernels(network(1, 16))
    for found in (small, kernels(network(1, 197), exact=True), kernels(network(1, 197), disable=("strassen",))):
        assert not any(name.startswith("strassen") for name in found)


def test_strassen_on_aarch64(tmp_path: Path) -> None:
    model, x = network(1, 197), rows(1, 197)
    assert "strassen_matmul" in kernels(model, "aarch64")
    write_library(model, Options(Target.parse("aarch64")), tmp_path / "arm.so")
    found = run_under_qemu(tmp_path / "arm.so", {"x": x}, threads=2)
    assert_close(found["y"], expected(model, x), "network")
