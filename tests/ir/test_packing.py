"""Packing puts every element where the layout says, zeros where it says nothing, and unpacking brings it back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlc.errors import InternalError
from dlc.ir.expr import as_expr
from dlc.ir.packing import pack, unpack
from dlc.ir.types import F32, SI8, Layout, TensorType


@st.composite
def tensors(draw: st.DrawFn) -> TensorType:
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8]), min_size=1, max_size=4)))
    axis = st.integers(0, len(shape) - 1)
    blocks = tuple(draw(st.lists(st.tuples(axis, st.sampled_from([2, 3, 4])), max_size=3)))
    blocked = {at for at, _ in blocks}
    width = st.integers(0, 2)
    halo = tuple((0, 0) if n in blocked else (draw(width), draw(width)) for n in range(len(shape)))
    order = tuple(draw(st.permutations(range(len(shape)))))
    return TensorType(shape, F32, Layout(order, blocks, draw(st.sampled_from([(), halo]))))


def element_by_element(array: np.ndarray, kind: TensorType) -> np.ndarray:
    layout = kind.layout or Layout(tuple(range(array.ndim)))
    packed = np.zeros(tuple(map(int, layout.physical_shape(kind.shape))), array.dtype)  # type: ignore[arg-type]
    for index in np.ndindex(array.shape):
        place = layout.physical_index(tuple(map(as_expr, index)))
        packed[tuple(expr.value for expr in place)] = array[index]
    return packed


@given(tensors())
def test_elements_lie_where_the_layout_says(kind: TensorType) -> None:
    array = np.arange(1, 1 + int(np.prod(kind.shape)), dtype="f4").reshape(kind.shape)  # type: ignore[arg-type]
    packed = pack(array, kind)
    np.testing.assert_array_equal(packed, element_by_element(array, kind))
    assert packed.flags.c_contiguous
    np.testing.assert_array_equal(unpack(packed, kind), array)


def test_arrays_need_not_be_contiguous() -> None:
    array = np.arange(24, dtype="i1").reshape(4, 6)
    kind = TensorType((6, 4), SI8, Layout((1, 0), ((0, 4),)))
    np.testing.assert_array_equal(pack(array.T, kind), element_by_element(array.T, kind))
    np.testing.assert_array_equal(pack(array.T, TensorType((6, 4), SI8)), array.T)


def test_a_scalar_is_a_buffer_without_axes() -> None:
    assert pack(np.float32(3), TensorType((), F32)).shape == ()


def test_another_shape_is_refused() -> None:
    with pytest.raises(InternalError, match=r"the array must have the shape \[2, 3\]"):
        pack(np.zeros((3, 2), "f4"), TensorType((2, 3), F32))
    with pytest.raises(InternalError, match="the buffer must have the shape"):
        unpack(np.zeros((3, 2), "f4"), TensorType((2, 3), F32, Layout((1, 0), ((0, 2),))))
