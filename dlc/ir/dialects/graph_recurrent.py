"""Recurrences: what an RNN, a GRU and an LSTM do once the inputs have been multiplied by their weights.

    x (steps, batch, directions, gates, hidden)   input times weights plus biases, for all steps
    r (directions, hidden, gates, hidden)         recurrent weights, each gate's transposed: h · r[d, :, g]
    h, c (directions, batch, hidden)              the first state

The results are the states h of all steps (steps, directions, batch, hidden), and the last state. An element of a batch
may end early, after `lengths` steps: its states beyond are 0 and its last state is that of its last step. A backward
direction begins at the end. Activations are tuples of a name and its numbers, in the order of ONNX; both directions
share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from dlc.ir.core import Op, Value
from dlc.ir.dialects.shape_rules import shape_text, tensor
from dlc.ir.expr import Dim
from dlc.ir.opdef import (
    FLOAT_TENSOR,
    INTEGER_TENSOR,
    PURE,
    AttrDef,
    attr,
    op_def,
    operand,
    optional_operand,
    rank,
    result,
)
from dlc.ir.requirements import Requirement, equal, equal_shapes
from dlc.ir.types import TensorType, Type

DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}

# how many numbers each takes
ACTIVATIONS = {
    "sigmoid": 0, "tanh": 0, "relu": 0, "softsign": 0, "softplus": 0, "leaky_relu": 1, "elu": 1,
    "thresholded_relu": 1, "scaled_tanh": 2, "hard_sigmoid": 2, "affine": 2,
}  # fmt: skip

Activation = tuple[str | float, ...]
Shape = tuple[Dim, ...]
SIGMOID: Activation = ("sigmoid",)
TANH: Activation = ("tanh",)


class Recurrence(Op):
    """Base of the three: `direction`, `clip` (a bound of what enters a gate's activation; the cell of
    an LSTM has none, as in ONNX Runtime) and the shapes they share."""

    gates: ClassVar[int]
    direction: AttrDef[str] = attr("forward")
    clip: AttrDef[float | None] = attr(None)

    def sizes(self) -> tuple[Dim, Dim, Dim, Dim]:
        """Steps, batch, directions and hidden."""
        steps, batch, directions, _, hidden = tensor(self.operands[0]).shape
        return steps, batch, directions, hidden

    def recurrent_weights(self) -> list[Value]:
        """The operands with weights between the hidden units."""
        return [v for v in self.operands if tensor(v).rank == 4]

    def states(self, count: int) -> tuple[Type, ...]:
        """The types of the results, with `count` tensors of last states."""
        steps, batch, directions, hidden = self.sizes()
        element = tensor(self.operands[0]).element
        last = TensorType((directions, batch, hidden), element)
        return (TensorType((steps, directions, batch, hidden), element), *[last] * count)

    def problems(self, activations: tuple[Activation, ...], wanted: int) -> Iterator[str]:
        """What is wrong with what all have: x and the attributes."""
        if self.direction not in DIRECTIONS:
            yield f"c1: direction must be one of {', '.join(DIRECTIONS)}"
        if any(tensor(v).element != tensor(self.operands[0]).element for v in self.floats()):
            yield "c4: all operands but the lengths must have the elements of x"
        if len(activations) != wanted or not all(map(is_activation, activations)):
            yield f"c5: there must be {wanted} activations, each a name and its numbers"

    def floats(self) -> list[Value]:
        return [v for v in self.operands if tensor(v).scalar.is_float]

    def shapes(self) -> dict[str, tuple[Value | None, Shape]]:
        """The operands besides x, with the shapes that they must have."""
        raise NotImplementedError

    def requires(self) -> Iterator[Requirement]:
        shape = tensor(self.operands[0]).shape
        count = DIRECTIONS[self.direction]
        yield from equal(shape[2], count, "c2: the third axis of x must be 2 if it goes both ways and else 1")
        yield from equal(shape[3], self.gates, "c3: the fourth axis of x must have all gates")
        for name, (value, wanted) in self.shapes().items():
            if value is not None:
                text = f"c6: {name} must have the shape {shape_text(wanted)}"
                yield from equal_shapes(tensor(value).shape, wanted, text)


def is_activation(given: object) -> bool:
    if not isinstance(given, tuple) or not given or not isinstance(given[0], str):
        return False
    numbers = given[1:]
    return ACTIVATIONS.get(given[0]) == len(numbers) and all(isinstance(n, float) for n in numbers)


@op_def("graph.rnn", traits={PURE})
class Rnn(Recurrence):
    """h = f(x + h r)"""

    gates = 1

    x = operand(FLOAT_TENSOR, rank(5))
    r = operand(FLOAT_TENSOR, rank(4))
    h = operand(FLOAT_TENSOR, rank(3))
    lengths = optional_operand(INTEGER_TENSOR, rank(1))
    activations: AttrDef[tuple[Activation, ...]] = attr((TANH,))
    states_of_h = result()
    last_h = result()

    def infer(self) -> tuple[Type, ...]:
        return self.states(1)

    def check(self) -> Iterator[str]:
        yield from self.problems(self.activations, 1)

    def shapes(self) -> dict[str, tuple[Value | None, Shape]]:
        _, batch, directions, hidden = self.sizes()
        return {
            "r": (self.r, (directions, hidden, 1, hidden)),
            "h": (self.h, (directions, batch, hidden)),
            "lengths": (self.lengths, (batch,)),
        }


@op_def("graph.gru", traits={PURE})
class Gru(Recurrence):
    """u, s = f(x + h r) (update and reset), n = g(x + (s h) candidate + bias), h = n + u (h - n)

    With `linear_before_reset`, n = g(x + s (h candidate + bias)).
    """

    gates = 3

    x = operand(FLOAT_TENSOR, rank(5))
    r = operand(FLOAT_TENSOR, rank(4))
    candidate = operand(FLOAT_TENSOR, rank(4))
    bias = operand(FLOAT_TENSOR, rank(2))
    h = operand(FLOAT_TENSOR, rank(3))
    lengths = optional_operand(INTEGER_TENSOR, rank(1))
    activations: AttrDef[tuple[Activation, ...]] = attr((SIGMOID, TANH))
    linear_before_reset = attr(False)
    states_of_h = result()
    last_h = result()

    def infer(self) -> tuple[Type, ...]:
        return self.states(1)

    def check(self) -> Iterator[str]:
        yield from self.problems(self.activations, 2)

    def shapes(self) -> dict[str, tuple[Value | None, Shape]]:
        _, batch, directions, hidden = self.sizes()
        return {
            "r": (self.r, (directions, hidden, 2, hidden)),
            "candidate": (self.candidate, (directions, hidden, 1, hidden)),
            "bias": (self.bias, (directions, hidden)),
            "h": (self.h, (directions, batch, hidden)),
            "lengths": (self.lengths, (batch,)),
        }


@op_def("graph.lstm", traits={PURE})
class Lstm(Recurrence):
    """i, o, f = f(x + h r + peephole c), n = g(x + h r), c = f c + i n, h = o h(c)

    The peephole of o sees the new c. With `input_forget`, f = 1 - i.
    """

    gates = 4

    x = operand(FLOAT_TENSOR, rank(5))
    r = operand(FLOAT_TENSOR, rank(4))
    h = operand(FLOAT_TENSOR, rank(3))
    c = operand(FLOAT_TENSOR, rank(3))
    peepholes = optional_operand(FLOAT_TENSOR, rank(3))  # of i, o, f
    lengths = optional_operand(INTEGER_TENSOR, rank(1))
    activations: AttrDef[tuple[Activation, ...]] = attr((SIGMOID, TANH, TANH))
    input_forget = attr(False)
    states_of_h = result()
    last_h = result()
    last_c = result()

    def infer(self) -> tuple[Type, ...]:
        return self.states(2)

    def check(self) -> Iterator[str]:
        yield from self.problems(self.activations, 3)

    def shapes(self) -> dict[str, tuple[Value | None, Shape]]:
        _, batch, directions, hidden = self.sizes()
        return {
            "r": (self.r, (directions, hidden, 4, hidden)),
            "h": (self.h, (directions, batch, hidden)),
            "c": (self.c, (directions, batch, hidden)),
            "peepholes": (self.peepholes, (directions, 3, hidden)),
            "lengths": (self.lengths, (batch,)),
        }


OPS: tuple[type[Op], ...] = (Rnn, Gru, Lstm)
