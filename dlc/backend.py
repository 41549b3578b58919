"""dlc behind ONNX's own backend interface, for programs that are written against `onnx.backend.base.Backend`.

    import dlc.backend as backend

    backend.prepare(model).run([x])          # compile once, run often
    backend.run_model(model, [x])
    backend.run_node(node, [x])

The functions of this module are those of `DlcBackend`, as other engines offer them. Options of `dlc.compile` are
keyword arguments of all three. ONNX's own tests drive it: ``onnx.backend.test.BackendTest(dlc.backend, __name__)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, defs, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from dlc.driver import compile as compile_model
from dlc.errors import UserError
from dlc.frontends.load import check
from dlc.ir.types import Array
from dlc.runtime import CompiledModel

Source: TypeAlias = "ModelProto | str | Path | bytes"
Inputs: TypeAlias = "Mapping[str, object] | Sequence[object] | Array"
OutputsInfo: TypeAlias = "Sequence[tuple[np.dtype[Any], tuple[int, ...]]]"


class DlcBackendRep(BackendRep):
    """A compiled model as ONNX's interface wants it; `module` is the `dlc.CompiledModel`."""

    def __init__(self, module: CompiledModel) -> None:
        self.module = module
        self._outputs = namedtupledict("Outputs", [spec.name for spec in module.outputs])

    def run(self, inputs: Inputs, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs in the model's order, as a tuple that also takes their names: ``run([x])["y"]``.

        `inputs` are in the model's order, or by name; a single one may come as the array that it is. Raises UserError.
        """
        if kwargs:
            raise UserError(f"run takes the inputs and nothing else, got {next(iter(kwargs))!r}")
        if isinstance(inputs, Mapping):
            found = tuple(self.module.run(inputs).values())
        else:
            result = self.module(*(inputs if isinstance(inputs, list | tuple) else (inputs,)))
            found = result if isinstance(result, tuple) else (result,)
        return self._outputs(*found)


class DlcBackend(Backend):
    """ONNX's backend interface over `dlc.compile`."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether `device`, as in ``"CPU"`` or ``"CPU:0"``, is one that dlc compiles for."""
        kind, _, number = device.partition(":")
        return kind == "CPU" and number in ("", "0")

    @classmethod
    def is_compatible(cls, model: Source, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether dlc takes the device and every operator of the model; why not, `dlc check` says."""
        try:
            return cls.supports_device(device) and check(model, input_shapes=kwargs.get("input_shapes")).supported
        except UserError:
            return False

    @classmethod
    def prepare(cls, model: Source, device: str = "CPU", **kwargs: Any) -> DlcBackendRep:
        """Compile a model (a ModelProto, its path or its bytes); `kwargs` are options of `dlc.compile`.

        Raises UserError for a device other than the CPU, a broken model or a wrong option, and UnsupportedOps.
        """
        if not cls.supports_device(device):
            raise UserError(f"dlc compiles for the device CPU, got {device!r}")
        return DlcBackendRep(compile_model(model, **kwargs))

    @classmethod
    def run_model(cls, model: Source, inputs: Inputs, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Compile a model and run it once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Inputs,
        device: str = "CPU",
        outputs_info: OutputsInfo | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Compile and run a model of one node.

        `inputs` are one for each input that the node names, in order or by name; ``opset_version`` is that of the
        node's domain (default: the newest). `outputs_info` is not needed: types and shapes follow from the inputs.
        """
        opset = kwargs.pop("opset_version", None)
        return cls.run_model(node_model(node, inputs, opset), inputs_of(node, inputs), device, **kwargs)


def node_model(node: NodeProto, inputs: Inputs, opset: int | None = None) -> ModelProto:
    """A model of one node with inputs of the types and shapes of the arrays. Raises UserError."""
    feeds = inputs_of(node, inputs)
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    declared = [declaration(name, value) for name, value in feeds.items()]
    version = opset or defs.onnx_opset_version()
    if node.domain not in ("", "ai.onnx"):
        version = opset or max((each.since_version for each in defs.get_all_schemas_with_history()
                                if each.domain == node.domain), default=1)  # fmt: skip
    graph = helper.make_graph([node], node.name or node.op_type, declared, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, version)])


def declaration(name: str, value: object) -> ValueInfoProto:
    array = np.asarray(value)
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def inputs_of(node: NodeProto, inputs: Inputs) -> dict[str, object]:
    """The values by the names that the node gives its inputs. Raises UserError where their number is another one."""
    names = list(dict.fromkeys(name for name in node.input if name))
    if isinstance(inputs, Mapping):
        values: Mapping[str, object] = inputs
    else:
        given: Sequence[object] = inputs if isinstance(inputs, list | tuple) else (cast("object", inputs),)
        if len(given) == len(node.input):  # one per operand, those that are absent too
            values = {name: value for name, value in zip(node.input, given, strict=True) if name}
        elif len(given) == len(names):
            values = dict(zip(names, given, strict=True))
        else:
            expected = ", ".join(repr(name) for name in names) or "none"
            raise UserError(f"{node.op_type} takes {len(names)} inputs ({expected}), got {len(given)}")
    if missing := [name for name in names if name not in values]:
        raise UserError(f"{node.op_type} has an input {missing[0]!r}, for which no value is given")
    return {name: values[name] for name in names}


is_compatible = DlcBackend.is_compatible
prepare = DlcBackend.prepare
run_model = DlcBackend.run_model
run_node = DlcBackend.run_node
supports_device = DlcBackend.supports_device
