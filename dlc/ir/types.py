"""Types: scalars, vectors of fixed width, tensors (values), buffers (memory), containers and quantized scalars.

All are frozen and compared by value. A tensor's shape counts logical elements; its `Layout` says how a buffer that
holds it is arranged. ``tensor<1x64x56x56xf32, order(0 1 2 3) block(1:16) halo(0:0 0:0 1:1 1:1)>`` lies in memory as
``1 x 4 x 58 x 58 x 16``.
"""

from __future__ import annotations

import importlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dlc.ir.expr import Dim, Expr, as_dim, as_expr, ceil_div, product
from dlc.ir.floats import float_text
from dlc.record import record

Array = NDArray[np.generic]


@record
class Type:
    """Root of all types."""


@record
class ScalarType(Type):
    """A number: ``f32``, ``si8``, ``ui8``, ``bool``, ``index`` (a signed 64-bit count), … or ``str``."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def bits(self) -> int:
        """Width of one element in memory; a bool takes a byte."""
        return _BITS[self.name]

    @property
    def bytes(self) -> int:
        return (self.bits + 7) // 8

    @property
    def is_float(self) -> bool:
        return self.name in ("f64", "f32", "f16", "bf16")

    @property
    def is_signed(self) -> bool:
        return self.name.startswith("si") or self.name == "index"

    @property
    def is_integer(self) -> bool:
        """Integers proper; a bool is not one."""
        return self.name.startswith(("si", "ui")) or self.name == "index"

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype of one element."""
        if self.name == "bf16":
            # by name, because models without it shall compile without the package, and quickly with it
            extension: np.dtype = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
            return extension
        return np.dtype(_DTYPES[self.name])


_DTYPES = {
    "f64": "f8", "f32": "f4", "f16": "f2", "bool": "?", "index": "i8", "str": "O",
    "si8": "i1", "si16": "i2", "si32": "i4", "si64": "i8", "ui8": "u1", "ui16": "u2", "ui32": "u4", "ui64": "u8",
}  # fmt: skip
_BITS = {name: np.dtype(code).itemsize * 8 for name, code in _DTYPES.items()} | {"bf16": 16}

F64, F32, F16, BF16 = ScalarType("f64"), ScalarType("f32"), ScalarType("f16"), ScalarType("bf16")
SI8, SI16, SI32, SI64 = ScalarType("si8"), ScalarType("si16"), ScalarType("si32"), ScalarType("si64")
UI8, UI16, UI32, UI64 = ScalarType("ui8"), ScalarType("ui16"), ScalarType("ui32"), ScalarType("ui64")
BOOL, INDEX, STRING = ScalarType("bool"), ScalarType("index"), ScalarType("str")
FLOATS = (F64, F32, F16, BF16)
SIGNED = (SI8, SI16, SI32, SI64)
UNSIGNED = (UI8, UI16, UI32, UI64)
NUMBERS = FLOATS + SIGNED + UNSIGNED
SCALARS = (*NUMBERS, BOOL, INDEX, STRING)
SCALAR_NAMES = {scalar.name: scalar for scalar in SCALARS}


def scalar_of(dtype: np.dtype | type) -> ScalarType:
    """The scalar type of a NumPy dtype. Raises ValueError for a dtype that has none."""
    wanted = np.dtype(dtype)
    if wanted.name == "bfloat16":
        return BF16
    if wanted.kind in "OUS":
        return STRING
    for scalar in (*NUMBERS, BOOL):
        if scalar is not BF16 and scalar.dtype == wanted:
            return scalar
    raise ValueError(f"no scalar type for dtype {wanted}")


@record
class QuantizedType(Type):
    """A stored integer that stands for ``(stored - zero_point) * scale``; per axis when there are several scales."""

    storage: ScalarType
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    def __str__(self) -> str:
        scales = " ".join(map(float_text, self.scales))
        zeros = " ".join(map(str, self.zero_points))
        axis = "" if self.axis is None else f", axis {self.axis}"
        return f"quant<{self.storage}, scale({scales}), zero({zeros}){axis}>"


Element = ScalarType | QuantizedType


@record
class VectorType(Type):
    """`lanes` scalars side by side in a register."""

    lanes: int
    element: ScalarType

    def __str__(self) -> str:
        return f"vector<{self.lanes}x{self.element}>"


@record
class Layout:
    """How a tensor lies in memory: the order of its axes (outermost first), blocks cut from axes and laid innermost
    (in the order given), and a halo of (before, after) extra elements per axis.

    Elements of a halo are zero; elements that merely fill a last, incomplete block are undefined, and nothing may
    depend on them.
    """

    order: tuple[int, ...]
    blocks: tuple[tuple[int, int], ...] = ()  # (axis, size), outermost first
    halo: tuple[tuple[int, int], ...] = ()  # (before, after) per axis; empty: none

    def __str__(self) -> str:
        parts = [f"order({' '.join(map(str, self.order))})"]
        if self.blocks:
            parts.append(f"block({' '.join(f'{a}:{s}' for a, s in self.blocks)})")
        if self.halo:
            parts.append(f"halo({' '.join(f'{a}:{b}' for a, b in self.halo)})")
        return " ".join(parts)

    @property
    def is_plain(self) -> bool:
        return not self.blocks and not self.halo and self.order == tuple(range(len(self.order)))

    def block_of(self, axis: int) -> int:
        """How many elements of `axis` lie in its blocks together."""
        size = 1
        for at, block in self.blocks:
            size *= block if at == axis else 1
        return size

    def halo_of(self, axis: int) -> tuple[int, int]:
        return self.halo[axis] if self.halo else (0, 0)

    def physical_shape(self, shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
        """The shape of the buffer: outer axes in `order`, then the blocks."""
        outer = []
        for axis in self.order:
            before, after = self.halo_of(axis)
            block = self.block_of(axis)
            outer.append(as_dim(ceil_div(shape[axis], block) if block > 1 else as_expr(shape[axis]) + (before + after)))
        return (*outer, *(size for _, size in self.blocks))

    def physical_index(self, index: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """Where the logical element at `index` lies in the buffer."""
        outer = []
        for axis in self.order:
            block = self.block_of(axis)
            outer.append(index[axis] // block if block > 1 else index[axis] + self.halo_of(axis)[0])
        inner, left = [], {axis: self.block_of(axis) for axis, _ in self.blocks}
        for axis, size in self.blocks:
            within = index[axis] % left[axis]
            left[axis] //= size
            inner.append(within // left[axis])
        return (*outer, *inner)


def plain_layout(rank: int) -> Layout:
    return Layout(tuple(range(rank)))


@record
class TensorType(Type):
    """A tensor value. `shape` holds ints and symbolic expressions; `layout` None means row-major, no halo."""

    shape: tuple[Dim, ...]
    element: Element
    layout: Layout | None = None

    def __post_init__(self) -> None:
        if self.layout is not None and self.layout.is_plain:
            object.__setattr__(self, "layout", None)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def scalar(self) -> ScalarType:
        """The type of a stored element."""
        return self.element.storage if isinstance(self.element, QuantizedType) else self.element

    @property
    def is_static(self) -> bool:
        return all(isinstance(dim, int) for dim in self.shape)

    @property
    def elements(self) -> Dim:
        return product(self.shape)

    def dim(self, axis: int) -> Dim:
        return self.shape[axis]

    def with_shape(self, shape: tuple[Dim, ...]) -> TensorType:
        return TensorType(shape, self.element)

    def with_layout(self, layout: Layout | None) -> TensorType:
        return TensorType(self.shape, self.element, layout)

    def buffer(self, space: str = "arena") -> BufferType:
        """The buffer that holds this tensor."""
        shape = self.shape if self.layout is None else self.layout.physical_shape(self.shape)
        return BufferType(shape, self.scalar, space)

    def __str__(self) -> str:
        layout = "" if self.layout is None else f", {self.layout}"
        return f"tensor<{_shape_text(self.shape)}{self.element}{layout}>"


@record
class BufferType(Type):
    """Row-major memory. `space`: ``arena``, ``input``, ``output``, ``const`` (read-only), ``scratch`` (a kernel's)."""

    shape: tuple[Dim, ...]
    element: ScalarType
    space: str = "arena"

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> Dim:
        return product(self.shape)

    def strides(self) -> tuple[Expr, ...]:
        """Elements between neighbours along each axis."""
        return _strides(self.shape)

    def __str__(self) -> str:
        space = "" if self.space == "arena" else f", {self.space}"
        return f"buffer<{_shape_text(self.shape)}{self.element}{space}>"


@record
class TupleType(Type):
    members: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.members))}>"


@record
class ListType(Type):
    member: Type

    def __str__(self) -> str:
        return f"list<{self.member}>"


@record
class OptionalType(Type):
    member: Type

    def __str__(self) -> str:
        return f"optional<{self.member}>"


@record
class FunctionType(Type):
    inputs: tuple[Type, ...]
    results: tuple[Type, ...]

    def __str__(self) -> str:
        return f"fn<({', '.join(map(str, self.inputs))}) -> ({', '.join(map(str, self.results))})>"


@lru_cache(maxsize=256)
def _strides(shape: tuple[Dim, ...]) -> tuple[Expr, ...]:
    steps, step = [], as_expr(1)
    for dim in reversed(shape):
        steps.append(step)
        step = step * as_expr(dim)
    return tuple(reversed(steps))


def _shape_text(shape: tuple[Dim, ...]) -> str:
    return "".join(f"{dim}x" if isinstance(dim, int) else f"[{dim}]x" for dim in shape)


def scalar_type(value_type: Type) -> ScalarType:
    """The element type of a scalar, vector, tensor or buffer type."""
    match value_type:
        case ScalarType():
            return value_type
        case VectorType() | BufferType():
            return value_type.element
        case TensorType():
            return value_type.scalar
    raise TypeError(f"{value_type} has no element type")
