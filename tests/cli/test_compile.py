"""`dlc compile`: what it writes, and what it says about it."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.support import refused, succeed

MAGIC = {"so": b"\x7fELF", "obj": b"\x7fELF", "llvm": b"target triple", "asm": b"\t.file"}


def test_library_gets_the_model_s_name_in_the_current_folder(folder: Path, relu: Path) -> None:
    (folder / "elsewhere").mkdir()
    moved = relu.rename(folder / "elsewhere" / "net.onnx")
    text = succeed("compile", moved)
    assert text.startswith("net.so: 1 kernel for ")
    assert (folder / "net.so").read_bytes()[:4] == b"\x7fELF"


@pytest.mark.parametrize("emit", MAGIC)
def test_each_form_of_output(emit: str, folder: Path, conv: Path) -> None:
    succeed("compile", conv, "--emit", emit, "-o", "out", "--target", "x86-64-v3")
    assert (folder / "out").read_bytes().startswith(MAGIC[emit])
    assert sorted(path.name for path in folder.iterdir()) == ["conv.onnx", "out"]


def test_assembly_has_every_kernel(folder: Path, conv: Path) -> None:
    summary = json.loads(succeed("compile", conv, "--emit", "asm", "-o", "out.s", "--json"))
    functions = re.findall(r"^\s+\.type\s+(\w+),@function", (folder / "out.s").read_text(), re.MULTILINE)
    entry_points = {"dlc_main", "dlc_bind", "dlc_shapes"}
    assert entry_points < set(functions) and len(functions) == summary["kernels"] + len(entry_points)


def test_header_is_not_there_yet(folder: Path, relu: Path) -> None:
    assert "--emit header is not there yet" in refused("compile", relu, "--emit", "header")
    assert list(folder.glob("*.h")) == []


def test_summary_for_programs(folder: Path, conv: Path) -> None:
    summary = json.loads(succeed("compile", conv, "-o", "c.so", "--json", "--target", "x86-64-v3"))
    assert summary["output"] == "c.so"
    assert summary["target"] == "x86-64-v3"
    assert summary["bytes"] == (folder / "c.so").stat().st_size
    assert summary["kernels"] >= 2
    assert summary["weights"] >= 4 * (16 * 8 + 16 * 16) * 9
    assert summary["arena"] > 0
    assert list(summary["seconds"]) == ["import", "passes", "code generation", "link"]
    assert "lower-graph" in summary["passes"]


@pytest.mark.parametrize("level", range(4))
def test_every_level_of_optimisation(level: int, relu: Path) -> None:
    succeed("compile", relu, "-O", level, "-o", "out.so")


def test_machines_that_this_one_is_not(folder: Path, relu: Path) -> None:
    assert "for aarch64+dotprod" in succeed("compile", relu, "--target", "aarch64+dotprod")
    assert (folder / "relu.so").read_bytes()[18] == 183


def test_passes_can_be_left_out(relu: Path) -> None:
    summary = json.loads(succeed("compile", relu, "--without", "fold-pad", "--without", "simplify-algebra", "--json"))
    assert not {"fold-pad", "simplify-algebra"} & summary["passes"].keys()


def test_input_shapes_are_fixed_or_named(relu: Path) -> None:
    succeed("compile", relu, "--input-shape", "x=8x4")
    assert json.loads(succeed("inspect", "relu.so", "--json"))["inputs"][0]["shape"] == [8, 4]
    succeed("compile", relu, "--input-shape", "x=max_rows,4")
    assert json.loads(succeed("inspect", "relu.so", "--json"))["inputs"][0]["shape"] == ["max_rows", 4]


def test_an_output_that_exists_is_replaced(folder: Path, relu: Path) -> None:
    (folder / "relu.so").write_text("old")
    succeed("compile", relu)
    assert (folder / "relu.so").read_bytes()[:4] == b"\x7fELF"
