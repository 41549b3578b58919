"""The linker: symbols across objects, constants, imports, pointers in data, weights; and what it refuses."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlc.codegen.elf.link import link
from dlc.codegen.elf.reader import read_elf
from dlc.codegen.elf.writer import WeightSegment
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import TARGETS
from dlc.errors import InternalError, UserError

FIRST = """
@table = private constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0], align 16
@pointers = constant [2 x ptr] [ptr @table, ptr @triple]
@dlc_weights = external hidden global [0 x float]
declare i32 @triple(i32)
declare ptr @next_table()
define i32 @call(i32 %x) nounwind {
  %y = call i32 @triple(i32 %x)
  %z = add i32 %y, 1
  ret i32 %z
}
define float @near_weight(i64 %i) nounwind {
  %p = getelementptr float, ptr @dlc_weights, i64 %i
  %v = load float, ptr %p
  ret float %v
}
define float @constant(i64 %i) nounwind {
  %p = getelementptr float, ptr @table, i64 %i
  %v = load float, ptr %p
  ret float %v
}
define ptr @pointer(i64 %i) nounwind {
  %p = getelementptr ptr, ptr @pointers, i64 %i
  %v = load ptr, ptr %p
  ret ptr %v
}
"""
SECOND = """
@dlc_weights = external global [0 x float]
@counter = internal global i32 5
@zeros = internal global [1000 x i32] zeroinitializer
declare i64 @syscall(i64, ...)
define hidden i32 @triple(i32 %x) nounwind {
  %y = mul i32 %x, 3
  ret i32 %y
}
define i64 @process() nounwind {
  %r = call i64 (i64, ...) @syscall(i64 @@getpid@@)
  ret i64 %r
}
define float @far_weight(i64 %i) nounwind {
  %p = getelementptr float, ptr @dlc_weights, i64 %i
  %v = load float, ptr %p
  ret float %v
}
define i32 @count() nounwind {
  %old = load i32, ptr @counter
  %last = getelementptr i32, ptr @zeros, i64 999
  %zero = load i32, ptr %last
  %new = add i32 %old, 1
  %sum = add i32 %new, %zero
  store i32 %sum, ptr @counter
  ret i32 %sum
}
"""
EXPORTS = ("call", "near_weight", "far_weight", "constant", "pointer", "process", "count", "note")
GETPID = {"x86-64": "39", "aarch64": "172"}
native = pytest.mark.isa("x86-64")


def compiled(text: str, machine: str = "x86-64") -> bytes:
    target = TARGETS[machine]
    return compile_object(text.replace("@@getpid@@", GETPID[machine]), target.triple, target.cpu, "")


def linked(path: Path, machine: str = "x86-64") -> Path:
    weights = WeightSegment(1 << 16, [(0, np.arange(100, dtype=np.float32)), (4096, np.full(4, 7, np.float32))])
    objects = [compiled(FIRST, machine), compiled(SECOND, machine)]
    link(objects, machine=machine, exports=EXPORTS, data={"note": b"hello"}, weights=weights, output=path)
    return path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(linked(tmp_path_factory.mktemp("link") / "two.so")))
    for name in ("near_weight", "far_weight", "constant"):
        getattr(loaded, name).restype = ctypes.c_float
    loaded.pointer.restype = ctypes.c_void_p
    return loaded


@native
def test_a_call_reaches_the_other_object(library: ctypes.CDLL) -> None:
    assert library.call(5) == 16


@native
def test_constants_and_pointers_to_them(library: ctypes.CDLL) -> None:
    assert [library.constant(ctypes.c_int64(i)) for i in range(4)] == [1, 2, 3, 4]
    assert ctypes.c_float.from_address(library.pointer(ctypes.c_int64(0))).value == 1
    triple = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(library.pointer(ctypes.c_int64(1)))
    assert triple(14) == 42


@native
def test_libc_is_called_through_a_stub(library: ctypes.CDLL) -> None:
    assert library.process() == os.getpid()


@native
def test_writable_data_and_zeros(library: ctypes.CDLL) -> None:
    assert library.count() == 6
    assert library.count() == 7


@native
def test_weights_near_and_through_the_table_with_gaps_of_zero(library: ctypes.CDLL) -> None:
    for read in (library.near_weight, library.far_weight):
        assert [read(ctypes.c_int64(i)) for i in (0, 99, 100, 1024, 1027, 1028)] == [0, 99, 0, 7, 7, 0]


@native
def test_exported_data_is_found_by_name(library: ctypes.CDLL) -> None:
    assert (ctypes.c_char * 5).in_dll(library, "note").raw == b"hello"


@native
def test_hidden_names_are_not_exported(library: ctypes.CDLL) -> None:
    for name in ("triple", "dlc_weights", "table"):
        with pytest.raises(AttributeError):
            getattr(library, name)


@native
def test_another_process_loads_it(tmp_path: Path) -> None:
    script = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).call(2))"
    path = linked(tmp_path / "two.so")
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "7\n"


@pytest.mark.parametrize("machine", ["x86-64", "aarch64"])
def test_the_same_input_gives_the_same_file(tmp_path: Path, machine: str) -> None:
    first, second = linked(tmp_path / "a.so", machine), linked(tmp_path / "b.so", machine)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("machine", ["x86-64", "aarch64"])
def test_functions_keep_their_names_for_profilers(tmp_path: Path, machine: str) -> None:
    library = read_elf(linked(tmp_path / "a.so", machine).read_bytes())
    assert library.symbol("triple").size > 0
    assert library.bytes_at(library.symbol("note").value, 5) == b"hello"
    assert library.symbol("dlc_weights").value % 4096 == 0


def test_two_definitions_of_one_name_clash(tmp_path: Path) -> None:
    once = compiled("define hidden i32 @f() nounwind { ret i32 1 }")
    with pytest.raises(InternalError, match="two objects define the symbol 'f'"):
        link([once, once], machine="x86-64", exports=["f"], output=tmp_path / "a.so")


@native
def test_a_strong_definition_replaces_a_weak_one(tmp_path: Path) -> None:
    weak = compiled("define weak hidden i32 @f() nounwind { ret i32 1 }")
    strong = compiled("define hidden i32 @f() nounwind { ret i32 2 }")
    user = compiled("declare hidden i32 @f()\ndefine i32 @g() nounwind { %r = call i32 @f()\nret i32 %r }")
    for index, objects in enumerate(([weak, strong, user], [strong, weak, user], [weak, weak, user])):
        link(objects, machine="x86-64", exports=["g"], output=tmp_path / f"{index}.so")
    results = [ctypes.CDLL(str(tmp_path / f"{index}.so")).g() for index in range(3)]
    assert results == [2, 2, 1]


@native
def test_local_names_may_repeat(tmp_path: Path) -> None:
    text = "define internal i32 @f() noinline nounwind {{ ret i32 {0} }}\n" \
           "define i32 @g{0}() nounwind {{ %r = call i32 @f()\nret i32 %r }}"
    objects = [compiled(text.format(index)) for index in (1, 2)]
    link(objects, machine="x86-64", exports=["g1", "g2"], output=tmp_path / "a.so")
    library = ctypes.CDLL(str(tmp_path / "a.so"))
    assert (library.g1(), library.g2()) == (1, 2)


def test_an_unknown_function_is_named(tmp_path: Path) -> None:
    calls = compiled("declare float @expf(float)\ndefine float @f(float %x) nounwind {"
                     " %y = call float @expf(float %x)\nret float %y }")
    with pytest.raises(InternalError, match="'expf', which none defines and libc does not offer"):
        link([calls], machine="x86-64", exports=["f"], output=tmp_path / "a.so")


def test_a_missing_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="no object defines 'absent'"):
        link([compiled(FIRST), compiled(SECOND)], machine="x86-64", exports=["absent"], output=tmp_path / "a.so")


def test_another_machines_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="another kind or machine"):
        link([compiled(SECOND)], machine="aarch64", exports=["count"], output=tmp_path / "a.so")


def test_thread_local_variables_are_refused(tmp_path: Path) -> None:
    text = "@v = thread_local global i32 1\ndefine i32 @f() nounwind { %r = load i32, ptr @v\nret i32 %r }"
    with pytest.raises(InternalError, match="thread-local"):
        link([compiled(text)], machine="x86-64", exports=["f"], output=tmp_path / "a.so")


def test_weights_that_overlap_or_stick_out_are_refused(tmp_path: Path) -> None:
    for pieces in ([(0, bytes(65)), (64, bytes(8))], [(60, bytes(8))]):
        with pytest.raises(InternalError, match=r"the weight at offset \d+ overlaps another or passes the end"):
            link([], machine="x86-64", exports=(), weights=WeightSegment(66, pieces), output=tmp_path / "a.so")


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "model.so"
    path.write_bytes(b"old")
    with pytest.raises(InternalError):
        link([compiled("@v = thread_local global i32 1")], machine="x86-64", exports=(), output=path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.so"]


def test_a_folder_that_does_not_exist_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*: No such file or directory"):
        link([compiled(SECOND)], machine="x86-64", exports=["count"], output=tmp_path / "none" / "a.so")


def test_an_existing_folder_in_place_of_the_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.so").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        link([compiled(SECOND)], machine="x86-64", exports=["count"], output=tmp_path / "a.so")
    assert os.listdir(tmp_path) == ["a.so"]


@native
def test_weights_larger_than_two_gigabytes_are_reached_through_the_table(tmp_path: Path) -> None:
    size = 3 << 30
    last = np.array([42], np.float32)
    text = SECOND.replace("@@getpid@@", "39")
    link([compiled(text)], machine="x86-64", exports=["far_weight"], weights=WeightSegment(size, [(size - 4, last)]),
         output=tmp_path / "big.so")
    library = ctypes.CDLL(str(tmp_path / "big.so"))
    library.far_weight.restype = ctypes.c_float
    assert library.far_weight(ctypes.c_int64(size // 4 - 1)) == 42
    assert os.stat(tmp_path / "big.so").st_blocks * 512 < 1 << 20    # gaps are holes
