"""Recurrent operators: directions, initial states, lengths, peepholes, clipping, layouts, other activations."""

import numpy as np

from tests.frontends.cases_math import floats
from tests.frontends.models import Array, Case

STEPS, BATCH, WIDTH, HIDDEN = 4, 2, 3, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
UNBOUNDED = ("Relu", "LeakyRelu", "Elu", "Affine", "ThresholdedRelu", "Softplus")


def weights(op: str, directions: int) -> dict[str, Array | None]:
    rows = GATES[op] * HIDDEN
    return {
        "x": floats(STEPS, BATCH, WIDTH),
        "w": floats(directions, rows, WIDTH),
        "r": floats(directions, rows, HIDDEN),
        "b": floats(directions, 2 * rows),
    }


def case(
    op: str,
    note: str,
    directions: int = 1,
    more: dict[str, Array | None] | None = None,
    drop: tuple[int, ...] = (),
    **attributes: object,
) -> Case:
    outputs = 3 if op == "LSTM" else 2
    given = {**weights(op, directions), **(more or {})}
    fixed = ("w", "r", "b", "lengths") if note == "whole" else ("w", "r", "b")
    constants = tuple(name for name in fixed if given[name] is not None)
    # an unbounded activation may leave little of large sums: judged as the chain of steps that it is
    kind = "network" if note in UNBOUNDED else "op"
    opsets = (14,) if "layout" in attributes else (7, 14)
    return Case(op, given, {"hidden_size": HIDDEN, **attributes}, opsets, constants, outputs, kind, note, "", drop)


def state(directions: int = 1) -> Array:
    return floats(directions, BATCH, HIDDEN)


CASES = [
    *(
        case(op, way, 2 if way == "bidirectional" else 1, direction=way)
        for op in GATES
        for way in ("forward", "reverse", "bidirectional")
    ),
    case("RNN", "start", more={"lengths": None, "h": state()}),
    case("RNN", "no bias", more={"b": None}),
    case("GRU", "no bias", more={"b": None}, linear_before_reset=1),
    *(case("RNN", name, activations=[name]) for name in ("Relu", "Sigmoid", "Softsign", "Softplus")),
    case("RNN", "LeakyRelu", activations=["LeakyRelu"], activation_alpha=[0.2]),
    case("RNN", "Elu", activations=["Elu"], activation_alpha=[0.5]),
    case("RNN", "ThresholdedRelu", activations=["ThresholdedRelu"], activation_alpha=[0.5]),
    case("RNN", "HardSigmoid", activations=["HardSigmoid"], activation_alpha=[0.3], activation_beta=[0.4]),
    case("RNN", "Affine", activations=["Affine"], activation_alpha=[0.3], activation_beta=[0.4]),
    case("GRU", "reset inside", linear_before_reset=1),
    case("GRU", "clip", clip=0.4),
    case("GRU", "whole", more={"lengths": np.full(BATCH, STEPS, np.int32), "h": state()}),
    *(
        case(op, f"lengths {way}", ways, {"lengths": np.array([2, 4], np.int32), "h": state(ways)}, direction=way)
        for op in GATES
        for way, ways in (("forward", 1), ("reverse", 1), ("bidirectional", 2))
    ),
    *(case(op, "only the last state", drop=(0,)) for op in GATES),
    case("LSTM", "only the sequence", drop=(1, 2)),
    case("LSTM", "only the cell", 2, drop=(0, 1), direction="bidirectional"),
    case("LSTM", "clip", clip=0.4),
    case("LSTM", "input_forget", input_forget=1),
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
