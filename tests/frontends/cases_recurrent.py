"""Recurrent operators: directions, initial states, peepholes, clipping, other activations."""

import numpy as np

from tests.frontends.cases_math import floats
from tests.frontends.models import Array, Case

STEPS, BATCH, WIDTH, HIDDEN = 4, 2, 3, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def weights(op: str, directions: int) -> dict[str, Array | None]:
    rows = GATES[op] * HIDDEN
    return {
        "x": floats(STEPS, BATCH, WIDTH),
        "w": floats(directions, rows, WIDTH),
        "r": floats(directions, rows, HIDDEN),
        "b": floats(directions, 2 * rows),
    }


def case(
    op: str, note: str, directions: int = 1, more: dict[str, Array | None] | None = None, **attributes: object
) -> Case:
    outputs = 3 if op == "LSTM" else 2
    given = {**weights(op, directions), **(more or {})}
    constants = ("w", "r", "b", *(("lengths",) if given.get("lengths") is not None else ()))
    # an unbounded activation may leave little of large sums: judged as the chain of steps that it is
    kind = "network" if note == "relu" else "op"
    return Case(op, given, {"hidden_size": HIDDEN, **attributes}, (7, 14), constants, outputs, kind, note)


def state(directions: int = 1) -> Array:
    return floats(directions, BATCH, HIDDEN)


CASES = [
    *(
        case(op, way, 2 if way == "bidirectional" else 1, direction=way)
        for op in GATES
        for way in ("forward", "reverse", "bidirectional")
    ),
    case("RNN", "start", more={"lengths": None, "h": state()}),
    case("RNN", "relu", activations=["Relu"]),
    case("GRU", "reset inside", linear_before_reset=1),
    case("GRU", "clip", clip=0.4),
    case("GRU", "lengths", more={"lengths": np.full(BATCH, STEPS, np.int32), "h": state()}),
    case("LSTM", "peepholes", more={"lengths": None, "h": state(), "c": state(), "p": floats(1, 3 * HIDDEN)}),
    case(
        "LSTM",
        "activations",
        2,
        direction="bidirectional",
        activations=["HardSigmoid", "Softsign", "Tanh", "Sigmoid", "LeakyRelu", "Relu"],
        activation_alpha=[0.3, 0.1],
        activation_beta=[0.4],
    ),
]
