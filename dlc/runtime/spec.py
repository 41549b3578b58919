"""What a model takes and gives: names, element types and shapes."""

from __future__ import annotations

import importlib

import numpy as np

from dlc.errors import UserError
from dlc.record import record

NUMPY_TYPES = frozenset((
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
))
EXTENSION_TYPES = frozenset((
    "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
    "float4_e2m1fn", "int2", "int4", "uint2", "uint4",
))


@record
class TensorSpec:
    """One input or output; a dimension that is not fixed is a symbol or an expression of symbols, as text."""

    name: str
    dtype: np.dtype
    shape: tuple[int | str, ...]

    @property
    def shape_text(self) -> str:
        """The shape for messages: (batch, 3, 224, 224)."""
        return shape_text(self.shape)


def shape_text(shape: tuple[int | str, ...]) -> str:
    """A shape as users write it, symbols without quotes."""
    inner = ", ".join(str(dim) for dim in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def dtype_of(name: str) -> np.dtype:
    """The NumPy type of a type name in an artefact."""
    if name in NUMPY_TYPES:
        return np.dtype(name)
    if name not in EXTENSION_TYPES:
        raise UserError(f"the model uses tensors of type {name!r}, which this runtime cannot pass")
    try:
        # By name, because models without these types shall load without the package, and quickly with it.
        extension: np.dtype = np.dtype(getattr(importlib.import_module("ml_dtypes"), name))
    except (ImportError, AttributeError) as error:
        hint = "install a current version of the package ml_dtypes"
        raise UserError(f"the model uses tensors of type {name!r}", hint=hint) from error
    return extension
