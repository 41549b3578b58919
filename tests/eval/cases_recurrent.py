"""Cases of recurrences. ONNX's operators say what is right: their input weights pass x through as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlc.ir.core import Op
from dlc.ir.dialects import graph_recurrent as ops
from tests.eval.cases import Array, Case, Onnx, f32, run_onnx, vector

Result = tuple[Array, ...]
GATES = {ops.Rnn: 1, ops.Gru: 3, ops.Lstm: 4}
ONNX_NAMES = {"leaky_relu": "LeakyRelu", "thresholded_relu": "ThresholdedRelu", "hard_sigmoid": "HardSigmoid"}


def arrays_of(kind: type[Op], steps: int, batch: int, directions: int, hidden: int) -> list[Array]:
    """The operands that must be there; weights small enough for states to matter and not to saturate."""
    weights = [f32(directions, hidden, GATES[kind], hidden) / np.float32(hidden**0.5 + 1)]
    if kind is ops.Gru:
        weights = [weights[0][:, :, :2].copy(), weights[0][:, :, 2:].copy(), f32(directions, hidden)]
    states = [f32(directions, batch, hidden) / 3]
    if kind is ops.Lstm:
        states.append(f32(directions, batch, hidden, low=-1) / 3)
    return [f32(steps, batch, directions, GATES[kind], hidden), *weights, *states]


def by_onnx(kind: type[Op], lengths: bool, attrs: dict[str, object]) -> Callable[..., Result]:
    def right(*arrays: Array) -> Result:
        steps, batch, directions, gates, hidden = arrays[0].shape
        rest = list(arrays[1:])
        r = rest.pop(0)
        bias = np.zeros((directions, 2 * gates * hidden), np.float32)
        if kind is ops.Gru:
            r = np.concatenate([r, rest.pop(0)], 2)
            bias[:, -hidden:] = rest.pop(0)
        recurrent = r.transpose(0, 2, 3, 1).reshape(directions, gates * hidden, hidden)
        through = np.eye(directions * gates * hidden, dtype=np.float32).reshape(directions, gates * hidden, -1)
        h = rest.pop(0)
        c = rest.pop(0) if kind is ops.Lstm else None
        ends = rest.pop() if lengths else None
        seen = rest.pop(0).reshape(directions, -1) if rest else None
        inputs = [arrays[0].reshape(steps, batch, -1), through, recurrent, bias, ends, h]
        inputs += [c, seen] if kind is ops.Lstm else []
        node = Onnx(kind.spec.name.removeprefix("graph.").upper(), onnx_attrs(hidden, attrs), inputs=tuple(inputs))
        found = run_onnx(node, [], 3 if kind is ops.Lstm else 2)
        return tuple(found)

    return right


def onnx_attrs(hidden: int, attrs: dict[str, object]) -> dict[str, object]:
    known = {"hidden_size": hidden, **{k: int(v) if isinstance(v, bool) else v for k, v in attrs.items()}}
    activations = known.pop("activations", None)
    if isinstance(activations, tuple):
        ways = 2 if attrs.get("direction") == "bidirectional" else 1
        known["activations"] = [ONNX_NAMES.get(a[0], a[0].capitalize()) for a in activations] * ways
        known["activation_alpha"] = [a[1] for a in activations if len(a) > 1] * ways
        known["activation_beta"] = [a[2] for a in activations if len(a) > 2] * ways
    return {name: value for name, value in known.items() if value != []}


def case(kind: type[Op], note: str, *more: Array, sizes: Sequence[int] = (4, 3, 1, 5), **attrs: object) -> Case:
    lengths = bool(more) and more[-1].dtype.kind == "i"
    arrays = [*arrays_of(kind, *sizes), *more]
    make = lambda *v: kind(*v, **attrs)  # noqa: E731
    return Case(f"{kind.spec.name.removeprefix('graph.')}-{note}", make, arrays, by_onnx(kind, lengths, attrs))


ENDS = vector(4, 1, 2, dtype=np.int32)
CASES = [
    *(
        case(kind, way, sizes=(4, 3, ops.DIRECTIONS[way], 5), direction=way)
        for kind in GATES
        for way in ops.DIRECTIONS
    ),
    *(
        case(kind, f"lengths-{way}", *more, ENDS, sizes=(4, 3, ways, 5), direction=way)
        for way, ways in ops.DIRECTIONS.items()
        for kind, more in ((ops.Rnn, []), (ops.Gru, []), (ops.Lstm, [np.zeros((ways, 3, 5), np.float32)]))
    ),
    *(case(kind, "clip", clip=0.7) for kind in GATES),
    case(ops.Gru, "linear", linear_before_reset=True),
    case(ops.Gru, "linear-lengths", ENDS, sizes=(4, 3, 2, 5), linear_before_reset=True, direction="bidirectional"),
    case(ops.Lstm, "peepholes", f32(1, 3, 5)),
    case(ops.Lstm, "input-forget", f32(1, 3, 5), input_forget=True),
    case(
        ops.Lstm,
        "activations",
        sizes=(2, 3, 2, 5),
        direction="bidirectional",
        activations=(("hard_sigmoid", 0.3, 0.4), ("softsign",), ("leaky_relu", 0.1)),
    ),
    *(
        case(ops.Rnn, activation[0], activations=(activation,))
        for activation in (
            ("sigmoid",),
            ("softplus",),
            ("relu",),
            ("elu", 0.5),
            ("thresholded_relu", 0.25),
            ("affine", 0.5, 0.1),
        )
    ),
]


def one_step_of_scaled_tanh(x: Array, r: Array, h: Array) -> Result:
    state = 0.5 * np.tanh(2 * (x[0, :, 0, 0] + h[0] @ r[0, :, 0]))
    return state[None, None], state[None]


SCALED = lambda *v: ops.Rnn(*v, activations=(("scaled_tanh", 0.5, 2.0),))  # noqa: E731
CASES.append(Case("rnn-scaled_tanh", SCALED, arrays_of(ops.Rnn, 1, 2, 1, 3), one_step_of_scaled_tanh))
