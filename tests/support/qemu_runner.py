"""Run a compiled model under qemu's user mode: other processors' code, or older x86-64 CPUs, on this host.

A model is a shared library, so something must load it there. Our own linker makes that program: it reads one block of
memory from a file, binds the model to the shapes in it, runs it on the inputs in it and on memory for the outputs of
the size that `dlc_bind` has said, and writes the block and the outputs back.

    block = | code and error record | message | outputs' shapes: of dlc_bind, of dlc_shapes | inputs' shapes | inputs |
"""

from __future__ import annotations

import math
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dlc.codegen.elf.link import LIBC_FUNCTIONS, link
from dlc.codegen.elf.reader import read_elf
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import EXPORTS, TARGETS
from dlc.runtime.binding import Binder
from dlc.runtime.feeds import ordered_feeds, readable_array
from dlc.runtime.metadata import Metadata, parse_metadata

EMULATORS = {"aarch64": ("qemu-aarch64-static", "qemu-aarch64"), "x86-64": ("qemu-x86_64-static", "qemu-x86_64")}
CROSS_LIBRARIES = {"aarch64": Path("/usr/aarch64-linux-gnu"), "x86-64": Path("/")}    # where Debian puts them
MESSAGE_AT, MESSAGE_BYTES = 64, 960
HEAD = MESSAGE_AT + MESSAGE_BYTES
LINE = 64


class QemuFailure(AssertionError):
    """The model returned an error code."""

    def __init__(self, code: int, kernel: int, detail: tuple[int, int], message: str) -> None:
        super().__init__(f"the model returned {code}: {message} (kernel {kernel}, detail {detail})")
        self.code, self.kernel, self.detail, self.message = code, kernel, detail, message


@dataclass(frozen=True)
class Block:
    """Where everything lies in the block."""

    bound: int  # the outputs' shapes as dlc_bind says them
    found: int  # as dlc_shapes does
    shapes: int
    inputs: tuple[int, ...]
    size: int


def run_under_qemu(
    so_path: str | os.PathLike[str], inputs: Mapping[str, np.ndarray], *, cpu: str | None = None, threads: int = 1
) -> dict[str, np.ndarray]:
    """The outputs of a model on an emulated CPU (`cpu` as qemu names it, "Nehalem"); skips where qemu is missing."""
    metadata = read_metadata(so_path)
    binder = Binder(metadata)
    feeds = ordered_feeds(metadata.inputs, inputs)
    arrays = [readable_array(spec, value) for spec, value in zip(metadata.inputs, feeds, strict=True)]
    sizes = binder.sizes([array.shape for array in arrays])[:]
    block = laid_out(arrays, len(sizes), sum(binder.ranks))
    image = bytearray(block.size)
    struct.pack_into(f"<{len(sizes)}q", image, block.shapes, *sizes)
    for offset, array in zip(block.inputs, arrays, strict=True):
        image[offset : offset + array.nbytes] = array.tobytes()
    with tempfile.TemporaryDirectory() as folder:
        image = emulate(Path(folder), Path(so_path).resolve(), metadata, block, image, cpu, threads)
    code, _, recorded, kernel, *detail = struct.unpack_from("<iiiiqq", image, 0)
    if code:
        message = bytes(image[MESSAGE_AT:HEAD]).partition(b"\0")[0].decode()
        raise QemuFailure(recorded or code, kernel, (detail[0], detail[1]), message)
    return dict(zip((spec.name for spec in metadata.outputs), outputs(binder, block, image), strict=True))


def outputs(binder: Binder, block: Block, image: bytearray) -> list[np.ndarray]:
    """The outputs behind the block, each in its real shape at the start of memory for the most that it can be."""
    bound, found = (
        binder.shapes(struct.unpack_from(f"<{sum(binder.ranks)}q", image, at)) for at in (block.bound, block.found)
    )
    results, at = [], block.size
    for spec, most, shape in zip(binder.metadata.outputs, bound, found, strict=True):
        assert math.prod(shape) <= math.prod(most), f"{spec.name} outgrew its bound {most}: {shape}"
        results.append(np.frombuffer(image, spec.dtype, math.prod(shape), at).reshape(shape).copy())
        at += math.prod(most) * spec.dtype.itemsize
    assert at == len(image)
    return results


def read_metadata(so_path: str | os.PathLike[str]) -> Metadata:
    """The description of a model that this host may be unable to load."""
    library = read_elf(Path(so_path).read_bytes())
    size = library.bytes_at(library.symbol("dlc_metadata_size").value, 8)
    text = library.bytes_at(library.symbol("dlc_metadata").value, int.from_bytes(size, "little"))
    return parse_metadata(text, str(so_path))


def laid_out(arrays: Sequence[np.ndarray], sizes: int, result_sizes: int) -> Block:
    """Offsets of the shapes and of every input, each at a cache line."""
    found = HEAD + 8 * result_sizes
    shapes = found + 8 * result_sizes
    end = shapes + 8 * sizes
    offsets = []
    for array in arrays:
        offsets.append(-(-end // LINE) * LINE)
        end = offsets[-1] + array.nbytes
    return Block(HEAD, found, shapes, tuple(offsets), end + LINE)


def emulate(
    folder: Path, library: Path, metadata: Metadata, block: Block, image: bytearray, cpu: str | None, threads: int
) -> bytearray:
    """Build the program, run it on the block and return what it wrote."""
    machine = metadata.machine
    given, written, program = folder / "given", folder / "written", folder / "program"
    command = [emulator(machine), "-L", os.environ.get("QEMU_LD_PREFIX", str(CROSS_LIBRARIES[machine]))]
    command += ["-cpu", cpu] if cpu else []
    given.write_bytes(image)
    text = program_ir(given, written, block, metadata, threads)
    target = TARGETS[machine]
    link(
        [compile_object(text, target.triple, target.cpu, "")],
        machine=machine, exports=(), output=program, needed=("libc.so.6", str(library)),
        importable=LIBC_FUNCTIONS | set(EXPORTS), entry="_start",
    )
    done = subprocess.run([*command, str(program)], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return bytearray(written.read_bytes())


def emulator(machine: str) -> str:
    """qemu for a machine, with its C library, or a skip that says what is missing."""
    found = next((path for name in EMULATORS[machine] if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"{EMULATORS[machine][0]} is not installed (Debian: qemu-user-static)")
    if "QEMU_LD_PREFIX" not in os.environ and not CROSS_LIBRARIES[machine].is_dir():
        pytest.skip(f"no C library for {machine} (Debian: libc6-arm64-cross; or set QEMU_LD_PREFIX)")
    return found


def program_ir(given: Path, written: Path, block: Block, metadata: Metadata, threads: int) -> str:
    """The program, with offsets and file names as constants."""
    places = [f"  %b{n} = getelementptr i8, ptr %block, i64 {offset}" for n, offset in enumerate(block.inputs)]
    writes, axis = [], 0
    for number, spec in enumerate(metadata.outputs, start=len(block.inputs)):
        places += output_lines(number, range(axis, axis + len(spec.shape)), spec.dtype.itemsize)
        writes.append(f"  call void @put(i32 %out, ptr %b{number}, i64 %bytes{number})")
        axis += len(spec.shape)
    count = len(block.inputs) + len(metadata.outputs)
    for number in range(count):
        places.append(f"  %slot{number} = getelementptr ptr, ptr %buffers, i64 {number}")
        places.append(f"  store ptr %b{number}, ptr %slot{number}")
    return PROGRAM.format(
        given=constant_string(given), written=constant_string(written), size=block.size, shapes=block.shapes,
        bound=block.bound, found=block.found, message=MESSAGE_AT, message_bytes=MESSAGE_BYTES,
        buffers=max(count, 1), places="\n".join(places), writes="\n".join(writes), threads=threads,
    )  # fmt: skip


def output_lines(number: int, axes: range, item: int) -> list[str]:
    """Memory for an output, of the shape that dlc_bind has given it."""
    lines, total = [], str(item)
    for axis in axes:
        lines.append(f"  %at{axis} = getelementptr i64, ptr %bound, i64 {axis}")
        lines.append(f"  %size{axis} = load i64, ptr %at{axis}")
        lines.append(f"  %total{axis} = mul i64 {total}, %size{axis}")
        total = f"%total{axis}"
    lines.append(f"  %bytes{number} = add i64 {total}, 0")
    lines.append(f"  %b{number} = call ptr @memory(i64 %bytes{number})")
    return lines


def constant_string(path: Path) -> str:
    """A path as the initializer of an LLVM constant."""
    content = str(path).encode() + b"\0"
    escaped = "".join(f"\\{byte:02X}" for byte in content)
    return f'[{len(content)} x i8] c"{escaped}"'


# The stack is realigned because nothing has called `_start`.
PROGRAM = """
@given = private constant {given}
@written = private constant {written}
declare ptr @mmap(ptr, i64, i32, i32, i32, i64)
declare i32 @open(ptr, i32, ...)
declare i64 @read(i32, ptr, i64)
declare i64 @write(i32, ptr, i64)
declare void @_exit(i32)
declare i64 @dlc_ctx_bytes()
declare i32 @dlc_init(ptr, i32)
declare i32 @dlc_bind(ptr, ptr, ptr, ptr)
declare i32 @dlc_run(ptr, ptr, ptr)
declare i32 @dlc_shapes(ptr, ptr)
declare i64 @dlc_message(ptr, ptr, i64)
declare i32 @dlc_close(ptr)
declare ptr @dlc_error(ptr)

define internal ptr @memory(i64 %size) nounwind {{
  %some = add i64 %size, 64
  %p = call ptr @mmap(ptr null, i64 %some, i32 3, i32 34, i32 -1, i64 0)
  ret ptr %p
}}

define internal void @put(i32 %file, ptr %from, i64 %size) nounwind {{
entry:
  br label %head
head:
  %w = phi i64 [ 0, %entry ], [ %w2, %write ]
  %left = sub i64 %size, %w
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %write, label %done
write:
  %at = getelementptr i8, ptr %from, i64 %w
  %put = call i64 @write(i32 %file, ptr %at, i64 %left)
  %w2 = add i64 %w, %put
  %failed = icmp slt i64 %put, 0
  br i1 %failed, label %done, label %head
done:
  ret void
}}

define void @_start() nounwind "stackrealign" {{
entry:
  %block = call ptr @memory(i64 {size})
  %in = call i32 (ptr, i32, ...) @open(ptr @given, i32 0)
  br label %read
read:
  %r = phi i64 [ 0, %entry ], [ %r2, %read ]
  %r_at = getelementptr i8, ptr %block, i64 %r
  %r_left = sub i64 {size}, %r
  %r_got = call i64 @read(i32 %in, ptr %r_at, i64 %r_left)
  %r2 = add i64 %r, %r_got
  %r_more = icmp sgt i64 %r_got, 0
  br i1 %r_more, label %read, label %bind
bind:
  %buffers = alloca [{buffers} x ptr]
  %needed = alloca i64
  %shapes = getelementptr i8, ptr %block, i64 {shapes}
  %bound = getelementptr i8, ptr %block, i64 {bound}
  %found = getelementptr i8, ptr %block, i64 {found}
  %bytes = call i64 @dlc_ctx_bytes()
  %ctx = call ptr @memory(i64 %bytes)
  %started = call i32 @dlc_init(ptr %ctx, i32 {threads})
  %out = call i32 (ptr, i32, ...) @open(ptr @written, i32 577, i32 384)
  %refused = call i32 @dlc_bind(ptr %ctx, ptr %shapes, ptr %bound, ptr %needed)
  %unfit = icmp ne i32 %refused, 0
  br i1 %unfit, label %failed, label %run
run:
  %workspace_bytes = load i64, ptr %needed
  %workspace = call ptr @memory(i64 %workspace_bytes)
{places}
  %code = call i32 @dlc_run(ptr %ctx, ptr %buffers, ptr %workspace)
  %bad = icmp ne i32 %code, 0
  br i1 %bad, label %failed, label %good
failed:
  %why = phi i32 [ %refused, %bind ], [ %code, %run ]
  %wide = sext i32 %why to i64
  store i64 %wide, ptr %block
  %error = call ptr @dlc_error(ptr %ctx)
  %record = load [3 x i64], ptr %error
  %record_at = getelementptr i8, ptr %block, i64 8
  store [3 x i64] %record, ptr %record_at
  %message = getelementptr i8, ptr %block, i64 {message}
  %length = call i64 @dlc_message(ptr %ctx, ptr %message, i64 {message_bytes})
  call void @put(i32 %out, ptr %block, i64 {size})
  br label %leave
good:
  %told = call i32 @dlc_shapes(ptr %ctx, ptr %found)
  call void @put(i32 %out, ptr %block, i64 {size})
{writes}
  br label %leave
leave:
  %closed = call i32 @dlc_close(ptr %ctx)
  call void @_exit(i32 0)
  unreachable
}}
"""
