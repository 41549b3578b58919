"""Engines that run one model in processes of their own and take turns: what all comparisons here are made of.

While one works the others block. A turn's figure is its fastest run; figures of the same round are compared, since
machines drift, and the median over the rounds is reported.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import onnx

ROUNDS = 10
Feeds = dict[str, np.ndarray]
Run = Callable[[Feeds], list[np.ndarray]]


@dataclass(frozen=True)
class Contestant:
    """An engine with its settings. "dlc" compiles with an empty cache, "dlc-so" only loads what "dlc" has saved.

    `target` is dlc's; `environment` holds the switches by which others are held to some instruction set.
    """

    label: str
    engine: str
    threads: int = 1
    disable: tuple[str, ...] = ()
    target: str = "host"
    environment: tuple[tuple[str, str], ...] = ()


class EngineFailed(Exception):
    """A contestant's process has ended; what it said is on stderr."""


@dataclass
class Score:
    """What one contestant did: its fastest run in each round, seconds to the first result, peak memory, outputs."""

    times: list[float] = field(default_factory=list)
    first: float = 0.0
    peak_mb: float = 0.0
    outputs: list[np.ndarray] = field(default_factory=list)

    @property
    def ms(self) -> float:
        return statistics.median(self.times) * 1e3


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


def start_dlc(path: str, feeds: Feeds, who: Contestant, library: str) -> Run:
    import dlc

    shapes = {n: a.shape for n, a in feeds.items()}
    module = dlc.compile(path, input_shapes=shapes, threads=who.threads, disable=who.disable, target=who.target)
    module.save(library)
    return lambda f: list(module.run(f).values())


def start_library(path: str, feeds: Feeds, who: Contestant, library: str) -> Run:
    import dlc

    module = dlc.load(library, threads=who.threads)
    return lambda f: list(module.run(f).values())


def start_onnxruntime(path: str, feeds: Feeds, who: Contestant, library: str) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = who.threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda f: list(session.run(None, f))


def start_openvino(path: str, feeds: Feeds, who: Contestant, library: str) -> Run:
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({n: list(a.shape) for n, a in feeds.items()})
    settings = {"INFERENCE_NUM_THREADS": who.threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()

    def run(f: Feeds) -> list[np.ndarray]:
        request.infer({n: openvino.Tensor(a) for n, a in f.items()})
        return [request.get_output_tensor(n).data for n in range(len(compiled.outputs))]

    return run


STARTS = {"dlc": start_dlc, "dlc-so": start_library, "onnxruntime": start_onnxruntime, "openvino": start_openvino}


def worker(path: str, folder: str, settings: str) -> None:
    """Serve turns: a line with seconds in, a line with the fastest run out."""
    answers = os.fdopen(os.dup(1), "w")  # whatever an engine prints goes to stderr
    os.dup2(2, 1)
    who = Contestant(**{name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(settings).items()})
    feeds = dict(np.load(os.path.join(folder, "feeds.npz")))
    begin = time.perf_counter()
    run = STARTS[who.engine](path, feeds, who, os.path.join(folder, "model.so"))
    outputs = run(feeds)
    first = time.perf_counter() - begin
    np.savez(os.path.join(folder, f"{who.label}.npz"), *outputs)
    print(json.dumps(first), file=answers, flush=True)
    for line in sys.stdin:
        run(feeds)
        best, end = math.inf, time.perf_counter() + float(line)
        while time.perf_counter() < end or best == math.inf:
            begin = time.perf_counter()
            run(feeds)
            best = min(best, time.perf_counter() - begin)
        print(json.dumps(best), file=answers, flush=True)
    status = Path("/proc/self/status").read_text()  # not ru_maxrss, which starts with the parent's
    print(json.dumps(int(status.split("VmHWM:")[1].split()[0]) / 1024), file=answers, flush=True)


class Process:
    """One contestant in its process."""

    def __init__(self, who: Contestant, path: str, folder: str) -> None:
        command = [sys.executable, __file__, path, folder, json.dumps(asdict(who))]
        cache = os.path.join(folder, f"cache-{who.label}")
        environment = {**os.environ, "DLC_CACHE_DIR": cache, "OMP_NUM_THREADS": str(who.threads)}
        environment.update(who.environment)
        self.who, self.folder = who, folder
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.score = Score(first=self.answer())

    def answer(self) -> float:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EngineFailed(f"{self.who.label} ended with exit code {self.process.wait()}")
        return float(json.loads(line))

    def turn(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.score.times.append(self.answer())

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def finish(self) -> Score:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.score.peak_mb = self.answer()
        self.process.wait()
        self.score.outputs = list(np.load(os.path.join(self.folder, f"{self.who.label}.npz")).values())
        return self.score


def contest(path: str, contestants: Sequence[Contestant], seconds: float, dims: dict[str, int]) -> dict[str, Score]:
    """All contestants on the model at `path`, `seconds` in all, by label."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(os.path.join(folder, "feeds.npz"), **feeds_of(path, dims))  # type: ignore[arg-type]
        processes: list[Process] = []
        try:
            processes += (Process(who, path, folder) for who in contestants)
            for _ in range(ROUNDS):
                for process in processes:
                    process.turn(seconds / ROUNDS / len(processes))
            return {process.who.label: process.finish() for process in processes}
        finally:
            for process in processes:
                process.end()


def ratio(scores: dict[str, Score], ours: str, others: Sequence[str]) -> float:
    """How many times as fast as the best of the others we are."""
    rounds = zip(scores[ours].times, *(scores[other].times for other in others), strict=True)
    return statistics.median(min(rest) / own for own, *rest in rounds)


def error(scores: dict[str, Score], ours: str, other: str) -> float:
    """The largest difference of the outputs, relative to the largest value."""
    pairs = zip(scores[ours].outputs, scores[other].outputs, strict=True)
    return max(float(np.abs(a - b).max() / (np.abs(b).max() + 1e-30)) for a, b in pairs if a.size)


def geometric_mean(ratios: Sequence[float]) -> float:
    return math.exp(statistics.mean(map(math.log, ratios)))


if __name__ == "__main__":
    worker(*sys.argv[1:])
