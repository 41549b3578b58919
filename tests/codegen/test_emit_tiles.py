"""Register tiles stay in registers: no inner loop of a matmul or convolution touches the stack, on any target."""

from __future__ import annotations

import re
from functools import cache

import pytest

from dlc.ir.core import Block, Builder, Region, Value
from dlc.ir.dialects import graph_flow, graph_math, graph_nn
from dlc.ir.expr import sym
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, Layout, TensorType
from dlc.kernel_language.library import standard_library
from dlc.passes.lower.group import GroupLowering
from dlc.target import Target
from tests.support.asm import inner_loops, spills, stack_accesses
from tests.support.compiled import assembly

TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64")
MULTIPLY_ADD = re.compile(r"\b(vfn?m(add|sub)\d+ps|mulps|fmla)\b")
BY_ELEMENT = re.compile(r"\bfmla\s.*\.s\[\d\]")


@cache
def target_of(name: str) -> Target:
    return Target.parse(name)


def lanes_of(name: str) -> int:
    return target_of(name).facts.vector_bits // 32


def assembly_of(group: graph_flow.Group, name: str) -> str:
    target = target_of(name)
    func = GroupLowering(group, standard_library(), target, ConstantPool()).lower("tile").func
    return assembly(func, target, ["n"])


def group_of(types: list[TensorType], builder: Builder, args: list[Value], result: Value) -> graph_flow.Group:
    builder.insert(graph_flow.Yield(result))
    outer = Block(types)
    return Builder(outer).insert(graph_flow.Group(*outer.args, kernel="tile", regions=[Region([builder.block])]))


def matmul(rows: object, panel: int) -> graph_flow.Group:
    types = [TensorType((rows, 64), F32), TensorType((64, 2 * panel), F32, Layout((1, 0), ((1, panel),)))]  # type: ignore[arg-type]
    b = Builder(Block(types))
    return group_of(types, b, b.block.args, b.insert(graph_nn.MatMul(*b.block.args)).result)


def conv(
    lanes: int, c: int, size: int, k: int, window: int, stride: int, groups: int = 1, blocked: bool = True
) -> graph_flow.Group:
    """Convolution, bias and relu on channels in blocks of `lanes`."""
    pad, block = window // 2, ((1, lanes),)
    order = (0, 1, 2, 3)
    x = Layout(order, block if blocked else (), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    w = Layout(order, ((1, lanes), (0, lanes)) if groups == 1 and blocked else ((0, lanes),))
    y = Layout(order, block, ((0, 0), (0, 0), (1, 1), (1, 1)))
    types = [
        TensorType((1, c, size * stride, size * stride), F32, x), TensorType((k, c // groups, window, window), F32, w),
        TensorType((k, 1, 1), F32),
    ]  # fmt: skip
    b = Builder(Block(types))
    data, weights, bias = b.block.args
    made = b.insert(graph_nn.Conv(data, weights, strides=(stride, stride), pads=(pad,) * 4, groups=groups, layout=y))
    total = b.insert(graph_math.Add(made.result, bias))
    return group_of(types, b, b.block.args, b.insert(graph_math.Relu(total.result)).result)


def check(text: str) -> None:
    loops = inner_loops(text)
    busy = [loop for loop in loops if sum(map(bool, map(MULTIPLY_ADD.search, loop)))]
    assert busy, "the kernel has no multiplications in a loop"
    for loop in busy:
        found = stack_accesses(loop, text)
        assert found == [], "\n".join(loop)


@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [1, 2, 5, 7, 14, 128, sym("n")], ids=str)
@pytest.mark.parametrize("name", TARGETS)
def test_matmul(name: str, rows: object, vectors: int) -> None:
    check(assembly_of(matmul(rows, vectors * lanes_of(name)), name))


CONVOLUTIONS = {
    "3x3 64x56": (64, 56, 64, 3, 1), "3x3 512x7": (512, 7, 512, 3, 1), "1x1 256x14": (256, 14, 64, 1, 1),
    "1x1 stride 2": (128, 28, 256, 1, 2), "3x3 stride 2": (128, 28, 128, 3, 2), "3x3 64x13": (64, 13, 96, 3, 1),
    "3x3 32x112": (32, 112, 32, 3, 1),
}  # fmt: skip


@pytest.mark.parametrize("which", CONVOLUTIONS)
@pytest.mark.parametrize("name", TARGETS)
def test_convolution(name: str, which: str) -> None:
    check(assembly_of(conv(lanes_of(name), *CONVOLUTIONS[which]), name))


@pytest.mark.parametrize("name", TARGETS)
def test_first_convolution_of_three_channels(name: str) -> None:
    check(assembly_of(conv(lanes_of(name), 3, 112, 64, 7, 2, blocked=False), name))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("name", TARGETS)
def test_depthwise_convolution(name: str, window: int, stride: int) -> None:
    check(assembly_of(conv(lanes_of(name), 64, 28, 64, window, stride, groups=64), name))


def test_aarch64_multiplies_by_element() -> None:
    """A row's element is loaded into a register's lane and used there, not spread over a register of its own."""
    text = assembly_of(matmul(128, 8), "aarch64")
    products = [line for loop in inner_loops(text) for line in loop if "fmla" in line]
    assert len(products) > 20
    assert sum(bool(BY_ELEMENT.search(line)) for line in products) > 0.8 * len(products)


SPILLING = """
f:
\tpushq\t%rbp
.LBB0_1:
\tmovups\t%xmm0, 16(%rsp)
.LBB0_2:                                # =>This Inner Loop Header
\tvfmadd231ps\t(%rdi,%rax,4), %ymm1, %ymm0 # comment (%rsp)
\tmovups\t-24(%rsp), %xmm3                # 16-byte Reload
\tjne\t.LBB0_2
\tjmp\t.LBB0_1
.LBB0_3:
\tcmpq\t%rax, %rbx
\tjl\t.LBB0_3
\tretq
"""


def test_the_checker_finds_spills_in_inner_loops_only() -> None:
    assert [len(loop) for loop in inner_loops(SPILLING)] == [3, 2]
    assert spills(SPILLING) == ["movups\t-24(%rsp), %xmm3"]


def test_the_checker_reads_aarch64() -> None:
    body = "\tldr\tq0, [sp, #16]\n\tfmla\tv1.4s, v2.4s, v3.s[0]\n\tsubs\tx1, x1, #1\n\tb.ne\t.LBB0_1\n"
    text = f"f:\n.LBB0_1:\n{body}\tret\n"
    assert [len(loop) for loop in inner_loops(text)] == [4]
    assert spills(text) == ["ldr\tq0, [sp, #16]"]
