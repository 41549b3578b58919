"""Reductions over lanes, and the contraction in groups with its row of instructions per instruction set."""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.arith import convert
from dlc.codegen.emit.scope import Writer
from dlc.codegen.emit.types import intrinsic_suffix, splat, value_type
from dlc.ir.core import Op
from dlc.ir.dialects import vec
from dlc.ir.types import SI16, Type, VectorType, scalar_type
from dlc.record import record


@record
class Row:
    """An instruction that serves a vector op for given types, where the target has `needs`."""

    result: str
    operands: tuple[str, ...]
    intrinsic: str
    needs: frozenset[str]


# vec.dot(acc, x, y); newest first. vpdpbusd takes x unsigned and y signed; AArch64's dot products have one sign each.
DOT_ROWS = (
    Row("16xsi32", ("64xui8", "64xsi8"), "llvm.x86.avx512.vpdpbusd.512", frozenset({"avx512vnni"})),
    Row("8xsi32", ("32xui8", "32xsi8"), "llvm.x86.avx512.vpdpbusd.256", frozenset({"avx512vnni", "avx512vl"})),
    Row("8xsi32", ("32xui8", "32xsi8"), "llvm.x86.avx512.vpdpbusd.256", frozenset({"avxvnni"})),
    Row("4xsi32", ("16xsi8", "16xsi8"), "llvm.aarch64.neon.sdot.v4i32.v16i8", frozenset({"dotprod"})),
    Row("4xsi32", ("16xui8", "16xui8"), "llvm.aarch64.neon.udot.v4i32.v16i8", frozenset({"dotprod"})),
    Row("4xsi32", ("16xui8", "16xsi8"), "llvm.aarch64.neon.usdot.v4i32.v16i8", frozenset({"i8mm"})),
)


def emit_dot(op: vec.Dot, w: Writer) -> str:
    kinds = (_lanes(op.x.type), _lanes(op.y.type))
    for row in DOT_ROWS:
        if row.result == _lanes(op.acc.type) and row.operands == kinds and row.needs <= w.features:
            return w.call(op.acc.type, row.intrinsic, [(v.type, w.use(v)) for v in (op.acc, op.x, op.y)])
    pairs = _pair_row(op, w)
    return _expanded_dot(op, w) if pairs is None else _dot_in_pairs(op, w, pairs)


def _lanes(kind: Type) -> str:
    """A vector type as the tables name it: vector<8xsi32> as 8xsi32."""
    return str(kind).removeprefix("vector<").removesuffix(">")


# sums of two products of 16-bit numbers; widest first
PAIR_ROWS = (
    Row("16xsi32", (), "llvm.x86.avx512.pmaddw.d.512", frozenset({"avx512bw"})),
    Row("8xsi32", (), "llvm.x86.avx2.pmadd.wd", frozenset({"avx2"})),
    Row("4xsi32", (), "llvm.x86.sse2.pmadd.wd", frozenset({"sse2"})),
)


def _pair_row(op: vec.Dot, w: Writer) -> Row | None:
    """The instruction for a contraction of bytes in groups of four by pairs, where the target has it."""
    acc, x = op.acc.type, op.x.type
    if not isinstance(acc, VectorType) or not isinstance(x, VectorType) or x.lanes != 4 * acc.lanes:
        return None
    if any(scalar_type(v.type).name not in ("si8", "ui8") for v in (op.x, op.y)):
        return None
    return next((row for row in PAIR_ROWS if row.result == _lanes(acc) and row.needs <= w.features), None)


def _dot_in_pairs(op: vec.Dot, w: Writer, row: Row) -> str:
    """Members 0 and 2 of each group, then 1 and 3, widened in place to 16 bits: nothing moves between lanes."""
    acc_type = op.acc.type
    if not isinstance(acc_type, VectorType):
        raise TypeError("vec.dot takes vectors")
    half = VectorType(acc_type.lanes * 2, SI16)
    x, y = (_halves(w, w.use(v), v.type, half) for v in (op.x, op.y))
    total = w.use(op.acc)
    for left, right in zip(x, y, strict=True):
        sums = w.call(acc_type, row.intrinsic, [(half, left), (half, right)])
        total = w.assign(f"add {value_type(acc_type)} {total}, {sums}")
    return total


def _halves(w: Writer, text: str, kind: Type, half: VectorType) -> tuple[str, str]:
    """The bytes at even and at odd places as 16-bit numbers."""
    name, eight = value_type(half), splat("8", half)
    pairs = w.assign(f"bitcast {value_type(kind)} {text} to {name}")
    if not scalar_type(kind).is_signed:
        return w.assign(f"and {name} {pairs}, {splat('255', half)}"), w.assign(f"lshr {name} {pairs}, {eight}")
    raised = w.assign(f"shl {name} {pairs}, {eight}")
    return w.assign(f"ashr {name} {raised}, {eight}"), w.assign(f"ashr {name} {pairs}, {eight}")


def _expanded_dot(op: vec.Dot, w: Writer) -> str:
    """Widen both operands to the accumulator's type, multiply and add the groups' members one after another."""
    acc_type, x_type = op.acc.type, op.x.type
    if not isinstance(acc_type, VectorType) or not isinstance(x_type, VectorType):
        raise TypeError("vec.dot takes vectors")
    group = x_type.lanes // acc_type.lanes
    total = w.use(op.acc)
    for member in range(group):
        x = _widened(w, w.use(op.x), op.x.type, acc_type, member, group)
        y = _widened(w, w.use(op.y), op.y.type, acc_type, member, group)
        if acc_type.element.is_float:
            name = f"llvm.fmuladd.{intrinsic_suffix(acc_type)}"
            total = w.call(acc_type, name, [(acc_type, x), (acc_type, y), (acc_type, total)])
        else:
            product = w.assign(f"mul {value_type(acc_type)} {x}, {y}")
            total = w.assign(f"add {value_type(acc_type)} {total}, {product}")
    return total


def _widened(w: Writer, text: str, kind: Type, wide: VectorType, member: int, group: int) -> str:
    """Every `group`-th lane of a vector from lane `member` on, in the wide type."""
    name = value_type(kind)
    order = ", ".join(f"i32 {lane * group + member}" for lane in range(wide.lanes))
    picked = w.assign(f"shufflevector {name} {text}, {name} poison, <{wide.lanes} x i32> <{order}>")
    narrow = VectorType(wide.lanes, scalar_type(kind))
    return convert(w, picked, narrow, wide)


def emit_reduce(op: vec.Reduce, w: Writer) -> str:
    """Halve the vector until one lane is left: a fixed tree, so the result does not depend on the target."""
    kind = op.x.type
    if not isinstance(kind, VectorType):
        raise TypeError("vec.reduce takes a vector")
    text, lanes, element = w.use(op.x), kind.lanes, kind.element
    while lanes > 1:
        name, half = f"<{lanes} x {value_type(element)}>", lanes // 2
        low = _slice(w, name, text, 0, half)
        high = _slice(w, name, text, half, half)
        rest = _slice(w, name, text, 2 * half, 1) if lanes % 2 else ""
        text = _combine(w, op.kind, VectorType(half, element), low, high)
        if rest:  # an odd lane joins the first
            text = _combine_first(w, op.kind, VectorType(half, element), text, rest)
        lanes = half
    return w.assign(f"extractelement <1 x {value_type(element)}> {text}, i64 0")


def _slice(w: Writer, name: str, text: str, start: int, count: int) -> str:
    order = ", ".join(f"i32 {start + lane}" for lane in range(count))
    return w.assign(f"shufflevector {name} {text}, {name} poison, <{count} x i32> <{order}>")


def _combine_first(w: Writer, how: str, kind: VectorType, text: str, rest: str) -> str:
    element = value_type(kind.element)
    one = VectorType(1, kind.element)
    first = _slice(w, value_type(kind), text, 0, 1)
    merged = _combine(w, how, one, first, rest)
    part = w.assign(f"extractelement <1 x {element}> {merged}, i64 0")
    return w.assign(f"insertelement {value_type(kind)} {text}, {element} {part}, i64 0")


def _combine(w: Writer, how: str, kind: VectorType, left: str, right: str) -> str:
    element, name = kind.element, value_type(kind)
    if how in ("add", "mul"):
        return w.assign(f"{'f' if element.is_float else ''}{how} {name} {left}, {right}")
    if how in ("and", "or"):
        return w.assign(f"{how} {name} {left}, {right}")
    if element.is_float:  # llvm.minimum and maximum propagate NaN; expand as arith.min does
        better = w.assign(f"fcmp {'olt' if how == 'min' else 'ogt'} {name} {left}, {right}")
        flags = f"<{kind.lanes} x i1>"
        chosen = w.assign(f"select {flags} {better}, {name} {left}, {name} {right}")
        nan = w.assign(f"fcmp uno {name} {left}, {left}")
        return w.assign(f"select {flags} {nan}, {name} {left}, {name} {chosen}")
    sign = "s" if element.is_signed else "u"
    return w.call(kind, f"llvm.{sign}{how}.{intrinsic_suffix(kind)}", [(kind, left), (kind, right)])


EMITTERS: dict[type[Op], Callable[..., str]] = {vec.Dot: emit_dot, vec.Reduce: emit_reduce}
