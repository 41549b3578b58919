"""Kernels of the loop level compiled, linked by our linker, loaded and run in this process."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dlc.codegen.elf.link import link
from dlc.codegen.emit.kernel import emit_kernel, module_text
from dlc.codegen.llvm_backend import compile_object, emit_assembly
from dlc.ir.core import Func
from dlc.ir.scratch import scratch_offsets
from dlc.ir.types import Array
from dlc.target import Target

GUARD = 256  # bytes around each buffer that nobody may write
CANARY = 0x5A
_numbers = itertools.count()


def kernel_text(func: Func, target: Target, symbols: Sequence[str] = ()) -> str:
    """The LLVM module of one kernel."""
    return module_text([emit_kernel(func, symbols, target, name="kernel")], target)


def assembly(func: Func, target: Target, symbols: Sequence[str] = ()) -> str:
    return emit_assembly(kernel_text(func, target, symbols), target.triple, target.llvm_cpu, target.llvm_features)


def run_compiled(
    func: Func, arrays: Sequence[Array], folder: Path, target: Target, symbols: Mapping[str, int] | None = None
) -> list[Array]:
    """The buffers after the compiled kernel has run on copies of `arrays`, in two or more pieces where it can be cut.

    Fails if the kernel imports a function (libm is not there) or writes outside of its buffers.
    """
    known = dict(sorted((symbols or {}).items()))
    emitted = emit_kernel(func, list(known), target, name="kernel")
    text = module_text([emitted], target)
    path = folder / f"kernel{next(_numbers)}.so"
    objects = [compile_object(text, target.triple, target.llvm_cpu, target.llvm_features)]
    link(objects, machine=target.arch, exports=["kernel"], output=path, importable=frozenset(MEMORY_FUNCTIONS))
    kernel = ctypes.CDLL(str(path)).kernel
    kernel.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
    scratch = Guarded(np.empty(scratch_offsets(func)[1], np.uint8))
    chunks = emitted.chunks.evaluate(known)
    memories = [Guarded(array) for array in arrays]
    pointers = (ctypes.c_void_p * max(1, len(memories)))(*[memory.address for memory in memories])
    dims = (ctypes.c_int64 * max(1, len(known)))(*known.values())
    middle = chunks // 2
    for begin, end in ((middle, chunks), (0, middle)) if middle else ((0, chunks),):  # in any order
        code = kernel(None, dims, pointers, begin, end, scratch.address)
        assert code == 0
    scratch.content()
    path.unlink()
    return [memory.content() for memory in memories]


MEMORY_FUNCTIONS = ("memcpy", "memset", "memmove")


class Guarded:
    """An aligned copy of an array between bytes that must not change."""

    def __init__(self, array: Array) -> None:
        self.like = array
        self.raw = np.full(array.nbytes + 2 * GUARD + 64, CANARY, np.uint8)
        self.start = GUARD + -(self.raw.ctypes.data + GUARD) % 64
        self.raw[self.start : self.start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)

    @property
    def address(self) -> int:
        return int(self.raw.ctypes.data) + self.start

    def content(self) -> Array:
        end = self.start + self.like.nbytes
        outside = np.concatenate([self.raw[: self.start], self.raw[end:]])
        assert (outside == CANARY).all(), "the kernel wrote outside of its buffers"
        return self.raw[self.start : end].view(self.like.dtype).reshape(self.like.shape).copy()
