"""Typical sizes: what algorithms are chosen for where a model leaves a size open.

A name that is always the first of several axes of an input is a batch, of 1; any other one counts as 128, which is in
the middle of the sequences that models are fed with. It decides speed, never results.
"""

from __future__ import annotations

from dlc.ir.core import Func
from dlc.ir.expr import Dim, Expr
from dlc.ir.types import BufferType, TensorType

BATCH = 1
IMAGES = 2  # of a convolution: more of them than two ask for other tiles, one does not
TYPICAL = 128


def batch_names(main: Func) -> frozenset[str]:
    """The named dimensions of a function's inputs that count as batches."""
    shapes = [arg.type.shape for arg in main.args if isinstance(arg.type, TensorType | BufferType)]
    first = {str(shape[0]) for shape in shapes if len(shape) > 1 and isinstance(shape[0], Expr) and shape[0].is_symbol}
    others = (dim for shape in shapes for dim in (shape[1:] if len(shape) > 1 else shape))
    return frozenset(first.difference(*(dim.symbols() for dim in others if isinstance(dim, Expr))))


def typical(dim: Dim, batches: frozenset[str]) -> int:
    """A size, or what it is where all names have their typical values."""
    if isinstance(dim, int):
        return dim
    return dim.evaluate({name: BATCH if name in batches else TYPICAL for name in dim.symbols()})
