"""RNN, GRU and LSTM over a sequence of known length: one matrix product for all inputs, then a step per element.

X·Wᵀ + bias is computed for the whole sequence at once; only H·Rᵀ stays inside the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dlc.frontends.build import broadcasted, rank_of, reshaped, shape_of, sliced, static_dim, transposed
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.ir.core import Value
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.graph_shape import Concat

Activation = Callable[[Value], Value]
State = tuple[Value, ...]  # h, and c for an LSTM; each (batch, hidden)

LONGEST = 512  # steps; beyond this the graph would be too large to be of use
DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass(frozen=True, slots=True)
class Cell:
    """One direction of one operator."""

    gates: Value  # (steps, batch, gates * hidden): X·Wᵀ + bias
    recurrent: Value  # (hidden, gates * hidden): Rᵀ
    bias: Value | None  # of H·Rᵀ, kept apart for a GRU that needs it inside
    peepholes: Value | None
    activations: tuple[Activation, ...]
    hidden: int


Step = Callable[[NodeContext, Cell, Value, State], State]


def recurrence(step: Step, gates: int, states: int, defaults: tuple[str, ...]) -> Handler:
    """A handler for one of the three; `defaults` are the names of the activations of one direction."""

    def handler(cx: NodeContext) -> list[Value]:
        directions = DIRECTIONS.get(cx.text("direction", "forward"))
        if directions is None:
            raise Unsupported(f"its direction is {cx.text('direction')}")
        if cx.flag("input_forget"):
            raise Unsupported("its input_forget is not supported")
        x = cx.x(0)
        batch_first = cx.flag("layout")
        if batch_first:
            x = transposed(cx, x, (1, 0, 2))
        steps = static_dim(x, 0, "the length of its sequence")
        if steps > LONGEST:
            raise Unsupported(f"its sequence has {steps} elements, dlc unrolls up to {LONGEST}")
        _check_lengths(cx, steps)
        outputs, finals = [], []
        for number, backwards in enumerate(directions):
            cell = _cell(cx, x, number, gates, defaults)
            sequence, state = _run(cx, cell, step, _initial(cx, cell, x, number, states, batch_first), steps, backwards)
            outputs.append(sequence)
            finals.append(state)
        return _results(cx, outputs, finals, batch_first)

    return handler


def _check_lengths(cx: NodeContext, steps: int) -> None:
    if not cx.has(4):
        return
    lengths = cx.contents(4)
    if lengths is None or any(length != steps for length in lengths.reshape(-1)):
        raise Unsupported("sequences of different lengths are not supported")


def _cell(cx: NodeContext, x: Value, number: int, gates: int, defaults: tuple[str, ...]) -> Cell:
    hidden = static_dim(cx.x(2), 2, "its hidden size")
    w, r = (_part(cx, cx.x(n), number) for n in (1, 2))
    mixed = cx.put(MatMul(x, transposed(cx, w, (1, 0))))
    bias = None
    if cx.has(3):
        both = _part(cx, cx.x(3), number)
        mixed = cx.put(m.Add(mixed, sliced(cx, both, 0, 0, gates * hidden)))
        bias = sliced(cx, both, 0, gates * hidden, gates * hidden)
        if not cx.flag("linear_before_reset"):
            mixed, bias = cx.put(m.Add(mixed, bias)), None
    peepholes = _part(cx, cx.x(7), number) if cx.has(7) else None
    return Cell(mixed, transposed(cx, r, (1, 0)), bias, peepholes, _activations(cx, number, defaults), hidden)


def _part(cx: NodeContext, x: Value, number: int) -> Value:
    """The weights of one direction."""
    return reshaped(cx, sliced(cx, x, 0, number, 1), shape_of(x)[1:])


def _initial(cx: NodeContext, cell: Cell, x: Value, number: int, states: int, batch_first: bool) -> State:
    found = []
    for n in range(states):
        given = cx.maybe(5 + n)
        if given is None:
            found.append(broadcasted(cx, cx.number(0, x), (shape_of(x)[1], cell.hidden)))
        else:
            found.append(_part(cx, transposed(cx, given, (1, 0, 2)) if batch_first else given, number))
    return tuple(found)


def _run(
    cx: NodeContext, cell: Cell, step: Step, state: State, steps: int, backwards: bool
) -> tuple[list[Value], State]:
    """The hidden states in the order of the sequence, and the last state."""
    sequence: list[Value] = []
    for at in reversed(range(steps)) if backwards else range(steps):
        gates = reshaped(cx, sliced(cx, cell.gates, 0, at, 1), shape_of(cell.gates)[1:])
        state = step(cx, cell, gates, state)
        sequence.append(state[0])
    return sequence[::-1] if backwards else sequence, state


def _results(cx: NodeContext, outputs: list[list[Value]], finals: list[State], batch_first: bool) -> list[Value]:
    """Y (steps, directions, batch, hidden) and the last states (directions, batch, hidden)."""
    stacked = [_stacked(cx, list(at)) for at in zip(*outputs, strict=True)]
    y = _stacked(cx, stacked)
    states = [_stacked(cx, list(state)) for state in zip(*finals, strict=True)]
    if batch_first:
        y, states = transposed(cx, y, (2, 0, 1, 3)), [transposed(cx, state, (1, 0, 2)) for state in states]
    return [y, *states]


def _stacked(cx: NodeContext, values: list[Value]) -> Value:
    """Values side by side along a new first axis."""
    rows = [reshaped(cx, value, (1, *shape_of(value))) for value in values]
    return rows[0] if len(rows) == 1 else cx.put(Concat(*rows, axis=0))


# -- activations -------------------------------------------------------------------------------------------------------


def _activations(cx: NodeContext, number: int, defaults: tuple[str, ...]) -> tuple[Activation, ...]:
    given = cx.attribute("activations")
    names = [str(name) for name in given] if isinstance(given, tuple) and given else list(defaults) * (number + 1)
    alphas, betas = (_numbers(cx, f"activation_{which}") for which in ("alpha", "beta"))
    clip = cx.decimal("clip") if cx.attribute("clip") is not None else None
    found: list[Activation] = []
    for name in names:  # all of them, in order: each takes its alpha and beta from the lists
        found.append(_activation(cx, name.lower(), alphas, betas, clip))
    return tuple(found[number * len(defaults) : (number + 1) * len(defaults)])


def _numbers(cx: NodeContext, name: str) -> list[float]:
    value = cx.attribute(name)
    return [float(each) for each in value if isinstance(each, float | int)] if isinstance(value, tuple) else []


ALPHA = {
    "leakyrelu": (m.LeakyRelu, 0.01), "elu": (m.Elu, 1.0), "thresholdedrelu": (m.ThresholdedRelu, 1.0),
}  # fmt: skip
PLAIN = {
    "sigmoid": m.Sigmoid, "tanh": m.Tanh, "relu": m.Relu, "softsign": m.Softsign, "softplus": m.Softplus,
}  # fmt: skip


def _activation(cx: NodeContext, name: str, alphas: list[float], betas: list[float], clip: float | None) -> Activation:
    if name in PLAIN:
        kind = PLAIN[name]
        plain: Activation = lambda x: cx.put(kind(_clipped(cx, x, clip)))  # noqa: E731
        return plain
    if name in ALPHA:
        scaled, default = ALPHA[name]
        alpha = alphas.pop(0) if alphas else default
        return lambda x: cx.put(scaled(_clipped(cx, x, clip), alpha=alpha))
    if name == "hardsigmoid":
        slope, offset = alphas.pop(0) if alphas else 0.2, betas.pop(0) if betas else 0.5
        return lambda x: cx.put(m.HardSigmoid(_clipped(cx, x, clip), alpha=slope, beta=offset))
    if name == "affine":
        slope, offset = alphas.pop(0) if alphas else 1.0, betas.pop(0) if betas else 0.0
        return lambda x: cx.put(m.Add(cx.put(m.Mul(x, cx.number(slope, x))), cx.number(offset, x)))
    raise Unsupported(f"its activation {name} is not supported")


def _clipped(cx: NodeContext, x: Value, limit: float | None) -> Value:
    return x if limit is None else cx.put(m.Clip(x, low=-limit, high=limit))


# -- steps -------------------------------------------------------------------------------------------------------------


def _gate(cx: NodeContext, cell: Cell, values: Value, number: int) -> Value:
    return sliced(cx, values, rank_of(values) - 1, number * cell.hidden, cell.hidden)


def rnn_step(cx: NodeContext, cell: Cell, gates: Value, state: State) -> State:
    (activation,) = cell.activations
    return (activation(cx.put(m.Add(gates, cx.put(MatMul(state[0], cell.recurrent))))),)


def gru_step(cx: NodeContext, cell: Cell, gates: Value, state: State) -> State:
    """z, r, h in this order; the new state is (1 - z)·candidate + z·h"""
    (h,) = state
    squash, bend = cell.activations
    if cell.bias is not None:  # linear_before_reset: the reset multiplies H·Rᵀ + bias
        inner = cx.put(m.Add(cx.put(MatMul(h, cell.recurrent)), cell.bias))
        update, reset = (squash(cx.put(m.Add(_gate(cx, cell, gates, n), _gate(cx, cell, inner, n)))) for n in (0, 1))
        recalled = cx.put(m.Mul(reset, _gate(cx, cell, inner, 2)))
    else:
        inner = cx.put(MatMul(h, sliced(cx, cell.recurrent, 1, 0, 2 * cell.hidden)))
        update, reset = (squash(cx.put(m.Add(_gate(cx, cell, gates, n), _gate(cx, cell, inner, n)))) for n in (0, 1))
        weights = _gate(cx, cell, cell.recurrent, 2)
        if cx.flag("linear_before_reset"):
            recalled = cx.put(m.Mul(reset, cx.put(MatMul(h, weights))))
        else:
            recalled = cx.put(MatMul(cx.put(m.Mul(reset, h)), weights))
    candidate = bend(cx.put(m.Add(_gate(cx, cell, gates, 2), recalled)))
    kept = cx.put(m.Mul(update, cx.put(m.Sub(h, candidate))))
    return (cx.put(m.Add(candidate, kept)),)


def lstm_step(cx: NodeContext, cell: Cell, gates: Value, state: State) -> State:
    """i, o, f, c in this order; a peephole adds a share of the cell to its gate."""
    h, c = state
    squash, bend, shape = cell.activations
    total = cx.put(m.Add(gates, cx.put(MatMul(h, cell.recurrent))))
    i, o, f, g = (_gate(cx, cell, total, n) for n in range(4))
    i, f = squash(_peeked(cx, cell, i, c, 0)), squash(_peeked(cx, cell, f, c, 2))
    new = cx.put(m.Add(cx.put(m.Mul(f, c)), cx.put(m.Mul(i, bend(g)))))
    o = squash(_peeked(cx, cell, o, new, 1))
    return cx.put(m.Mul(o, shape(new))), new


def _peeked(cx: NodeContext, cell: Cell, gate: Value, c: Value, number: int) -> Value:
    if cell.peepholes is None:
        return gate
    return cx.put(m.Add(gate, cx.put(m.Mul(_gate(cx, cell, cell.peepholes, number), c))))


HANDLERS: dict[str, Handler] = {
    "RNN": recurrence(rnn_step, 1, 1, ("Tanh",)), "GRU": recurrence(gru_step, 3, 1, ("Sigmoid", "Tanh")),
    "LSTM": recurrence(lstm_step, 4, 2, ("Sigmoid", "Tanh", "Tanh")),
}  # fmt: skip
