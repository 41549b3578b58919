"""Linked AArch64 code runs, as does x86-64 code on an old CPU, both under qemu's user mode."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.handmade import ADD_WEIGHTS, CHECKED, POSITIVES, description, spec, write_model
from tests.support.qemu_runner import QemuFailure, run_under_qemu

CPUS = {"aarch64": None, "x86-64": "Nehalem"}
WEIGHTS = np.arange(64, dtype=np.float32)
X = np.linspace(-1, 1, 64, dtype=np.float32)


@pytest.mark.parametrize("machine", CPUS)
@pytest.mark.parametrize("threads", [1, 4])
def test_constants_weights_and_threads(tmp_path: Path, machine: str, threads: int) -> None:
    path = write_model(tmp_path / "m.so", ADD_WEIGHTS, description(machine), WEIGHTS, machine=machine)
    results = run_under_qemu(path, {"x": X}, cpu=CPUS[machine], threads=threads)
    np.testing.assert_array_equal(results["y"], X * np.float32(0.1) + WEIGHTS)


@pytest.mark.parametrize("machine", CPUS)
def test_a_size_that_the_kernel_finds_out(tmp_path: Path, machine: str) -> None:
    shapes = description(machine, symbols=["n"], derived=["k"], inputs=[spec("x", ["n"])], outputs=[spec("y", ["k"])])
    path = write_model(tmp_path / "m.so", POSITIVES, shapes, machine=machine, uppers={"k": "n"})
    np.testing.assert_array_equal(run_under_qemu(path, {"x": X}, cpu=CPUS[machine])["y"], X[X > 0])


@pytest.mark.parametrize("machine", CPUS)
def test_an_error_code_and_its_record(tmp_path: Path, machine: str) -> None:
    path = write_model(tmp_path / "m.so", CHECKED, description(machine), machine=machine)
    x = np.ones(64, np.float32)
    x[33] = -1
    with pytest.raises(QemuFailure) as caught:
        run_under_qemu(path, {"x": x}, cpu=CPUS[machine], threads=2)
    assert (caught.value.code, caught.value.kernel, caught.value.detail) == (7, 0, (33, 64))
    assert caught.value.message == "index 33 is out of range, there are 64 rows"


@pytest.mark.parametrize("machine", CPUS)
def test_inputs_of_another_size_are_refused(tmp_path: Path, machine: str) -> None:
    path = write_model(tmp_path / "m.so", ADD_WEIGHTS, description(machine), WEIGHTS, machine=machine)
    with pytest.raises(QemuFailure) as caught:
        run_under_qemu(path, {"x": X[:63]}, cpu=CPUS[machine])
    assert (caught.value.code, caught.value.detail) == (1, (0, 63))
    assert caught.value.message == "input 'x' must have shape (64): dimension 0 is 63"
