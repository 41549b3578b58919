"""Arithmetic ops to LLVM instructions: tables, and a few short expansions."""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.half import is_half, narrow, through_f32, to_odd, widen
from dlc.codegen.emit.rounding import rounded
from dlc.codegen.emit.scope import Writer
from dlc.codegen.emit.types import intrinsic_suffix, number, splat, value_type
from dlc.errors import InternalError
from dlc.ir.core import Op
from dlc.ir.dialects import arith
from dlc.ir.dialects.arith import same_shape
from dlc.ir.types import BOOL, F32, F64, SI32, Type, scalar_type

# op -> (float, signed, unsigned) instruction
BINARY: dict[type[Op], tuple[str, str, str]] = {
    arith.Add: ("fadd", "add", "add"),
    arith.Sub: ("fsub", "sub", "sub"),
    arith.Mul: ("fmul", "mul", "mul"),
    arith.Div: ("fdiv", "sdiv", "udiv"),
    arith.Rem: ("frem", "srem", "urem"),
    arith.And: ("", "and", "and"),
    arith.Or: ("", "or", "or"),
    arith.Xor: ("", "xor", "xor"),
}
PREDICATES = {
    "eq": ("oeq", "eq", "eq"), "ne": ("une", "ne", "ne"), "lt": ("olt", "slt", "ult"),
    "le": ("ole", "sle", "ule"), "gt": ("ogt", "sgt", "ugt"), "ge": ("oge", "sge", "uge"),
}  # fmt: skip
FLOAT_INTRINSICS: dict[type[Op], str] = {
    arith.Sqrt: "sqrt", arith.Floor: "floor", arith.Ceil: "ceil", arith.Trunc: "trunc", arith.Round: "roundeven",
}  # fmt: skip
SATURATING_INSTRUCTIONS = frozenset({"neon"})  # features with which float to integer conversions saturate


def _choice(kind: Type) -> int:
    element = scalar_type(kind)
    return 0 if element.is_float else 1 if element.is_signed else 2


def emit_constant(op: Op, w: Writer) -> str:
    kind = op.result.type
    return splat(number(op.attrs["value"], scalar_type(kind)), kind)


def emit_index(op: arith.Index, w: Writer) -> str:
    return w.integer(w.canonical(op.expr, op.indices))


def emit_binary(op: Op, w: Writer) -> str:
    kind = op.operands[0].type
    left, right = map(w.use, op.operands)
    element = scalar_type(kind)
    if isinstance(op, arith.Div | arith.Rem):
        if not element.is_float:
            return _integer_division(op, w, left, right)
        if isinstance(op, arith.Rem):
            return _float_remainder(w, kind, left, right)
    return w.assign(f"{BINARY[type(op)][_choice(kind)]} {value_type(kind)} {left}, {right}")


def _integer_division(op: Op, w: Writer, left: str, right: str) -> str:
    """LLVM leaves x / 0 and least / -1 undefined and x86 traps on them, so the divisor becomes 1 there.

    ``x / -1`` is ``-x``, which wraps; ``x / 0`` and its remainder are 0.
    """
    kind = op.operands[0].type
    name, signed = value_type(kind), scalar_type(kind).is_signed
    word = BINARY[type(op)][_choice(kind)]
    known = op.operands[1].defined_by(arith.Constant)
    if known is not None and known.value not in (0, -1):
        return w.assign(f"{word} {name} {left}, {right}")
    flags, one = value_type(same_shape(kind, BOOL)), splat("1", kind)
    if not signed:
        divisor = w.call(kind, f"llvm.umax.{intrinsic_suffix(kind)}", [(kind, right), (kind, one)])
        found = w.assign(f"{word} {name} {left}, {divisor}")
        if isinstance(op, arith.Rem):
            return found
        missing = w.assign(f"icmp eq {name} {right}, {splat('0', kind)}")
        return w.assign(f"select {flags} {missing}, {name} {right}, {name} {found}")
    following = w.assign(f"add {name} {right}, {one}")
    special = w.assign(f"icmp ult {name} {following}, {splat('2', kind)}")
    divisor = w.assign(f"select {flags} {special}, {name} {one}, {name} {right}")
    found = w.assign(f"{word} {name} {left}, {divisor}")
    if isinstance(op, arith.Rem):
        return found
    negated = w.assign(f"sub {name} {splat('0', kind)}, {left}")
    masked = w.assign(f"and {name} {negated}, {right}")  # all bits of -1, none of 0
    return w.assign(f"select {flags} {special}, {name} {masked}, {name} {found}")


def _float_remainder(w: Writer, kind: Type, left: str, right: str) -> str:
    """``x - y * trunc(x / y)`` loses bits for large quotients; LLVM's frem would call libm's fmod, which is not linked.

    The exact remainder is computed by the kernel library (`fmod` there); this is only the last step's form.
    """
    name = value_type(kind)
    quotient = w.assign(f"fdiv {name} {left}, {right}")
    whole = rounded(w, "trunc", quotient, kind)
    negated = w.assign(f"fneg {name} {whole}")
    return w.call(kind, f"llvm.fmuladd.{intrinsic_suffix(kind)}", [(kind, negated), (kind, right), (kind, left)])


def emit_extreme(op: Op, w: Writer) -> str:
    """Minimum and maximum."""
    kind = op.operands[0].type
    left, right = map(w.use, op.operands)
    word = "min" if isinstance(op, arith.Min) else "max"
    if scalar_type(kind).is_float:
        return _float_extreme(w, word, kind, left, right)
    sign = "s" if scalar_type(kind).is_signed else "u"
    return w.call(kind, f"llvm.{sign}{word}.{intrinsic_suffix(kind)}", [(kind, left), (kind, right)])


def _float_extreme(w: Writer, word: str, kind: Type, left: str, right: str) -> str:
    """NaN wins and the sign of zero is free (``nsz``): one instruction if an operand is a number."""
    name = f"llvm.{word}imum.{intrinsic_suffix(kind)}"
    return w.call(kind, name, [(kind, left), (kind, right)], flags="nsz ")


def emit_shift(op: Op, w: Writer) -> str:
    """LLVM leaves shifts by the width or more undefined; ours shift everything out."""
    kind = op.operands[0].type
    left, right = map(w.use, op.operands)
    name, element = value_type(kind), scalar_type(kind)
    arithmetic = isinstance(op, arith.Shr) and element.is_signed
    flags = value_type(same_shape(kind, BOOL))
    last = splat(str(element.bits - 1), kind)
    fits = w.assign(f"icmp ule {name} {right}, {last}")
    amount = w.assign(f"select {flags} {fits}, {name} {right}, {name} {last}")
    shift = "shl" if isinstance(op, arith.Shl) else "ashr" if arithmetic else "lshr"
    shifted = w.assign(f"{shift} {name} {left}, {amount}")
    if arithmetic:
        return shifted
    return w.assign(f"select {flags} {fits}, {name} {shifted}, {name} {splat('0', kind)}")


def emit_fma(op: Op, w: Writer) -> str:
    """fmuladd: fused where the target fuses, two instructions elsewhere (plain fma would call libm)."""
    kind = op.result.type
    if not scalar_type(kind).is_float:
        product = w.assign(f"mul {value_type(kind)} {w.use(op.operands[0])}, {w.use(op.operands[1])}")
        return w.assign(f"add {value_type(kind)} {product}, {w.use(op.operands[2])}")
    return w.call(kind, f"llvm.fmuladd.{intrinsic_suffix(kind)}", [(kind, w.use(v)) for v in op.operands])


def emit_intrinsic(op: Op, w: Writer) -> str:
    kind = op.result.type
    if not scalar_type(kind).is_float:
        raise InternalError(f"{op.name} of {kind}", op=op)
    word, operand = FLOAT_INTRINSICS[type(op)], w.use(op.operands[0])
    if word != "sqrt":
        return rounded(w, word, operand, kind)
    return w.call(kind, f"llvm.sqrt.{intrinsic_suffix(kind)}", [(kind, operand)])


def emit_neg(op: Op, w: Writer) -> str:
    kind = op.result.type
    if scalar_type(kind).is_float:
        return w.assign(f"fneg {value_type(kind)} {w.use(op.operands[0])}")
    return w.assign(f"sub {value_type(kind)} {splat('0', kind)}, {w.use(op.operands[0])}")


def emit_abs(op: Op, w: Writer) -> str:
    kind = op.result.type
    operand = w.use(op.operands[0])
    if scalar_type(kind).is_float:
        return w.call(kind, f"llvm.fabs.{intrinsic_suffix(kind)}", [(kind, operand)])
    if not scalar_type(kind).is_signed:
        return operand
    return w.call(kind, f"llvm.abs.{intrinsic_suffix(kind)}", [(kind, operand), ("i1", "false")])


def emit_compare(op: arith.Compare, w: Writer) -> str:
    kind = op.x.type
    word = "fcmp" if scalar_type(kind).is_float else "icmp"
    predicate = PREDICATES[op.predicate][_choice(kind)]
    return w.assign(f"{word} {predicate} {value_type(kind)} {w.use(op.x)}, {w.use(op.y)}")


def emit_select(op: arith.Select, w: Writer) -> str:
    name = value_type(op.x.type)
    return w.assign(
        f"select {value_type(op.condition.type)} {w.use(op.condition)}, {name} {w.use(op.x)}, {name} {w.use(op.y)}"
    )


def emit_bitcast(op: arith.Bitcast, w: Writer) -> str:
    source, target = value_type(op.x.type), value_type(op.result.type)
    return w.use(op.x) if source == target else w.assign(f"bitcast {source} {w.use(op.x)} to {target}")


def emit_cast(op: arith.Cast, w: Writer) -> str:
    source, target = op.x.type, op.result.type
    return convert(w, w.use(op.x), source, target)


def convert(w: Writer, operand: str, source: Type, target: Type) -> str:
    """`operand` of type `source` as type `target` (same number of lanes)."""
    a, b = scalar_type(source), scalar_type(target)
    if value_type(source) == value_type(target) and a.is_float == b.is_float:
        return operand
    if b.name == "bool" and not is_half(source):
        word, zero = ("fcmp une", number(0, a)) if a.is_float else ("icmp ne", "0")
        return w.assign(f"{word} {value_type(source)} {operand}, {splat(zero, source)}")
    if is_half(source):
        return convert(w, widen(w, operand, source), same_shape(source, F32), target)
    if is_half(target):
        return narrow(w, (to_odd if a == F64 else convert)(w, operand, source, same_shape(source, F32)), target)
    if a.is_float and b.is_float:
        word = "fpext" if a.bits < b.bits else "fptrunc"
        return w.assign(f"{word} {value_type(source)} {operand} to {value_type(target)}")
    if a.is_float:
        return _float_to_integer(w, operand, source, target)
    unsigned = a.name == "bool" or not a.is_signed
    if b.is_float:
        return w.assign(f"{'u' if unsigned else 's'}itofp {value_type(source)} {operand} to {value_type(target)}")
    width = 1 if a.name == "bool" else a.bits
    if width > b.bits:
        return w.assign(f"trunc {value_type(source)} {operand} to {value_type(target)}")
    return w.assign(f"{'z' if unsigned else 's'}ext {value_type(source)} {operand} to {value_type(target)}")


def _float_to_integer(w: Writer, operand: str, source: Type, target: Type) -> str:
    """Towards zero, saturating, NaN to 0: AArch64's instruction. LLVM takes it apart lane by lane for x86, so there the
    operand is held in the range and converted plainly; 2^31 and its like are above it but not the number before."""
    kind, signed = scalar_type(target), scalar_type(target).is_signed
    if SATURATING_INSTRUCTIONS & w.features:
        name = f"llvm.fpto{'s' if signed else 'u'}i.sat.{intrinsic_suffix(target)}.{intrinsic_suffix(source)}"
        return w.call(target, name, [(source, operand)])
    name, flags, element = value_type(source), value_type(same_shape(source, BOOL)), scalar_type(source)
    exact = kind.bits < 32  # converted as a 32-bit number, and both bounds are floats
    step = same_shape(target, SI32) if exact else target
    top = (1 << (kind.bits - signed)) - 1
    floor = splat(number(-top - 1 if signed else 0, element), source)
    known = w.assign(f"fcmp ord {name} {operand}, {operand}")
    held = _float_extreme(w, "max", source, operand, floor)
    if exact:
        held = _float_extreme(w, "min", source, held, splat(number(top, element), source))
    wide = value_type(step)
    whole = w.assign(f"fpto{'s' if exact or signed else 'u'}i {name} {held} to {wide}")
    if not exact:
        inside = w.assign(f"fcmp olt {name} {held}, {splat(number(top + 1, element), source)}")
        whole = w.assign(f"select {flags} {inside}, {wide} {whole}, {wide} {splat(str(top), step)}")
    mended = w.assign(f"select {flags} {known}, {wide} {whole}, {wide} {splat('0', step)}")
    return mended if not exact else w.assign(f"trunc {wide} {mended} to {value_type(target)}")


EMITTERS: dict[type[Op], Callable[..., str]] = {
    arith.Constant: emit_constant,
    arith.Index: emit_index,
    arith.Min: through_f32(emit_extreme),
    arith.Max: through_f32(emit_extreme),
    arith.Shl: emit_shift,
    arith.Shr: emit_shift,
    arith.Fma: through_f32(emit_fma),
    arith.Neg: through_f32(emit_neg),
    arith.Abs: through_f32(emit_abs),
    arith.Compare: through_f32(emit_compare),
    arith.Select: emit_select,
    arith.Cast: emit_cast,
    arith.Bitcast: emit_bitcast,
    **dict.fromkeys(BINARY, through_f32(emit_binary)),
    **dict.fromkeys(FLOAT_INTRINSICS, through_f32(emit_intrinsic)),
}
