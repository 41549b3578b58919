"""How the generator adds attention."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Op
from dlc.ir.dialects.graph_attention import Attention, Rotary
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.types import F32, TensorType
from tests.differential.growing import Draw, Growing, is_float, of_rank
from tests.differential.steps_math import Step


def has_channels(kind: TensorType) -> bool:
    return is_float(kind) and isinstance(kind.shape[3], int) and kind.shape[3] > 0


def attention(draw: Draw, growing: Growing) -> Op | None:
    q = growing.pick(draw, of_rank(4, 4, has_channels))
    if q is None:
        q = growing.argument((1, draw(st.integers(0, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 4))), F32)
    batch, queries, heads, channels = tensor(q).shape
    keys = draw(st.integers(1, 4))
    heads = draw(st.sampled_from((1, heads))) if isinstance(heads, int) and heads else heads
    k = growing.argument((batch, keys, heads, channels), F32)
    v = growing.argument((batch, keys, heads, draw(st.integers(1, 4))), F32)
    mask = []
    if draw(st.booleans()):
        array = growing.rng.standard_normal((draw(st.sampled_from((1, growing.size(queries)))), keys))
        mask = [growing.constant(array > 0 if draw(st.booleans()) else array.astype(np.float32))]
    attrs = {"rows": draw(st.integers(1, 3)), "keys": draw(st.integers(1, 3)), "fill": -100.0}
    return growing.add(Attention(q, k, v, *mask, scale=0.5, **attrs))


def has_pairs(kind: TensorType) -> bool:
    return is_float(kind) and isinstance(kind.shape[-1], int) and kind.shape[-1] % 2 == 0


def rotary(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 5, has_pairs))
    if x is None:
        x = growing.argument((draw(st.integers(1, 3)), 2 * draw(st.integers(1, 9))), F32)
    shape = tensor(x).shape
    angles = [growing.argument(shape[draw(st.integers(0, len(shape) - 1)) :], tensor(x).scalar) for _ in range(2)]
    return growing.add(Rotary(x, *angles))


STEPS: dict[type[Op], Step] = {Attention: attention, Rotary: rotary}
