"""A graph module while it grows: each op is evaluated as it is added, so that the contents of every value are known.

That keeps the numbers tame without analysis: what is not finite is not added, what is large is scaled down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlc.ir.core import Block, Func, Module, Op, Region, Value
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_math import Mul
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.eval.frame import Symbols
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.expr import Dim, Expr
from dlc.ir.pool import ConstantPool
from dlc.ir.types import BOOL, F32, SI32, SI64, ScalarType, TensorType, scalar_of

Array = NDArray[Any]
Draw = st.DrawFn
LARGE = 8.0  # floats beyond this are scaled down
ELEMENTS_AT_MOST = 20_000


@dataclass
class Growing:
    """The module, the numbers of its symbols, and the contents of its values for one set of feeds."""

    rng: np.random.Generator
    symbols: dict[str, int]
    module: Module = field(default_factory=lambda: Module(ConstantPool()))
    block: Block = field(default_factory=Block)
    contents: dict[Value, Array] = field(default_factory=dict)
    counted: int = 0
    inputs: dict[Value, Array] = field(default_factory=dict)
    hidden: set[Value] = field(default_factory=set)  # too large: a scaled copy stands for each
    exact: set[Value] = field(default_factory=set)  # the same bits whatever the order of arithmetic

    # -- values ----------------------------------------------------------------------------------------------------

    def size(self, dim: Dim) -> int:
        return dim.evaluate(self.symbols) if isinstance(dim, Expr) else dim

    def random(self, shape: tuple[int, ...], element: ScalarType) -> Array:
        if element == BOOL:
            return np.asarray(self.rng.random(shape) < 0.5)
        if element.is_float:
            return self.rng.uniform(-2, 2, shape).astype(element.dtype)
        return self.rng.integers(0 if element.name.startswith("u") else -4, 5, shape).astype(element.dtype)

    def argument(self, shape: tuple[Dim, ...], element: ScalarType) -> Value:
        value = self.block.add_arg(TensorType(shape, element), f"x{len(self.block.args)}")
        self.contents[value] = self.inputs[value] = self.random(tuple(map(self.size, shape)), element)
        self.exact.add(value)
        return value

    def constant(self, array: Array) -> Value:
        """A constant, as an op at this place."""
        wanted = TensorType(array.shape, scalar_of(array.dtype))
        op = Constant(value=self.module.pool.add(array), type=wanted)
        self.block.append(op)
        self.contents[op.result] = array
        self.exact.add(op.result)
        return op.result

    def weight(self, *shape: int, element: ScalarType = F32) -> Value:
        return self.constant(self.random(shape, element))

    def fresh_symbol(self) -> str:
        """A symbol for a size that `add` finds out."""
        self.counted += 1
        return f"found{self.counted}"

    def pick(self, draw: Draw, test: Callable[[TensorType], bool], exact: bool = False) -> Value | None:
        """One of the values whose type passes, if there is one; newer ones come first in shrinking."""
        usable = [v for v in self.contents if v not in self.hidden and (not exact or v in self.exact)]
        fitting = [v for v in usable if test(tensor(v))]
        return draw(st.sampled_from(fitting[::-1])) if fitting else None

    # -- ops -------------------------------------------------------------------------------------------------------

    def add(self, op: Op) -> Op | None:
        """Append the op, unless its results would be too large or not finite."""
        found = evaluate_op(op, [self.contents[v] for v in op.operands], self.symbols, self.module.pool)
        if any(a.size > ELEMENTS_AT_MOST or (a.dtype.kind == "f" and not np.isfinite(a).all()) for a in found):
            op.drop_all()
            return None
        self.block.append(op)
        self.learn(op, found)
        exact = all(v in self.exact for v in op.operands)
        for value, array in zip(op.results, found, strict=True):
            self.contents[value] = array
            if array.dtype.kind in "iub" or (exact and same_numbers(array, [self.contents[v] for v in op.operands])):
                self.exact.add(value)
        self.tame(op)
        return op

    def learn(self, op: Op, found: list[Array]) -> None:
        """Remember the sizes that an op found at run time."""
        known = Symbols(self.symbols)
        for value, array in zip(op.results, found, strict=True):
            known.learn(tensor(value).shape, array.shape)
        self.symbols = known.numbers

    def tame(self, op: Op) -> None:
        """Scale large results down, and use the scaled ones in what follows."""
        for value in op.results:
            array = self.contents[value]
            largest = float(np.max(np.abs(array), initial=0)) if array.dtype.kind == "f" else 0.0
            if largest > LARGE:
                factor = self.constant(np.asarray(LARGE / 2 / largest, array.dtype))
                self.add(Mul(value, factor))
                self.hidden.add(value)

    def finish(self, outputs: list[Value]) -> Module:
        self.block.append(Return(*outputs))
        names = {
            "inputs": tuple(str(a.hint) for a in self.block.args),
            "outputs": tuple(f"y{n}" for n in range(len(outputs))),
        }
        self.module.add(Func("main", Region([self.block]), tuple(v.type for v in outputs), dict(names)))
        return self.module


def same_numbers(array: Array, sources: list[Array]) -> bool:
    """Whether an op only moved floats: then they are as exact as before."""
    return any(np.isin(array, source).all() for source in sources if source.dtype == array.dtype)


# -- which values an op takes ------------------------------------------------------------------------------------------


def is_float(kind: TensorType) -> bool:
    return kind.scalar == F32


def is_integer(kind: TensorType) -> bool:
    return kind.scalar in (SI32, SI64)


def is_number(kind: TensorType) -> bool:
    return is_float(kind) or is_integer(kind)


def is_bool(kind: TensorType) -> bool:
    return kind.scalar == BOOL


def anything(kind: TensorType) -> bool:
    return True


def of_rank(low: int, high: int, test: Callable[[TensorType], bool] = anything) -> Callable[[TensorType], bool]:
    return lambda kind: low <= kind.rank <= high and test(kind)
