"""Single ops compiled as kernels of one library and called directly, so that hundreds of them cost one compilation."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlc.codegen.elf.link import link
from dlc.codegen.emit.kernel import EmittedKernel, emit_kernel, module_text
from dlc.codegen.llvm_backend import compile_object, emit_assembly
from dlc.ir.core import Block, Builder, Op, Region
from dlc.ir.dialects import graph_flow
from dlc.ir.pool import ConstantPool
from dlc.ir.types import ScalarType, TensorType
from dlc.kernel_language.library import standard_library
from dlc.passes.lower.group import GroupLowering
from dlc.target import Target

Array = NDArray[np.generic]
FLUSHING, DEFAULT = 0x9FC0, 0x1F80  # x86's MXCSR with and without denormals flushed
SET_MODE = """
declare void @llvm.x86.sse.ldmxcsr(ptr)
define void @set_mode(i32 %mode) {
  %place = alloca i32
  store i32 %mode, ptr %place
  call void @llvm.x86.sse.ldmxcsr(ptr %place)
  ret void
}
"""


@dataclass(frozen=True)
class One:
    """An op on arguments of given types: what becomes one kernel."""

    name: str
    make: Callable[..., Op]
    types: tuple[TensorType, ...]

    def op(self) -> Op:
        return self.make(*Block(list(self.types)).args)


def group_of(one: One) -> graph_flow.Group:
    inner = Block(list(one.types))
    op = Builder(inner).insert(one.make(*inner.args))
    Builder(inner).insert(graph_flow.Yield(*op.results))
    outer = Block()
    args = [outer.add_arg(kind, f"x{n}") for n, kind in enumerate(one.types)]
    return Builder(outer).insert(graph_flow.Group(*args, kernel=one.name, regions=[Region([inner])]))


def emitted(ones: Sequence[One], target: Target) -> list[EmittedKernel]:
    library = standard_library()
    lowered = [GroupLowering(group_of(one), library, target, ConstantPool()).lower(one.name).func for one in ones]
    return [emit_kernel(func, [], target) for func in lowered]


def assembly(ones: Sequence[One], target: Target) -> str:
    text = module_text(emitted(ones, target), target)
    return emit_assembly(text, target.triple, target.llvm_cpu, target.llvm_features)


def write_library(ones: Sequence[One], target: Target, output: Path, extra: str = "") -> list[EmittedKernel]:
    """Compile and link; the linker refuses code that calls anything."""
    kernels = emitted(ones, target)
    text = module_text(kernels, target, {"extra": extra}).replace("define hidden", "define")
    content = compile_object(text, target.triple, target.llvm_cpu, target.llvm_features)
    names = [kernel.name for kernel in kernels] + (["set_mode"] if extra else [])
    link([content], machine=target.arch, exports=names, output=output, importable=())
    return kernels


class Compiled:
    """The kernels of some ops, for the host or a target that it can stand in for."""

    def __init__(self, ones: Sequence[One], target: Target, folder: Path) -> None:
        mode = SET_MODE if target.arch == "x86-64" else ""
        self.kernels = {k.name: k for k in write_library(ones, target, folder / "kernels.so", mode)}
        self.ones = {one.name: one for one in ones}
        self.library = ctypes.CDLL(str(folder / "kernels.so"))
        self.flushes = bool(mode)

    def run(self, name: str, arrays: Sequence[Array]) -> Array:
        """The result of one op, with denormals flushed as the runtime has it."""
        kind = self.ones[name].op().results[0].type
        assert isinstance(kind, TensorType)
        result = np.empty(kind.shape, kind.scalar.dtype)
        inputs = [np.ascontiguousarray(array) for array in arrays]
        pointers = (ctypes.c_void_p * (len(inputs) + 1))(*(a.ctypes.data for a in (*inputs, result)))
        function = getattr(self.library, name)
        function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
        self._mode(FLUSHING)
        try:
            status = function(None, None, pointers, 0, self.kernels[name].chunks.value, None)
        finally:
            self._mode(DEFAULT)
        assert status == 0
        return result

    def _mode(self, mode: int) -> None:
        if self.flushes:
            self.library.set_mode(ctypes.c_int(mode))


def vector(scalar: ScalarType, length: int) -> TensorType:
    return TensorType((length,), scalar)
