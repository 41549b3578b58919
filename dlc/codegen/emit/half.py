"""Half precision: f16 and bf16 are ways to store a number; arithmetic goes through f32.

Where the target has no instruction LLVM would call compiler-rt, which we do not link. Conversions are then written with
integers, such that they hold with denormals flushed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dlc.codegen.emit.scope import Writer
from dlc.codegen.emit.types import intrinsic_suffix, splat, value_type
from dlc.ir.core import Op, Value
from dlc.ir.dialects.arith import same_shape
from dlc.ir.types import BOOL, F32, SI32, UI16, Type, scalar_type

OpT = TypeVar("OpT", bound=Op)

F16_INSTRUCTIONS = frozenset({"f16c", "fp-armv8"})
BF16_INSTRUCTIONS = frozenset({"avx512bf16", "bf16"})


def is_half(kind: Type) -> bool:
    return scalar_type(kind).name in ("f16", "bf16")


def widen(w: Writer, text: str, kind: Type) -> str:
    """A half as f32: exact."""
    wide = same_shape(kind, F32)
    if scalar_type(kind).name == "f16" and F16_INSTRUCTIONS & w.features:
        return w.assign(f"fpext {value_type(kind)} {text} to {value_type(wide)}")
    number = same_shape(kind, SI32)
    name = value_type(number)
    stored = w.assign(f"bitcast {value_type(kind)} {text} to {value_type(same_shape(kind, UI16))}")
    bits = w.assign(f"zext {value_type(same_shape(kind, UI16))} {stored} to {name}")
    if scalar_type(kind).name == "bf16":
        shifted = w.assign(f"shl {name} {bits}, {splat('16', number)}")
        return w.assign(f"bitcast {name} {shifted} to {value_type(wide)}")
    return _widened_f16(w, bits, number, wide)


def _widened_f16(w: Writer, bits: str, number: Type, wide: Type) -> str:
    """Shift the fields into place and mend the exponent: of normal numbers, of infinities and NaN, of denormals."""
    name, floats, flags = value_type(number), value_type(wide), value_type(same_shape(wide, BOOL))

    def constant(value: int) -> str:
        return splat(str(value), number)

    size = w.assign(f"and {name} {bits}, {constant(0x7FFF)}")
    sign = w.assign(f"shl {name} {w.assign(f'and {name} {bits}, {constant(0x8000)}')}, {constant(16)}")
    moved = w.assign(f"add {name} {w.assign(f'shl {name} {size}, {constant(13)}')}, {constant(112 << 23)}")
    special = w.assign(f"icmp uge {name} {size}, {constant(0x7C00)}")
    larger = w.assign(f"add {name} {moved}, {constant(112 << 23)}")
    regular = w.assign(f"select {flags} {special}, {name} {larger}, {name} {moved}")
    counted = w.assign(f"uitofp {name} {size} to {floats}")
    small = w.assign(f"fmul {floats} {counted}, {splat('0x3E70000000000000', wide)}")  # 2**-24
    denormal = w.assign(f"icmp ult {name} {size}, {constant(0x400)}")
    chosen = w.assign(
        f"select {flags} {denormal}, {name} {w.assign(f'bitcast {floats} {small} to {name}')}, {name} {regular}"
    )
    return w.assign(f"bitcast {name} {w.assign(f'or {name} {chosen}, {sign}')} to {floats}")


def narrow(w: Writer, text: str, kind: Type) -> str:
    """An f32 as the half `kind`, rounded to nearest even."""
    wide = same_shape(kind, F32)
    instructions = F16_INSTRUCTIONS if scalar_type(kind).name == "f16" else BF16_INSTRUCTIONS
    if instructions & w.features:
        made = value_type(kind) if scalar_type(kind).name == "f16" else value_type(kind).replace("i16", "bfloat")
        short = w.assign(f"fptrunc {value_type(wide)} {text} to {made}")
        return w.assign(f"bitcast {made} {short} to {value_type(kind)}")
    number = same_shape(kind, SI32)
    bits = w.assign(f"bitcast {value_type(wide)} {text} to {value_type(number)}")
    found = (_narrowed_f16 if scalar_type(kind).name == "f16" else _narrowed_bf16)(w, bits, number, wide)
    stored = w.assign(f"trunc {value_type(number)} {found} to {value_type(same_shape(kind, UI16))}")
    return w.assign(f"bitcast {value_type(same_shape(kind, UI16))} {stored} to {value_type(kind)}")


def to_odd(w: Writer, text: str, source: Type, wide: Type) -> str:
    """An f64 as f32, cut; what is not exact ends in a one, so that rounding it again rounds the f64 itself."""
    number, name, floats = same_shape(wide, SI32), value_type(wide), value_type(source)
    bits_name, flags = value_type(number), value_type(same_shape(wide, BOOL))
    near = w.assign(f"fptrunc {floats} {text} to {name}")
    back = w.assign(f"fpext {name} {near} to {floats}")
    bits = w.assign(f"bitcast {name} {near} to {bits_name}")
    size, found = (w.call(source, f"llvm.fabs.{intrinsic_suffix(source)}", [(source, v)]) for v in (text, back))
    above = w.assign(f"fcmp ogt {floats} {found}, {size}")
    less = w.assign(f"sext {flags} {above} to {bits_name}")
    cut = w.assign(f"add {bits_name} {bits}, {less}")
    differs = w.assign(f"fcmp one {floats} {back}, {text}")
    last = w.assign(f"zext {flags} {differs} to {bits_name}")
    return w.assign(f"bitcast {bits_name} {w.assign(f'or {bits_name} {cut}, {last}')} to {name}")


def _rounded(w: Writer, bits: str, number: Type, dropped: int) -> str:
    """`bits` without the lowest `dropped`, rounded to nearest even."""
    name = value_type(number)
    shift = splat(str(dropped), number)
    odd = w.assign(f"and {name} {w.assign(f'lshr {name} {bits}, {shift}')}, {splat('1', number)}")
    almost = w.assign(f"add {name} {bits}, {splat(str((1 << (dropped - 1)) - 1), number)}")
    return w.assign(f"lshr {name} {w.assign(f'add {name} {almost}, {odd}')}, {shift}")


def _narrowed_bf16(w: Writer, bits: str, number: Type, wide: Type) -> str:
    name, flags = value_type(number), value_type(same_shape(wide, BOOL))
    rounded = _rounded(w, bits, number, 16)
    size = w.assign(f"and {name} {bits}, {splat(str(0x7FFFFFFF), number)}")
    nan = w.assign(f"icmp ugt {name} {size}, {splat(str(0x7F800000), number)}")
    quiet = w.assign(
        f"or {name} {w.assign(f'lshr {name} {bits}, {splat(str(16), number)}')}, {splat(str(0x40), number)}"
    )
    return w.assign(f"select {flags} {nan}, {name} {quiet}, {name} {rounded}")


def _narrowed_f16(w: Writer, bits: str, number: Type, wide: Type) -> str:
    """Normal numbers are rounded as integers; for denormals the addition of 0.5 rounds to their step of 2**-24."""
    name, floats, flags = value_type(number), value_type(wide), value_type(same_shape(wide, BOOL))

    def constant(value: int) -> str:
        return splat(str(value), number)

    size = w.assign(f"and {name} {bits}, {constant(0x7FFFFFFF)}")
    sign = w.assign(f"and {name} {w.assign(f'lshr {name} {bits}, {constant(16)}')}, {constant(0x8000)}")
    normal = _rounded(w, w.assign(f"sub {name} {size}, {constant(112 << 23)}"), number, 13)
    plain = w.assign(f"bitcast {name} {size} to {floats}")
    added = w.assign(f"fadd {floats} {plain}, {splat('0x3FE0000000000000', wide)}")  # 0.5
    denormal = w.assign(f"sub {name} {w.assign(f'bitcast {floats} {added} to {name}')}, {constant(0x3F000000)}")
    is_small = w.assign(f"icmp ult {name} {size}, {constant(0x38800000)}")
    finite = w.assign(f"select {flags} {is_small}, {name} {denormal}, {name} {normal}")
    is_large = w.assign(f"icmp uge {name} {size}, {constant(0x47800000)}")
    is_nan = w.assign(f"icmp ugt {name} {size}, {constant(0x7F800000)}")
    special = w.assign(f"select {flags} {is_nan}, {name} {constant(0x7E00)}, {name} {constant(0x7C00)}")
    chosen = w.assign(f"select {flags} {is_large}, {name} {special}, {name} {finite}")
    return w.assign(f"or {name} {chosen}, {sign}")


def through_f32(emit: Callable[[OpT, Writer], str]) -> Callable[[OpT, Writer], str]:
    """An emitter that computes on halves as f32."""

    def emit_wide(op: OpT, w: Writer) -> str:
        if not any(is_half(value.type) for value in op.operands):
            return emit(op, w)
        operands = []
        for number, value in enumerate(op.operands):
            wide = Value(same_shape(value.type, F32), op, number) if is_half(value.type) else value
            if wide is not value:
                w.define(wide, widen(w, w.use(value), value.type))
            operands.append(wide)
        types = [same_shape(v.type, F32) if is_half(v.type) else v.type for v in op.results]
        twin = type(op).unchecked(operands, op.attrs, types, loc=op.loc)
        found = emit(twin, w)
        twin.drop_operands()
        return narrow(w, found, op.result.type) if is_half(op.result.type) else found

    return emit_wide
