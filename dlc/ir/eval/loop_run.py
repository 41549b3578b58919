"""Running kernels and lowered modules on NumPy arrays in their physical layouts.

Memory of the arena that has been planned (`offset`) really is one block of bytes, so that buffers which overlap in time
and place spoil each other here as they would when compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlc.errors import InternalError
from dlc.ir.core import Func, Module, Op
from dlc.ir.dialects import run
from dlc.ir.eval import loop_arith, loop_control, loop_memory, loop_vector
from dlc.ir.eval.frame import Array, Frame, Run, Symbols
from dlc.ir.eval.loop_exprs import compiled
from dlc.ir.eval.loop_memory import fresh, memory
from dlc.ir.expr import as_expr
from dlc.ir.packing import pack
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.types import BufferType

KERNEL_RUNS: dict[type[Op], Run] = {**loop_arith.RUNS, **loop_control.RUNS, **loop_memory.RUNS, **loop_vector.RUNS}


def evaluate_kernel(func: Func, buffers: Sequence[Array], symbols: Mapping[str, int] | None = None) -> None:
    """Run a kernel on arrays, one per parameter, in place. Raises InternalError for an access outside of a buffer."""
    run_kernel(func, buffers, Symbols(symbols))


def run_kernel(func: Func, buffers: Sequence[Array], symbols: Symbols) -> None:
    frame = Frame(KERNEL_RUNS, ConstantPool(), symbols)
    for number, (arg, array) in enumerate(zip(func.args, buffers, strict=True)):
        check_buffer(f"buffer {number} of {func.name}", arg.type, array, symbols)
    with np.errstate(all="ignore"):
        frame.run_block(func.block, buffers)


def check_buffer(name: str, wanted: object, array: Array, symbols: Symbols) -> None:
    """Raises InternalError unless the array has the type's shape and elements; learns symbols from it."""
    if not isinstance(wanted, BufferType):
        raise InternalError(f"{name} has the type {wanted}, which is no buffer")
    if array.dtype != wanted.element.dtype or not symbols.learn(wanted.shape, array.shape):
        raise InternalError(f"{name}: expected {wanted}, got {array.dtype} of shape {list(array.shape)}")


class MainFrame(Frame):
    """The activation of a `main` made of calls: it knows the kernels and owns the arena."""

    def __init__(self, module: Module, func: Func, symbols: Symbols) -> None:
        super().__init__(RUNS, module.pool, symbols)
        self.module = module
        planned = [op for op in func.walk() if isinstance(op, run.Alloc) and op.offset is not None]
        sizes = [start_of(op, symbols) + bytes_of(op.type, symbols) for op in planned]
        self.arena = np.full(max(sizes, default=0), 0xFF, np.uint8)  # as floats: NaN


def bytes_of(kind: BufferType, symbols: Symbols) -> int:
    return int(np.prod(symbols.shape(kind.shape), dtype=np.int64)) * kind.element.bytes


def start_of(op: run.Alloc, symbols: Symbols) -> int:
    return compiled(as_expr(op.offset))((), symbols.numbers)  # type: ignore[arg-type]  # not None where it is planned


def run_alloc(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Alloc) or not isinstance(frame, MainFrame):
        raise InternalError(f"{op.name} stands outside of a lowered main", op=op)
    shape = frame.symbols.shape(op.type.shape)
    if op.offset is None:
        return [fresh(shape, op.type.element.dtype)]
    start = start_of(op, frame.symbols)
    size = bytes_of(op.type, frame.symbols)
    return [frame.arena[start : start + size].view(op.type.element.dtype).reshape(shape)]


def run_constant(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Constant) or not isinstance(op.value, DenseRef):
        raise InternalError(f"{op.name} has no constant", op=op)
    return [pack(frame.pool.get(op.value).reshape(frame.symbols.shape(op.tensor.shape)), op.tensor)]


def run_view(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.View):
        raise InternalError(f"{op.name} is no view", op=op)
    array = memory(args[0], op)
    seen = array.reshape(-1).view(op.type.element.dtype) if array.dtype != op.type.element.dtype else array
    return [seen.reshape(frame.symbols.shape(op.type.shape))]


def run_call(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Call) or not isinstance(frame, MainFrame):
        raise InternalError(f"{op.name} stands outside of a lowered main", op=op)
    run_kernel(frame.module.funcs[op.kernel], [memory(content, op) for content in args], frame.symbols)
    return []


RUNS: dict[type[Op], Run] = {
    **KERNEL_RUNS,
    run.Alloc: run_alloc,
    run.Constant: run_constant,
    run.View: run_view,
    run.Call: run_call,
}


# -- whole modules -----------------------------------------------------------------------------------------------------


def is_lowered(func: Func) -> bool:
    """Whether a `main` takes buffers instead of tensors."""
    return bool(func.args) and all(isinstance(arg.type, BufferType) for arg in func.args)


def evaluate_main(module: Module, func: Func, feeds: Sequence[Array]) -> list[Array]:
    """The outputs of a lowered function: the buffers it returns, or its parameters of the space ``output``."""
    symbols = Symbols()
    arrays = iter(feeds)
    given: dict[int, Array] = {}
    for number in inputs_of(func):
        given[number] = np.array(next(arrays), order="C")
    for _ in range(2):  # twice: a type may use a later one's symbol
        for number, array in given.items():
            check_buffer(f"input {number} of {func.name}", func.args[number].type, array, symbols)
    for number, arg in enumerate(func.args):
        if number not in given and isinstance(arg.type, BufferType):
            given[number] = fresh(symbols.shape(arg.type.shape), arg.type.element.dtype)
    frame = MainFrame(module, func, symbols)
    with np.errstate(all="ignore"):
        returned = frame.run_block(func.block, [given[number] for number in range(len(func.args))])
    if returned:
        return [memory(content, func.terminator) for content in returned]
    return [given[number] for number in range(len(func.args)) if number not in inputs_of(func)]


def inputs_of(func: Func) -> list[int]:
    """The parameters that are not written."""
    return [n for n, arg in enumerate(func.args) if isinstance(arg.type, BufferType) and arg.type.space != "output"]
