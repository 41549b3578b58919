"""Types, and layouts against what NumPy does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlc.ir.expr import const, sym
from dlc.ir.types import (
    BF16,
    BOOL,
    F32,
    INDEX,
    NUMBERS,
    SCALARS,
    SI8,
    STRING,
    BufferType,
    Layout,
    QuantizedType,
    TensorType,
    VectorType,
    plain_layout,
    scalar_of,
    scalar_type,
)


@st.composite
def shapes_with_layouts(draw):
    """A shape and a layout whose blocked axes have no halo."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    rank = len(shape)
    order = tuple(draw(st.permutations(range(rank))))
    blocks = tuple(draw(st.lists(st.tuples(st.integers(0, rank - 1), st.integers(2, 4)), max_size=3)))
    blocked = {axis for axis, _ in blocks}
    halo = tuple(
        (0, 0) if axis in blocked else draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for axis in range(rank)
    )
    return shape, Layout(order, blocks, halo if draw(st.booleans()) else ())


def laid_out(array, layout):
    """`array` in memory order, by NumPy's own means: pad, cut the axes, move the pieces. Fill is -1, halo 0."""
    halo = [layout.halo_of(axis) for axis in range(array.ndim)]
    array = np.pad(array, halo, constant_values=0)
    sizes = [layout.block_of(axis) for axis in range(array.ndim)]
    array = np.pad(array, [(0, -n % size) for n, size in zip(array.shape, sizes, strict=True)], constant_values=-1)
    pieces, places = [], {}
    for axis, (n, size) in enumerate(zip(array.shape, sizes, strict=True)):
        mine = [number for number, (at, _) in enumerate(layout.blocks) if at == axis]
        places[axis] = len(pieces)
        pieces.append(n // size)
        for number in mine:  # outermost first
            places["block", number] = len(pieces)
            pieces.append(layout.blocks[number][1])
    moved = [places[axis] for axis in layout.order] + [places["block", n] for n in range(len(layout.blocks))]
    return array.reshape(pieces).transpose(moved)


@given(shapes_with_layouts())
def test_physical_shape_and_index_are_what_numpy_does(drawn):
    shape, layout = drawn
    logical = np.arange(1, np.prod(shape) + 1).reshape(shape)
    memory = laid_out(logical, layout)
    assert layout.physical_shape(shape) == memory.shape
    for index in np.ndindex(shape):
        place = tuple(expr.value for expr in layout.physical_index(tuple(map(const, index))))
        assert memory[place] == logical[index]


@given(shapes_with_layouts())
def test_no_two_elements_share_a_place_and_symbols_give_the_same_places(drawn):
    shape, layout = drawn
    names = [f"d{axis}" for axis in range(len(shape))]
    formula = layout.physical_index(tuple(map(sym, names)))
    places = set()
    for index in np.ndindex(shape):
        env = dict(zip(names, map(int, index), strict=True))
        place = tuple(expr.evaluate(env) for expr in formula)
        assert place == tuple(expr.value for expr in layout.physical_index(tuple(map(const, index))))
        places.add(place)
    assert len(places) == np.prod(shape)


@given(shapes_with_layouts())
def test_symbolic_shapes_give_the_same_physical_shape(drawn):
    shape, layout = drawn
    names = [f"n{axis}" for axis in range(len(shape))]
    symbolic = layout.physical_shape(tuple(map(sym, names)))
    values = dict(zip(names, shape, strict=True))
    assert tuple(dim if isinstance(dim, int) else dim.evaluate(values) for dim in symbolic) == layout.physical_shape(
        shape
    )


def test_the_layout_of_the_docstring():
    layout = Layout((0, 1, 2, 3), ((1, 16),), ((0, 0), (0, 0), (1, 1), (1, 1)))
    its_type = TensorType((1, 64, 56, 56), F32, layout)
    assert str(its_type) == "tensor<1x64x56x56xf32, order(0 1 2 3) block(1:16) halo(0:0 0:0 1:1 1:1)>"
    assert its_type.buffer() == BufferType((1, 4, 58, 58, 16), F32)


def test_a_plain_layout_is_no_layout():
    assert TensorType((2, 3), F32, plain_layout(2)) == TensorType((2, 3), F32)
    assert TensorType((2, 3), F32, Layout((1, 0))) != TensorType((2, 3), F32)


def test_buffers_are_row_major():
    buffer = BufferType((sym("n"), 3, 4), F32)
    assert [str(step) for step in buffer.strides()] == ["12", "4", "1"]
    assert buffer.elements == sym("n") * 12


@pytest.mark.parametrize("scalar", [*NUMBERS, BOOL, STRING], ids=str)
def test_scalars_and_dtypes_correspond(scalar):
    assert scalar_of(scalar.dtype) == scalar
    assert scalar is STRING or scalar.bytes == scalar.dtype.itemsize


def test_kinds_of_scalars():
    assert INDEX.is_integer and INDEX.is_signed and not BOOL.is_integer and not F32.is_integer
    assert BF16.is_float and SI8.is_signed and not scalar_of(np.uint8).is_signed
    with pytest.raises(ValueError, match="no scalar type"):
        scalar_of(np.complex64)


def test_element_types():
    quantized = QuantizedType(SI8, (0.5,), (0,))
    assert TensorType((2,), quantized).scalar == SI8
    assert scalar_type(VectorType(4, F32)) == scalar_type(BufferType((2,), F32)) == F32
    with pytest.raises(TypeError, match="no element type"):
        scalar_type(quantized)


@pytest.mark.parametrize("scalar", SCALARS, ids=str)
def test_types_are_values(scalar):
    assert {TensorType((2, sym("n")), scalar), TensorType((2, sym("n")), scalar)} == {TensorType((2, sym("n")), scalar)}
