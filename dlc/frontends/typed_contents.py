"""Tensors whose numbers stand in protobuf fields of their types instead of raw bytes: read by the onnx package."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from dlc.frontends.messages import Message
from dlc.ir.types import Array


def typed_contents(proto: TensorProto | Message) -> Array:
    """Raises ValueError or TypeError where the contents do not fit the type and shape."""
    message = TensorProto.FromString(proto.serialized()) if isinstance(proto, Message) else proto
    found: Any = numpy_helper.to_array(message)  # a scalar, or an array of bytes for strings
    return np.array(found) if not isinstance(found, np.ndarray) else found
