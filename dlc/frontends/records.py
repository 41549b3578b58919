"""What an ONNX file says, as plain frozen records: no protobuf object leaves the reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TypeAlias

from dlc.ir.types import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    SI8,
    SI16,
    SI32,
    SI64,
    STRING,
    UI8,
    UI16,
    UI32,
    UI64,
    Array,
    ScalarType,
)
from dlc.record import record

DeclaredDim: TypeAlias = "int | str | None"  # a size, the name of a dimension, or nothing at all

ELEMENTS: dict[int, ScalarType] = {  # by ONNX's numbers; the types that dlc does not have are absent
    1: F32, 2: UI8, 3: SI8, 4: UI16, 5: SI16, 6: SI32, 7: SI64, 8: STRING, 9: BOOL, 10: F16, 11: F64, 12: UI32,
    13: UI64, 16: BF16,
}  # fmt: skip


@record
class TensorRecord:
    """A tensor with its contents. `element` is None for a type that dlc does not have; `type_name` says which."""

    name: str
    shape: tuple[int, ...]
    element: ScalarType | None
    type_name: str
    load: Callable[[], Array] = field(compare=False)  # a read-only view of the file where that is possible


@record
class TypeRecord:
    """A declared type. `kind`: tensor, sequence, optional, map, sparse or none; `shape` None: the rank is unknown."""

    kind: str
    element: ScalarType | None = None
    type_name: str = ""
    shape: tuple[DeclaredDim, ...] | None = None
    member: TypeRecord | None = None


@record
class ValueRecord:
    """A declared input, output or intermediate value."""

    name: str
    type: TypeRecord


@record
class Reference:
    """An attribute in the body of a function that takes its value from the call."""

    name: str


AttributeValue: TypeAlias = (
    "int | float | str | TensorRecord | GraphRecord | TypeRecord | Reference | tuple[int, ...] | tuple[float, ...]"
    " | tuple[str, ...] | tuple[TensorRecord, ...] | tuple[GraphRecord, ...] | tuple[TypeRecord, ...] | None"
)


@record
class NodeRecord:
    """One operator of the model."""

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue]
    overload: str = ""

    @property
    def label(self) -> str:
        """The name a user knows the node by; a nameless node is called after its first result."""
        return self.name or f"{self.op_type} -> {next((name for name in self.outputs if name), '?')}"

    @property
    def full_type(self) -> str:
        return f"{self.domain}.{self.op_type}" if self.domain else self.op_type


@record
class GraphRecord:
    """A graph: the model's own, or the body of a control-flow operator."""

    name: str
    inputs: tuple[ValueRecord, ...]
    outputs: tuple[ValueRecord, ...]
    nodes: tuple[NodeRecord, ...]
    initializers: tuple[TensorRecord, ...]
    values: Mapping[str, TypeRecord]  # declared types of intermediate values


@record
class FunctionRecord:
    """A function of the model, or the body that the ONNX standard gives for an operator."""

    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[NodeRecord, ...]
    opsets: Mapping[str, int]
    attributes: tuple[str, ...] = ()
    defaults: Mapping[str, AttributeValue] = field(default_factory=dict)
    overload: str = ""


@record
class ModelRecord:
    """A whole model file."""

    name: str
    ir_version: int
    opsets: Mapping[str, int]
    graph: GraphRecord
    functions: tuple[FunctionRecord, ...]
    producer: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # external data that tensors were read from
