"""Tiny ONNX models for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dlc.frontends.records import ELEMENTS
from dlc.ir.types import scalar_of

Array = NDArray[np.generic]
CODES = {element: code for code, element in ELEMENTS.items()}


def code_of(array: Array) -> int:
    return CODES[scalar_of(array.dtype)]


@dataclass(frozen=True)
class Case:
    """One operator on given inputs. Inputs named in `constants` are initializers; None is an absent input."""

    op: str
    inputs: Mapping[str, Array | None]
    attributes: Mapping[str, object] = field(default_factory=dict)
    opsets: tuple[int, ...] = (21,)
    constants: tuple[str, ...] = ()
    outputs: int = 1
    kind: str = "op"  # the tolerance
    note: str = ""
    domain: str = ""
    drop_outputs: tuple[int, ...] = ()  # optional outputs in the middle that are not asked for

    @property
    def name(self) -> str:
        return f"{self.op}-{self.note}" if self.note else self.op

    def model(self, opset: int) -> onnx.ModelProto:
        names = [name if array is not None else "" for name, array in self.inputs.items()]
        outputs = ["" if n in self.drop_outputs else f"out{n}" for n in range(self.outputs)]
        node = helper.make_node(self.op, names, outputs, "the_node", domain=self.domain, **self.attributes)
        feeds = {name: array for name, array in self.inputs.items() if array is not None}
        return model_of([node], feeds, [name for name in outputs if name], opset, self.constants, self.domain)

    def feeds(self) -> dict[str, Array]:
        return {n: a for n, a in self.inputs.items() if a is not None and n not in self.constants}


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Array],
    outputs: Sequence[str],
    opset: int = 21,
    constants: Sequence[str] = (),
    domain: str = "",
) -> onnx.ModelProto:
    """A model of `nodes`; the types of its outputs are left open."""
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(n, code_of(a), a.shape) for n, a in inputs.items() if n not in constants],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [
            numpy_helper.from_array(np.ascontiguousarray(inputs[name]).reshape(inputs[name].shape), name)
            for name in constants
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10 if opset < 24 else 11)


def symbolic_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[int | str, ...]],
    outputs: Sequence[str],
    opset: int = 17,
    weights: Mapping[str, Array] | None = None,
) -> onnx.ModelProto:
    """A float32 model whose inputs have symbolic dimensions."""
    graph = helper.make_graph(
        list(nodes),
        "symbolic",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
