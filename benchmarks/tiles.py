#!/usr/bin/env python3
"""Register-tile kernels as a share of the FMA peak of one core.

    python benchmarks/tiles.py [--target host]

Each kernel is lowered from `kernels/` exactly as in a model. Kernel and probe (independent fused multiply-adds in
registers) take turns in slices of a few milliseconds, because machines drift; printed is the median of the ratios.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dlc.codegen.elf.link import link
from dlc.codegen.emit.kernel import emit_kernel, module_text
from dlc.codegen.llvm_backend import compile_object
from dlc.ir.core import Block, Builder, Region, Value
from dlc.ir.dialects import graph_flow, graph_math, graph_nn
from dlc.ir.pool import ConstantPool
from dlc.ir.scratch import scratch_offsets
from dlc.ir.types import F32, Layout, TensorType
from dlc.kernel_language.library import standard_library
from dlc.passes.graph.layouts import panel_columns, panel_layout
from dlc.passes.lower.group import GroupLowering, LoweredGroup
from dlc.target import Target

Build = Callable[[Builder, list[Value]], Value]


def group(types: list[TensorType], build: Build) -> graph_flow.Group:
    """A fused group over inputs of the given types."""
    outer, body = Block(types), Block(types)
    builder = Builder(body)
    builder.insert(graph_flow.Yield(build(builder, body.args)))
    return Builder(outer).insert(graph_flow.Group(*outer.args, kernel="tile", regions=[Region([body])]))


def matmul(rows: int, inner: int, columns: int, target: Target) -> tuple[graph_flow.Group, int]:
    panels = panel_layout(2, panel_columns(rows, 4 * inner, columns, target))
    types = [TensorType((rows, inner), F32), TensorType((inner, columns), F32, panels), TensorType((columns,), F32)]

    def build(b: Builder, a: list[Value]) -> Value:
        product = b.insert(graph_nn.MatMul(a[0], a[1])).result
        return b.insert(graph_math.Add(product, a[2])).result

    return group(types, build), 2 * rows * inner * columns


def conv(channels: int, size: int, outputs: int, window: int, target: Target) -> tuple[graph_flow.Group, int]:
    lanes, pad = target.facts.vector_bits // 32, window // 2
    halo = ((0, 0), (0, 0), (pad, pad), (pad, pad)) if pad else ()
    order = (0, 1, 2, 3)
    image = Layout(order, ((1, lanes),), halo)
    types = [
        TensorType((1, channels, size, size), F32, image),
        TensorType((outputs, channels, window, window), F32, Layout(order, ((1, lanes), (0, lanes)))),
        TensorType((outputs, 1, 1), F32),
    ]

    def build(b: Builder, a: list[Value]) -> Value:
        y = b.insert(graph_nn.Conv(a[0], a[1], strides=(1, 1), pads=(pad,) * 4, layout=image)).result
        return b.insert(graph_math.Relu(b.insert(graph_math.Add(y, a[2])).result)).result

    return group(types, build), 2 * channels * outputs * window * window * size * size


def probe_text(target: Target) -> tuple[str, int]:
    """LLVM text of the probe and its operations per iteration."""
    lanes = target.facts.vector_bits // 32
    chains = 24 if target.facts.vector_registers > 16 else 12
    kind = f"<{lanes} x float>"
    phis = [f"%a{n} = phi {kind} [ splat (float 1.0), %entry ], [ %n{n}, %loop ]" for n in range(chains)]
    constants = f"{kind} splat (float 0.5), {kind} splat (float 0.25)"
    steps = [f"%n{n} = call {kind} @llvm.fmuladd.v{lanes}f32({kind} %a{n}, {constants})" for n in range(chains)]
    sums = [f"%s0 = fadd {kind} %n0, %n1"] + [f"%s{n - 1} = fadd {kind} %s{n - 2}, %n{n}" for n in range(2, chains)]
    attributes = " ".join(f'"{k}"="{v}"' for k, v in target.function_attributes.items())
    body = ["entry:", "br label %loop", "loop:", "%i = phi i64 [ %begin, %entry ], [ %next, %loop ]", *phis, *steps]
    body += ["%next = add i64 %i, 1", "%again = icmp slt i64 %next, %end"]
    body += ["br i1 %again, label %loop, label %done", "done:"]
    body += [*sums, "%p = load ptr, ptr %buffers", f"store {kind} %s{chains - 2}, ptr %p, align 4", "ret i32 0"]
    signature = "define i32 @probe(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch)"
    declare = f"declare {kind} @llvm.fmuladd.v{lanes}f32({kind}, {kind}, {kind})"
    text = f"{signature} #0 {{\n" + "\n".join(body) + f"\n}}\n{declare}\nattributes #0 = {{ nounwind {attributes} }}\n"
    return text, 2 * lanes * chains


def load(lowered: LoweredGroup, target: Target, folder: Path) -> tuple[ctypes.CDLL, int]:
    kernel = emit_kernel(lowered.func, [], target)
    settings = (target.triple, target.llvm_cpu, target.llvm_features)
    text = module_text([kernel], target).replace("define hidden", "define")
    objects = [compile_object(text, *settings), compile_object(probe_text(target)[0], *settings)]
    path = folder / f"{time.monotonic_ns()}.so"
    link(objects, machine=target.arch, exports=("tile", "probe"), output=path)
    return ctypes.CDLL(str(path)), kernel.chunks.value


def aligned(elements: int) -> np.ndarray:
    raw = np.zeros(elements * 4 + 64, np.uint8)
    start = -raw.ctypes.data % 64
    view = raw[start : start + elements * 4].view(np.float32)
    view[...] = np.random.default_rng(0).standard_normal(elements) * 0.1
    return view


def share(made: graph_flow.Group, operations: int, target: Target, folder: Path) -> tuple[float, float, LoweredGroup]:
    """(median share of the peak, median GFLOP/s of the kernel, how it was scheduled)."""
    lowered = GroupLowering(made, standard_library(), target, ConstantPool()).lower("tile")
    library, chunks = load(lowered, target, folder)
    arrays = [aligned(int(np.prod(a.type.shape))) for a in lowered.func.args]  # type: ignore[attr-defined]
    pointers = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
    for function in (library.tile, library.probe):
        function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
    scratch = aligned(scratch_offsets(lowered.func)[1] // 4).ctypes.data
    per_iteration = probe_text(target)[1]
    repeats = max(1, int(4e-3 * 1.2e11 / operations))
    ratios, rates = [], []
    for _ in range(41):
        begin = time.perf_counter()
        library.probe(None, None, pointers, 0, 500_000 * 100 // per_iteration, None)
        peak = 500_000 * 100 // per_iteration * per_iteration / (time.perf_counter() - begin)
        begin = time.perf_counter()
        for _ in range(repeats):
            library.tile(None, None, pointers, 0, chunks, scratch)
        rate = operations * repeats / (time.perf_counter() - begin)
        ratios.append(rate / peak)
        rates.append(rate / 1e9)
    return statistics.median(ratios), statistics.median(rates), lowered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="host")
    target = Target.parse(parser.parse_args().target)
    cases = {f"matmul {m}x{k}x{n} + bias": matmul(m, k, n, target) for m, k, n in
             ((128, 768, 768), (128, 768, 3072), (128, 3072, 768), (197, 768, 768))}  # fmt: skip
    images = ((64, 56, 64, 3), (128, 28, 128, 3), (256, 14, 256, 3), (512, 28, 512, 3), (256, 56, 64, 1))
    for c, size, k, window in images:
        cases[f"conv {window}x{window} {c}->{k} at {size}x{size} + bias, relu"] = conv(c, size, k, window, target)
    with tempfile.TemporaryDirectory() as folder:
        for name, (made, operations) in cases.items():
            ratio, rate, lowered = share(made, operations, target, Path(folder))
            how = f"{lowered.schedule} {lowered.chosen}"
            print(f"{name:48s} {ratio:5.2f} of peak  {rate:7.1f} GFLOP/s  {how}", flush=True)


if __name__ == "__main__":
    main()
