"""ONNX files to records.

The messages are those of `messages.py`, or protobuf's own where a model or a function comes from the onnx package: the
reader uses what both have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from dlc.errors import UserError
from dlc.frontends.external import ExternalFiles, map_file
from dlc.frontends.later import typed_contents
from dlc.frontends.messages import Message
from dlc.frontends.records import (
    ELEMENTS,
    AttributeValue,
    DeclaredDim,
    FunctionRecord,
    GraphRecord,
    ModelRecord,
    NodeRecord,
    Reference,
    TensorRecord,
    TypeRecord,
    ValueRecord,
)
from dlc.frontends.sparse import dense_contents
from dlc.frontends.wire import Malformed
from dlc.ir.types import STRING, Array, ScalarType

if TYPE_CHECKING:
    from onnx import (
        AttributeProto,
        FunctionProto,
        GraphProto,
        ModelProto,
        NodeProto,
        SparseTensorProto,
        TensorProto,
        TensorShapeProto,
        TypeProto,
    )

TYPE_NAMES = (  # by ONNX's numbers
    "UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16", "DOUBLE",
    "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2",
    "FLOAT8E5M2FNUZ", "UINT4", "INT4", "FLOAT4E2M1", "FLOAT8E8M0", "UINT2", "INT2", "FLOAT6E2M3", "FLOAT6E3M2",
)  # fmt: skip
EXTERNAL = 1  # TensorProto.DataLocation

Source: TypeAlias = "str | Path | bytes | bytearray | memoryview | ModelProto"


def read_model(source: Source) -> ModelRecord:
    """The records of a model file, of its bytes, or of a model that the onnx package holds. Raises UserError."""
    if isinstance(source, str | Path):
        path = Path(source)
        return _read(_map_model(path), f"the file {path}", path)
    if isinstance(source, bytes | bytearray | memoryview):
        return _read(memoryview(source).cast("B"), f"what was given ({len(memoryview(source))} bytes)", None)
    return Reader(ExternalFiles(None)).model(source)


def _map_model(path: Path) -> memoryview:
    try:
        if path.is_dir():
            raise UserError(f"the model {path} is a folder, expected a file")
        return map_file(path)
    except (OSError, ValueError) as error:  # ValueError: a zero in the path
        raise UserError(f"the model file {path} cannot be read: {getattr(error, 'strerror', error)}") from error


def _read(data: memoryview, what: str, path: Path | None) -> ModelRecord:
    try:
        proto = cast("ModelProto", Message("ModelProto", data, 0, len(data)))  # has what is used of one
    except Malformed as error:
        raise UserError(f"{what} is no ONNX model, or is cut short: {error}") from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise UserError(f"{what} is no ONNX model: it has no {'opset' if proto.HasField('graph') else 'graph'}")
    return Reader(ExternalFiles(path)).model(proto)


def type_name(code: int) -> str:
    return TYPE_NAMES[code] if 0 <= code < len(TYPE_NAMES) else f"number {code}"


class Reader:
    """Converts the messages of one model."""

    def __init__(self, files: ExternalFiles) -> None:
        self.files = files

    def model(self, proto: ModelProto) -> ModelRecord:
        return ModelRecord(
            proto.graph.name or "model",
            proto.ir_version,
            {_domain(entry.domain): entry.version for entry in proto.opset_import},
            self.graph(proto.graph),
            tuple(map(self.function, proto.functions)),
            " ".join(filter(None, (proto.producer_name, proto.producer_version))),
            {entry.key: entry.value for entry in proto.metadata_props},
            files=self.files.paths(),  # last: the tensors have been read by now
        )

    def graph(self, proto: GraphProto) -> GraphRecord:
        return GraphRecord(
            proto.name,
            tuple(ValueRecord(each.name, _type(each.type)) for each in proto.input),
            tuple(ValueRecord(each.name, _type(each.type)) for each in proto.output),
            tuple(map(self.node, proto.node)),
            (*map(self.tensor, proto.initializer), *map(self.sparse_tensor, proto.sparse_initializer)),
            {each.name: _type(each.type) for each in proto.value_info},
        )

    def node(self, proto: NodeProto) -> NodeRecord:
        return NodeRecord(
            proto.op_type, _domain(proto.domain), proto.name, tuple(proto.input), tuple(proto.output),
            {each.name: self.attribute(each) for each in proto.attribute}, proto.overload,
        )  # fmt: skip

    def function(self, proto: FunctionProto) -> FunctionRecord:
        return FunctionRecord(
            _domain(proto.domain), proto.name, tuple(proto.input), tuple(proto.output),
            tuple(map(self.node, proto.node)), {_domain(each.domain): each.version for each in proto.opset_import},
            tuple(proto.attribute), {each.name: self.attribute(each) for each in proto.attribute_proto}, proto.overload,
        )  # fmt: skip

    def attribute(self, proto: AttributeProto) -> AttributeValue:
        if proto.ref_attr_name:
            return Reference(proto.ref_attr_name)
        convert = _ATTRIBUTES.get(proto.type)
        if convert is None:
            raise UserError(f"attribute '{proto.name}' has a type that dlc does not know: {proto.type}")
        return convert(self, proto)

    def tensor(self, proto: TensorProto) -> TensorRecord:
        name, shape = proto.name, tuple(proto.dims)
        element = ELEMENTS.get(proto.data_type)
        load: Callable[[], Array] = cache(lambda: _loaded(proto))
        if element is not None and element != STRING:
            raw = self._contents(proto, prod(shape) * element.bytes)
            if raw is not None:
                array = _view(name, raw, shape, element)
                load = lambda: array  # noqa: E731
        return TensorRecord(name, shape, element, type_name(proto.data_type), load)

    def sparse_tensor(self, proto: SparseTensorProto) -> TensorRecord:
        """A sparse tensor as the dense one that it stands for; its name is that of its values."""
        values, indices, shape = self.tensor(proto.values), self.tensor(proto.indices), tuple(proto.dims)
        return replace(values, shape=shape, load=cache(partial(dense_contents, values, indices, shape)))

    def _contents(self, proto: TensorProto, wanted: int) -> memoryview | bytes | None:
        if proto.data_location == EXTERNAL:
            return self.files.view(proto.name, {each.key: each.value for each in proto.external_data}, wanted)
        return proto.raw_data if proto.HasField("raw_data") else None


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _view(name: str, raw: memoryview | bytes, shape: tuple[int, ...], element: ScalarType) -> Array:
    wanted = prod(shape) * element.bytes
    if len(raw) != wanted:
        raise UserError(f"tensor '{name}' of {element} and shape {shape} needs {wanted} bytes, got {len(raw)}")
    array = np.frombuffer(raw, element.dtype).reshape(shape)
    array.flags.writeable = False
    return array


def _loaded(proto: TensorProto) -> Array:
    try:
        array: Any = typed_contents(proto)  # of objects where it holds text
    except (ValueError, TypeError) as error:
        raise UserError(f"the contents of tensor '{proto.name}' do not fit its type and shape: {error}") from error
    if array.dtype == object:
        array = np.array([_text(each) for each in array.reshape(-1)], object).reshape(array.shape)
    array.flags.writeable = False
    loaded: Array = array
    return loaded


def _text(value: bytes | memoryview | str) -> str:
    return value if isinstance(value, str) else str(value, "utf-8", "surrogateescape")


def _shortest(value: float) -> float:
    """A float32 attribute as the decimal number that was meant: 0.01, not 0.009999999776482582."""
    return float(str(np.float32(value)))


# By ONNX's AttributeProto.AttributeType.
_ATTRIBUTES: dict[int, Callable[[Reader, AttributeProto], AttributeValue]] = {
    1: lambda reader, proto: _shortest(proto.f),
    2: lambda reader, proto: proto.i,
    3: lambda reader, proto: _text(proto.s),
    4: lambda reader, proto: reader.tensor(proto.t),
    5: lambda reader, proto: reader.graph(proto.g),
    6: lambda reader, proto: tuple(map(_shortest, proto.floats)),
    7: lambda reader, proto: tuple(proto.ints),
    8: lambda reader, proto: tuple(map(_text, proto.strings)),
    9: lambda reader, proto: tuple(map(reader.tensor, proto.tensors)),
    10: lambda reader, proto: tuple(reader.graph(each) for each in proto.graphs),
    13: lambda reader, proto: _type(proto.tp),
    11: lambda reader, proto: reader.sparse_tensor(proto.sparse_tensor),
}


def _type(proto: TypeProto) -> TypeRecord:
    kind = proto.WhichOneof("value")
    match kind:
        case "tensor_type":
            tensor = proto.tensor_type
            shape = tuple(map(_dim, tensor.shape.dim)) if tensor.HasField("shape") else None
            return TypeRecord("tensor", ELEMENTS.get(tensor.elem_type), type_name(tensor.elem_type), shape)
        case "sequence_type":
            return TypeRecord("sequence", member=_type(proto.sequence_type.elem_type))
        case "optional_type":
            return TypeRecord("optional", member=_type(proto.optional_type.elem_type))
        case None:
            return TypeRecord("none")
    return TypeRecord(kind.removesuffix("_type").removesuffix("_tensor"))


def _dim(proto: TensorShapeProto.Dimension) -> DeclaredDim:
    match proto.WhichOneof("value"):
        case "dim_value":
            return proto.dim_value if proto.dim_value >= 0 else None
        case "dim_param":
            return proto.dim_param or None
    return None
