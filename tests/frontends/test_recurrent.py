"""Recurrent operators in whole models: named sizes, batches first, directions that differ, nothing to do."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import dlc
from dlc.errors import UnsupportedOps
from dlc.frontends.load import load_model
from dlc.ir.dialects.graph_recurrent import Recurrence
from dlc.ir.eval.interpreter import evaluate
from tests.frontends.cases_recurrent import GATES
from tests.frontends.models import Array, symbolic_model
from tests.frontends.test_operators import run_reference
from tests.tolerances import assert_close

WIDTH, HIDDEN = 6, 21


def random(*shape: int) -> Array:
    return np.random.default_rng(shape).uniform(-0.5, 0.5, shape).astype(np.float32)


def model_of(op: str, **attributes: object) -> onnx.ModelProto:
    """Two layers, both ways in the first, over a sequence and a batch of any size; a state is given to the second."""
    rows = GATES[op] * HIDDEN
    layout = bool(attributes.get("layout"))
    weights = {"w": random(2, rows, WIDTH), "r": random(2, rows, HIDDEN), "b": random(2, 2 * rows)}
    weights |= {"w2": random(1, rows, 2 * HIDDEN), "r2": random(1, rows, HIDDEN), "b2": random(1, 2 * rows)}
    flat = np.array([0, 0, -1])
    perm = [0, 1, 2, 3] if layout else [0, 2, 1, 3]
    nodes = [
        helper.make_node(op, ["x", "w", "r", "b"], ["y"], hidden_size=HIDDEN, direction="bidirectional", **attributes),
        helper.make_node("Transpose", ["y"], ["t"], perm=perm),
        helper.make_node("Reshape", ["t", "flat"], ["s"]),
        helper.make_node(op, ["s", "w2", "r2", "b2", "", "h"], ["z", "last"], hidden_size=HIDDEN, **attributes),
    ]
    shapes: dict[str, tuple[int | str, ...]] = {"x": ("steps", "batch", WIDTH), "h": (1, "batch", HIDDEN)}
    if layout:
        shapes = {"x": ("batch", "steps", WIDTH), "h": ("batch", 1, HIDDEN)}
    return symbolic_model(nodes, shapes, ["z", "last"], 17, {**weights, "flat": flat})


@pytest.mark.parametrize("op", GATES)
def test_sequences_and_batches_of_any_size(op: str) -> None:
    proto = model_of(op)
    model = dlc.compile(proto, cache=False)
    for steps, batch in ((1, 1), (5, 1), (3, 4), (600, 1), (2, 9)):
        feeds = {"x": random(steps, batch, WIDTH), "h": random(1, batch, HIDDEN)}
        found = model.run(feeds)
        for name, want in zip(("z", "last"), run_reference(proto.SerializeToString(), feeds), strict=True):
            assert_close(found[name], want, "network", name=f"{name} of {steps} x {batch}")


def test_no_steps_leave_the_state_as_it_was() -> None:
    model = dlc.compile(model_of("LSTM"), cache=False)
    h = random(1, 3, HIDDEN)
    found = model.run({"x": random(0, 3, WIDTH), "h": h})
    assert found["z"].shape == (0, 1, 3, HIDDEN)
    assert np.array_equal(found["last"], h)
    assert model.run({"x": random(2, 0, WIDTH), "h": h[:, :0]})["last"].shape == (1, 0, HIDDEN)


@pytest.mark.parametrize("op", GATES)
def test_batches_first(op: str) -> None:
    """ONNX Runtime takes no `layout`: the results are those of the other one, turned."""
    x, h = random(4, 3, WIDTH), random(1, 3, HIDDEN)
    wanted = evaluate(load_model(model_of(op)), [x, h])
    found = evaluate(load_model(model_of(op, layout=1)), [x.transpose(1, 0, 2), h.transpose(1, 0, 2)])
    assert_close(found[0], wanted[0].transpose(2, 0, 1, 3), "op")
    assert_close(found[1], wanted[1].transpose(1, 0, 2), "op")


def test_both_directions_are_one_recurrence_unless_their_activations_differ() -> None:
    def count(proto: onnx.ModelProto) -> int:
        return sum(isinstance(op, Recurrence) for op in load_model(proto).walk())

    proto = model_of("GRU")
    assert count(proto) == 2
    proto.graph.node[0].attribute.append(
        helper.make_attribute("activations", ["Sigmoid", "Tanh", "Sigmoid", "Softsign"])
    )
    assert count(proto) == 3
    feeds = {"x": random(4, 2, WIDTH), "h": random(1, 2, HIDDEN)}
    found = dlc.compile(proto, cache=False).run(feeds)
    for name, want in zip(("z", "last"), run_reference(proto.SerializeToString(), feeds), strict=True):
        assert_close(found[name], want, "network", name=name)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (("activations", ["Sigmoid"]), "1 activations instead of 6"),
        (("direction", "sideways"), "direction is sideways"),
    ],
)
def test_what_makes_no_sense_is_refused(attribute: tuple[str, object], message: str) -> None:
    proto = model_of("LSTM")
    node = proto.graph.node[0]
    kept = [a for a in node.attribute if a.name != attribute[0]]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(*attribute)])
    with pytest.raises(UnsupportedOps, match=message):
        load_model(proto)
