"""What the ONNX standard says of its operators: the newest version, and the bodies that define some by others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import onnx
from onnx import FunctionProto, TypeProto, defs, helper, numpy_helper

from dlc.frontends.external import ExternalFiles
from dlc.frontends.reader import Reader
from dlc.frontends.records import ELEMENTS, AttributeValue, FunctionRecord, NodeRecord, TensorRecord
from dlc.ir.types import TensorType, Type

NEWEST_OPSET = defs.onnx_opset_version()
CODES = {scalar: code for code, scalar in ELEMENTS.items()}


def standard_function(node: NodeRecord, version: int, types: Sequence[Type | None]) -> FunctionRecord | None:
    """The body of a standard operator in terms of others; None if it has none, or none for these inputs."""
    schema = _schema(node.op_type, node.domain, version)
    if schema is None:
        return None
    proto = FunctionProto()
    if schema.has_context_dependent_function:
        known = [TypeProto() if each is None else _type_proto(each) for each in types]
        message = _node_proto(node)
        if message is None:
            return None
        body = schema.get_context_dependent_function(
            message.SerializeToString(), [each.SerializeToString() for each in known]
        )
        proto.ParseFromString(body)
    elif schema.has_function:
        proto = schema.function_body
    else:
        return None
    record = Reader(ExternalFiles(None)).function(proto)
    return None if not record.nodes else _with_defaults(record, schema)


def has_standard_function(node: NodeRecord, version: int) -> bool:
    schema = _schema(node.op_type, node.domain, version)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def _with_defaults(record: FunctionRecord, schema: Any) -> FunctionRecord:
    reader = Reader(ExternalFiles(None))
    defaults: dict[str, AttributeValue] = {
        name: reader.attribute(attribute.default_value)
        for name, attribute in schema.attributes.items()
        if attribute.default_value.name
    }
    return FunctionRecord(
        record.domain, record.name, tuple(each.name for each in schema.inputs) if not record.inputs else record.inputs,
        record.outputs, record.nodes, record.opsets or {"": schema.since_version}, record.attributes, defaults,
    )  # fmt: skip


@cache
def _schema(op_type: str, domain: str, version: int) -> Any:  # an OpSchema, whose stub lacks what is used here
    if not defs.has(op_type, min(version, NEWEST_OPSET) if not domain else version, domain):
        return None
    return defs.get_schema(op_type, min(version, NEWEST_OPSET) if not domain else version, domain)


def _type_proto(value_type: Type) -> TypeProto:
    if not isinstance(value_type, TensorType):
        return TypeProto()
    shape = [dim if isinstance(dim, int) else str(dim) for dim in value_type.shape]
    return helper.make_tensor_type_proto(CODES[value_type.scalar], shape)


def _node_proto(node: NodeRecord) -> onnx.NodeProto | None:
    """The message of a record; None where an attribute is a graph or a type: then the operator counts as unknown."""
    attributes: dict[str, Any] = {}
    for name, value in node.attributes.items():
        if isinstance(value, TensorRecord):
            attributes[name] = numpy_helper.from_array(value.load(), value.name)
        elif isinstance(value, int | float | str | tuple):
            attributes[name] = value
        elif value is not None:
            return None
    return helper.make_node(node.op_type, node.inputs, node.outputs, node.name, domain=node.domain, **attributes)
