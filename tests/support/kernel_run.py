"""Run one op as a compiled kernel: lower a group that holds it, compile, call it on arrays laid out as its types say.

Lanes that only fill a last block hold garbage before and after; halos are zero: what a kernel must not read is poison.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc.codegen.elf.link import link
from dlc.codegen.emit.kernel import emit_kernel, module_text
from dlc.codegen.llvm_backend import compile_object, emit_assembly
from dlc.codegen.pool import pool_objects, team_object
from dlc.ir.core import Block, Builder, Op, Region, Value
from dlc.ir.dialects import buf, graph_flow
from dlc.ir.dialects.graph_index import Counting
from dlc.ir.expr import as_expr, const
from dlc.ir.pool import ConstantPool
from dlc.ir.scratch import scratch_offsets
from dlc.ir.teams import has_teams, team_offsets
from dlc.ir.types import SI64, BufferType, Layout, TensorType
from dlc.kernel_language.library import Library, standard_library
from dlc.passes.lower.group import GroupLowering, LoweredGroup
from dlc.passes.lower.scalars import Scalar
from dlc.target import Target

Array = NDArray[Any]
Make = Callable[..., Op | Sequence[Value]]
GUARD = 256  # bytes around every buffer that must stay as they were


def group_of(types: Sequence[TensorType], make: Make) -> graph_flow.Group:
    outer = Block()
    arguments = [outer.add_arg(t, f"x{n}") for n, t in enumerate(types)]
    inner = Block(list(types))
    builder = Builder(inner)
    made = make_in(builder, make, inner.args)
    builder.insert(graph_flow.Yield(*made))
    return Builder(outer).insert(graph_flow.Group(*arguments, kernel="k", regions=[Region([inner])]))


def make_in(builder: Builder, make: Make, args: list[Value]) -> Sequence[Value]:
    made = make(*args) if not getattr(make, "wants_builder", False) else make(builder, *args)
    if isinstance(made, Op):
        if made.parent is None:
            builder.insert(made)
        return made.results
    return made


def physical(kind: TensorType, numbers: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(as_expr(d).evaluate(numbers) for d in kind.buffer().shape)


def places(kind: TensorType, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """For each logical element its index in the buffer."""
    layout = kind.layout or Layout(tuple(range(len(shape))))
    index = np.indices(shape, sparse=True)
    outer = []
    for axis in layout.order:
        block = layout.block_of(axis)
        outer.append(index[axis] // block if block > 1 else index[axis] + layout.halo_of(axis)[0])
    inner, left = [], {axis: layout.block_of(axis) for axis, _ in layout.blocks}
    for axis, size in layout.blocks:
        within = index[axis] % left[axis]
        left[axis] //= size
        inner.append(within // left[axis])
    return (*outer, *inner)


def garbage(dtype: np.dtype) -> Any:
    return np.nan if dtype.kind in "fV" else 77 if dtype.kind != "b" else True


def framed(kind: TensorType, numbers: Mapping[str, int]) -> tuple[Array, Array]:
    """(a buffer of garbage for `kind` with zero halos, the bytes with guards that hold it)"""
    shape = physical(kind, numbers)
    dtype = kind.scalar.dtype
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.full(size + 2 * GUARD + 64, 0xA5, np.uint8)
    start = GUARD + -(raw.ctypes.data + GUARD) % 64
    view = raw[start : start + size].view(dtype).reshape(shape)
    view[...] = garbage(dtype)
    layout = kind.layout
    if layout is not None and layout.halo:
        for at, axis in enumerate(layout.order):
            before, after = layout.halo_of(axis)
            if layout.block_of(axis) == 1:
                moved = np.moveaxis(view, at, 0)
                moved[:before] = 0
                moved[moved.shape[0] - after :] = 0
    return view, raw


def laid_out(array: Array, kind: TensorType, numbers: Mapping[str, int]) -> tuple[Array, Array]:
    view, raw = framed(kind, numbers)
    view[places(kind, array.shape)] = array
    return view, raw


@dataclass
class Compiled:
    lowered: LoweredGroup
    group: graph_flow.Group
    symbols: list[str]
    function: Any
    chunks: Any
    text: str
    object_file: bytes
    folder: tempfile.TemporaryDirectory[str]

    def __call__(self, arrays: Sequence[Array], numbers: Mapping[str, int] | None = None) -> list[Array]:
        known = dict(numbers or {})
        types = [v.type for v in self.group.operands]
        results = [v.type for v in self.group.results]
        inputs = [laid_out(a, t, known) for a, t in zip(arrays, types, strict=True)]
        outputs = [framed(t, known) for t in results]
        originals = [raw.copy() for _, raw in inputs]
        published = np.full(1, -1, np.int64)
        self.run([*(view for view, _ in (*inputs, *outputs)), published], known)
        counting = self.group.body.block.ops[0]
        if isinstance(counting, Counting):
            assert published[0] == known[counting.size], "another size was published"
        for before, (_, raw) in zip(originals, inputs, strict=True):
            assert np.array_equal(before, raw), "an input was written"
        for view, raw in outputs:
            inside = np.zeros(raw.shape, bool)
            start = view.ctypes.data - raw.ctypes.data if view.size else 0
            inside[start : start + view.nbytes] = True
            assert (raw[~inside] == 0xA5).all(), "memory around a result was written"
        found = []
        for t, (view, _) in zip(results, outputs, strict=True):
            shape = tuple(as_expr(d).evaluate(known) for d in t.shape)
            check_halo(t, view)
            found.append(view[places(t, shape)].reshape(shape).copy())
        return found

    def run(self, views: Sequence[Array], known: Mapping[str, int]) -> None:
        dims = (ctypes.c_int64 * max(1, len(self.symbols)))(*[known[s] for s in self.symbols])
        count = as_expr(self.chunks).evaluate(dict(known))
        if has_teams(self.lowered.func):
            size = team_offsets(self.lowered.func)[1]
            views = [*views[: len(self.lowered.func.args) - 1], team_memory(count, size)]
        pointers = (ctypes.c_void_p * len(views))(*[v.ctypes.data for v in views])
        middle = count // 2
        room = np.full(scratch_offsets(self.lowered.func)[1] + 64, 0xA5, np.uint8)
        scratch = room.ctypes.data + -room.ctypes.data % 64
        for begin, end in ((middle, count), (0, middle)) if middle else ((0, count),):  # chunks in any order
            code = self.function(None, dims, pointers, begin, end, scratch)
            assert code == 0, f"the kernel reports the error {code}"

    def assembly(self) -> str:
        target = host()
        return emit_assembly(self.text, target.triple, target.llvm_cpu, target.llvm_features)


def team_memory(count: int, size: int) -> Array:
    """Memory for `count` teams: each begins with zeros, the rest is garbage."""
    raw = np.full(count * size + 64, 0xA5, np.uint8)
    start = -raw.ctypes.data % 64
    memory = raw[start : start + count * size]
    memory.reshape(count, size)[:, :16] = 0
    return memory


def check_halo(kind: TensorType, view: Array) -> None:
    layout = kind.layout
    if layout is None or not layout.halo:
        return
    for at, axis in enumerate(layout.order):
        before, after = layout.halo_of(axis)
        if layout.block_of(axis) == 1:
            moved = np.moveaxis(view, at, 0)
            for part in (moved[:before], moved[moved.shape[0] - after :]):
                assert not np.any(part[np.isfinite(part)]), "a halo was written"


def host() -> Target:
    return Target.parse("host")


def publish_into_buffer(lowering: GroupLowering) -> None:
    """The size that the kernel finds goes into one more buffer, the last."""
    emit = lowering.elaborator.emit
    place = lowering.block.add_arg(BufferType((1,), SI64, "output"), "size")

    def publish(count: Scalar) -> None:
        emit.add(buf.Store(count.value, place, at=(const(0),)))

    lowering.elaborator.binding.publish = publish


# what the pool offers in a whole model: here an error is the status of the kernel and no more
FAIL = (
    "declare hidden i32 @dlc_fail(ptr, i32, i32, i64, i64)",
    "define hidden i32 @dlc_fail(ptr %ctx, i32 %code, i32 %kernel, i64 %first, i64 %second) { ret i32 %code }",
)
MAIN = """
@dlc_slots = hidden constant i64 0
@dlc_text_count = hidden constant i32 0
@dlc_texts = hidden constant [1 x i8] zeroinitializer
define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) { ret i32 0 }
"""


def compiled(
    types: Sequence[TensorType],
    make: Make,
    symbols: Sequence[str] = (),
    library: Library | None = None,
    target: Target | None = None,
) -> Compiled:
    group = group_of(types, make)
    machine = target or host()
    lowering = GroupLowering(group, library or standard_library(), machine, ConstantPool())
    if isinstance(group.body.block.ops[0], Counting):
        publish_into_buffer(lowering)
    lowered = lowering.lower("k")
    kernel = emit_kernel(lowered.func, list(symbols), machine)
    text = module_text([kernel], machine).replace("define hidden", "define").replace(*FAIL)
    objects = [compile_object(text, machine.triple, machine.llvm_cpu, machine.llvm_features)]
    if has_teams(lowered.func):
        main = compile_object(MAIN, machine.triple, machine.llvm_cpu, "")
        objects += [*pool_objects(machine.arch), team_object(machine.arch), main]
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name)
    link(objects, machine=machine.arch, exports=["k"], output=path / "k.so")
    function = ctypes.CDLL(str(path / "k.so")).k
    function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
    return Compiled(lowered, group, list(symbols), function, kernel.chunks, text, objects[0], folder)
