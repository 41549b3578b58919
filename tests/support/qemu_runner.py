"""Run a compiled model under qemu's user mode: other processors' code, or older x86-64 CPUs, on this host.

A model is a shared library, so something must load it there. Our own linker makes that program: it reads one block of
memory from a file, calls the model on addresses inside the block, and writes the block back.

    block = | result and error record | dims | inputs | outputs |
"""

from __future__ import annotations

import math
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dlc.codegen.elf.link import LIBC_FUNCTIONS, link
from dlc.codegen.elf.reader import read_elf
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import EXPORTS, TARGETS
from dlc.runtime.binding import Binder, Bound
from dlc.runtime.feeds import ordered_feeds, readable_array
from dlc.runtime.metadata import Metadata, parse_metadata
from dlc.runtime.outputs import real_outputs

EMULATORS = {"aarch64": ("qemu-aarch64-static", "qemu-aarch64"), "x86-64": ("qemu-x86_64-static", "qemu-x86_64")}
CROSS_LIBRARIES = {"aarch64": Path("/usr/aarch64-linux-gnu"), "x86-64": Path("/")}    # where Debian puts them
HEAD = 64
LINE = 64


class QemuFailure(AssertionError):
    """The model returned an error code."""

    def __init__(self, code: int, kernel: int, detail: tuple[int, int]) -> None:
        super().__init__(f"the model returned {code} (kernel {kernel}, detail {detail})")
        self.code, self.kernel, self.detail = code, kernel, detail


@dataclass(frozen=True)
class Block:
    """Where everything lies in the block."""

    dims: int
    buffers: tuple[int, ...]
    size: int


def run_under_qemu(
    so_path: str | os.PathLike[str], inputs: Mapping[str, np.ndarray], *, cpu: str | None = None, threads: int = 1
) -> dict[str, np.ndarray]:
    """The outputs of a model on an emulated CPU (`cpu` as qemu names it, "Nehalem"); skips where qemu is missing."""
    metadata = read_metadata(so_path)
    binder = Binder(metadata)
    feeds = ordered_feeds(metadata.inputs, inputs)
    arrays = [readable_array(spec, value) for spec, value in zip(metadata.inputs, feeds, strict=True)]
    bound = binder.bind([array.shape for array in arrays])
    block = laid_out(arrays, bound)
    image = bytearray(block.size)
    struct.pack_into(f"<{len(bound.dims)}q", image, block.dims, *bound.dims)
    for offset, array in zip(block.buffers, arrays, strict=False):
        image[offset : offset + array.nbytes] = array.tobytes()
    with tempfile.TemporaryDirectory() as folder:
        image = emulate(Path(folder), Path(so_path).resolve(), metadata, block, bound, image, cpu, threads)
    code, _, recorded, kernel, *detail = struct.unpack_from("<iiiiqq", image, 0)
    if code:
        raise QemuFailure(recorded or code, kernel, (detail[0], detail[1]))
    dims = struct.unpack_from(f"<{len(bound.dims)}q", image, block.dims)
    results = [
        np.frombuffer(image, dtype, math.prod(shape), offset).reshape(shape).copy()
        for offset, (shape, dtype, _) in zip(block.buffers[len(arrays) :], bound.outputs, strict=True)
    ]
    return dict(zip((spec.name for spec in metadata.outputs), real_outputs(binder, dims, results), strict=True))


def read_metadata(so_path: str | os.PathLike[str]) -> Metadata:
    """The description of a model that this host may be unable to load."""
    library = read_elf(Path(so_path).read_bytes())
    size = library.bytes_at(library.symbol("dlc_metadata_size").value, 8)
    text = library.bytes_at(library.symbol("dlc_metadata").value, int.from_bytes(size, "little"))
    return parse_metadata(text, str(so_path))


def laid_out(arrays: list[np.ndarray], bound: Bound) -> Block:
    """Offsets of the dims and of every buffer, each at a cache line."""
    end = HEAD + 8 * len(bound.dims)
    offsets = []
    for size in [array.nbytes for array in arrays] + [size for _, _, size in bound.outputs]:
        offsets.append(-(-end // LINE) * LINE)
        end = offsets[-1] + size
    return Block(HEAD, tuple(offsets), end + LINE)


def emulate(
    folder: Path, library: Path, metadata: Metadata, block: Block, bound: Bound, image: bytearray, cpu: str | None,
    threads: int,
) -> bytearray:
    """Build the program, run it on the block and return the block it wrote."""
    machine = metadata.machine
    given, written, program = folder / "given", folder / "written", folder / "program"
    command = [emulator(machine), "-L", os.environ.get("QEMU_LD_PREFIX", str(CROSS_LIBRARIES[machine]))]
    command += ["-cpu", cpu] if cpu else []
    given.write_bytes(image)
    text = program_ir(given, written, block, bound.workspace + threads * metadata.scratch, threads)
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


def program_ir(given: Path, written: Path, block: Block, workspace: int, threads: int) -> str:
    """The program, with sizes and file names as constants."""
    stores = "\n".join(
        f"  %b{index} = getelementptr i8, ptr %block, i64 {offset}\n"
        f"  %s{index} = getelementptr ptr, ptr %buffers, i64 {index}\n"
        f"  store ptr %b{index}, ptr %s{index}"
        for index, offset in enumerate(block.buffers)
    )
    return PROGRAM.format(
        given=constant_string(given), written=constant_string(written), size=block.size, dims=block.dims,
        buffers=max(len(block.buffers), 1), stores=stores, workspace=max(workspace, 1), threads=threads,
    )


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
declare i32 @dlc_run(ptr, ptr, ptr, ptr)
declare i32 @dlc_close(ptr)
declare ptr @dlc_error(ptr)

define internal ptr @memory(i64 %size) nounwind {{
  %p = call ptr @mmap(ptr null, i64 %size, i32 3, i32 34, i32 -1, i64 0)
  ret ptr %p
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
  br i1 %r_more, label %read, label %run
run:
  %buffers = alloca [{buffers} x ptr]
{stores}
  %bytes = call i64 @dlc_ctx_bytes()
  %ctx = call ptr @memory(i64 %bytes)
  %workspace = call ptr @memory(i64 {workspace})
  %dims = getelementptr i8, ptr %block, i64 {dims}
  %started = call i32 @dlc_init(ptr %ctx, i32 {threads})
  %code = call i32 @dlc_run(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace)
  %wide = sext i32 %code to i64
  store i64 %wide, ptr %block
  %error = call ptr @dlc_error(ptr %ctx)
  %record = load [3 x i64], ptr %error
  %record_at = getelementptr i8, ptr %block, i64 8
  store [3 x i64] %record, ptr %record_at
  %closed = call i32 @dlc_close(ptr %ctx)
  %out = call i32 (ptr, i32, ...) @open(ptr @written, i32 577, i32 384)
  br label %write
write:
  %w = phi i64 [ 0, %run ], [ %w2, %write ]
  %w_at = getelementptr i8, ptr %block, i64 %w
  %w_left = sub i64 {size}, %w
  %w_put = call i64 @write(i32 %out, ptr %w_at, i64 %w_left)
  %w2 = add i64 %w, %w_put
  %w_more = icmp sgt i64 %w_put, 0
  br i1 %w_more, label %write, label %leave
leave:
  call void @_exit(i32 0)
  unreachable
}}
"""
