"""Teams of the thread pool: every iteration of every phase once, one phase after the other, whoever comes when."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from dlc.codegen.elf.link import link
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import EXPORTS, TARGETS, pool_objects, team_object
from tests.support.handmade import description, interface, with_interface

pytestmark = pytest.mark.isa("x86-64")

# For each chunk `phases` phases of `count` iterations: iteration i of phase p finds p in its cell and puts p + 1 there;
# the cell beside it must not lag behind. What is not so is counted.
HARNESS = """
declare hidden i32 @dlc_parallel(ptr, ptr, ptr, ptr, i64)
declare hidden i32 @dlc_teams(ptr, ptr, ptr, ptr, i64, ptr, i64, ptr)
declare hidden void @dlc_join(ptr, ptr, i64, i64)
declare hidden void @dlc_leave(ptr, ptr)
declare hidden void @dlc_meet(ptr, ptr)
declare hidden { i64, i64 } @dlc_part(ptr, ptr, i64)

define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  ret i32 0
}

define i32 @rounds(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch) nounwind {
entry:
  %seat = alloca [2 x i64], align 8
  %phases = load i64, ptr %dims
  %count_at = getelementptr i64, ptr %dims, i64 1
  %count = load i64, ptr %count_at
  %most_at = getelementptr i64, ptr %dims, i64 2
  %most = load i64, ptr %most_at
  %cells = load ptr, ptr %buffers
  %teams_at = getelementptr ptr, ptr %buffers, i64 1
  %teams = load ptr, ptr %teams_at
  %wrong_at = getelementptr ptr, ptr %buffers, i64 2
  %wrong = load ptr, ptr %wrong_at
  br label %chunk
chunk:
  %c = phi i64 [ %begin, %entry ], [ %c2, %left ]
  %some = icmp slt i64 %c, %end
  br i1 %some, label %join, label %done
join:
  %team_offset = mul i64 %c, 128
  %team = getelementptr i8, ptr %teams, i64 %team_offset
  %first = mul i64 %c, %count
  %row = getelementptr i64, ptr %cells, i64 %first
  call void @dlc_join(ptr %team, ptr %seat, i64 %most, i64 %phases)
  br label %phase
phase:
  %p = phi i64 [ 0, %join ], [ %p2, %met ]
  %p2 = add i64 %p, 1
  %going = icmp slt i64 %p, %phases
  br i1 %going, label %part, label %leave
part:
  %both = call { i64, i64 } @dlc_part(ptr %team, ptr %seat, i64 %count)
  %low = extractvalue { i64, i64 } %both, 0
  %high = extractvalue { i64, i64 } %both, 1
  br label %item
item:
  %i = phi i64 [ %low, %part ], [ %i2, %checked ]
  %i2 = add i64 %i, 1
  %more = icmp slt i64 %i, %high
  br i1 %more, label %check, label %met
check:
  %beside = urem i64 %i2, %count
  %other_at = getelementptr i64, ptr %row, i64 %beside
  %other = load atomic i64, ptr %other_at monotonic, align 8
  %own_at = getelementptr i64, ptr %row, i64 %i
  %own = load atomic i64, ptr %own_at monotonic, align 8
  %lags = icmp slt i64 %other, %p
  %strange = icmp ne i64 %own, %p
  %bad = or i1 %lags, %strange
  store atomic i64 %p2, ptr %own_at monotonic, align 8
  br i1 %bad, label %count_it, label %checked
count_it:
  %b = atomicrmw add ptr %wrong, i64 1 monotonic
  br label %checked
checked:
  br label %item
met:
  call void @dlc_meet(ptr %team, ptr %seat)
  br label %phase
leave:
  call void @dlc_leave(ptr %team, ptr %seat)
  br label %left
left:
  %c2 = add i64 %c, 1
  br label %chunk
done:
  ret i32 0
}

define i32 @run(ptr %ctx, ptr %dims, ptr %buffers, i64 %chunks) nounwind {
  %teams_at = getelementptr ptr, ptr %buffers, i64 1
  %teams = load ptr, ptr %teams_at
  %code = call i32 @dlc_teams(
      ptr %ctx, ptr @rounds, ptr %dims, ptr %buffers, i64 %chunks, ptr %teams, i64 128, ptr @dlc_parallel)
  ret i32 %code
}
"""
BODY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
HOOK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int32, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2, ctypes.c_void_p
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("teams") / "teams.so"
    target = TARGETS["x86-64"]
    text = with_interface(HARNESS, interface(description(), {}, []))
    objects = [compile_object(text, target.triple, target.cpu, ""), *pool_objects("x86-64"), team_object("x86-64")]
    link(objects, machine="x86-64", exports=(*EXPORTS, "dlc_parallel", "run"), output=path)
    loaded = ctypes.CDLL(str(path))
    loaded.dlc_ctx_bytes.restype = ctypes.c_int64
    return loaded


def aligned(size: int) -> np.ndarray:
    raw = np.full(size + 64, 0xA5, np.uint8)
    return raw[-raw.ctypes.data % 64 :][:size]


@contextmanager
def pool(library: ctypes.CDLL, threads: int) -> Iterator[ctypes.c_void_p]:
    memory = aligned(library.dlc_ctx_bytes())
    context = ctypes.c_void_p(memory.ctypes.data)
    assert library.dlc_init(context, threads) == 0
    yield context
    assert library.dlc_close(context) == 0


class Job:
    """The arguments of one run, and what is to come of it."""

    def __init__(self, chunks: int, phases: int, count: int, most: int = 64) -> None:
        self.chunks, self.phases = chunks, phases
        self.cells = np.zeros((chunks, count), np.int64)
        self.wrong = np.zeros(1, np.int64)
        self.teams = aligned(128 * max(chunks, 1))
        self.dims = (ctypes.c_int64 * 3)(phases, count, most)
        self.buffers = (ctypes.c_void_p * 3)(*(a.ctypes.data for a in (self.cells, self.teams, self.wrong)))

    def run(self, library: ctypes.CDLL, context: ctypes.c_void_p | int) -> None:
        self.cells[:] = 0
        assert library.run(ctypes.c_void_p(getattr(context, "value", context)), self.dims, self.buffers,
                           ctypes.c_int64(self.chunks)) == 0  # fmt: skip
        assert (self.cells == self.phases).all()
        assert self.wrong[0] == 0


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("chunks", [0, 1, 2, 5])
def test_every_iteration_of_every_phase_runs_once_and_in_order(
    library: ctypes.CDLL, threads: int, chunks: int
) -> None:
    with pool(library, threads) as context:
        for phases, count, most in ((0, 4, 64), (40, 1, 64), (40, 5, 64), (40, 16, 2), (40, 16, 1)):
            for _ in range(5):
                Job(chunks, phases, count, most).run(library, context)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_that_wake_late_join_a_team_at_work(library: ctypes.CDLL, threads: int) -> None:
    with pool(library, threads) as context:
        for wait in (0.0, 0.001, 0.003) * 3:
            time.sleep(wait)  # the workers fall asleep
            Job(2, 2000, 8).run(library, context)


def test_a_thousand_short_runs_end(library: ctypes.CDLL) -> None:
    with pool(library, 3) as context:
        job = Job(1, 3, 4)
        for _ in range(1000):
            job.run(library, context)


@pytest.mark.parametrize("order", ["forwards", "backwards", "at once"])
def test_a_callers_pool_may_run_the_bodies_in_any_order(library: ctypes.CDLL, order: str) -> None:
    def hook(user: int, body: int, job: int, chunks: int) -> int:
        numbers = list(range(chunks))[:: -1 if order == "backwards" else 1]
        if order != "at once":
            return max(BODY(body)(job, n, n + 1) for n in numbers)
        with ThreadPoolExecutor(4) as threads:
            return max(threads.map(lambda n: BODY(body)(job, n, n + 1), numbers))

    callback = HOOK(hook)
    with pool(library, 1) as context:
        library.dlc_set_parallel(context, callback, None, 4)
        for chunks in (1, 3):
            Job(chunks, 100, 7).run(library, context)


def test_teams_inside_of_a_kernel_run_in_place(library: ctypes.CDLL) -> None:
    jobs = [Job(2, 20, 5) for _ in range(4)]

    def outer(ctx: int, dims: int, buffers: int, begin: int, end: int, scratch: int) -> int:
        for n in range(begin, end):
            jobs[n].run(library, ctx)
        return 0

    with pool(library, 3) as context:
        assert library.dlc_parallel(context, KERNEL(outer), None, None, ctypes.c_int64(4)) == 0


def test_two_pools_run_teams_at_once(library: ctypes.CDLL) -> None:
    def work(threads: int) -> None:
        with pool(library, threads) as context:
            for _ in range(20):
                Job(1, 50, 6).run(library, context)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, (2, 3)))
