"""Sparse tensors of a model file: stored as their values that are not 0, used as the dense tensors they stand for."""

from __future__ import annotations

from math import prod

import numpy as np

from dlc.errors import UserError
from dlc.frontends.records import TensorRecord
from dlc.ir.types import STRING, Array

MOST_BYTES = 1 << 36  # of a dense tensor: a few bytes of a file must not ask for all memory there is


def dense_contents(values: TensorRecord, indices: TensorRecord, shape: tuple[int, ...]) -> Array:
    """The tensor of `shape` with `values` at `indices`, which count elements or are one position per value.

    Raises UserError where they do not fit one another.
    """
    what = f"sparse tensor '{values.name}' of shape {shape}"
    if values.element is None or values.element == STRING:
        raise UserError(f"{what} has values of type {values.type_name}, which dlc does not have")
    if min(shape, default=-1) < 0 or prod(filter(None, shape)) * values.element.bytes > MOST_BYTES:
        raise UserError(f"{what} must have at least one axis, sizes of 0 or more, and 2**36 bytes at most")
    numbers, given = values.load().reshape(-1), indices.load()
    if given.dtype != np.int64 or given.shape not in ((numbers.size,), (numbers.size, len(shape))):
        raise UserError(
            f"{what} has {numbers.size} values, so its indices must be int64 of shape ({numbers.size},) or "
            f"({numbers.size}, {len(shape)}), got {given.dtype} of shape {given.shape}"
        )
    at = given.astype(np.int64, copy=False)
    limits = np.array(shape if at.ndim == 2 else prod(shape))
    if ((at < 0) | (at >= limits)).any():
        raise UserError(f"{what} has a value at an index outside of it")
    dense = np.zeros(prod(shape), values.element.dtype)
    dense[np.ravel_multi_index(tuple(at.T), shape) if at.ndim == 2 else at] = numbers
    dense = dense.reshape(shape)
    dense.flags.writeable = False
    return dense
