"""What follows from the input shapes of a call: values of the symbols, sizes of the outputs and of the workspace."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.record import record
from dlc.runtime.dims import Expr, compile_expr
from dlc.runtime.feeds import refuse_shape
from dlc.runtime.metadata import Metadata
from dlc.runtime.spec import TensorSpec

Shape = tuple[int, ...]


@record
class Bound:
    """Everything about a call that depends on its input shapes only; kept and used again for equal shapes."""

    dims: tuple[int, ...]
    outputs: tuple[tuple[Shape, np.dtype, int], ...]    # shape (its upper bound), type, bytes
    workspace: int


class Binder:
    """Computes a `Bound` from input shapes, with the model's expressions compiled once."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.slots = metadata.slots
        self.inputs = [self.compiled(spec.shape) for spec in metadata.inputs]
        self.outputs = [self.compiled(spec.shape) for spec in metadata.outputs]
        self.most = [self.compiled(shape) for shape in metadata.most]
        derived = set(metadata.derived)
        self.is_derived = [any(dim.names & derived for dim in shape) for shape in self.outputs]
        self.check_symbols()

    def compiled(self, shape: Sequence[int | str]) -> list[Expr]:
        return [compile_expr(dim, self.slots) for dim in shape]

    def check_symbols(self) -> None:
        """Every symbol must be a plain dimension of some input, or no call could give it a value."""
        plain = {dim for spec in self.metadata.inputs for dim in spec.shape if isinstance(dim, str)}
        if free := [name for name in self.metadata.symbols if name not in plain]:
            raise InternalError(f"no input of the model gives the dimension {free[0]!r} a value")

    def bind(self, shapes: Sequence[Shape]) -> Bound:
        """Check the input shapes against the model's and compute all that follows from them."""
        dims = self.symbol_values(shapes)
        self.check_assumptions(dims)
        for index, expr in enumerate(self.metadata.upper, start=len(self.metadata.symbols)):
            dims[index] = expr(dims)
        outputs = []
        for spec, exprs in zip(self.metadata.outputs, self.most, strict=True):
            shape = output_shape(spec, exprs, dims)
            outputs.append((shape, spec.dtype, math.prod(shape) * spec.dtype.itemsize))
        return Bound(tuple(dims), tuple(outputs), self.metadata.workspace(dims))

    def check_assumptions(self, dims: Sequence[int]) -> None:
        """The model was compiled for what these input dimensions must fulfil."""
        for expr, message in self.metadata.assumptions:
            if (value := expr(dims)) < 0:
                known = ", ".join(f"{name} = {dims[self.slots[name]]}" for name in self.slots if name in expr.names)
                inputs = [spec.name for spec in self.metadata.inputs if self.gives(spec, expr)]
                where = ", ".join(map(repr, inputs)) or "none"
                raise UserError(f"{message}, it is {value}: {known} by the shapes of the inputs {where}")

    def gives(self, spec: TensorSpec, expr: Expr) -> bool:
        return any(expr.names & dim.names for dim in self.compiled(spec.shape))

    def symbol_values(self, shapes: Sequence[Shape]) -> list[int]:
        """Plain names take the value of the first input that has them; all other dimensions must agree."""
        dims = [-1] * len(self.slots)
        rows = list(zip(self.metadata.inputs, self.inputs, shapes, strict=True))
        for spec, exprs, shape in rows:
            if len(shape) != len(exprs):
                raise refuse_shape(spec, shape, f"{len(exprs)} dimensions are expected, there are {len(shape)}")
            for text, got in zip(spec.shape, shape, strict=True):
                if isinstance(text, str) and text in self.slots and dims[self.slots[text]] < 0:
                    dims[self.slots[text]] = got
        for spec, exprs, shape in rows:
            for position, (expr, got) in enumerate(zip(exprs, shape, strict=True)):
                if (expected := expr(dims)) != got:
                    known = f"{expr.text} = {expected}" if expr.constant is None else str(expected)
                    raise refuse_shape(spec, shape, f"dimension {position} must be {known}, it is {got}")
        return dims

    def real_shape(self, index: int, dims: Sequence[int]) -> Shape:
        """The shape of an output once the kernels have filled in the derived dims."""
        return output_shape(self.metadata.outputs[index], self.outputs[index], dims)


def output_shape(spec: TensorSpec, exprs: Sequence[Expr], dims: Sequence[int]) -> Shape:
    """An output's shape for given symbol values."""
    shape = tuple(expr(dims) for expr in exprs)
    if any(dim < 0 for dim in shape):
        raise UserError(f"output {spec.name!r} would have shape {shape} for these inputs, which are too small")
    return shape
