"""The requantized u8 x s8 product of tests/models/test_int8.py, on AArch64 with and without dot products."""

from pathlib import Path

import numpy as np
import pytest

from dlc.driver.compile import write_library
from dlc.driver.pipeline import Options
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from dlc.target import Target
from tests.models.test_int8 import requantized_product
from tests.support.qemu_runner import run_under_qemu


@pytest.mark.parametrize("target", ["aarch64", "aarch64+dotprod"])
@pytest.mark.parametrize("size", [(16, 64, 48), (5, 67, 33)], ids=str)
def test_requantized_product_is_exact_on_arm(
    size: tuple[int, int, int], target: str, tmp_path: Path, qemu: str
) -> None:
    model = requantized_product(*size)
    a = np.random.default_rng(0).integers(0, 256, size[:2]).astype(np.uint8)
    path = tmp_path / "int8.so"
    write_library(model, Options(Target.parse(target)), path)
    found = run_under_qemu(path, {"a": a})["y"]
    np.testing.assert_array_equal(found, evaluate(load_model(model), [a])[0])
