"""An example or more of each rule for known contents: operands that are numbers, and operands that are sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np

Array = np.ndarray
BF16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = (np.dtype("float64"), np.dtype("float32"), np.dtype("float16"), BF16)
INTEGERS = tuple(np.dtype(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"))
NUMBERS = (*FLOATS, *INTEGERS)


@dataclass(frozen=True)
class Known:
    """A node whose operands are all known. Those at `fixed` say a shape or a place: they are constants in any case."""

    op: str
    operands: tuple[Array, ...]
    attributes: dict[str, object] = field(default_factory=dict)
    fixed: tuple[int, ...] = ()
    opset: int = 21
    outputs: int = 1
    note: str = ""

    @property
    def name(self) -> str:
        return "-".join([self.op, *(str(a.dtype) for a in self.operands[:1]), self.note or str(self.opset)])


def numbers(kind: np.dtype) -> Array:
    """Numbers at which operations go wrong."""
    if kind.kind in "iu":
        low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
        return np.array([0, 1, 2, 3, 7, high, high - 1, low, low + 1, max(low, -1), max(low, -7)], kind)
    values = [0.0, -0.0, 0.5, 1.5, 2.5, -1.5, -2.5, 1, -1, 3.3, 100, -129, 300, 70000, 1e-3, np.inf, -np.inf, np.nan]
    with np.errstate(over="ignore"):
        return np.array(values).astype(kind)


def pairs(kind: np.dtype) -> tuple[Array, Array]:
    x = numbers(kind)
    return np.repeat(x, len(x)), np.tile(x, len(x))


def vector(*values: int) -> Array:
    return np.array(values, np.int64)


def elementwise() -> Iterator[Known]:
    for op in ("Neg", "Abs", "Sign"):
        signed = (kind for kind in NUMBERS if kind.kind != "u" or op == "Sign")
        yield from (Known(op, (numbers(kind),)) for kind in signed)
    for op in ("Floor", "Ceil", "Round", "Sqrt", "Exp", "Log", "Reciprocal"):
        yield from (Known(op, (numbers(kind),)) for kind in FLOATS)
    for op in ("Add", "Sub", "Mul", "Div", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Min", "Max"):
        yield from (Known(op, pairs(kind)) for kind in NUMBERS)
    for kind in INTEGERS:
        yield Known("Mod", pairs(kind))
        yield Known("Mod", pairs(kind), {"fmod": 1}, note="fmod")
        base, exponent = pairs(kind)
        few = np.abs(exponent.astype(np.float64)) < 70
        yield Known("Pow", (base[few], exponent[few]))
    for kind in FLOATS:
        yield Known("Mod", pairs(kind), {"fmod": 1}, note="fmod")
        yield Known("Pow", pairs(kind))
        yield Known("Pow", (numbers(kind), np.array(2, np.int64)), note="integer exponent")
        yield Known("Sum", (*pairs(kind), numbers(kind)[:1]))
    yield Known("Pow", (vector(2, -3, 0, 9), np.array([0.5, 3.0, -1.0, 1.5], np.float32)), note="of integers by floats")
    yield Known("Max", (vector(3, 9), vector(4), vector(5, 1)), note="three")
    flags = np.array([True, True, False, False]), np.array([True, False, True, False])
    yield from (Known(op, flags) for op in ("And", "Or", "Xor"))
    yield Known("Not", flags[:1])
    for kind in NUMBERS:
        x = numbers(kind)
        yield Known("Where", (x == x[0], x, x[1]))


def casts() -> Iterator[Known]:
    from tests.frontends.models import code_of

    for source in (*NUMBERS, np.dtype("bool")):
        x = np.array([True, False]) if source == np.dtype("bool") else numbers(source)
        for target in (*NUMBERS, np.dtype("bool")):
            like = np.zeros(1, target)
            yield Known("Cast", (x,), {"to": code_of(like)}, note=f"{target}")
            yield Known("CastLike", (x, like), fixed=(1,), note=f"{target}")


def reductions() -> Iterator[Known]:
    for op, since in (("ReduceSum", 13), ("ReduceProd", 18), ("ReduceMax", 18), ("ReduceMin", 18)):
        for kind in NUMBERS:
            yield Known(op, (numbers(kind)[:5],))
        x, none = vector(2, 3, 5), vector()
        yield Known(op, (x, none), {"noop_with_empty_axes": 1}, (1,), note="nothing")
        yield Known(op, (x, none), {"noop_with_empty_axes": 1, "keepdims": 0}, (1,), note="nothing, flat")
        yield Known(op, (x,), {"noop_with_empty_axes": 1}, note="no axes, nothing")
        yield Known(op, (x, none), {"keepdims": 0}, (1,), note="all")
        yield Known(op, (x, vector(-1)), {"keepdims": 0}, (1,), note="axis")
        yield Known(op, (np.array(7, np.int64),), note="scalar")
        yield Known(op, (x,), {"axes": [0], "keepdims": 0}, opset=since - 1)
        yield Known(op, (x,), {"axes": []}, opset=since - 1, note="none before")


def structure() -> Iterator[Known]:
    x = np.arange(6, dtype=np.int64).reshape(2, 3)
    yield Known("Identity", (x,))
    yield Known("Shape", (x,))
    yield Known("Shape", (x,), {"start": -1}, note="part")
    yield Known("Shape", (x,), {"start": 2, "end": -5}, note="none")
    yield Known("Size", (x,))
    yield Known("Reshape", (x, vector(3, -1)), fixed=(1,))
    yield Known("Reshape", (np.zeros((0, 3), np.int64), vector(0, 3)), fixed=(1,), note="empty")
    yield Known("Squeeze", (x.reshape(1, 2, 1, 3), vector(-2)), fixed=(1,))
    yield Known("Squeeze", (x.reshape(1, 2, 1, 3),), note="all")
    yield Known("Unsqueeze", (x, vector(0, -1)), fixed=(1,))
    yield Known("Flatten", (x.reshape(1, 2, 3),), {"axis": -1})
    yield Known("Transpose", (x,))
    yield Known("Transpose", (x.reshape(1, 2, 3),), {"perm": [1, 2, 0]}, note="perm")
    yield Known("Concat", (x, x + 9), {"axis": -1})
    yield Known("Gather", (x, vector(1, -1, 0)), {"axis": 1})
    yield Known("Gather", (x, np.array(-2, np.int64)), note="scalar")
    yield Known("Slice", (x, vector(-9), vector(9), vector(1), vector(2)), fixed=(1, 2, 3, 4))
    yield Known("Slice", (x, vector(9), vector(-9), vector(1), vector(-1)), fixed=(1, 2, 3, 4), note="backwards")
    yield Known("Slice", (x,), {"starts": [1], "ends": [99], "axes": [1]}, opset=9)
    yield Known("Split", (vector(4, 5, 6),), {"num_outputs": 3}, outputs=3)
    yield Known("Expand", (vector(4, 5), vector(3, 1)), fixed=(1,))
    yield Known("Tile", (x, vector(2, 1)), fixed=(1,))
    yield Known("ConstantOfShape", (vector(2, 3),), fixed=(0,))
    yield Known("Range", (vector(1)[0], vector(20)[0], vector(3)[0]), fixed=(0, 1, 2))
    yield Known("Range", (vector(5)[0], vector(-4)[0], vector(-2)[0]), fixed=(0, 1, 2), note="backwards")
    yield Known("Range", (vector(5)[0], vector(1)[0], vector(2)[0]), fixed=(0, 1, 2), note="empty")
    large = np.int64(2**62 + 1)
    yield Known("Range", (large, large + 7, np.int64(3)), fixed=(0, 1, 2), note="large")


CASES = (*elementwise(), *casts(), *reductions(), *structure())

# Rules on sizes: operators of one and of two vectors of sizes, `c` a vector of constants; each with its attributes.
ON_SIZES: tuple[tuple[str, tuple[str, ...], dict[str, object]], ...] = (
    *((op, ("a", "b"), {}) for op in ("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Sum", "Equal", "Less")),
    *((op, ("a", "c"), {}) for op in ("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Equal", "Greater")),
    *((op, ("c", "a"), {}) for op in ("Div", "Mod", "LessOrEqual", "GreaterOrEqual")),
    *((op, ("a",), {}) for op in ("Neg", "Abs", "Identity", "Size")),
    *((op, ("a",), {}) for op in ("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin")),
    *((op, ("a", "none"), {"noop_with_empty_axes": 1}) for op in ("ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin")),
    ("Concat", ("a", "c", "b"), {"axis": 0}), ("Gather", ("a", "one"), {}), ("Cast", ("a",), {"to": 6}),
    *(("Cast", ("a",), {"to": to}) for to in (1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 16)),
)  # fmt: skip
