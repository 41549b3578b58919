"""contract: int8 products in groups are exact on every target and use its dot instruction where it has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlc.ir.dialects import vec
from dlc.ir.expr import sym
from dlc.ir.types import SI8, SI16, UI8, ScalarType
from dlc.passes.loop.contract import contract
from dlc.passes.loop.loops import named_loops
from dlc.passes.loop.split import split
from dlc.passes.loop.vectorize import NotVectorizable
from dlc.target import Target, host_can_run
from tests.loops.int8 import product, schedule
from tests.loops.nests import Case, problems_of, text_of
from tests.support.asm import inner_loops, spills
from tests.support.compiled import assembly, run_compiled

TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+avx512vnni")


def dots(case: Case) -> int:
    return sum(isinstance(op, vec.Dot) for op in case.func.walk())


def check(case: Case, folder: Path | None = None, target: Target | None = None) -> None:
    expected = case.expected  # type: ignore[attr-defined]
    assert problems_of(case.func) == []
    assert np.array_equal(case.run()[-1], expected), text_of(case.func)
    if target is not None and folder is not None:
        assert np.array_equal(run_compiled(case.func, case.arrays, folder, target, case.symbols)[-1], expected)


@pytest.mark.parametrize("depth", [1, 3, 4, 7, 8, 21])
@pytest.mark.parametrize(
    ("columns", "panel", "lanes"), [(32, 16, 8), (24, 16, 8), (29, 16, 8), (5, 8, 8), (16, 16, 16)]
)
@pytest.mark.parametrize("tail", ["peel", "guard"])
def test_any_size(depth: int, columns: int, panel: int, lanes: int, tail: str) -> None:
    case = product(3, depth, columns, panel)
    assert np.array_equal(case.run()[-1], case.expected)  # type: ignore[attr-defined]
    schedule(case.func, panel, 2, lanes, tail)
    assert dots(case) > 0
    check(case)


@pytest.mark.parametrize("depth", [4, 10, 12])
def test_depth_known_only_when_running(depth: int, tmp_path: Path) -> None:
    case = product(2, depth, 16, 16, symbol=sym("k"))
    schedule(case.func, 16, 2, 8)
    assert dots(case) > 0
    check(case, tmp_path, Target.host())


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(("left", "right"), [(UI8, SI8), (SI8, UI8), (SI8, SI8), (UI8, UI8), (SI16, SI16)], ids=str)
def test_compiled_is_exact(left: ScalarType, right: ScalarType, name: str, tmp_path: Path) -> None:
    target = Target.parse(name)
    if not host_can_run(target)[0]:
        pytest.skip("this machine lacks features")
    lanes = target.facts.vector_bits // 32
    case = product(5, 23, 4 * lanes, 2 * lanes, left, right)
    schedule(case.func, 2 * lanes, 3, lanes)
    check(case, tmp_path, target)


INSTRUCTIONS = (
    ("x86-64-v4+avx512vnni", UI8, SI8, "vpdpbusd"),
    ("x86-64-v4+avx512vnni", SI8, UI8, "vpdpbusd"),
    ("x86-64-v3+avxvnni", UI8, SI8, "vpdpbusd"),
    ("aarch64+dotprod", SI8, SI8, "sdot"),
    ("aarch64+dotprod", UI8, UI8, "udot"),
    ("aarch64+i8mm", UI8, SI8, "usdot"),
)


@pytest.mark.parametrize(("name", "left", "right", "instruction"), INSTRUCTIONS, ids=str)
def test_instruction(name: str, left: ScalarType, right: ScalarType, instruction: str) -> None:
    """Every product of the inner loop is in the dot instruction; rows and vectors of the tile stay in registers."""
    target = Target.parse(name)
    lanes = target.facts.vector_bits // 32
    case = product(4, 64, 4 * lanes, 2 * lanes, left, right)
    schedule(case.func, 2 * lanes, 4, lanes)
    text = assembly(case.func, target)
    (loop,) = inner_loops(text)
    assert sum(instruction in line for line in loop) == 8, text
    assert spills(text) == []


def test_plain_columns_are_refused() -> None:
    case = product(2, 8, 16, 16)
    for op in named_loops(case.func, "k"):
        split(op, 8, "k.o", "k.i")
    split(named_loops(case.func, "n")[0], 8, "n.o", "n.v")
    before = text_of(case.func)
    with pytest.raises(NotVectorizable, match="groups must be the last axis"):
        contract(named_loops(case.func, "k.i")[0], "n.v")
    assert text_of(case.func) == before
    assert problems_of(case.func) == []
