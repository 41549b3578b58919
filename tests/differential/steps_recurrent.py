"""How the generator adds recurrences."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_recurrent as ops
from dlc.ir.dialects.graph_shape import Reshape
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.types import F32, TensorType
from tests.differential.growing import Draw, Growing, is_float, of_rank
from tests.differential.steps_math import Step


def with_gates(draw: Draw, growing: Growing, gates: int) -> Value | None:
    """A value as the input of a recurrence with so many gates: (steps, batch, columns) with the columns taken apart."""

    def fits(kind: TensorType) -> bool:
        columns = kind.shape[-1]
        return is_float(kind) and isinstance(columns, int) and columns % gates == 0 and columns > 0

    x = growing.pick(draw, of_rank(3, 3, fits))
    if x is None:
        x = growing.argument((draw(st.integers(0, 3)), draw(st.integers(1, 3)), gates * draw(st.integers(1, 3))), F32)
    steps, batch, columns = tensor(x).shape
    ways = 2 if columns % (2 * gates) == 0 and draw(st.booleans()) else 1
    reshaped = growing.add(Reshape(x, shape=(steps, batch, ways, gates, columns // (ways * gates))))
    return None if reshaped is None else reshaped.result


def recurrence(kind: type[ops.Recurrence], gates: int) -> Step:
    def step(draw: Draw, growing: Growing) -> Op | None:
        x = with_gates(draw, growing, gates)
        if x is None:
            return None
        _, batch, ways, _, hidden = tensor(x).shape
        element = tensor(x).scalar
        states = [growing.argument((ways, batch, hidden), element) for _ in range(2 if kind is ops.Lstm else 1)]
        weights = [growing.weight(ways, hidden, gates, hidden, element=element)]
        if kind is ops.Gru:
            weights = [growing.weight(ways, hidden, n, hidden, element=element) for n in (2, 1)]
            weights.append(growing.weight(ways, hidden, element=element))
        more = []
        if draw(st.booleans()):
            more = [growing.weight(ways, 3, hidden, element=element)] if kind is ops.Lstm else []
            more.append(growing.constant(growing.rng.integers(0, 4, growing.size(batch)).astype(np.int32)))
        direction = "bidirectional" if ways == 2 else draw(st.sampled_from(("forward", "reverse")))
        attrs: dict[str, object] = {"direction": direction, "clip": draw(st.sampled_from((None, 1.5)))}
        if kind is ops.Gru:
            attrs["linear_before_reset"] = draw(st.booleans())
        return growing.add(kind(x, *weights, *states, *more, **attrs))

    return step


STEPS: dict[type[Op], Step] = {
    ops.Rnn: recurrence(ops.Rnn, 1), ops.Gru: recurrence(ops.Gru, 3), ops.Lstm: recurrence(ops.Lstm, 4),
}  # fmt: skip
