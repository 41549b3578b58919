"""LLVM IR text to objects and assembly, and what comes of bad text."""

import pytest

from dlc.codegen.elf.reader import read_elf
from dlc.codegen.llvm_backend import compile_object, emit_assembly
from dlc.errors import InternalError

TRIPLES = {62: "x86_64-unknown-linux-gnu", 183: "aarch64-unknown-linux-gnu"}
ADD = "define i32 @add(i32 %x) nounwind {\n  %y = add i32 %x, 1\n  ret i32 %y\n}\n"
ROUNDABOUT = (
    "define i32 @f() nounwind {\n  %p = alloca i32\n  store i32 3, ptr %p\n"
    "  %v = load i32, ptr %p\n  ret i32 %v\n}\n"
)


@pytest.mark.parametrize("number", TRIPLES)
def test_an_object_of_the_asked_machine(number: int) -> None:
    file = read_elf(compile_object(ADD, TRIPLES[number], "", ""))
    assert file.machine == number
    assert file.symbol("add").size > 0


def test_cpu_and_features_choose_the_instructions() -> None:
    text = "define <8 x float> @f(<8 x float> %a) nounwind {\n %b = fadd <8 x float> %a, %a\n ret <8 x float> %b\n}\n"
    assert "ymm0" in emit_assembly(text, TRIPLES[62], "x86-64", "+avx2")
    assert "ymm0" not in emit_assembly(text, TRIPLES[62], "x86-64", "")


def test_passes_run_only_when_asked() -> None:
    assert "(%rsp)" in emit_assembly(ROUNDABOUT, TRIPLES[62], "", "", opt=0)
    assert "(%rsp)" not in emit_assembly(ROUNDABOUT, TRIPLES[62], "", "", opt=0, passes=True)


def test_a_parse_error_shows_the_line() -> None:
    with pytest.raises(InternalError, match=r"line 2 of the generated IR \(use of undefined value '%z'\): ret i32 %z"):
        compile_object("define i32 @f() {\n  ret i32 %z\n}\n", TRIPLES[62], "", "")


def test_an_unknown_triple_is_named() -> None:
    with pytest.raises(InternalError, match="no back end for the triple 'pdp11-none'"):
        compile_object(ADD, "pdp11-none", "", "")
