"""What follows from the input shapes of a call, as `dlc_bind` says: shapes of the outputs, bytes of the workspace."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import numpy as np

from dlc.errors import InternalError
from dlc.record import record
from dlc.runtime.dims import compile_dim
from dlc.runtime.feeds import refuse_shape
from dlc.runtime.metadata import Metadata
from dlc.runtime.spec import shape_text

Shape = tuple[int, ...]
Numbers = ctypes.Array[ctypes.c_int64]


@record
class Bound:
    """Everything about a call that depends on its input shapes only; kept and used again for equal shapes."""

    sizes: Numbers  # of all inputs, one after the other
    outputs: tuple[tuple[str, Shape, np.dtype, int], ...]  # name, shape (its upper bound), type, bytes
    workspace: int
    late: bool = False  # whether there are outputs that nothing bounds: their sizes are -1, and their bytes


class Binder:
    """Input shapes as `dlc_bind` takes them, and what it gives as shapes."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata
        self.ranks = [len(spec.shape) for spec in metadata.outputs]
        derived, slots = frozenset(metadata.derived), metadata.slots
        self.is_derived = [
            bool(derived) and any(derived & compile_dim(dim, slots).names for dim in spec.shape)
            for spec in metadata.outputs
        ]
        self.check_symbols()

    def check_symbols(self) -> None:
        """Every symbol must be a plain dimension of some input, or no call could give it a value."""
        plain = {dim for spec in self.metadata.inputs for dim in spec.shape if isinstance(dim, str)}
        if free := [name for name in self.metadata.symbols if name not in plain]:
            raise InternalError(f"no input of the model gives the dimension {free[0]!r} a value")

    def sizes(self, shapes: Sequence[Shape]) -> Numbers:
        """The sizes of all inputs. Raises UserError for a wrong number of dimensions: the code cannot see it."""
        for spec, shape in zip(self.metadata.inputs, shapes, strict=True):
            if len(shape) != len(spec.shape):
                reason = f"{len(spec.shape)} dimensions are expected, there are {len(shape)}"
                raise refuse_shape(spec, shape, reason)
        flat = [size for shape in shapes for size in shape]
        return (ctypes.c_int64 * max(1, len(flat)))(*flat)

    def room(self) -> Numbers:
        """Where the shapes of the outputs go."""
        return (ctypes.c_int64 * max(1, sum(self.ranks)))()

    def shapes(self, numbers: Sequence[int]) -> list[Shape]:
        """The shapes of the outputs, from the sizes of all of them."""
        found, at = [], 0
        for rank in self.ranks:
            found.append(tuple(numbers[at : at + rank]))
            at += rank
        return found

    def bound(self, sizes: Numbers, numbers: Sequence[int], workspace: int) -> Bound:
        shapes = self.shapes(numbers)
        outputs = [
            (spec.name, shape, spec.dtype, -1 if -1 in shape else math.prod(shape) * spec.dtype.itemsize)
            for spec, shape in zip(self.metadata.outputs, shapes, strict=True)
        ]
        return Bound(sizes, tuple(outputs), workspace, any(row[3] < 0 for row in outputs))

    def described(self, sizes: Numbers) -> str:
        """The inputs with their shapes, for messages."""
        said, at = [], 0
        for spec in self.metadata.inputs:
            shape = tuple(sizes[at : at + len(spec.shape)])
            said.append(f"input {spec.name!r} of shape {shape_text(shape)}")
            at += len(shape)
        return ", ".join(said)
