"""Random graphs of ops that broadcast, each axis of each input a symbol: the same recipe makes them with numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Block, Func, Location, Module, Op, Region, Value
from dlc.ir.dialects import graph_math as math_ops
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_nn import LayerNorm, MatMul, Reduce, Softmax
from dlc.ir.dialects.graph_shape import Broadcast, Concat, Reshape, Transpose
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.expr import product, sym
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, Array, TensorType

Numbers = dict[str, int]
Axis = str | int
SIZES = (0, 1, 1, 2, 3, 9, 17)
BINARY = (math_ops.Add, math_ops.Mul, math_ops.Sub, math_ops.Maximum, math_ops.Minimum)
MOST_ELEMENTS = 1 << 16


@dataclass(frozen=True)
class Step:
    """One op; the numbers choose its operands among all values so far, and whatever else is to be chosen."""

    kind: str
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    inputs: tuple[tuple[Axis, ...], ...]
    steps: tuple[Step, ...]

    @property
    def symbols(self) -> list[str]:
        return list(dict.fromkeys(axis for shape in self.inputs for axis in shape if isinstance(axis, str)))

    def module(self, numbers: Numbers | None = None) -> Module:
        """The graph with symbols, or with numbers in their places. Raises UserError for numbers that do not fit."""
        size: Callable[[Axis], object] = lambda axis: axis if isinstance(axis, int) else (  # noqa: E731
            sym(axis) if numbers is None else numbers[axis]
        )
        types = [TensorType(tuple(map(size, shape)), F32) for shape in self.inputs]  # type: ignore[arg-type]
        names = tuple(f"x{n}" for n in range(len(types)))
        block = Block(types, names)
        values: list[Value] = list(block.args)
        for number, step in enumerate(self.steps):
            made = STEPS[step.kind](block, values, step.choices, f"node_{number}")
            if made is not None:
                values.append(made)
        results = [value for value in values if not value.uses and value.defining_op is not None] or values[:1]
        block.append(Return(*results))
        attrs = {"inputs": names, "outputs": tuple(f"y{n}" for n in range(len(results)))}
        module = Module(ConstantPool())
        module.add(Func("main", Region([block]), tuple(value.type for value in results), dict(attrs)))
        return module

    def feeds(self, numbers: Numbers) -> list[Array]:
        shapes = [tuple(a if isinstance(a, int) else numbers[a] for a in shape) for shape in self.inputs]
        random = np.random.default_rng(0)
        return [random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]


def put(block: Block, op: Op, node: str) -> Value:
    op.loc = Location((node,))
    return block.append(op).results[0]


def picked(values: Sequence[Value], number: int, least_rank: int = 0) -> Value | None:
    fitting = [value for value in values if tensor(value).rank >= least_rank]
    return fitting[number % len(fitting)] if fitting else None


def binary(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    a, b, kind = choices[:3]
    left, right = picked(values, a), picked(values, b)
    if left is None or right is None:
        return None
    return put(block, BINARY[kind % len(BINARY)](left, right), node)


def where(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    a, b, c, d = (picked(values, number) for number in choices[:4])
    if a is None or b is None or c is None or d is None:
        return None
    chosen = put(block, math_ops.Greater(a, b), node)
    return put(block, math_ops.Where(chosen, c, d), node)


def unary(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0])
    return None if x is None else put(block, math_ops.Relu(x), node)


def matmul(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    a, b = picked(values, choices[0], 2), picked(values, choices[1], 2)
    if a is None or b is None:
        return None
    if choices[2] % 2:  # so that the inner sizes need not happen to be equal
        perm = (*range(tensor(a).rank - 2), tensor(a).rank - 1, tensor(a).rank - 2)
        b = put(block, Transpose(a, perm=perm), node)
    return put(block, MatMul(a, b), node)


def expand(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x, like = picked(values, choices[0]), picked(values, choices[1])
    if x is None or like is None or tensor(x).rank > tensor(like).rank:
        return None
    return put(block, Broadcast(x, shape=tensor(like).shape), node)


def transpose(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0], 2)
    if x is None:
        return None
    axes = list(range(tensor(x).rank))
    shift = choices[1] % len(axes)
    return put(block, Transpose(x, perm=(*axes[shift:], *axes[:shift])), node)


def flatten(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0], 2)
    if x is None:
        return None
    shape: Shape = tensor(x).shape
    at = choices[1] % (len(shape) - 1)
    return put(block, Reshape(x, shape=(*shape[:at], product(shape[at : at + 2]), *shape[at + 2 :])), node)


def unsqueeze(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0])
    if x is None or tensor(x).rank > 3:
        return None
    shape: Shape = tensor(x).shape
    at = choices[1] % (len(shape) + 1)
    return put(block, Reshape(x, shape=(*shape[:at], 1, *shape[at:])), node)


def reduce(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0], 1)
    if x is None:
        return None
    axis = choices[1] % tensor(x).rank
    return put(block, Reduce(x, kind="sum", axes=(axis,), keepdims=bool(choices[2] % 2)), node)


def softmax(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0], 1)
    return None if x is None else put(block, Softmax(x, axis=choices[1] % tensor(x).rank), node)


def layer_norm(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0], 1)
    return None if x is None else put(block, LayerNorm(x, axes=(tensor(x).rank - 1,), epsilon=0.5), node)


def concat(block: Block, values: Sequence[Value], choices: tuple[int, ...], node: str) -> Value | None:
    x = picked(values, choices[0], 1)
    alike = [v for v in values if x is not None and tensor(v).rank == tensor(x).rank]
    if x is None or not alike:
        return None
    return put(block, Concat(x, alike[choices[1] % len(alike)], axis=choices[2] % tensor(x).rank), node)


STEPS: dict[str, Callable[[Block, Sequence[Value], tuple[int, ...], str], Value | None]] = {
    "binary": binary, "where": where, "unary": unary, "matmul": matmul, "expand": expand, "transpose": transpose,
    "flatten": flatten, "unsqueeze": unsqueeze, "reduce": reduce, "softmax": softmax, "layer_norm": layer_norm,
    "concat": concat,
}  # fmt: skip
KINDS = ("binary",) * 6 + ("where", "matmul", "matmul", "expand") + tuple(STEPS)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    count = draw(st.integers(2, 4))
    fresh = iter(f"s{n}" for n in range(99))
    names: list[str] = []
    inputs = []
    for _ in range(count):
        shape: list[Axis] = []
        for _ in range(draw(st.integers(1, 4))):
            which = draw(st.integers(0, 9))
            if which < 7 or (which == 7 and not names):
                names.append(next(fresh))
                shape.append(names[-1])
            elif which == 7:
                shape.append(draw(st.sampled_from(names)))
            else:
                shape.append((1, 3)[which - 8])
        inputs.append(tuple(shape))
    choices = st.tuples(*(st.integers(0, 30) for _ in range(4)))
    steps = draw(st.lists(st.builds(Step, st.sampled_from(KINDS), choices), min_size=1, max_size=7))
    return Recipe(tuple(inputs), tuple(steps))


@st.composite
def sizes(draw: st.DrawFn, recipe: Recipe) -> Numbers:
    """Sizes that fit now and then: most are one of two, and the other is often 1."""
    first, second = draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES))
    return {name: draw(st.sampled_from((first, first, 1, second))) for name in recipe.symbols}
