"""The real models that mutants are made from, small ones more often: a mutant shall take a second, not ten."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import onnx

WEIGHTS = {
    "mnist": 5, "micro_kws_m_qdq": 6, "micro_kws_m_static_qoperator": 6, "micro_kws_m_static_fp32": 4,
    "yunet_n_dynamic": 2, "yunet_n_320": 1, "silero_vad": 2, "ultraface_rfb_320": 1,
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


def models_folder() -> Path | None:
    """Where the real models lie; None if they are not here."""
    places = (ROOT / "shared" / "models", ROOT.parent / "shared" / "models")
    return next((place for place in places if place.is_dir()), None)


def chosen(rng: random.Random) -> str:
    return rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


@cache
def contents(name: str) -> bytes:
    folder = models_folder()
    if folder is None:
        raise FileNotFoundError("no folder shared/models in the repository or beside it")
    return (folder / f"{name}.onnx").read_bytes()


@cache
def weight_spans(name: str) -> tuple[tuple[int, int], ...]:
    """Where the weights lie in the file: changes there seldom change more than numbers."""
    data = contents(name)
    spans, at = [], 0
    for tensor in all_tensors(onnx.ModelProto.FromString(data)):
        if len(tensor.raw_data) >= 64 and (found := data.find(tensor.raw_data, at)) >= 0:
            spans.append((found, found + len(tensor.raw_data)))
            at = found + len(tensor.raw_data)
    return tuple(spans)


def all_tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Initializers of the graph, then those of branches and the contents of constants."""
    return [*model.graph.initializer, *(tensor for graph in graphs(model.graph) for tensor in constants(graph))]


def constants(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    return [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]


def graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """A graph and all branches inside."""
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [graph, *(each for branch in inner for each in graphs(branch))]
