"""RNN, GRU and LSTM: one matrix product of all inputs with their weights, then a recurrence.

    y = LSTM(x, w, r, b)    →    y = lstm(x · wᵀ + b, rᵀ, h, c)

Both directions share the product. They share the recurrence too, unless their activations differ.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlc.frontends.build import assume_shape, broadcasted, reshaped, shape_of, sliced, static_dim, transposed
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.graph_recurrent import DIRECTIONS, Activation, Gru, Lstm, Recurrence, Rnn
from dlc.ir.dialects.graph_shape import Concat
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim
from dlc.record import record


@record
class Part:
    """The directions that one recurrence computes."""

    cx: NodeContext
    first: int
    count: int
    direction: str
    activations: tuple[Activation, ...]
    x: Value  # (steps, batch, width)
    hidden: int
    gates: int
    all: int  # directions of the node

    @property
    def batch(self) -> Dim:
        return shape_of(self.x)[1]

    def operand(self, position: int) -> Value:
        """These directions of an operand of the node, whose first axis they are."""
        return sliced(self.cx, self.cx.x(position), 0, self.first, self.count)

    def clip(self) -> float | None:
        return self.cx.decimal("clip") if self.cx.attribute("clip") is not None else None

    def zeros(self, *shape: int) -> Value:
        return self.cx.constant(np.zeros(shape, tensor(self.x).scalar.dtype))

    # -- operands of the recurrence ----------------------------------------------------------------------------------

    def mixed(self, bias: Value | None) -> Value:
        """x · wᵀ plus `bias` (directions, gates * hidden), as (steps, batch, directions, gates, hidden)."""
        cx, (steps, batch, width) = self.cx, shape_of(self.x)
        assume_shape(cx, cx.x(1), (self.all, self.gates * self.hidden, width), "w")
        columns = self.count * self.gates * self.hidden
        weights = transposed(cx, reshaped(cx, self.operand(1), (columns, width)), (1, 0))
        rows = reshaped(cx, self.x, (steps * batch, width))
        product = cx.put(MatMul(rows, weights))
        if bias is not None:
            product = cx.put(m.Add(product, reshaped(cx, bias, (columns,))))
        return reshaped(cx, product, (steps, batch, self.count, self.gates, self.hidden))

    def biases(self) -> tuple[Value, Value] | None:
        """Those of the inputs and those of the state, (directions, gates * hidden) each."""
        if not self.cx.has(3):
            return None
        width = self.gates * self.hidden
        assume_shape(self.cx, self.cx.x(3), (self.all, 2 * width), "b")
        both = self.operand(3)
        return sliced(self.cx, both, 1, 0, width), sliced(self.cx, both, 1, width, width)

    def mixed_with_biases(self) -> Value:
        biases = self.biases()
        return self.mixed(None if biases is None else self.cx.put(m.Add(*biases)))

    def recurrent(self) -> Value:
        """rᵀ of each gate: (directions, hidden, gates, hidden)."""
        assume_shape(self.cx, self.cx.x(2), (self.all, self.gates * self.hidden, self.hidden), "r")
        gates = reshaped(self.cx, self.operand(2), (self.count, self.gates, self.hidden, self.hidden))
        return transposed(self.cx, gates, (0, 3, 1, 2))

    def initial(self, position: int) -> Value:
        """A first state (directions, batch, hidden), zero if it is not given."""
        cx = self.cx
        given = cx.maybe(position)
        if given is None:
            return broadcasted(cx, cx.number(0, self.x), (self.count, self.batch, self.hidden))
        if cx.flag("layout"):
            given = transposed(cx, given, (1, 0, 2))
        assume_shape(cx, given, (self.all, self.batch, self.hidden), f"the first state (operand {position})")
        return sliced(cx, given, 0, self.first, self.count)

    def lengths(self) -> list[Value]:
        """The lengths of the sequences, unless all are known to be whole."""
        if not self.cx.has(4):
            return []
        known, steps = self.cx.contents(4), shape_of(self.x)[0]
        return [] if known is not None and all(n == steps for n in known.reshape(-1)) else [self.cx.x(4)]


# -- one maker per operator --------------------------------------------------------------------------------------------


def make_rnn(part: Part) -> Recurrence:
    return Rnn(
        part.mixed_with_biases(), part.recurrent(), part.initial(5), *part.lengths(), direction=part.direction,
        clip=part.clip(), activations=part.activations,
    )  # fmt: skip


def make_gru(part: Part) -> Recurrence:
    """The candidate's bias of the state stays inside the recurrence: a reset may come between."""
    cx, hidden = part.cx, part.hidden
    biases = part.biases()
    mixed, inner = None, part.zeros(part.count, hidden)
    if biases is not None:
        of_inputs, of_state = biases
        inner = sliced(cx, of_state, 1, 2 * hidden, hidden)
        outer = cx.put(Concat(sliced(cx, of_state, 1, 0, 2 * hidden), part.zeros(part.count, hidden), axis=1))
        mixed = cx.put(m.Add(of_inputs, outer))
    weights = part.recurrent()
    return Gru(
        part.mixed(mixed), sliced(cx, weights, 2, 0, 2), sliced(cx, weights, 2, 2, 1), inner, part.initial(5),
        *part.lengths(), direction=part.direction, clip=part.clip(), activations=part.activations,
        linear_before_reset=cx.flag("linear_before_reset"),
    )  # fmt: skip


def make_lstm(part: Part) -> Recurrence:
    lengths = part.lengths()
    peepholes: list[Value] = []
    if part.cx.has(7):
        assume_shape(part.cx, part.cx.x(7), (part.all, 3 * part.hidden), "p")
        peepholes = [reshaped(part.cx, part.operand(7), (part.count, 3, part.hidden))]
    elif lengths:  # an operand before one that is present cannot be absent
        peepholes = [part.zeros(part.count, 3, part.hidden)]
    return Lstm(
        part.mixed_with_biases(), part.recurrent(), part.initial(5), part.initial(6), *peepholes, *lengths,
        direction=part.direction, clip=part.clip(), activations=part.activations,
        input_forget=part.cx.flag("input_forget"),
    )  # fmt: skip


def recurrence(make: Callable[[Part], Recurrence], gates: int, defaults: tuple[str, ...]) -> Handler:
    """A handler for one of the three; `defaults` are the names of the activations of one direction."""

    def handler(cx: NodeContext) -> list[Value]:
        direction = cx.text("direction", "forward")
        if direction not in DIRECTIONS:
            raise Unsupported(f"its direction is {direction}")
        count = DIRECTIONS[direction]
        batch_first = cx.flag("layout")
        x = transposed(cx, cx.x(0), (1, 0, 2)) if batch_first else cx.x(0)
        hidden = static_dim(cx.x(2), 2, "its hidden size")
        chosen = activations(cx, count, defaults)
        parts = [Part(cx, 0, count, direction, chosen[0], x, hidden, gates, count)]
        if any(other != chosen[0] for other in chosen):
            ways = ("forward", "reverse")
            parts = [Part(cx, n, 1, ways[n], each, x, hidden, gates, count) for n, each in enumerate(chosen)]
        made = [cx.put_op(make(part)) for part in parts]
        y, *states = joined(cx, made)
        if batch_first:
            y, states = transposed(cx, y, (2, 0, 1, 3)), [transposed(cx, state, (1, 0, 2)) for state in states]
        return [y, *states]

    return handler


def joined(cx: NodeContext, made: list[Recurrence]) -> list[Value]:
    """The results, those of several recurrences side by side along the axis of directions."""
    if len(made) == 1:
        return list(made[0].results)
    results = list(zip(*(op.results for op in made), strict=True))
    found: list[Op] = [Concat(*values, axis=0 if n else 1) for n, values in enumerate(results)]
    return [cx.put(op) for op in found]


# -- activations -------------------------------------------------------------------------------------------------------

# by ONNX's names in lower case: ours, and what their alpha and beta are if not given
NAMES: dict[str, tuple[str, tuple[float, ...]]] = {
    "sigmoid": ("sigmoid", ()), "tanh": ("tanh", ()), "relu": ("relu", ()), "softsign": ("softsign", ()),
    "softplus": ("softplus", ()), "leakyrelu": ("leaky_relu", (0.01,)), "elu": ("elu", (1.0,)),
    "thresholdedrelu": ("thresholded_relu", (1.0,)), "scaledtanh": ("scaled_tanh", (1.0, 1.0)),
    "hardsigmoid": ("hard_sigmoid", (0.2, 0.5)), "affine": ("affine", (1.0, 0.0)),
}  # fmt: skip


def activations(cx: NodeContext, directions: int, defaults: tuple[str, ...]) -> list[tuple[Activation, ...]]:
    """The activations of each direction. Each takes its alpha and beta, if it has them, from the lists in order."""
    given = cx.attribute("activations")
    names = [str(name) for name in given] if isinstance(given, tuple) and given else list(defaults) * directions
    if len(names) != len(defaults) * directions:
        raise Unsupported(f"it has {len(names)} activations instead of {len(defaults) * directions}")
    alphas, betas = (_numbers(cx, f"activation_{which}") for which in ("alpha", "beta"))
    found: list[Activation] = []
    for name in names:
        if name.lower() not in NAMES:
            raise Unsupported(f"its activation {name} is not supported")
        own, usual = NAMES[name.lower()]
        numbers = [source.pop(0) if source else number for source, number in zip((alphas, betas), usual, strict=False)]
        found.append((own, *numbers))
    return [tuple(found[n : n + len(defaults)]) for n in range(0, len(found), len(defaults))]


def _numbers(cx: NodeContext, name: str) -> list[float]:
    value = cx.attribute(name)
    return [float(each) for each in value if isinstance(each, float | int)] if isinstance(value, tuple) else []


HANDLERS: dict[str, Handler] = {
    "RNN": recurrence(make_rnn, 1, ("Tanh",)), "GRU": recurrence(make_gru, 3, ("Sigmoid", "Tanh")),
    "LSTM": recurrence(make_lstm, 4, ("Sigmoid", "Tanh", "Tanh")),
}  # fmt: skip
