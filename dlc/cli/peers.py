"""Other runtimes that `dlc bench` measures beside ours, each set up for the latency of one inference on the CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dlc.errors import UserError

Feeds = dict[str, np.ndarray]
Runner = Callable[[], object]


def onnxruntime_runner(model: Path, feeds: Feeds, threads: int) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda: session.run(names, feeds)


def openvino_runner(model: Path, feeds: Feeds, threads: int) -> Runner:
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # else it computes in bfloat16 where the CPU can
    }  # fmt: skip
    request = core.compile_model(core.read_model(str(model)), "CPU", settings).create_infer_request()
    return lambda: request.infer(feeds, share_inputs=True, share_outputs=True)


PEERS: dict[str, Callable[[Path, Feeds, int], Runner]] = {
    "onnxruntime": onnxruntime_runner, "openvino": openvino_runner,
}  # fmt: skip


def check_peer(name: str) -> None:
    """Refuse a runtime that is not known or not installed. Raises UserError."""
    if name not in PEERS:
        raise UserError(f"--against {name!r} is not known, expected {' or '.join(PEERS)}")
    if importlib.util.find_spec(name) is None:
        raise UserError(f"{name} is not installed", hint=f"pip install {name}")


def peer_runner(name: str, model: Path, feeds: Feeds, threads: int) -> Runner:
    """A function that runs the model once in another runtime. Raises UserError where that refuses the model."""
    try:
        runner = PEERS[name](model, feeds, threads)
        runner()
    except Exception as error:  # these packages raise classes of their own, whose only common root this is
        first = str(error).strip().partition("\n")[0]
        raise UserError(f"{name} cannot run {model}: {first}") from error
    return runner
