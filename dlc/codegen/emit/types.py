"""LLVM's names for our types and for numbers."""

from __future__ import annotations

import struct

import numpy as np

from dlc.ir.types import ScalarType, Type, VectorType

# A bf16 is moved about as its bits: where a target does not compute on bfloat, LLVM takes vectors of it apart by way of
# float, and calls compiler-rt for the way back.
_SCALARS = {
    "f64": "double", "f32": "float", "f16": "half", "bf16": "i16", "bool": "i1", "index": "i64",
    "si8": "i8", "si16": "i16", "si32": "i32", "si64": "i64", "ui8": "i8", "ui16": "i16", "ui32": "i32", "ui64": "i64",
}  # fmt: skip


def value_type(kind: Type) -> str:
    """The type of a value in a register."""
    if isinstance(kind, VectorType):
        return f"<{kind.lanes} x {_SCALARS[kind.element.name]}>"
    if isinstance(kind, ScalarType):
        return _SCALARS[kind.name]
    return "ptr"


def memory_type(kind: Type) -> str:
    """The type of a value in memory: a bool takes a byte."""
    return value_type(kind).replace("i1", "i8") if value_type(kind).endswith(("i1", "i1>")) else value_type(kind)


def intrinsic_suffix(kind: Type) -> str:
    """The type as LLVM mangles it into the name of an intrinsic: ``f32``, ``v16f32``, ``v4i64``."""
    if isinstance(kind, VectorType):
        return f"v{kind.lanes}{intrinsic_suffix(kind.element)}"
    if not isinstance(kind, ScalarType):
        raise TypeError(f"{kind} has no place in an intrinsic")
    return kind.name if kind.is_float else _SCALARS[kind.name]


def number(value: object, kind: ScalarType) -> str:
    """A constant in LLVM's spelling."""
    if kind.name == "bool":
        return "true" if value else "false"
    if not kind.is_float:
        return str(int(value))  # type: ignore[call-overload]  # a number, as below
    if kind.name == "f16":
        return f"0xH{int(np.float16(value).view(np.uint16)):04X}"  # type: ignore[arg-type]
    if kind.name == "bf16":
        bits = int(np.float32(value).view(np.uint32))  # type: ignore[arg-type]
        return str((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF)
    wide = float(np.float32(value)) if kind.name == "f32" else float(value)  # type: ignore[arg-type]
    return f"0x{struct.unpack('<Q', struct.pack('<d', wide))[0]:016X}"


def splat(text: str, kind: Type) -> str:
    """A scalar constant as a constant of `kind`."""
    return f"splat ({_SCALARS[kind.element.name]} {text})" if isinstance(kind, VectorType) else text
