"""The thread pool: every chunk once, the same bits for any number of threads, errors, sleeping workers, no hang."""

import ctypes
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dlc.codegen import pool_text
from dlc.codegen.context import BOUND_AT, COUNT_AT, DIMS_AT, RUNNING_AT, THREADS_AT, WORKSPACE_AT
from dlc.codegen.elf.link import link
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import EXPORTS, RARE, TARGETS, TEAMS, pool_ir, pool_objects, pool_parts
from dlc.errors import InternalError
from tests.support.handmade import description, interface, spec, with_interface

pytestmark = pytest.mark.isa("x86-64")

# `repeat` makes many parallel calls; `count` adds one to each element of its range and a counter of calls.
HARNESS = """
declare hidden i32 @dlc_parallel(ptr, ptr, ptr, ptr, i64)

define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  %kernel = load ptr, ptr %buffers
  %chunks = load i64, ptr %dims
  %code = call i32 @dlc_parallel(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks)
  ret i32 %code
}

define i32 @count(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ %begin, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %end
  br i1 %more, label %body, label %done
body:
  %at = getelementptr i64, ptr %buffers, i64 %i
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  %next = add i64 %i, 1
  br label %head
done:
  ret i32 0
}

define i32 @repeat(ptr %ctx, ptr %buffers, i64 %chunks, i64 %times) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %head ]
  %code = call i32 @dlc_parallel(ptr %ctx, ptr @count, ptr null, ptr %buffers, i64 %chunks)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %times
  br i1 %more, label %head, label %done
done:
  ret i32 %code
}

; 1e-40 + 1e-40: zero where denormals are flushed.
define i32 @denormal(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch) nounwind {
  %x_at = getelementptr ptr, ptr %buffers, i64 1
  %x = load ptr, ptr %x_at
  %place = getelementptr float, ptr %x, i64 %begin
  %a = load volatile float, ptr %place
  %sum = fadd float %a, %a
  store volatile float %sum, ptr %place
  ret i32 0
}
"""
KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)
Kernel = Callable[[int, int, int, int, int], int]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("pool") / "pool.so"
    target = TARGETS["x86-64"]
    asked = interface(description(symbols=["chunks"], inputs=[spec("x", ("chunks",))], outputs=[], workspace=0), {}, [])
    text = with_interface(HARNESS, asked)
    objects = [compile_object(text, target.triple, target.cpu, ""), *pool_objects("x86-64")]
    exports = (*EXPORTS, "dlc_parallel", "dlc_fail", "count", "repeat", "denormal")
    link(objects, machine="x86-64", exports=exports, output=path)
    loaded = ctypes.CDLL(str(path))
    loaded.dlc_ctx_bytes.restype = ctypes.c_int64
    return loaded


class Context:
    """A context in aligned memory."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.raw = np.zeros(library.dlc_ctx_bytes() + 64, np.uint8)
        self.address = self.raw.ctypes.data + -self.raw.ctypes.data % 64
        self.pointer = ctypes.c_void_p(self.address)

    def word(self, offset: int) -> int:
        return ctypes.c_int32.from_address(self.address + offset).value


@contextmanager
def pool(library: ctypes.CDLL, threads: int) -> Iterator[Context]:
    context = Context(library)
    assert library.dlc_init(context.pointer, threads) == 0
    yield context
    assert library.dlc_close(context.pointer) == 0


def parallel(library: ctypes.CDLL, context: Context, kernel: Kernel, chunks: int) -> int:
    callback = KERNEL(kernel)
    return int(library.dlc_parallel(context.pointer, callback, None, None, ctypes.c_int64(chunks)))


def sleepers(context: Context) -> int:
    return context.word(68)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("chunks", [0, 1, 2, 7, 100, 1000])
def test_every_chunk_runs_exactly_once(library: ctypes.CDLL, threads: int, chunks: int) -> None:
    counts = np.zeros(max(chunks, 1), np.int64)
    with pool(library, threads) as context:
        pointer = ctypes.c_void_p(counts.ctypes.data)
        for _ in range(20):
            assert library.repeat(context.pointer, pointer, ctypes.c_int64(chunks), ctypes.c_int64(1)) == 0
    assert counts[:chunks].tolist() == [20] * chunks


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_ten_thousand_tiny_calls_end(library: ctypes.CDLL, threads: int) -> None:
    counts = np.zeros(4, np.int64)
    with pool(library, threads) as context:
        pointer = ctypes.c_void_p(counts.ctypes.data)
        assert library.repeat(context.pointer, pointer, ctypes.c_int64(4), ctypes.c_int64(10000)) == 0
    assert counts.tolist() == [10000] * 4


def test_workers_fall_asleep_and_wake_again(library: ctypes.CDLL) -> None:
    counts = np.zeros(64, np.int64)
    pointer = ctypes.c_void_p(counts.ctypes.data)
    with pool(library, 4) as context:
        for _ in range(5):
            wait_until(lambda: sleepers(context) == 3)
            seen: set[int] = set()

            def note(ctx: int, dims: int, buffers: int, begin: int, end: int, seen: set[int] = seen) -> int:
                seen.add(ctypes.pythonapi.PyThread_get_thread_ident())
                time.sleep(0.002)
                return 0

            assert parallel(library, context, note, 64) == 0
            assert len(seen) > 1
        assert library.repeat(context.pointer, pointer, ctypes.c_int64(64), ctypes.c_int64(100)) == 0
    assert counts.tolist() == [100] * 64


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_code_comes_back_and_the_pool_goes_on(library: ctypes.CDLL, threads: int) -> None:
    def fail(ctx: int, dims: int, buffers: int, begin: int, end: int) -> int:
        return 42 if begin <= 5 < end else 0

    with pool(library, threads) as context:
        assert parallel(library, context, fail, 20) == 42
        assert parallel(library, context, lambda *_: 0, 20) == 0


def test_chunks_after_a_failure_are_left_out(library: ctypes.CDLL) -> None:
    calls: list[int] = []

    def fail(ctx: int, dims: int, buffers: int, begin: int, end: int) -> int:
        calls.append(begin)
        return 1

    with pool(library, 2) as context:
        assert parallel(library, context, fail, 1000) == 1
    assert len(calls) <= 2


def test_the_first_recorded_error_stays(library: ctypes.CDLL) -> None:
    with pool(library, 1) as context:
        fail = library.dlc_fail
        assert fail(context.pointer, 3, 1, ctypes.c_int64(-5), ctypes.c_int64(1 << 40)) == 3
        assert fail(context.pointer, 4, 2, ctypes.c_int64(6), ctypes.c_int64(7)) == 4
        assert (context.word(0), context.word(4)) == (3, 1)
        detail = (ctypes.c_int64 * 2).from_address(context.address + 8)
        assert list(detail) == [-5, 1 << 40]


def test_a_parallel_call_inside_a_kernel_runs_in_place(library: ctypes.CDLL) -> None:
    ranges: list[tuple[int, int]] = []
    inner = KERNEL(lambda ctx, dims, buffers, begin, end: ranges.append((begin, end)) or 0)

    with pool(library, 3) as context:
        def outer(ctx: int, dims: int, buffers: int, begin: int, end: int) -> int:
            return int(library.dlc_parallel(context.pointer, inner, None, None, ctypes.c_int64(9)))

        assert parallel(library, context, outer, 2) == 0
    assert ranges == [(0, 9), (0, 9)]


@pytest.mark.parametrize("threads", [1, 4])
def test_denormals_are_flushed_in_every_thread_and_the_callers_state_is_restored(
    library: ctypes.CDLL, threads: int
) -> None:
    values = np.full(64, 1e-40, np.float32)
    kernel = ctypes.cast(library.denormal, ctypes.c_void_p).value
    buffers = (ctypes.c_void_p * 2)(kernel, values.ctypes.data)
    shapes, needed = (ctypes.c_int64 * 1)(64 if threads > 1 else 1), ctypes.c_int64(-1)
    with pool(library, threads) as context:
        assert library.dlc_bind(context.pointer, shapes, None, ctypes.byref(needed)) == 0
        assert needed.value == 0
        assert library.dlc_run(context.pointer, buffers, None) == 0
    assert values[0] == 0
    assert set(values.tolist()) <= {0.0, float(np.float32(1e-40))}
    assert np.float32(1e-40) + np.float32(1e-40) != 0


def test_a_callers_pool_does_the_work(library: ctypes.CDLL) -> None:
    body_type = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    hook_type = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    counts = np.zeros(10, np.int64)
    calls: list[int] = []

    def hook(user: int, body: int, job: int, chunks: int) -> int:
        calls.append(user)
        return max(body_type(body)(job, begin, begin + 1) for begin in range(chunks))

    callback = hook_type(hook)
    with pool(library, 1) as context:
        library.dlc_set_parallel(context.pointer, callback, ctypes.c_void_p(77), 2)
        pointer = ctypes.c_void_p(counts.ctypes.data)
        assert library.repeat(context.pointer, pointer, ctypes.c_int64(10), ctypes.c_int64(3)) == 0
    assert counts.tolist() == [3] * 10
    assert calls == [77] * 3


SCRATCH_KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int32, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2, ctypes.c_void_p
)  # fmt: skip


def scratch_of_chunks(library: ctypes.CDLL, context: Context, chunks: int) -> set[int]:
    """Which parts of the scratch memory chunks got; fails if two that ran at once had the same."""
    memory = np.zeros(64 * 8, np.uint8)
    ctypes.c_void_p.from_address(context.address + 48).value = memory.ctypes.data
    ctypes.c_int32.from_address(context.address + 56).value = 64
    used: list[int] = []
    seen: set[int] = set()
    shared: list[int] = []

    def kernel(ctx: int, dims: int, buffers: int, begin: int, end: int, scratch: int) -> int:
        part = (scratch - memory.ctypes.data) // 64
        if part in used:
            shared.append(part)
        used.append(part)
        time.sleep(0.001)
        used.remove(part)
        seen.add(part)
        return 0

    callback = SCRATCH_KERNEL(kernel)
    assert library.dlc_parallel(context.pointer, callback, None, None, ctypes.c_int64(chunks)) == 0
    assert shared == []
    return seen


def test_each_thread_has_scratch_memory_of_its_own(library: ctypes.CDLL) -> None:
    with pool(library, 3) as context:
        assert scratch_of_chunks(library, context, 60) == {0, 1, 2}
        assert scratch_of_chunks(library, context, 1) == {0}
    with pool(library, 1) as context:
        assert scratch_of_chunks(library, context, 9) == {0}


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_bodies_of_a_callers_pool_take_turns_at_the_scratch_memory(library: ctypes.CDLL, workers: int) -> None:
    body_type = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    hook_type = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)

    def hook(user: int, body: int, job: int, chunks: int) -> int:
        with ThreadPoolExecutor(4) as threads:
            return max(threads.map(lambda begin: body_type(body)(job, begin, begin + 1), range(chunks)))

    callback = hook_type(hook)
    with pool(library, 1) as context:
        library.dlc_set_parallel(context.pointer, callback, None, workers)
        assert scratch_of_chunks(library, context, 40) <= set(range(workers))


def test_two_pools_in_one_process_do_not_meet(library: ctypes.CDLL) -> None:
    first, second = np.zeros(8, np.int64), np.zeros(8, np.int64)
    with pool(library, 3) as one, pool(library, 2) as two:
        for _ in range(50):
            for context, counts in ((one, first), (two, second)):
                pointer = ctypes.c_void_p(counts.ctypes.data)
                library.repeat(context.pointer, pointer, ctypes.c_int64(8), ctypes.c_int64(10))
    assert first.tolist() == second.tolist() == [500] * 8


def test_a_context_has_room_for_the_named_dimensions_behind_the_threads(library: ctypes.CDLL) -> None:
    assert library.dlc_ctx_bytes() == DIMS_AT + 8
    library.dlc_dims.restype = ctypes.c_void_p
    with pool(library, 1) as context:
        assert library.dlc_dims(context.pointer) == context.address + DIMS_AT
        shapes, needed = (ctypes.c_int64 * 1)(12), ctypes.c_int64()
        assert (context.word(BOUND_AT), context.word(DIMS_AT)) == (0, 0)
        assert library.dlc_bind(context.pointer, shapes, None, ctypes.byref(needed)) == 0
        assert (context.word(BOUND_AT), context.word(DIMS_AT)) == (1, 12)


def test_the_map_of_the_context_says_where_things_lie() -> None:
    text = str(pool_text.__doc__)
    assert f"    {BOUND_AT}  i32 bound: dlc_bind has succeeded; i32 running" in text
    assert RUNNING_AT == BOUND_AT + 4
    assert f"    {WORKSPACE_AT}  i64 bytes of workspace" in text
    assert f"    {THREADS_AT}  a line of 64 bytes for each thread" in text
    assert f"    {DIMS_AT}  i64 for each named dimension" in text
    assert f"    {COUNT_AT}   i32" in text


def test_more_threads_than_a_context_holds_are_cut_down(library: ctypes.CDLL) -> None:
    with pool(library, 0) as context:
        assert context.word(24) == 1
    with pool(library, 5) as context:
        assert context.word(24) == 5


def test_workers_take_no_signals(tmp_path: Path, library: ctypes.CDLL) -> None:
    with pool(library, 2):
        masks = [
            line.split()[1]
            for task in Path("/proc/self/task").iterdir()
            for line in (task / "status").read_text().splitlines()
            if line.startswith("SigBlk:")
        ]
    interrupt_and_terminate = 1 << 1 | 1 << 14
    assert any(int(mask, 16) & interrupt_and_terminate == interrupt_and_terminate for mask in masks)


def test_the_pool_compiles_for_every_machine_quickly() -> None:
    pool_objects("x86-64")
    for machine in TARGETS:
        pool_objects.cache_clear()
        started = time.process_time()
        assert all(each[:4] == b"\x7fELF" for each in pool_objects(machine))
        assert time.process_time() - started < 0.2


def test_each_function_of_the_pool_is_defined_in_one_of_its_three_parts() -> None:
    for machine in TARGETS:
        parts = (set(re.findall(r"^define .*@(\w+)\(", part, re.MULTILINE)) for part in pool_parts(machine))
        often, rarely, teams = parts
        assert often.isdisjoint(rarely | teams) and rarely == RARE and teams == TEAMS
        assert often | rarely | teams == set(re.findall(r"^define .*@(\w+)\(", pool_ir(machine), re.MULTILINE))


def test_an_unknown_machine_is_an_internal_error() -> None:
    with pytest.raises(InternalError, match="no thread pool for the machine 'vax'"):
        pool_ir("vax")


def test_the_library_exits_cleanly_with_sleeping_workers(library: ctypes.CDLL) -> None:
    script = (
        "import ctypes, sys\n"
        "library = ctypes.CDLL(sys.argv[1]); library.dlc_ctx_bytes.restype = ctypes.c_int64\n"
        "memory = ctypes.create_string_buffer(library.dlc_ctx_bytes() + 64)\n"
        "start = ctypes.addressof(memory); start += -start % 64\n"
        "library.dlc_init(ctypes.c_void_p(start), 4)\n"
        "print('running')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, library._name], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ},
    )
    assert (done.returncode, done.stdout) == (0, "running\n")
