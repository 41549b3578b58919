"""floor, ceil, trunc and roundeven: instructions, but for x86-64 without SSE4.1, where LLVM would call libm."""

from __future__ import annotations

from dlc.codegen.emit.scope import Writer
from dlc.codegen.emit.types import intrinsic_suffix, number, splat, value_type
from dlc.ir.dialects.arith import same_shape
from dlc.ir.types import BOOL, Type, scalar_type

WHOLE = {"f32": 2.0**23, "f64": 2.0**52}  # from here on all floats are integers


INSTRUCTIONS = frozenset({"sse4.1", "fp-armv8"})


def rounded(w: Writer, word: str, operand: str, kind: Type) -> str:
    """`operand` as an integral float; `word` is LLVM's name for how."""
    if INSTRUCTIONS & w.features:
        return w.call(kind, f"llvm.{word}.{intrinsic_suffix(kind)}", [(kind, operand)])
    return _by_addition(w, word, operand, kind)


def _by_addition(w: Writer, word: str, operand: str, kind: Type) -> str:
    """``(|x| + 2**23) - 2**23`` is |x| rounded to nearest even; what is too large is cut by one, and the sign put back.

    Numbers from 2**23 on, infinities and NaN stay (2**52 for f64).
    """
    element, name, flags = scalar_type(kind), value_type(kind), value_type(same_shape(kind, BOOL))
    border, one = (splat(number(value, element), kind) for value in (WHOLE[element.name], 1.0))
    suffix = intrinsic_suffix(kind)
    size = w.call(kind, f"llvm.fabs.{suffix}", [(kind, operand)])
    near = w.assign(f"fsub {name} {w.assign(f'fadd {name} {size}, {border}')}, {border}")
    if word != "roundeven":
        above = w.assign(f"fcmp ogt {name} {near}, {size}")
        near = w.assign(f"select {flags} {above}, {name} {w.assign(f'fsub {name} {near}, {one}')}, {name} {near}")
    whole = w.call(kind, f"llvm.copysign.{suffix}", [(kind, near), (kind, operand)])
    if word in ("floor", "ceil"):
        compare, step = ("ogt", "fsub") if word == "floor" else ("olt", "fadd")
        beyond = w.assign(f"fcmp {compare} {name} {whole}, {operand}")
        whole = w.assign(f"select {flags} {beyond}, {name} {w.assign(f'{step} {name} {whole}, {one}')}, {name} {whole}")
    fraction = w.assign(f"fcmp olt {name} {size}, {border}")
    return w.assign(f"select {flags} {fraction}, {name} {whole}, {name} {operand}")
