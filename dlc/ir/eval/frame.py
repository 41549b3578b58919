"""What a running function knows: the contents of its values, and the numbers its symbols stand for.

A `Run` says how one kind of op runs. Most are made by `pure` or `symbolic` from a meaning in plain NumPy; ops with
regions or effects write their own and use `Frame.run_block`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc.errors import InternalError, UserError
from dlc.ir.core import Block, Op, Value
from dlc.ir.eval.conversion import converted
from dlc.ir.expr import Dim, Expr, as_expr, const
from dlc.ir.pool import ConstantPool
from dlc.ir.requirements import AT_LEAST, requirements
from dlc.ir.types import ScalarType, TensorType, Type

Array = NDArray[Any]  # elements of any type: NumPy's stubs know no arithmetic on np.generic
Run = Callable[["Frame", Op, list[object]], list[object]]
Meaning = Callable[..., Array | tuple[Array, ...]]  # (op, *arrays)
SymbolicMeaning = Callable[..., Array | tuple[Array, ...]]  # (op, symbols, *arrays)


class Symbols:
    """The numbers that symbols stand for, learnt from the shapes of arrays."""

    def __init__(self, numbers: Mapping[str, int] | None = None) -> None:
        self.numbers = dict(numbers or {})

    def value(self, dim: Dim) -> int:
        """The number a dimension stands for. Raises InternalError for a symbol that nothing has bound."""
        if isinstance(dim, int):
            return dim
        try:
            return dim.evaluate(self.numbers)
        except KeyError as missing:
            raise InternalError(f"no value is known for the symbol {missing}") from None

    def shape(self, dims: Iterable[Dim]) -> tuple[int, ...]:
        return tuple(map(self.value, dims))

    def learn(self, dims: Iterable[Dim], shape: tuple[int, ...]) -> bool:
        """Bind each new symbol that `shape` determines; whether all dimensions agree with it."""
        wanted = tuple(dims)
        if len(wanted) != len(shape):
            return False
        for dim, size in zip(wanted, shape, strict=True):
            if isinstance(dim, Expr):
                self._solve(dim, size)
        return all(self._agrees(dim, size) for dim, size in zip(wanted, shape, strict=True))

    def _solve(self, dim: Expr, size: int) -> None:
        open_dim = dim.substitute({name: const(number) for name, number in self.numbers.items()})
        unknown = sorted(open_dim.symbols())
        if len(unknown) != 1 or not open_dim.is_linear_in(unknown[0]):
            return
        factor = open_dim.coefficient(unknown[0])
        rest = open_dim.substitute({unknown[0]: 0})
        if factor and rest.is_const and (size - rest.value) % factor == 0:
            self.numbers[unknown[0]] = (size - rest.value) // factor

    def _agrees(self, dim: Dim, size: int) -> bool:
        expr = as_expr(dim)
        return not expr.symbols() <= self.numbers.keys() or expr.evaluate(self.numbers) == size


class Frame:
    """One activation of a function: runs blocks with the rows of `runs`."""

    def __init__(self, runs: Mapping[type[Op], Run], pool: ConstantPool, symbols: Symbols) -> None:
        self.runs = runs
        self.pool = pool
        self.symbols = symbols
        self.values: dict[Value, object] = {}

    def run_block(self, block: Block, args: Iterable[object]) -> list[object]:
        """Run the ops of a block; the contents of what its terminator passes on."""
        for arg, content in zip(block.args, args, strict=True):
            self.values[arg] = content
        for op in block.ops[:-1]:
            contents = self.run_op(op, [self.values[value] for value in op.operands])
            for value, content in zip(op.results, contents, strict=True):
                self.values[value] = content
        return [self.values[value] for value in block.terminator.operands]

    def run_op(self, op: Op, args: list[object]) -> list[object]:
        run = self.runs.get(type(op))
        if run is None:
            raise InternalError(f"the evaluator has no meaning for {op.name}", op=op)
        return run(self, op, args)


# -- from meanings to runs ---------------------------------------------------------------------------------------------


def pure(meaning: Meaning) -> Run:
    """How an op runs whose meaning needs its arrays alone.

    A meaning never sees a float narrower than 32 bits and need not return one: operands are widened, results rounded.
    """

    def run(frame: Frame, op: Op, args: list[object]) -> list[object]:
        check_sizes(op, frame.symbols)
        return finished(frame, op, meaning(op, *map(widened, args)))

    return run


def symbolic(meaning: SymbolicMeaning) -> Run:
    """As `pure`, for a meaning that also gets the symbols."""

    def run(frame: Frame, op: Op, args: list[object]) -> list[object]:
        check_sizes(op, frame.symbols)
        return finished(frame, op, meaning(op, frame.symbols, *map(widened, args)))

    return run


def check_sizes(op: Op, symbols: Symbols) -> None:
    """Raises UserError where sizes are not what the op declares that it needs: NumPy would make something of them."""
    for need in requirements(op):
        surplus = need.surplus
        if not surplus.symbols() <= symbols.numbers.keys():
            continue  # a size that this op finds itself
        left = surplus.evaluate(symbols.numbers)
        if left < 0 if need.relation == AT_LEAST else left != 0:
            raise UserError(f"{op.name.removeprefix('graph.')} '{op.loc}': {need.sentence}")


def widened(content: object) -> Array:
    if not isinstance(content, np.ndarray):
        raise InternalError(f"expected an array, got {type(content).__name__}")
    return content.astype(np.float32) if content.dtype.name in ("float16", "bfloat16") else content


def finished(frame: Frame, op: Op, found: Array | tuple[Array, ...]) -> list[object]:
    """The results in exactly the types of the op's results; symbols that they define become known."""
    arrays = found if isinstance(found, tuple) else (found,)
    return [settled(frame, op, value.type, array) for value, array in zip(op.results, arrays, strict=True)]


def settled(frame: Frame, op: Op, wanted: Type, found: Array) -> Array:
    array = np.asarray(found)
    if not isinstance(wanted, TensorType):
        raise InternalError(f"{op.name} gave an array for a value of type {wanted}", op=op)
    if not frame.symbols.learn(wanted.shape, array.shape):
        raise InternalError(f"{op.name} gave the shape {array.shape} for a value of type {wanted}", op=op)
    return converted(array, wanted.scalar)


def checked_feed(name: str, wanted: Type, given: Array, symbols: Symbols) -> Array:
    """The array of the input `name`. Raises UserError if it does not have the type."""
    if not isinstance(wanted, TensorType):
        raise InternalError(f"input {name!r} has type {wanted}, not a tensor")
    array = np.asarray(given)  # a NumPy scalar is no array
    if array.dtype != wanted.scalar.dtype and not (wanted.scalar == ScalarType("str") and array.dtype.kind in "OUS"):
        raise UserError(f"input {name!r}: expected {wanted}, got elements of type {array.dtype}")
    if not symbols.learn(wanted.shape, array.shape):
        raise UserError(f"input {name!r}: expected {wanted}, got the shape {array.shape}")
    return array
