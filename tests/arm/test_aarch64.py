"""Models compiled for AArch64 give what they give on this machine, and their tiles are as they should be."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

import dlc
from dlc.codegen.llvm_backend import emit_assembly
from dlc.driver.build import build_artifact
from dlc.driver.compile import write_library
from dlc.driver.pipeline import Options, lowered_module
from dlc.driver.single import model_text
from dlc.ir.eval.interpreter import evaluate
from dlc.target import Target
from tests.differential.compiling import assert_same_meaning, lowered
from tests.differential.generators import Sample, graph_samples
from tests.differential.networks import image_networks, sequence_networks
from tests.frontends.test_recurrent import model_of as recurrent_model
from tests.models.zoo import mlp, model_of, random_feeds, recorded, small_cnn, weight
from tests.support.asm import inner_loops, stack_accesses
from tests.support.qemu_runner import run_under_qemu
from tests.tolerances import assert_close

ARM = Options(Target.parse("aarch64"))
MULTIPLY_ADD = re.compile(r"^\s*fmla\s+v\d+\.4s, v\d+\.4s, v\d+\.")
BY_ELEMENT = re.compile(r"^\s*fmla\s+v\d+\.4s, v\d+\.4s, v\d+\.s\[\d\]")
SAMPLES = st.one_of(image_networks(), sequence_networks(), graph_samples(most_ops=12))


def matmul() -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    w = weight("w", rng.standard_normal((64, 100)) / 8)
    return model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], [w], (33, 64), (33, 100))


def convolution() -> onnx.ModelProto:
    """The second of two: its image lies in blocks of channels, with a halo."""
    rng = np.random.default_rng(4)
    weights = [weight(name, rng.standard_normal((32, 32, 3, 3)) / 17) for name in ("w1", "w2")]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["h"], pads=[1] * 4),
        helper.make_node("Conv", ["h", "w2"], ["y"], pads=[1] * 4),
    ]
    return model_of(nodes, weights, (1, 32, 15, 14), (1, 32, 15, 14))


def run_on_arm(source: object, feeds: dict[str, np.ndarray], folder: Path, threads: int = 1) -> dict[str, np.ndarray]:
    path = folder / "arm.so"
    write_library(source, ARM, path)
    return run_under_qemu(path, feeds, threads=threads)


@pytest.mark.parametrize("make", [matmul, convolution, mlp, small_cnn])
@pytest.mark.parametrize("threads", [1, 3])
def test_arm_agrees_with_this_machine(make: object, threads: int, tmp_path: Path, qemu: str) -> None:
    made = make()  # type: ignore[operator]  # one of the functions above
    feeds = random_feeds(made, batch=5)
    expected = dlc.compile(made, cache=False).run(feeds)
    assert_close(run_on_arm(made, feeds, tmp_path, threads)["y"], expected["y"])


@pytest.mark.parametrize("op", ["GRU", "LSTM"])
def test_recurrences_on_arm(op: str, tmp_path: Path, qemu: str) -> None:
    made = recurrent_model(op)
    rng = np.random.default_rng(5)
    shapes = {"x": (3, 5, 6), "h": (1, 5, 21)}
    feeds = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    expected = dlc.compile(made, cache=False).run(feeds)
    for name, found in run_on_arm(made, feeds, tmp_path, threads=2).items():
        assert_close(found, expected[name], name=name)


@pytest.mark.models
@pytest.mark.parametrize("name", ["mnist", "micro_kws_m_static_fp32"])
def test_real_models_on_arm(name: str, shared: Path, tmp_path: Path, qemu: str) -> None:
    feeds, expected = recorded(shared, name)
    found = run_on_arm(shared / "models" / f"{name}.onnx", feeds, tmp_path)
    for output, wanted in expected.items():
        assert_close(found[output], wanted, name=output)


@settings(max_examples=12)
@given(sample=SAMPLES)
def test_random_modules_on_arm(qemu: str, tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> None:
    path = tmp_path_factory.mktemp("arm") / "model.so"
    build_artifact(lowered(sample.module, ARM), ARM, path)
    names, outputs = (sample.module.main.attrs[kind] for kind in ("inputs", "outputs"))
    feeds = dict(zip(map(str, names), sample.feeds, strict=True))  # type: ignore[arg-type]  # tuples of names
    found = run_under_qemu(path, feeds)
    path.unlink()
    expected = evaluate(sample.module, sample.feeds)
    assert_same_meaning([found[str(name)] for name in outputs], expected)  # type: ignore[union-attr]


@pytest.mark.parametrize("make", [matmul, convolution])
def test_tiles_multiply_by_element_and_stay_in_registers(make: object) -> None:
    made = make()  # type: ignore[operator]  # one of the functions above
    direct = replace(ARM, exact=True)  # the transforms of Winograd's tiles hold more than there are registers
    target = ARM.target
    text = model_text(lowered_module(made.SerializeToString(), direct).module, target)
    tiles = []
    assembly = emit_assembly(text, target.triple, target.llvm_cpu, target.llvm_features)
    for body in inner_loops(assembly):
        products = [line for line in body if MULTIPLY_ADD.match(line)]
        if len(products) >= 8:
            tiles.append((body, products, stack_accesses(body, assembly)))
    assert tiles, "no tile has been found"
    for body, products, spilled in tiles:
        by_element = [line for line in products if BY_ELEMENT.match(line)]
        assert len(by_element) >= 0.6 * len(products), "\n".join(body)  # the row whose pointer steps may use ld1r
        assert spilled == [], "\n".join(body)
    assert max(len(products) for _, products, _ in tiles) >= 20
