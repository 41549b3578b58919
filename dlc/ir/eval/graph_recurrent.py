"""The meaning of recurrences: step by step, all elements of the batch at once, in double precision."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from dlc.ir.core import Op
from dlc.ir.dialects import graph_recurrent as ops
from dlc.ir.eval.frame import Array, Meaning

Function = Callable[[Array], Array]
State = tuple[Array, ...]  # each (batch, hidden)
Step = Callable[[Array, State], State]  # from the gates' inputs (batch, gates, hidden)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": softplus,
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "elu": lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "thresholded_relu": lambda x, alpha: np.where(x > alpha, x, 0),
    "scaled_tanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "hard_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "affine": lambda x, alpha, beta: alpha * x + beta,
}


def activations(op: ops.Rnn | ops.Gru | ops.Lstm) -> Iterator[Function]:
    """The op's activations, those of gates behind their clip; the third of an LSTM bends the cell."""
    for number, (name, *rest) in enumerate(op.activations):
        bound = np.inf if op.clip is None or number == 2 else op.clip
        yield partial(clipped, FUNCTIONS[str(name)], rest, bound)


def clipped(function: Callable[..., Array], numbers: Sequence[object], bound: float, x: Array) -> Array:
    return function(np.clip(x, -bound, bound), *numbers)


def product(h: Array, weights: Array) -> Array:
    """h (batch, hidden) times weights (hidden, gates, hidden)."""
    return np.einsum("bk,kgj->bgj", h, weights)


def recurrence(op: ops.Recurrence, x: Array, first: State, steps: list[Step], lengths: Array | None) -> State:
    """The states of all steps, and the last ones; `steps` holds one step per direction."""
    count, batch, directions, _, hidden = x.shape
    states = np.zeros((count, directions, batch, hidden))
    last = [part.astype(np.float64) for part in first]
    for d, step in enumerate(steps):
        backwards = op.direction == "reverse" or d == 1
        for t in reversed(range(count)) if backwards else range(count):
            alive = np.ones((batch, 1), bool) if lengths is None else t < lengths[:, None]
            new = step(x[t, :, d].astype(np.float64), tuple(part[d] for part in last))
            for part, found in zip(last, new, strict=True):
                part[d] = np.where(alive, found, part[d])
            states[t, d] = np.where(alive, new[0], 0)
    return (states, *last)


def rnn(op: ops.Rnn, x: Array, r: Array, h: Array, lengths: Array | None = None) -> State:
    (f,) = activations(op)

    def step(d: int, gates: Array, state: State) -> State:
        return (f((gates + product(state[0], r[d]))[:, 0]),)

    return recurrence(op, x, (h,), per_direction(step, len(r)), lengths)


def gru(
    op: ops.Gru, x: Array, r: Array, candidate: Array, bias: Array, h: Array, lengths: Array | None = None
) -> State:
    f, g = activations(op)

    def step(d: int, gates: Array, state: State) -> State:
        (h,) = state
        update, reset = np.moveaxis(f(gates[:, :2] + product(h, r[d])), 1, 0)
        if op.linear_before_reset:
            recalled = reset * (product(h, candidate[d])[:, 0] + bias[d])
        else:
            recalled = product(reset * h, candidate[d])[:, 0] + bias[d]
        new = g(gates[:, 2] + recalled)
        return (new + update * (h - new),)

    return recurrence(op, x, (h,), per_direction(step, len(r)), lengths)


def lstm(
    op: ops.Lstm, x: Array, r: Array, h: Array, c: Array, peepholes: Array | None = None, lengths: Array | None = None
) -> State:
    f, g, bend = activations(op)
    seen = np.zeros((len(r), 3, r.shape[-1])) if peepholes is None else peepholes

    def step(d: int, gates: Array, state: State) -> State:
        h, c = state
        i, o, forget, new = np.moveaxis(gates + product(h, r[d]), 1, 0)
        i = f(i + seen[d, 0] * c)
        forget = 1 - i if op.input_forget else f(forget + seen[d, 2] * c)
        c = forget * c + i * g(new)
        return f(o + seen[d, 1] * c) * bend(c), c

    return recurrence(op, x, (h, c), per_direction(step, len(r)), lengths)


def per_direction(step: Callable[[int, Array, State], State], count: int) -> list[Step]:
    return [partial(step, d) for d in range(count)]


MEANINGS: dict[type[Op], Meaning] = {ops.Rnn: rnn, ops.Gru: gru, ops.Lstm: lstm}
