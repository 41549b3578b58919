"""Short loops of known length are unrolled; Fourier transforms and running products are built from other ops."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlc.errors import UserError
from dlc.frontends.load import load_model
from dlc.frontends.ops_loops import FEW_NODES
from dlc.ir.eval.interpreter import evaluate
from tests.frontends.models import Array, model_of
from tests.frontends.test_operators import run_reference
from tests.tolerances import assert_close

X = np.arange(12, dtype=np.float32).reshape(4, 3) / 4


def value(name: str, kind: int = TensorProto.FLOAT, shape: tuple[int, ...] | None = (3,)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def check(
    nodes: list[onnx.NodeProto], inputs: dict[str, Array], outputs: list[str], constants: tuple[str, ...]
) -> None:
    proto = model_of(nodes, inputs, outputs, 17, constants)
    feeds = {name: array for name, array in inputs.items() if name not in constants}
    found = evaluate(load_model(proto), feeds)
    for name, got, want in zip(outputs, found, run_reference(proto.SerializeToString(), feeds), strict=True):
        assert_close(got, want, "op", name=name)


def test_a_loop_with_a_known_trip_count() -> None:
    body = helper.make_graph(
        [
            helper.make_node("Cast", ["i"], ["f"], to=1),
            helper.make_node("Mul", ["h", "f"], ["m"]),
            helper.make_node("Add", ["m", "x"], ["next"]),
            helper.make_node("Identity", ["c"], ["again"]),
            helper.make_node("ReduceSum", ["next"], ["total"], keepdims=0),
        ],
        "body",
        [value("i", 7, ()), value("c", 9, ()), value("h")],
        [value("again", 9, ()), value("next"), value("total", shape=())],
    )
    loop = helper.make_node("Loop", ["n", "", "x"], ["y", "totals"], body=body)
    check([loop], {"x": X[1], "n": np.array(3)}, ["y", "totals"], ("n",))


def test_a_scan_in_both_directions() -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["h", "row"], ["next"]), helper.make_node("Relu", ["next"], ["out"])],
        "body",
        [value("h"), value("row")],
        [value("next"), value("out")],
    )
    for back in (0, 1):
        scan = helper.make_node(
            "Scan",
            ["h", "x"],
            ["last", "all"],
            body=body,
            num_scan_inputs=1,
            scan_input_directions=[back],
            scan_output_directions=[back],
            scan_output_axes=[1],
        )
        check([scan], {"h": X[0] - 2, "x": X}, ["last", "all"], ())


def test_few_steps_are_copies_and_many_a_region() -> None:
    """The rule of docs/DESIGN.md: up to FEW_NODES copies of nodes."""
    nodes = [helper.make_node("Mul", ["v", "v"], ["w"]), helper.make_node("Identity", ["c"], ["again"])]
    ends = [value("again", 9, ()), value("w", 1, (3, 4))]
    body = helper.make_graph(nodes, "body", [value("i", 7, ()), value("c", 9, ()), value("v", 1, (3, 4))], ends)
    for steps, loops in ((FEW_NODES // 2, 0), (FEW_NODES // 2 + 1, 1)):
        loop = helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)
        model = model_of([loop], {"x": X[0] / 9, "n": np.array(steps)}, ["y"])
        model.graph.initializer.append(numpy_helper.from_array(np.array(steps), "n"))  # type: ignore[attr-defined]
        module = load_model(model)
        assert sum(op.name == "graph.loop" for op in module.walk()) == loops



def test_a_short_time_fourier_transform() -> None:
    x = np.random.default_rng(4).normal(size=(2, 32, 1)).astype(np.float32)
    inputs = {"x": x, "step": np.array(4), "window": np.hanning(8).astype(np.float32)}
    check([helper.make_node("STFT", ["x", "step", "window"], ["y"])], inputs, ["y"], ("step",))


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_running_products(exclusive: int, reverse: int) -> None:
    x = np.float32([[2, 3, 4, 5, 6], [1, -1, 2, -2, 0.5]])
    node = helper.make_node("CumProd", ["x", "axis"], ["y"], exclusive=exclusive, reverse=reverse)
    (found,) = evaluate(load_model(model_of([node], {"x": x, "axis": np.array(1)}, ["y"], 26, ("axis",))), {"x": x})
    given = x[:, ::-1] if reverse else x
    given = np.concatenate([np.ones((2, 1), np.float32), given[:, :-1]], 1) if exclusive else given
    want = np.cumprod(given, 1)
    assert_close(found, want[:, ::-1] if reverse else want, "op")


def test_inputs_with_values_become_constants() -> None:
    node = helper.make_node("Reshape", ["x", "shape"], ["y"])
    model = model_of([node], {"x": X, "shape": np.array([2, 6])}, ["y"])
    module = load_model(model, input_values={"shape": np.array([6, 2])})
    assert module.main.attrs["inputs"] == ("x",)
    assert evaluate(module, {"x": X})[0].shape == (6, 2)
    with pytest.raises(UserError, match="names 'z', which is no input"):
        load_model(model, input_values={"z": np.array([6, 2])})
    assert evaluate(load_model(model, input_values={"shape": np.float32([6, 2])}), {"x": X})[0].shape == (6, 2)
    with pytest.raises(UserError, match="gives 'shape' as float32, which si64 cannot hold"):
        load_model(model, input_values={"shape": np.float32([6, 2.5])})
    with pytest.raises(UserError, match=r"gives 'shape' the shape \(3,\), but the model declares 2"):
        load_model(model, input_values={"shape": np.array([6, 2, 1])})
