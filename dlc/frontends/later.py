"""What few models need, imported when it is: the onnx package takes longer to import than a small model to compile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlc.frontends.records import FunctionRecord, NodeRecord
from dlc.ir.types import Array, Type

if TYPE_CHECKING:
    from onnx import TensorProto

    from dlc.frontends.messages import Message


def typed_contents(proto: TensorProto | Message) -> Array:
    from dlc.frontends import typed_contents as home

    return home.typed_contents(proto)


def newest_opset() -> int:
    from dlc.frontends import schemas

    return schemas.NEWEST_OPSET


def standard_function(node: NodeRecord, version: int, types: Sequence[Type | None]) -> FunctionRecord | None:
    from dlc.frontends import schemas

    return schemas.standard_function(node, version, types)


def has_standard_function(node: NodeRecord, version: int) -> bool:
    from dlc.frontends import schemas

    return schemas.has_standard_function(node, version)
