"""Plain loop nests to transform: built by hand or drawn by hypothesis, with arrays to run them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Block, Builder, Func, Module, Op, Region, Value
from dlc.ir.dialects import arith, buf, loop
from dlc.ir.dialects.func import Return
from dlc.ir.eval.loop_run import evaluate_kernel
from dlc.ir.expr import Expr, as_expr, sym
from dlc.ir.packing import unpack
from dlc.ir.pool import ConstantPool
from dlc.ir.printer import print_module
from dlc.ir.types import F32, INDEX, SI8, SI32, UI8, Array, BufferType, Layout, ScalarType, TensorType
from dlc.ir.verify import verify

Body = Callable[["Nest", Expr], None]
Term = Callable[["Nest", Expr, list[Value]], list[Value]]


class Nest:
    """Builds a kernel; loop variables are symbols (``i``) in the expressions of accesses."""

    def __init__(self, types: Sequence[BufferType]) -> None:
        self.func = Func("kernel", Region([Block(types)]))
        self.b = Builder(self.func.block)
        self.variables: dict[str, Value] = {}
        self.count = 0

    @property
    def args(self) -> list[Value]:
        return self.func.args

    def add(self, op: Op) -> Value:
        self.b.insert(op)
        return op.result if op.results else op  # type: ignore[return-value]

    def localized(self, exprs: Sequence[Expr | int]) -> tuple[list[Value], tuple[Expr, ...]]:
        names: dict[str, Expr | int] = {}
        operands: list[Value] = []
        for expr in map(as_expr, exprs):
            for name in sorted(expr.symbols() & self.variables.keys()):
                if name not in names:
                    names[name] = sym(f"d{len(operands)}")
                    operands.append(self.variables[name])
        return operands, tuple(as_expr(e).substitute(names) for e in exprs)

    def name(self, value: Value) -> Expr:
        """An index value as a symbol."""
        self.count += 1
        name = f"v{self.count}'"
        self.variables[name] = value
        return sym(name)

    def load(self, buffer: Value, *at: Expr | int) -> Value:
        operands, local = self.localized(at)
        return self.add(buf.Load(buffer, *operands, at=local))

    def store(self, value: Value, buffer: Value, *at: Expr | int) -> None:
        operands, local = self.localized(at)
        self.b.insert(buf.Store(value, buffer, *operands, at=local))

    def index(self, expr: Expr) -> Value:
        operands, (local,) = self.localized((expr,))
        return self.add(arith.Index(*operands, expr=local))

    def constant(self, value: object, kind: ScalarType = F32) -> Value:
        return self.add(arith.Constant(value=value, type=kind))

    def loop(self, name: str, upper: Expr | int, body: Body) -> None:
        def run(nest: Nest, variable: Expr, carried: list[Value]) -> list[Value]:
            body(nest, variable)
            return []

        self.carry(name, upper, [], run)

    def carry(self, name: str, upper: Expr | int, inits: list[Value], body: Term) -> list[Value]:
        """A loop that carries values; its results."""
        block = Block([INDEX, *(v.type for v in inits)], [name.replace(".", "_")])
        outer, self.b = self.b, Builder(block)
        ends = body(self, self.name(block.args[0]), block.args[1:])
        self.b.insert(loop.Yield(*ends))
        self.b = outer
        operands, (low, high) = self.localized((0, upper))
        made = loop.For(
            *operands, *inits, lower=low, upper=high, carried=len(inits), name_hint=name, regions=[Region([block])]
        )
        self.b.insert(made)
        return made.results

    def loops(self, ranges: Sequence[tuple[str, Expr | int]], body: Callable[[Nest, list[Expr]], None]) -> None:
        """Perfectly nested loops."""

        def inside(nest: Nest, done: list[Expr]) -> None:
            if len(done) == len(ranges):
                body(nest, done)
                return
            name, upper = ranges[len(done)]
            nest.loop(name, upper, lambda inner, variable: inside(inner, [*done, variable]))

        inside(self, [])

    def sums(
        self, ranges: Sequence[tuple[str, Expr | int]], init: Value, term: Callable[[Nest, list[Expr], Value], Value]
    ) -> Value:
        """Nested loops that carry one value."""

        def inside(nest: Nest, done: list[Expr], acc: Value) -> Value:
            if len(done) == len(ranges):
                return term(nest, done, acc)
            name, upper = ranges[len(done)]
            return nest.carry(name, upper, [acc], lambda n, v, a: [inside(n, [*done, v], a[0])])[0]

        return inside(self, [], init)

    def done(self) -> Func:
        self.b.insert(Return())
        return self.func


@dataclass
class Case:
    """A kernel, the arrays it starts from and the numbers of its symbols."""

    func: Func
    arrays: list[Array]
    symbols: dict[str, int] = field(default_factory=dict)
    tensors: list[TensorType] = field(default_factory=list)  # what the buffers hold, where that is known

    def run(self, func: Func | None = None) -> list[Array]:
        """The buffers after the kernel, or another form of it, has run."""
        buffers = [array.copy() for array in self.arrays]
        evaluate_kernel(func or self.func, buffers, self.symbols)
        return self.logical(buffers)

    def logical(self, buffers: Sequence[Array]) -> list[Array]:
        """The contents without what merely fills up blocks."""
        kinds = [
            t.with_shape(tuple(as_expr(d).evaluate(self.symbols) for d in t.shape)).with_layout(t.layout)
            for t in self.tensors
        ]
        return [unpack(buffer, kind) for buffer, kind in zip(buffers, kinds, strict=True)] if kinds else list(buffers)


def text_of(func: Func) -> str:
    module = Module(ConstantPool())
    module.add(func)
    return print_module(module)


def problems_of(func: Func) -> list[str]:
    """What the verifier finds, and values that are used by ops which are not in the function."""
    module = Module(ConstantPool())
    module.add(func)
    present = set(func.walk())
    values = [*func.args, *(v for op in present for v in [*op.results, *(a for r in op.regions for a in r.block.args)])]
    strangers = [f"{user.name} uses a value from outside" for v in values for user in v.users() if user not in present]
    return [*map(str, verify(module)), *strangers]


def same(before: Sequence[Array], after: Sequence[Array]) -> bool:
    """Whether buffers agree; floats within what another order of additions and fused rounding cost."""
    for a, b in zip(before, after, strict=True):
        if a.dtype.kind != "f":
            if not np.array_equal(a, b):
                return False
        elif not np.allclose(a, b, rtol=1e-4, atol=1e-4, equal_nan=True):
            return False
    return True


# -- drawing -----------------------------------------------------------------------------------------------------------

SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17])
ELEMENTS = st.sampled_from([F32, F32, F32, SI32, UI8, SI8])


def contents(shape: tuple[int, ...], kind: ScalarType, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    if kind.is_float:
        return rng.integers(-8, 9, shape).astype(kind.dtype) / kind.dtype.type(4)
    if kind.name == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    low, high = max(-100, np.iinfo(kind.dtype).min), min(100, np.iinfo(kind.dtype).max)
    return rng.integers(low, high, shape).astype(kind.dtype)


@dataclass(frozen=True)
class Axis:
    """An extent: a number, and how the kernel calls it."""

    size: int
    expr: Expr


@st.composite
def axes(draw: st.DrawFn, low: int = 1, high: int = 3, zero: bool = True) -> list[Axis]:
    found = []
    for n in range(draw(st.integers(low, high))):
        size = draw(SIZES) if not zero or draw(st.integers(0, 19)) else 0
        symbolic = draw(st.integers(0, 3)) == 0
        found.append(Axis(size, sym(f"n{n}") if symbolic else as_expr(size)))
    return found


@st.composite
def layouts(draw: st.DrawFn, rank: int) -> Layout | None:
    if draw(st.booleans()):
        return None
    order = tuple(draw(st.permutations(range(rank))))
    if draw(st.booleans()):
        return Layout(order)
    return Layout(order, ((draw(st.integers(0, rank - 1)), draw(st.sampled_from([2, 4, 8]))),))


class Drawn:
    """A kernel being drawn: tensors get buffers in drawn layouts."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.types: list[BufferType] = []
        self.tensors: list[TensorType] = []
        self.arrays: list[Array] = []
        self.symbols: dict[str, int] = {}
        self.seed = draw(st.integers(0, 1000))

    def tensor(self, extents: Sequence[Axis], kind: ScalarType, layout: Layout | None, space: str = "input") -> int:
        for axis in extents:
            self.symbols.update({name: axis.size for name in axis.expr.symbols() if axis.expr.is_symbol})
        shape = tuple(axis.expr.value if axis.expr.is_const else axis.expr for axis in extents)
        tensor = TensorType(shape, kind, layout)
        self.tensors.append(tensor)
        self.types.append(tensor.buffer(space))
        physical = tuple(as_expr(d).evaluate(self.symbols) for d in self.types[-1].shape)
        self.arrays.append(contents(physical, kind, self.seed + len(self.arrays)))
        return len(self.tensors) - 1

    def place(self, tensor: int, index: Sequence[Expr]) -> tuple[Expr, ...]:
        layout = self.tensors[tensor].layout
        return tuple(index) if layout is None else layout.physical_index(tuple(index))

    def nest(self) -> Nest:
        return Nest(self.types)

    def case(self, nest: Nest) -> Case:
        return Case(nest.done(), self.arrays, self.symbols, self.tensors)


BINARY = (arith.Add, arith.Sub, arith.Mul, arith.Min, arith.Max)


def formula(draw: st.DrawFn, nest: Nest, leaves: list[Value], kind: ScalarType, variables: list[Expr]) -> Value:
    """A few operations on the leaves, among them comparisons, selections, casts and the loops' variables."""
    value = leaves[0]
    for leaf in [*leaves[1:], leaves[0]]:
        choice = draw(st.integers(0, 9))
        if choice < 6:
            value = nest.add(draw(st.sampled_from(BINARY))(value, leaf))
        elif choice == 6:
            flag = nest.add(arith.Compare(value, leaf, predicate="lt"))
            value = nest.add(arith.Select(flag, leaf, value))
        elif choice == 7 and variables:
            variable = draw(st.sampled_from(variables))
            number = nest.index(
                draw(st.sampled_from([variable * 3 + 1, variable // 3, 7 - variable % 5, variable * variable]))
            )
            value = nest.add(arith.Add(value, nest.add(arith.Cast(number, to=kind))))
        elif choice == 8:
            wide = nest.add(arith.Cast(value, to=SI32 if kind == F32 else F32))
            value = nest.add(arith.Cast(wide, to=kind))
        else:
            value = nest.add(arith.Add(value, nest.constant(2, kind)))
    return value


@st.composite
def elementwise(draw: st.DrawFn) -> Case:
    """y[i…] = f(a[i…], b[broadcast], a gathered or reshaped element)."""
    made, extents, kind = Drawn(draw), draw(axes()), draw(ELEMENTS)
    rank = len(extents)
    first = made.tensor(extents, kind, draw(layouts(rank)))
    kept = [draw(st.booleans()) for _ in extents]
    second = made.tensor([a if k else Axis(1, as_expr(1)) for a, k in zip(extents, kept, strict=True)], kind, None)
    extra = draw(st.sampled_from(["none", "gather", "reshape"]))
    table = made.tensor([Axis(5, as_expr(5)), Axis(3, as_expr(3))], kind, None)
    places = made.tensor([Axis(max(1, extents[-1].size), as_expr(max(1, extents[-1].size)))], UI8, None)
    made.arrays[places] %= 5
    result = made.tensor(extents, kind, draw(layouts(rank)), "output")
    order = draw(st.permutations(range(rank)))
    nest = made.nest()

    def body(nest: Nest, variables: list[Expr]) -> None:
        index = [variables[order.index(n)] for n in range(rank)]
        leaves = [nest.load(nest.args[first], *made.place(first, index))]
        leaves.append(nest.load(nest.args[second], *(i if k else as_expr(0) for i, k in zip(index, kept, strict=True))))
        if extra == "gather":
            where = nest.name(nest.add(arith.Cast(nest.load(nest.args[places], index[-1]), to=INDEX)))
            leaves.append(nest.load(nest.args[table], where, (where + index[-1]) % 3))
        elif extra == "reshape":
            leaves.append(nest.load(nest.args[table], index[-1] % 15 // 3, index[-1] % 3))
        value = formula(draw, nest, leaves, kind, index)
        nest.store(value, nest.args[result], *made.place(result, index))

    nest.loops([(f"i.{n}", extents[n].expr) for n in order], body)
    return made.case(nest)


@st.composite
def reductions(draw: st.DrawFn) -> Case:
    """y[m, n] = sum over k (and l) of x[m, k, (l)] * w[k, (l), n], or a maximum, with something done to the result."""
    made, outer, inner = Drawn(draw), draw(axes(1, 2)), draw(axes(1, 2))
    inner = [Axis(a.size, sym(f"k{n}") if a.expr.is_symbol else a.expr) for n, a in enumerate(inner)]
    kind = draw(ELEMENTS)
    x = made.tensor([outer[0], *inner], kind, draw(layouts(1 + len(inner))))
    w = made.tensor([*inner, outer[-1]], kind, draw(layouts(1 + len(inner))))
    y = made.tensor(outer, kind, draw(layouts(len(outer))), "output")
    how = draw(st.sampled_from(["add", "add", "max", "fma"]))
    nest = made.nest()

    def body(nest: Nest, index: list[Expr]) -> None:
        init = nest.constant(-100 if how == "max" and kind != UI8 else 0, kind)

        def term(nest: Nest, terms: list[Expr], acc: Value) -> Value:
            a = nest.load(nest.args[x], *made.place(x, [index[0], *terms]))
            b = nest.load(nest.args[w], *made.place(w, [*terms, index[-1]]))
            if how == "max":
                return nest.add(arith.Max(acc, nest.add(arith.Sub(a, b))))
            if how == "fma":
                return nest.add(arith.Fma(a, b, acc))
            return nest.add(arith.Add(acc, nest.add(arith.Mul(a, b))))

        total = nest.sums([(f"k.{n}", a.expr) for n, a in enumerate(inner)], init, term)
        total = formula(draw, nest, [total], kind, index)
        nest.store(total, nest.args[y], *made.place(y, index))

    nest.loops([(f"i.{n}", a.expr) for n, a in enumerate(outer)], body)
    return made.case(nest)


@st.composite
def stencils(draw: st.DrawFn) -> Case:
    """A one-dimensional convolution with stride and dilation; channels possibly blocked."""
    made = Drawn(draw)
    channels, inputs, width, window = (
        Axis(n, as_expr(n)) for n in (draw(SIZES), draw(SIZES), draw(SIZES), draw(st.integers(1, 3)))
    )
    stride, dilation = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    if draw(st.integers(0, 3)) == 0:
        width = Axis(width.size, sym("w"))
    span = Axis(
        (width.size - 1) * stride + (window.size - 1) * dilation + 1,
        (width.expr - 1) * stride + (window.expr - 1) * dilation + 1,
    )
    made.symbols.update({"w": width.size} if width.expr.is_symbol else {})
    x = made.tensor([inputs, span], F32, draw(layouts(2)))
    w = made.tensor([channels, inputs, window], F32, draw(layouts(3)))
    y = made.tensor([channels, width], F32, draw(layouts(2)), "output")
    nest = made.nest()

    def body(nest: Nest, index: list[Expr]) -> None:
        k, p = index

        def term(nest: Nest, terms: list[Expr], acc: Value) -> Value:
            a = nest.load(nest.args[x], *made.place(x, [terms[0], p * stride + terms[1] * dilation]))
            b = nest.load(nest.args[w], *made.place(w, [k, *terms]))
            return nest.add(arith.Add(acc, nest.add(arith.Mul(a, b))))

        total = nest.sums([("c", inputs.expr), ("r", window.expr)], nest.constant(0.0), term)
        nest.store(total, nest.args[y], *made.place(y, index))

    nest.loops([("k", channels.expr), ("p", width.expr)], body)
    return made.case(nest)


NESTS = st.one_of(elementwise(), reductions(), stencils())
