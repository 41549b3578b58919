"""Models whose sizes may disagree: each kind with sizes that fit, sizes that do not, and what must be said then.

Every dimension that is not a number is a symbol: what is wrong can only be seen when the model runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from tests.support.onnx_models import model, node

Shape = tuple[int, ...]
Declared = Mapping[str, tuple[str, Sequence[int | str]]]
rng = np.random.default_rng(5)


@dataclass(frozen=True)
class Row:
    """A model, shapes of its inputs that it takes, and shapes that it refuses with parts of the message."""

    name: str
    proto: onnx.ModelProto
    right: tuple[Mapping[str, Shape], ...]
    wrong: tuple[tuple[Mapping[str, Shape], tuple[str, ...]], ...]
    values: Mapping[str, np.ndarray] = field(default_factory=dict)  # of inputs that are not random

    def feeds(self, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
        types = {
            each.name: onnx.helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
            for each in self.proto.graph.input
        }
        made = {}
        for name, shape in shapes.items():
            if name in self.values:
                made[name] = np.resize(self.values[name], shape).astype(types[name])
            elif types[name].kind == "f":
                made[name] = rng.standard_normal(shape).astype(types[name])
            else:
                made[name] = np.zeros(shape, types[name])
        return made


def weight(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def whole(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def f32(*shape: int | str) -> tuple[str, Sequence[int | str]]:
    return "f32", shape


def si64(*shape: int | str) -> tuple[str, Sequence[int | str]]:
    return "si64", shape


def one(
    kind: str,
    inputs: Declared,
    outputs: Mapping[str, str],
    weights: Mapping[str, np.ndarray] | None = None,
    order: Sequence[str] | None = None,
    opset: int = 17,
    **attributes: object,
) -> onnx.ModelProto:
    """A model of one node that is called `the_node`."""
    names = list(order or [*inputs, *(weights or {})])
    made = node(kind, names, list(outputs), "the_node", **attributes)
    return model([made], inputs, outputs, weights, opset)
