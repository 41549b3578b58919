"""Loads and stores to LLVM instructions."""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.arith import convert
from dlc.codegen.emit.scope import Writer
from dlc.codegen.emit.types import intrinsic_suffix, memory_type, number, splat, value_type
from dlc.ir.core import Op, Value
from dlc.ir.dialects import buf, vec
from dlc.ir.dialects.arith import same_shape
from dlc.ir.dialects.buf import buffer_type
from dlc.ir.expr import Expr, as_expr, combination, split_multiples
from dlc.ir.expr_atoms import Compound
from dlc.ir.types import BOOL, UI8, UI16, ScalarType, Type, VectorType, scalar_type


def linear_offset(buffer: Value, at: tuple[Expr, ...]) -> Expr:
    """The index of an element in a row-major buffer."""
    return recombined(combination(at, buffer_type(buffer).strides()))


def recombined(expr: Expr) -> Expr:
    """Undo ``e // n * (n * c) + e % n * c`` to ``e * c``: a fused loop over axes that lie one after the other."""
    single = {m[0]: f for m, f in expr.terms if len(m) == 1 and isinstance(m[0], Compound)}
    for quotient, factor in single.items():
        if quotient.kind != "//" or not quotient.right.is_const:
            continue
        n = quotient.right.value
        rest = Compound("%", quotient.left, quotient.right)
        inner = single.get(rest)
        candidates = [rest] if inner is not None else _remainders(single, quotient.left, n)
        for remainder in candidates:
            c = single[remainder]
            if factor == n * c:
                kept = Expr(tuple((m, f) for m, f in expr.terms if m not in ((quotient,), (remainder,))))
                return recombined(kept + quotient.left * c)
    return expr


def _remainders(single: dict[Compound, int], left: Expr, n: int) -> list[Compound]:
    """Remainders by n of what differs from `left` by a multiple of n (normal forms drop such multiples)."""
    whole = split_multiples(left, n)[1]
    return [a for a in single if a.kind == "%" and a.right == n and split_multiples(a.left, n)[1] == whole]


def pointer(w: Writer, buffer: Value, at: tuple[Expr, ...], indices: list[Value]) -> str:
    offset = w.canonical(linear_offset(buffer, at), indices)
    return w.address(w.use(buffer), w.depths[buffer], memory_type(buffer_type(buffer).element), offset)


def emit_prefetch(op: vec.Prefetch, w: Writer) -> None:
    """Into the second level: what is asked for is a whole panel, more than the first level holds."""
    w.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    w.line(f"call void @llvm.prefetch.p0(ptr {pointer(w, op.buffer, op.at, op.indices)}, i32 0, i32 2, i32 1)")


def lane_stride(buffer: Value, step: tuple[int, ...]) -> Expr:
    """Elements between the places of neighbouring lanes."""
    if not step:
        return as_expr(1)
    return linear_offset(buffer, tuple(map(as_expr, step)))


def stored_type(kind: Type) -> Type:
    """The type in which values of `kind` lie in memory: a bool as a byte, a half by its bits.

    LLVM would widen masked accesses of bfloat to float and call compiler-rt for the way back.
    """
    match scalar_type(kind).name:
        case "bool":
            return same_shape(kind, UI8)
        case "f16" | "bf16":
            return same_shape(kind, UI16)
    return kind


def from_memory(w: Writer, text: str, kind: Type) -> str:
    stored = stored_type(kind)
    if stored == kind:
        return text
    if scalar_type(kind) == BOOL:
        return convert(w, text, stored, kind)
    return w.assign(f"bitcast {value_type(stored)} {text} to {value_type(kind)}")


def to_memory(w: Writer, text: str, kind: Type) -> str:
    stored = stored_type(kind)
    if stored == kind:
        return text
    if scalar_type(kind) == BOOL:
        return convert(w, text, kind, stored)
    return w.assign(f"bitcast {value_type(kind)} {text} to {value_type(stored)}")


def _load(w: Writer, address: str, kind: Type) -> str:
    if isinstance(kind, VectorType) and kind.element.is_integer and kind.lanes * kind.element.bits == 32:
        # as one number: a vector so short would be widened and put together again
        whole = w.assign(f"load i32, ptr {address}, align {kind.element.bytes}")
        return w.assign(f"bitcast i32 {whole} to {value_type(kind)}")
    loaded = w.assign(f"load {value_type(stored_type(kind))}, ptr {address}, align {scalar_type(kind).bytes}")
    return from_memory(w, loaded, kind)


def emit_load(op: buf.Load, w: Writer) -> str:
    return _load(w, pointer(w, op.buffer, op.at, op.indices), op.result.type)


def emit_store(op: buf.Store, w: Writer) -> None:
    kind = op.value.type
    text = to_memory(w, w.use(op.value), kind)
    address = pointer(w, op.buffer, op.at, op.indices)
    w.line(f"store {value_type(stored_type(kind))} {text}, ptr {address}, align {scalar_type(kind).bytes}")


def mask(w: Writer, valid: Expr | None, indices: list[Value], lanes: int) -> str:
    """A vector of bools that is true in the first `valid` lanes (None: in all)."""
    expr = w.canonical(as_expr(lanes if valid is None else valid), indices)
    if expr.is_const:
        return f"<{', '.join('i1 true' if lane < expr.value else 'i1 false' for lane in range(lanes))}>"
    count = w.integer(expr)
    # 32-bit lanes: a compare of 64-bit ones would need two registers
    short = w.assign(f"trunc i64 {count} to i32")
    low = w.call(ScalarType("si32"), "llvm.smin.i32", [("i32", short), ("i32", str(lanes))])
    first = w.assign(f"insertelement <{lanes} x i32> poison, i32 {low}, i64 0")
    wide = w.assign(f"shufflevector <{lanes} x i32> {first}, <{lanes} x i32> poison, <{lanes} x i32> zeroinitializer")
    numbers = f"<{', '.join(f'i32 {lane}' for lane in range(lanes))}>"
    return w.assign(f"icmp slt <{lanes} x i32> {numbers}, {wide}")


def emit_vector_load(op: vec.Load, w: Writer) -> str:
    kind = op.result.type
    stride = lane_stride(op.buffer, op.step)
    if stride == 1 and op.valid is None:
        return _load(w, pointer(w, op.buffer, op.at, op.indices), kind)
    stored = stored_type(kind)
    if stride == 1:
        bits = mask(w, op.valid, op.indices, op.lanes)
        address = pointer(w, op.buffer, op.at, op.indices)
        name = f"llvm.masked.load.{intrinsic_suffix(stored)}.p0"
        align, vector = scalar_type(kind).bytes, value_type(stored)
        w.declare(f"{vector} @{name}(ptr, <{op.lanes} x i1>, {vector})")
        others = f"{vector} {splat(number(0, scalar_type(stored)), stored)}"
        arguments = f"ptr align {align} {address}, <{op.lanes} x i1> {bits}, {others}"
        return from_memory(w, w.assign(f"call {vector} @{name}({arguments})"), kind)
    return _strided_load(op, w, stride, stored)


def _strided_load(op: vec.Load, w: Writer, stride: Expr, stored: Type) -> str:
    base = w.canonical(linear_offset(op.buffer, op.at), op.indices)
    element = memory_type(scalar_type(stored))
    step = w.canonical(stride, [])
    if op.valid is not None:
        offsets = _vector_of(w, [w.integer(base + step * lane) for lane in range(op.lanes)], "i64")
        bits = mask(w, op.valid, op.indices, op.lanes)
        return from_memory(w, _gather(w, op.buffer, offsets, stored, bits), op.result.type)
    parts = []
    for lane in range(op.lanes):
        address = w.address(w.use(op.buffer), w.depths[op.buffer], element, base + step * lane)
        parts.append(w.assign(f"load {element}, ptr {address}, align {scalar_type(stored).bytes}"))
    return from_memory(w, _vector_of(w, parts, element), op.result.type)


def _vector_of(w: Writer, parts: list[str], element: str) -> str:
    kind = f"<{len(parts)} x {element}>"
    total = "poison"
    for lane, part in enumerate(parts):
        total = w.assign(f"insertelement {kind} {total}, {element} {part}, i64 {lane}")
    return total


def _gather(w: Writer, buffer: Value, offsets: str, stored: Type, bits: str) -> str:
    lanes = stored.lanes if isinstance(stored, VectorType) else 1
    element = memory_type(scalar_type(stored))
    places = w.assign(f"getelementptr {element}, ptr {w.use(buffer)}, <{lanes} x i64> {offsets}")
    name = f"llvm.masked.gather.{intrinsic_suffix(stored)}.v{lanes}p0"
    align, vector = scalar_type(stored).bytes, value_type(stored)
    w.declare(f"{vector} @{name}(<{lanes} x ptr>, <{lanes} x i1>, {vector})")
    arguments = f"<{lanes} x ptr> align {align} {places}, <{lanes} x i1> {bits}, {vector} zeroinitializer"
    return w.assign(f"call {vector} @{name}({arguments})")


def lanes_of(w: Writer, expr: Expr, indices: list[Value], lanes: int, step: int = 0) -> str:
    """A vector of i64 with ``expr + lane * step`` for each lane; index operands that are vectors differ by lane."""
    varying = [n for n, value in enumerate(indices) if isinstance(value.type, VectorType)]
    parts = []
    for lane in range(lanes):
        values: dict[str, Expr | int] = {}
        for n in varying:
            vector = indices[n]
            name = w.assign(f"extractelement {value_type(vector.type)} {w.use(vector)}, i64 {lane}")
            w.symbols[name] = (name, w.depth)
            values[f"d{n}"] = Expr((((name,), 1),))
        rest = list(indices)
        lane_expr = expr.substitute({k: as_expr(f"\0{k}") for k in values})
        lane_expr = w.canonical(lane_expr, [v if n not in varying else rest[n] for n, v in enumerate(indices)])
        parts.append(w.integer(lane_expr.substitute({f"\0{k}": v for k, v in values.items()}) + lane * step))
    return _vector_of(w, parts, "i64")


def emit_gather(op: vec.Gather, w: Writer) -> str:
    kind = op.result.type
    stored = stored_type(kind)
    offsets = lanes_of(w, linear_offset(op.buffer, op.at), op.indices, op.lanes)
    uniform = [v for v in op.indices if not isinstance(v.type, VectorType)]
    bits = splat("true", same_shape(kind, BOOL))
    if op.valid is not None:
        bits = mask(w, op.valid, uniform if len(uniform) == len(op.indices) else op.indices, op.lanes)
    return from_memory(w, _gather(w, op.buffer, offsets, stored, bits), kind)


def emit_lanes(op: vec.Lanes, w: Writer) -> str:
    if any(isinstance(v.type, VectorType) for v in op.indices):
        return lanes_of(w, op.expr, op.indices, op.lanes, op.step)
    first = w.integer(w.canonical(op.expr, op.indices))
    kind = f"<{op.lanes} x i64>"
    numbers = f"<{', '.join(f'i64 {lane * op.step}' for lane in range(op.lanes))}>"
    if first == "0":
        return w.assign(f"add {kind} zeroinitializer, {numbers}")
    return w.assign(f"add {kind} {_splat(w, first, 'i64', op.lanes)}, {numbers}")


def _splat(w: Writer, text: str, element: str, lanes: int) -> str:
    kind = f"<{lanes} x {element}>"
    first = w.assign(f"insertelement {kind} poison, {element} {text}, i64 0")
    return w.assign(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")


def emit_broadcast(op: vec.Broadcast, w: Writer) -> str:
    kind = op.x.type
    if isinstance(kind, ScalarType):
        return _splat(w, w.use(op.x), value_type(kind), op.lanes)
    if not isinstance(kind, VectorType):
        raise TypeError(f"cannot broadcast a {kind}")
    name = value_type(kind)
    bits = kind.lanes * kind.element.bits
    if bits in (16, 32, 64) and kind.element != BOOL and op.lanes % kind.lanes == 0:  # one number, to broadcast at once
        whole = w.assign(f"bitcast {name} {w.use(op.x)} to i{bits}")
        count = op.lanes // kind.lanes
        repeated = _splat(w, whole, f"i{bits}", count)
        return w.assign(f"bitcast <{count} x i{bits}> {repeated} to {value_type(op.result.type)}")
    order = ", ".join(f"i32 {lane % kind.lanes}" for lane in range(op.lanes))
    return w.assign(f"shufflevector {name} {w.use(op.x)}, {name} poison, <{op.lanes} x i32> <{order}>")


def emit_extract(op: vec.Extract, w: Writer) -> str:
    return w.assign(f"extractelement {value_type(op.x.type)} {w.use(op.x)}, i64 {op.lane}")


def emit_vector_store(op: vec.Store, w: Writer) -> None:
    kind = op.value.type
    stride = lane_stride(op.buffer, op.step)
    text = to_memory(w, w.use(op.value), kind)
    stored = stored_type(kind)
    lanes, align = (kind.lanes if isinstance(kind, VectorType) else 1), scalar_type(kind).bytes
    if stride == 1:
        address = pointer(w, op.buffer, op.at, op.indices)
        if op.valid is None:
            w.line(f"store {value_type(stored)} {text}, ptr {address}, align {align}")
            return
        bits = mask(w, op.valid, op.indices, lanes)
        name = f"llvm.masked.store.{intrinsic_suffix(stored)}.p0"
        w.declare(f"void @{name}({value_type(stored)}, ptr, <{lanes} x i1>)")
        w.line(f"call void @{name}({value_type(stored)} {text}, ptr align {align} {address}, <{lanes} x i1> {bits})")
        return
    _strided_store(op, w, stride, text, stored)


def _strided_store(op: vec.Store, w: Writer, stride: Expr, text: str, stored: Type) -> None:
    base = w.canonical(linear_offset(op.buffer, op.at), op.indices)
    element, lanes = memory_type(scalar_type(stored)), (stored.lanes if isinstance(stored, VectorType) else 1)
    align, step = scalar_type(stored).bytes, w.canonical(stride, [])
    if op.valid is None:
        for lane in range(lanes):
            part = w.assign(f"extractelement {value_type(stored)} {text}, i64 {lane}")
            address = w.address(w.use(op.buffer), w.depths[op.buffer], element, base + step * lane)
            w.line(f"store {element} {part}, ptr {address}, align {align}")
        return
    offsets = _vector_of(w, [w.integer(base + step * lane) for lane in range(lanes)], "i64")
    places = w.assign(f"getelementptr {element}, ptr {w.use(op.buffer)}, <{lanes} x i64> {offsets}")
    bits = mask(w, op.valid, op.indices, lanes)
    name = f"llvm.masked.scatter.{intrinsic_suffix(stored)}.v{lanes}p0"
    w.declare(f"void @{name}({value_type(stored)}, <{lanes} x ptr>, <{lanes} x i1>)")
    arguments = f"{value_type(stored)} {text}, <{lanes} x ptr> align {align} {places}, <{lanes} x i1> {bits}"
    w.line(f"call void @{name}({arguments})")


EMITTERS: dict[type[Op], Callable[..., str | None]] = {
    buf.Load: emit_load,
    buf.Store: emit_store,
    vec.Load: emit_vector_load,
    vec.Store: emit_vector_store,
    vec.Prefetch: emit_prefetch,
    vec.Gather: emit_gather,
    vec.Lanes: emit_lanes,
    vec.Broadcast: emit_broadcast,
    vec.Extract: emit_extract,
}
