"""Running kernels and lowered modules on NumPy arrays in their physical layouts.

Memory of the arena that has been planned (`offset`) really is one block of bytes, so that buffers which overlap in time
and place spoil each other here as they would when compiled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.ir.core import Func, Module, Op, Value
from dlc.ir.dialects import run
from dlc.ir.eval import loop_arith, loop_control, loop_effects, loop_memory, loop_vector
from dlc.ir.eval.frame import Array, Frame, Run, Symbols
from dlc.ir.eval.loop_effects import Unshaped, open_symbols, room, settle, shaped
from dlc.ir.eval.loop_exprs import compiled
from dlc.ir.eval.loop_memory import fresh, memory
from dlc.ir.expr import Expr, as_expr
from dlc.ir.guards import declared_types
from dlc.ir.messages import filled
from dlc.ir.packing import pack
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.size_bounds import Uppers, upper_bounds
from dlc.ir.types import BufferType, TensorType

KERNEL_RUNS: dict[type[Op], Run] = {
    **loop_arith.RUNS, **loop_control.RUNS, **loop_effects.RUNS, **loop_memory.RUNS, **loop_vector.RUNS,
}  # fmt: skip


def evaluate_kernel(func: Func, buffers: Sequence[Array], symbols: Mapping[str, int] | None = None) -> None:
    """Run a kernel on arrays, one per parameter, in place. Raises InternalError for an access outside of a buffer."""
    run_kernel(func, buffers, Symbols(symbols))


def run_kernel(func: Func, buffers: Sequence[Array | Unshaped], symbols: Symbols) -> None:
    frame = Frame(KERNEL_RUNS, ConstantPool(), symbols)
    for number, (arg, array) in enumerate(zip(func.args, buffers, strict=True)):
        if not isinstance(array, Unshaped):
            check_buffer(f"buffer {number} of {func.name}", arg.type, array, symbols)
    with np.errstate(all="ignore"):
        frame.run_block(func.block, buffers)


def check_buffer(name: str, wanted: object, array: Array, symbols: Symbols) -> None:
    """Raises InternalError unless the array has the type's shape and elements; learns symbols from it."""
    if not isinstance(wanted, BufferType):
        raise InternalError(f"{name} has the type {wanted}, which is no buffer")
    if not is_of(wanted, array, symbols):
        raise InternalError(f"{name}: expected {wanted}, got {array.dtype} of shape {list(array.shape)}")


def is_of(kind: BufferType, array: Array, symbols: Symbols) -> bool:
    return array.dtype == kind.element.dtype and symbols.learn(kind.shape, array.shape)


class MainFrame(Frame):
    """The activation of a `main` made of calls: it knows the kernels and owns the arena."""

    def __init__(self, module: Module, func: Func, symbols: Symbols) -> None:
        super().__init__(RUNS, module.pool, symbols)
        self.module = module
        self.uppers = upper_bounds(func)
        allocs = [op for op in func.walk() if isinstance(op, run.Alloc)]
        sizes = [
            number_of(op.offset, symbols) + bytes_of(op.type, symbols, self.uppers)
            for op in allocs
            if op.offset is not None
        ]
        self.arena = np.full(max(sizes, default=0), 0xFF, np.uint8)  # as floats: NaN


def bytes_of(kind: BufferType, symbols: Symbols, uppers: Uppers) -> int:
    return (room(kind, symbols, uppers) or 0) * kind.element.bytes


def fresh_buffer(kind: BufferType, symbols: Symbols, uppers: Uppers) -> Array | Unshaped:
    if open_symbols(kind, symbols):
        size = room(kind, symbols, uppers)
        return Unshaped(None if size is None else fresh((size,), kind.element.dtype))
    return fresh(symbols.shape(kind.shape), kind.element.dtype)


def number_of(expr: Expr, symbols: Symbols) -> int:
    return compiled(as_expr(expr))((), symbols.numbers)


def run_alloc(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Alloc) or not isinstance(frame, MainFrame):
        raise InternalError(f"{op.name} stands outside of a lowered main", op=op)
    if op.offset is None:
        return [fresh_buffer(op.type, frame.symbols, frame.uppers)]
    start = number_of(op.offset, frame.symbols)
    flat = frame.arena[start : start + bytes_of(op.type, frame.symbols, frame.uppers)].view(op.type.element.dtype)
    return [Unshaped(flat) if open_symbols(op.type, frame.symbols) else shaped(flat, op.type, frame.symbols)]


def run_constant(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Constant) or not isinstance(op.value, DenseRef):
        raise InternalError(f"{op.name} has no constant", op=op)
    return [pack(frame.pool.get(op.value).reshape(frame.symbols.shape(op.tensor.shape)), op.tensor)]


def run_view(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.View):
        raise InternalError(f"{op.name} is no view", op=op)
    if isinstance(args[0], Unshaped):
        known = args[0].memory is not None and not open_symbols(op.type, frame.symbols)
        return [shaped(args[0].memory, op.type, frame.symbols) if known and op.first == 0 else args[0]]
    array = memory(args[0], op)
    if open_symbols(op.type, frame.symbols):
        return [Unshaped(array.reshape(-1))]
    seen = array.reshape(-1).view(op.type.element.dtype)
    shape, first = frame.symbols.shape(op.type.shape), number_of(op.first, frame.symbols)
    return [seen[first : first + math.prod(shape)].reshape(shape)]


def run_read(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Read):
        raise InternalError(f"{op.name} reads no sizes", op=op)
    found = memory(args[0], op).reshape(-1)
    for name, most, size in zip(op.publishes, op.most, found.tolist(), strict=True):
        bound = number_of(most, frame.symbols)
        if not 0 <= size <= bound:
            raise UserError(filled(op.message, (size, bound), frame.symbols.numbers))
        frame.symbols.numbers[name] = size
    settle(frame)
    return []


def run_if(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.If):
        raise InternalError(f"{op.name} has no branches", op=op)
    holds = bool(memory(args[0], op).reshape(-1)[0])
    body, sizes = (op.then, op.then_sizes) if holds else (op.otherwise, op.else_sizes)
    handed = frame.run_block(body.block, [])
    for name, size in zip(op.publishes, sizes, strict=True):
        frame.symbols.numbers[name] = number_of(size, frame.symbols)
    settle(frame)
    return handed


def run_loop(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Loop):
        raise InternalError(f"{op.name} is no loop", op=op)
    contents = dict(zip(op.operands, args, strict=True))
    head = [memory(contents[value], op) for value in op.head]
    count = int(head[0].reshape(-1)[0]) if op.counted else None
    if count is not None and count < 0:
        raise UserError(filled(op.message, (count, 0), frame.symbols.numbers))
    going = bool(head[int(op.counted)].reshape(-1)[0]) if op.conditional else True
    now = [contents[buffers[0]] for buffers in op.carried]
    targets = [[contents[each] for each in buffers[1:]] for buffers in op.carried]
    set_sizes(frame, op.publishes, op.first_sizes)
    waiting = {value: content for value, content in frame.values.items() if isinstance(content, Unshaped)}
    for value in waiting:  # what stands outside gets its shape when the loop is done
        del frame.values[value]
    inner = [value for each in op.body.block.walk() for value in each.results]
    trip = 0
    while going and (count is None or trip < count):
        if op.most_trips and trip >= op.most_trips:
            raise UserError(filled(op.limit_message, (trip, op.most_trips), frame.symbols.numbers))
        head[-2][...], head[-1][...] = trip, going
        given: list[object] = []
        for content, two in zip(now, targets, strict=True):
            given += [content, two[trip % 2]] if two else [content]
        places = op.body.block.args[len(given) :]
        for place, stack in zip(places, [contents[each] for each in op.stacks], strict=True):
            given.append(row_of(frame, place, stack.memory if isinstance(stack, Unshaped) else stack, trip))
        for value in inner:
            frame.values.pop(value, None)
        condition, *handed = frame.run_block(op.body.block, given)
        late = iter(handed)
        now = [two[trip % 2] if two else next(late) for two in targets]
        going = bool(memory(condition, op).reshape(-1)[0])
        trip += 1
        set_sizes(frame, op.publishes, op.next_sizes)
    if op.length:
        frame.symbols.numbers[op.length] = trip
    frame.values |= waiting
    settle(frame)
    return now


def set_sizes(frame: Frame, names: Sequence[str], sizes: Sequence[Expr]) -> None:
    frame.symbols.numbers |= {n: number_of(size, frame.symbols) for n, size in zip(names, sizes, strict=True)}


def row_of(frame: Frame, arg: Value, stack: object, trip: int) -> Array:
    """The part of a stack that a trip writes."""
    if not isinstance(arg.type, BufferType) or not isinstance(stack, np.ndarray):
        raise InternalError(f"{arg.type} is no buffer")
    shape = frame.symbols.shape(arg.type.shape)
    size = math.prod(shape)
    return stack.reshape(-1)[trip * size : (trip + 1) * size].reshape(shape)


def run_call(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Call) or not isinstance(frame, MainFrame):
        raise InternalError(f"{op.name} stands outside of a lowered main", op=op)
    run_kernel(frame.module.funcs[op.kernel], [buffer_of(content, op) for content in args], frame.symbols)
    settle(frame)
    return []


def buffer_of(content: object, op: Op) -> Array | Unshaped:
    return content if isinstance(content, Unshaped) else memory(content, op)


RUNS: dict[type[Op], Run] = {
    **KERNEL_RUNS,
    run.Alloc: run_alloc,
    run.Constant: run_constant,
    run.View: run_view,
    run.Call: run_call,
    run.Read: run_read,
    run.If: run_if,
    run.Loop: run_loop,
}


# -- whole modules -----------------------------------------------------------------------------------------------------


def is_lowered(func: Func) -> bool:
    """Whether a `main` takes buffers instead of tensors."""
    return bool(func.args) and all(isinstance(arg.type, BufferType) for arg in func.args)


def evaluate_main(module: Module, func: Func, feeds: Sequence[Array]) -> list[Array]:
    """The outputs of a lowered function: the buffers it returns, or its parameters of the space ``output``."""
    symbols = Symbols()
    arrays = iter(feeds)
    inputs: dict[int, Array] = {}
    for number in inputs_of(func):
        inputs[number] = np.array(next(arrays), order="C")
    names = dict(zip(inputs_of(func), input_names(func), strict=True))
    for last in (False, True):  # twice: a type may use a later one's symbol
        for number, array in inputs.items():
            kind = func.args[number].type
            fits = isinstance(kind, BufferType) and is_of(kind, array, symbols)
            if last and not fits:
                found = f"{array.dtype} of shape {list(array.shape)}"
                raise UserError(f"input {names[number]!r}: expected {kind}, got {found}")
    for kind, array in zip(declared_types(func), inputs.values(), strict=True):
        if isinstance(kind, TensorType):
            symbols.learn(kind.shape, array.shape)  # names that the code's own types have something else for
    given: dict[int, Array | Unshaped] = {**inputs}
    for number, arg in enumerate(func.args):
        if number not in given and isinstance(arg.type, BufferType):
            given[number] = fresh_buffer(arg.type, symbols, upper_bounds(func))
    frame = MainFrame(module, func, symbols)
    with np.errstate(all="ignore"):
        returned = frame.run_block(func.block, [given[number] for number in range(len(func.args))])
    if returned:
        return [memory(content, func.terminator) for content in returned]
    outputs = [arg for number, arg in enumerate(func.args) if number not in inputs_of(func)]
    return [memory(frame.values[arg], func.terminator) for arg in outputs]


def input_names(func: Func) -> list[str]:
    given = func.attrs.get("inputs", ())
    names = [str(name) for name in given] if isinstance(given, tuple) else []
    return names + [func.args[n].hint or f"arg{n}" for n in inputs_of(func)][len(names) :]


def inputs_of(func: Func) -> list[int]:
    """The parameters that are not written."""
    return [n for n, arg in enumerate(func.args) if isinstance(arg.type, BufferType) and arg.type.space != "output"]
