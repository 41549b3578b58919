"""Opening a file: what is refused and in which words, and that a replaced file is read anew."""

import ctypes
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dlc
from dlc.codegen.elf.link import link
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import TARGETS
from dlc.errors import InternalError, UserError
from dlc.runtime.metadata import parse_metadata
from tests.support.handmade import ADD_WEIGHTS, description, spec, write_model

pytestmark = pytest.mark.isa("x86-64")
WEIGHTS = np.arange(64, dtype=np.float32)


def write(path: Path, **changes: object) -> Path:
    return write_model(path, ADD_WEIGHTS, description(**changes), WEIGHTS)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.so: No such file or directory"):
        dlc.load(tmp_path / "none.so")


@pytest.mark.parametrize("content", [b"", b"\x7fELF\x01\x01", b"# a text file" * 20])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.so").write_bytes(content)
    with pytest.raises(UserError, match="is not a compiled model"):
        dlc.load(tmp_path / "m.so")


def test_a_library_that_is_not_ours(tmp_path: Path) -> None:
    target = TARGETS["x86-64"]
    content = compile_object("define i32 @f() nounwind { ret i32 1 }", target.triple, target.cpu, "")
    link([content], machine="x86-64", exports=["f"], output=tmp_path / "m.so")
    with pytest.raises(UserError, match=r"is not a compiled model \(a library without dlc's symbols"):
        dlc.load(tmp_path / "m.so")


def test_another_machines_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.so", ADD_WEIGHTS, description("aarch64"), WEIGHTS, machine="aarch64")
    with pytest.raises(UserError, match="was compiled for aarch64, this machine is x86-64"):
        dlc.load(path)


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "m.so")
    content = path.read_bytes()
    for size in (100, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match="is cut off: it is shorter than its headers say"):
            dlc.load(path)


def test_instructions_that_this_cpu_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "m.so", features=["sse2", "avx1024"])
    with pytest.raises(UserError, match="needs instructions that this CPU does not have: avx1024"):
        dlc.load(path)


def test_features_that_every_such_cpu_has(tmp_path: Path) -> None:
    path = write(tmp_path / "m.so", features=["sse2", "sse3", "sse4.1", "+cx16", "sahf", "fxsr", "x87", "crc32"])
    assert dlc.load(path, threads=1).metadata.features[0] == "sse2"


def test_another_format_version() -> None:
    with pytest.raises(UserError, match="m has format version 2, this dlc reads 3; hint: compile the model again"):
        parse_metadata(json.dumps(description(format=2)).encode(), "m")


def test_another_interface_version(tmp_path: Path) -> None:
    path = write(tmp_path / "m.so")
    content = path.read_bytes()
    returns_three, returns_four = (b"\xb8" + struct.pack("<i", number) + b"\xc3" for number in (3, 4))
    assert content.count(returns_three) == 1
    path.write_bytes(content.replace(returns_three, returns_four))
    with pytest.raises(UserError, match="has interface version 4, this dlc calls 3"):
        dlc.load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("inputs"), lambda record: record.update(inputs=[{"name": "x"}]),
        lambda record: record.update(outputs=[spec("y", (2.5,))]), lambda record: record.update(derived=1),
        lambda record: record.update(symbols=3),
    ],
)
def test_a_damaged_description(damage: Callable[[dict[str, object]], object]) -> None:
    record = description()
    damage(record)
    with pytest.raises(UserError, match="m is damaged"):
        parse_metadata(json.dumps(record).encode(), "m")


def test_types_the_runtime_cannot_pass() -> None:
    record = description(inputs=[spec("x", (1,), "string")])
    with pytest.raises(UserError, match="tensors of type 'string', which this runtime cannot pass"):
        parse_metadata(json.dumps(record).encode(), "m")


def test_a_symbol_that_no_input_binds_is_our_mistake(tmp_path: Path) -> None:
    untrue = description(symbols=["n"], inputs=[spec("x", ("2 * n",))])
    path = write_model(tmp_path / "m.so", ADD_WEIGHTS, description(), WEIGHTS, described=untrue)
    with pytest.raises(InternalError, match="no input of the model gives the dimension 'n' a value"):
        dlc.load(path)


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    x = np.zeros(64, np.float32)
    models = []
    for step in range(4):
        write_model(path, ADD_WEIGHTS, description(), WEIGHTS + step)
        models.append(dlc.load(path, threads=1))
        for age, model in enumerate(models):
            np.testing.assert_array_equal(model(x), WEIGHTS + age)
    assert dlc.load(path, threads=1)(x)[0] == 3


def test_no_folder_in_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "m.so")
    monkeypatch.chdir(tmp_path)
    assert dlc.load("m.so", threads=1).inputs[0].name == "x"


def test_loading_needs_numpy_only(tmp_path: Path) -> None:
    path = write(tmp_path / "m.so")
    script = (
        "import sys\n"
        "for name in ('llvmlite', 'onnx', 'lark', 'ml_dtypes'): sys.modules[name] = None\n"
        "import dlc, numpy\n"
        "print(dlc.load(sys.argv[1], threads=2)(numpy.zeros(64, 'float32')).sum())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2016.0\n", "")


def test_c_programs_can_ask_for_the_description(tmp_path: Path) -> None:
    library = ctypes.CDLL(str(write(tmp_path / "m.so")))
    size = ctypes.c_int64.in_dll(library, "dlc_metadata_size").value
    assert json.loads((ctypes.c_char * size).in_dll(library, "dlc_metadata").raw)["format"] == 3
