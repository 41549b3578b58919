"""What ONNX leaves open, and what casts give, is the same for AArch64."""

from __future__ import annotations

from pathlib import Path

from dlc.driver.compile import write_library
from dlc.driver.pipeline import Options
from dlc.target import Target
from tests.support import denormal_cases
from tests.support.cast_chains import FEEDS, assert_rounded, model_of_chains
from tests.support.open_cases import EXAMPLES, assert_as_expected, model_of_all
from tests.support.qemu_runner import run_under_qemu


def test_open_cases_on_arm(tmp_path: Path, qemu: str) -> None:
    model, feeds = model_of_all(EXAMPLES, constant=False)
    library = tmp_path / "arm.so"
    write_library(model.SerializeToString(), Options(Target.parse("aarch64")), library)
    assert_as_expected(run_under_qemu(library, feeds), EXAMPLES)


def test_casts_round_on_arm(tmp_path: Path, qemu: str) -> None:
    library = tmp_path / "arm.so"
    write_library(model_of_chains().SerializeToString(), Options(Target.parse("aarch64")), library)
    assert_rounded(run_under_qemu(library, FEEDS))


def test_f64_and_comparisons_keep_denormals_on_arm(tmp_path: Path, qemu: str) -> None:
    library = tmp_path / "arm.so"
    write_library(denormal_cases.model().SerializeToString(), Options(Target.parse("aarch64")), library)
    denormal_cases.assert_kept(run_under_qemu(library, denormal_cases.FEEDS, threads=2))
