"""Random types, attributes and modules built from the sample ops."""

import struct

import numpy as np
from hypothesis import strategies as st

from dlc.ir.attrs import SymbolRef
from dlc.ir.core import Block, Func, Location, Module, Region
from dlc.ir.dialects.func import Return
from dlc.ir.expr import as_dim, const, maximum, sym
from dlc.ir.pool import ConstantPool
from dlc.ir.types import (
    BOOL,
    F32,
    FLOATS,
    INDEX,
    NUMBERS,
    SCALARS,
    SIGNED,
    STRING,
    UNSIGNED,
    BufferType,
    FunctionType,
    Layout,
    ListType,
    OptionalType,
    QuantizedType,
    TensorType,
    TupleType,
    VectorType,
)
from tests.ir.sample_ops import Add, Bag, Branch, Constant, Conv, Loop, Source, Split, Yield

names = st.text(max_size=6) | st.sampled_from(["x", "y", "x_1", "12", "conv/out:0", "a.b", "", "%x", "dangling"])
symbols = st.sampled_from(["batch", "n", "d0", "x", "f32", "min"]) | st.text(min_size=1, max_size=4)
ints = st.integers(-(2**70), 2**70) | st.integers(-3, 3)
bit_floats = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", bits.to_bytes(8, "little"))[0])
floats = st.floats(width=64) | bit_floats | st.sampled_from([0.0, -0.0, 1.0, float("inf"), float("nan")])


@st.composite
def exprs(draw):
    expr = const(draw(st.integers(-20, 20)))
    for _ in range(draw(st.integers(0, 4))):
        other = sym(draw(symbols)) * draw(st.integers(-4, 4)) + draw(st.integers(-4, 4))
        match draw(st.integers(0, 4)):
            case 0:
                expr = expr + other
            case 1:
                expr = expr * other
            case 2:
                expr = expr // draw(st.integers(2, 8)) + other
            case 3:
                expr = expr % draw(st.integers(2, 8)) - other
            case _:
                expr = maximum(expr, other)
    return expr


dims = st.integers(0, 70) | exprs().map(as_dim)
pairs = st.tuples(st.integers(0, 3), st.integers(0, 3))


@st.composite
def layouts(draw, rank=None):
    rank = draw(st.integers(0, 4)) if rank is None else rank
    order = tuple(draw(st.permutations(range(rank))))
    blocks = (
        draw(st.lists(st.tuples(st.integers(0, rank - 1), st.sampled_from([2, 8, 16])), max_size=2)) if rank else []
    )
    halo = draw(st.lists(pairs, min_size=rank, max_size=rank)) if draw(st.booleans()) else []
    return Layout(order, tuple(blocks), tuple(halo))


quantized = st.builds(
    QuantizedType,
    st.sampled_from(SIGNED + UNSIGNED),
    st.lists(st.floats(width=32, allow_nan=False), max_size=3).map(tuple),
    st.lists(st.integers(-128, 127), max_size=3).map(tuple),
    st.none() | st.integers(0, 3),
)


@st.composite
def tensors(draw):
    shape = tuple(draw(st.lists(dims, max_size=4)))
    element = draw(st.sampled_from(SCALARS) | quantized)
    return TensorType(shape, element, draw(st.none() | layouts(len(shape))))


buffers = st.builds(
    BufferType,
    st.lists(dims, max_size=3).map(tuple),
    st.sampled_from(SCALARS),
    st.sampled_from(["arena", "input", "output", "const", "scratch"]),
)
vectors = st.builds(VectorType, st.integers(1, 64), st.sampled_from(NUMBERS))
leaf_types = st.sampled_from(SCALARS) | quantized | tensors() | buffers | vectors
types = st.recursive(
    leaf_types,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda members: TupleType(tuple(members)))
        | inner.map(ListType)
        | inner.map(OptionalType)
        | st.tuples(st.lists(inner, max_size=2), st.lists(inner, max_size=2)).map(
            lambda pair: FunctionType(tuple(pair[0]), tuple(pair[1]))
        )
    ),
    max_leaves=3,
)

plain_attributes = (
    st.none() | st.booleans() | ints | floats | st.text(max_size=8) | types | exprs() | layouts() | names.map(SymbolRef)
)
attributes = st.recursive(plain_attributes, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)
locations = st.lists(st.text(max_size=6), max_size=2).map(lambda texts: Location(tuple(texts)))


@st.composite
def arrays(draw):
    """Arrays of every element type, small enough to print in place or not."""
    scalar = draw(st.sampled_from((*NUMBERS, BOOL, INDEX, STRING)))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    count = int(np.prod(shape))
    if scalar is STRING:
        texts = draw(st.lists(st.text(max_size=4), min_size=count, max_size=count))
        array = np.empty(count, object)
        array[:] = texts
    elif scalar is BOOL:
        array = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    else:
        data = draw(st.binary(min_size=count * scalar.bytes, max_size=count * scalar.bytes))
        array = np.frombuffer(data, scalar.dtype)
        if scalar in FLOATS and draw(st.booleans()):
            array = np.arange(count).astype(scalar.dtype) / np.array(4, scalar.dtype)
    return array.reshape(shape), TensorType(shape, scalar)


class ModuleMaker:
    """Draws ops block by block; values of enclosing blocks are visible."""

    def __init__(self, draw):
        self.draw = draw
        self.pool = ConstantPool()

    def module(self):
        module = Module(self.pool, name=self.draw(names), attrs=self.attrs())
        for name in self.draw(st.lists(names, max_size=2, unique=True)):
            module.add(self.func(name))
        return module

    def attrs(self):
        return self.draw(st.dictionaries(st.sampled_from(["inputs", "loc", "type", "module"]), attributes, max_size=2))

    def func(self, name):
        block = self.block([], self.draw(st.lists(types, max_size=3)), 0)
        values = self.some(block.args)
        block.append(Return(*values))
        return Func(name, Region([block]), tuple(v.type for v in values), self.attrs())

    def some(self, values, most=3):
        return self.draw(st.lists(st.sampled_from(values), max_size=most)) if values else []

    def block(self, visible, arg_types, depth):
        block = Block(arg_types, [self.draw(st.none() | names) for _ in arg_types])
        visible = [*visible, *block.args]
        for _ in range(self.draw(st.integers(0, 4 - depth))):
            op = block.append(self.op(visible, depth))
            op.loc = self.draw(locations)
            for value in op.results:
                value.hint = self.draw(st.none() | names)
            visible += op.results
        return block

    def op(self, visible, depth):
        kinds = ["source", "constant", "bag", *(["add", "split", "conv"] if visible else [])]
        kinds += ["loop", "branch"] if depth < 2 and visible else []
        return getattr(self, self.draw(st.sampled_from(kinds)))(visible, depth)

    def source(self, visible, depth):
        return Source(type=self.draw(types))

    def constant(self, visible, depth):
        array, its_type = self.draw(arrays())
        return Constant(value=self.pool.add(array), type=its_type)

    def bag(self, visible, depth):
        chosen = self.draw(st.dictionaries(st.sampled_from("ab"), attributes, max_size=2))
        return Bag(*self.some(visible), **chosen, c=self.draw(floats))

    def add(self, visible, depth):
        value = self.draw(st.sampled_from(visible))
        return Add(value, value)

    def split(self, visible, depth):
        return Split(self.draw(st.sampled_from(visible)))

    def conv(self, visible, depth):
        """Of wrong types as often as not: text does not care."""
        x = self.draw(st.sampled_from(visible))
        attrs = {
            "pads": (self.draw(st.integers(0, 1)), self.draw(st.integers(0, 1))),
            "mode": self.draw(st.sampled_from(["same", "valid"])),
        }
        return Conv(x, x, self.draw(st.sampled_from([None, x])), index=self.draw(exprs()), **attrs)

    def loop(self, visible, depth):
        inits = self.some(visible, 2)
        body = self.block(visible, [F32, *(v.type for v in inits)], depth + 1)
        body.append(Yield(*body.args[1:]))
        return Loop(*inits, regions=[Region([body])])

    def branch(self, visible, depth):
        blocks = [self.block(visible, [], depth + 1) for _ in range(2)]
        values = self.some(visible)
        for block in blocks:
            block.append(Yield(*values))
        return Branch(self.draw(st.sampled_from(visible)), regions=[Region([block]) for block in blocks])


@st.composite
def modules(draw):
    return ModuleMaker(draw).module()
