"""Floats as text that reads back bit by bit."""

from __future__ import annotations

import math
import struct


def float_text(value: float) -> str:
    """The shortest text that reads back the same; the bits of what is not finite (8 digits: f32, 16: f64)."""
    if math.isfinite(value):
        return float.__repr__(value)
    bits = int.from_bytes(struct.pack(">d", value), "big")
    if bits & (1 << 29) - 1:
        return f"0x{bits:016x}"
    return f"0x{bits >> 63 << 31 | 0x7F800000 | bits >> 29 & 0x7FFFFF:08x}"


def float_from_bits(text: str) -> float:
    """The inverse of `float_text` for what starts with 0x. Raises ValueError unless 8 or 16 digits follow."""
    if len(text) not in (10, 18):
        raise ValueError(f"{text} must have 8 digits (f32) or 16 (f64)")
    bits = int(text, 16)
    if len(text) == 18:
        return _double(bits)
    if bits & 0x7F800000 == 0x7F800000:  # by hand: a conversion would quiet a signalling NaN
        return _double(bits >> 31 << 63 | 0x7FF << 52 | (bits & 0x7FFFFF) << 29)
    single: float = struct.unpack(">f", bits.to_bytes(4, "big"))[0]
    return single


def _double(bits: int) -> float:
    value: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    return value
