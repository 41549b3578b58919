"""Kernels with spread loops: whatever parts of the chunks are run, in whatever order, each is run once."""

from __future__ import annotations

import ctypes
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dlc.codegen.elf.link import link
from dlc.codegen.emit.kernel import emit_kernel, module_text
from dlc.codegen.llvm_backend import compile_object
from dlc.ir.chunks import chunk_count
from dlc.passes.loop.spread import spread
from dlc.target import Target
from tests.loops.test_golden import passes

COLUMNS = 6
CUTS = [(0, 18), (0, 6, 12, 18), (0, 1, 2, 17, 18), (0, 7, 11, 18), (0, 5, 5, 13, 18)]


@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_parts(cuts: tuple[int, ...], tmp_path: Path) -> None:
    func = passes(COLUMNS)
    spread(func, ["g"])
    assert chunk_count(func) == 3 * COLUMNS
    machine = Target.parse("host")
    text = module_text([emit_kernel(func, [], machine, "k")], machine).replace("define hidden", "define")
    compiled = compile_object(text, machine.triple, machine.llvm_cpu, machine.llvm_features)
    link([compiled], machine=machine.arch, exports=["k"], output=tmp_path / "k.so")
    kernel = ctypes.CDLL(str(tmp_path / "k.so")).k
    kernel.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
    x = np.arange(1, 3 * COLUMNS + 1, dtype=np.float32)
    y = np.zeros_like(x)
    pointers = (ctypes.c_void_p * 2)(x.ctypes.data, y.ctypes.data)
    for begin, end in reversed(list(pairwise(cuts))):
        kernel(None, None, pointers, begin, end, None)
        assert not y[:begin].any()
        np.testing.assert_array_equal(y[begin:], 2 * x[begin:])
