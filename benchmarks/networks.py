#!/usr/bin/env python3
"""dlc against ONNX Runtime and OpenVINO on the same ONNX files.

    python benchmarks/networks.py [--threads 1] [--seconds 6] [--against onnxruntime,openvino] MODEL.onnx …

Each engine lives in its own process; they take turns in short slices and block otherwise. A round's ratio is the best
peer's fastest run over dlc's; the model's ratio is the median over rounds (above 1: dlc is ahead). Also printed:
seconds to compile with an empty cache, peak memory of each process, and how far the outputs are apart (of the largest
value).
Dimensions that the model leaves open are 1, or given with --dim seq=128.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import onnx

ROUNDS = 10
Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], list[np.ndarray]]


def feeds_of(path: str, dims: dict[str, int]) -> Feeds:
    """Random inputs: standard normal floats, ones for masks, small integers."""
    model = onnx.load(path, load_external_data=False)
    weights = {w.name for w in model.graph.initializer}
    rng, feeds = np.random.default_rng(0), {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        kind = value.type.tensor_type
        shape = [d.dim_value or dims.get(d.dim_param, 1) for d in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if dtype.kind == "f":
            feeds[value.name] = rng.standard_normal(shape).astype(dtype)
        else:
            low, high = (1, 2) if "mask" in value.name else (0, 100)
            feeds[value.name] = rng.integers(low, high, shape).astype(dtype)
    return feeds


def start_dlc(path: str, feeds: Feeds, threads: int) -> Run:
    import dlc

    module = dlc.compile(path, input_shapes={n: a.shape for n, a in feeds.items()}, threads=threads)
    return lambda f: list(module.run(f).values())


def start_onnxruntime(path: str, feeds: Feeds, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda f: list(session.run(None, f))


def start_openvino(path: str, feeds: Feeds, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({n: list(a.shape) for n, a in feeds.items()})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()

    def run(f: Feeds) -> list[np.ndarray]:
        request.infer({n: openvino.Tensor(a) for n, a in f.items()})
        return [request.get_output_tensor(n).data for n in range(len(compiled.outputs))]

    return run


STARTS = {"dlc": start_dlc, "onnxruntime": start_onnxruntime, "openvino": start_openvino}


def worker(engine: str, path: str, threads: int, folder: str) -> None:
    """Serve slices: a line with seconds in, a line with the fastest run out."""
    answers = os.fdopen(os.dup(1), "w")  # whatever an engine prints goes to stderr
    os.dup2(2, 1)
    feeds = dict(np.load(os.path.join(folder, "feeds.npz")))
    begin = time.perf_counter()
    run = STARTS[engine](path, feeds, threads)
    outputs = run(feeds)
    first = time.perf_counter() - begin
    np.savez(os.path.join(folder, f"{engine}.npz"), *outputs)
    print(json.dumps(first), file=answers, flush=True)
    for line in sys.stdin:
        run(feeds)
        best, end = math.inf, time.perf_counter() + float(line)
        while time.perf_counter() < end or best == math.inf:
            begin = time.perf_counter()
            run(feeds)
            best = min(best, time.perf_counter() - begin)
        print(json.dumps(best), file=answers, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(peak), file=answers, flush=True)


class Engine:
    """One engine in its process."""

    def __init__(self, name: str, path: str, threads: int, folder: str, cache: str) -> None:
        command = [sys.executable, __file__, "--worker", name, "--folder", folder, "--threads", str(threads), path]
        environment = {**os.environ, "DLC_CACHE_DIR": cache, "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.first = self.answer()

    def answer(self) -> float:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"an engine ended with exit code {self.process.wait()}")
        return float(json.loads(line))

    def slice(self, seconds: float) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.answer()

    def finish(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.answer()


def compare(path: str, peers: list[str], threads: int, seconds: float, dims: dict[str, int]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        np.savez(os.path.join(folder, "feeds.npz"), **feeds_of(path, dims))  # type: ignore[arg-type]
        engines = {name: Engine(name, path, threads, folder, os.path.join(folder, "cache")) for name in ("dlc", *peers)}
        times: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(ROUNDS):
            for name, engine in engines.items():
                times[name].append(engine.slice(seconds / ROUNDS / len(engines)))
        peaks = {name: engine.finish() for name, engine in engines.items()}
        ratio = statistics.median(min(times[p][n] for p in peers) / times["dlc"][n] for n in range(ROUNDS))
        ours, theirs = (list(np.load(os.path.join(folder, f"{n}.npz")).values()) for n in ("dlc", peers[0]))
        error = max(float(np.abs(a - b).max() / (np.abs(b).max() + 1e-30)) for a, b in zip(ours, theirs, strict=True))
    text = "  ".join(f"{n} {statistics.median(t) * 1e3:8.3f} ms ({peaks[n]:4.0f} MB)" for n, t in times.items())
    text += f"  compiled in {engines['dlc'].first:.1f} s  error {error:.1e}"
    print(f"{os.path.basename(path):28s} ratio {ratio:5.2f}  {text}", flush=True)
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--against", default="onnxruntime,openvino")
    parser.add_argument("--dim", action="append", default=[])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments.models[0], arguments.threads, arguments.folder)
        return
    dims = {name: int(size) for name, _, size in (text.partition("=") for text in arguments.dim)}
    peers = arguments.against.split(",")
    ratios = [compare(m, peers, arguments.threads, arguments.seconds, dims) for m in arguments.models]
    print(f"geometric mean {math.exp(statistics.mean(map(math.log, ratios))):.3f}, worst {min(ratios):.3f}")


if __name__ == "__main__":
    main()
