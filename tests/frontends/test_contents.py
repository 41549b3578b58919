"""Shape arithmetic in the graph ends in attributes: Shape, Gather, Mul, Cast, Floor, Concat, Where and the rest."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from dlc.frontends.contents import (
    Ratio,
    Undecided,
    add,
    ceil,
    divide,
    divide_integers,
    equal,
    exact_quotient,
    floor,
    less,
    multiply,
)
from dlc.frontends.load import load_model
from dlc.ir.core import Module
from dlc.ir.dialects.graph_flow import Require
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.expr import const, sym
from dlc.ir.verify import verify
from tests.frontends.models import Array, symbolic_model

N, H = sym("n"), sym("h")


def imported(nodes: list[object], dims: tuple[int | str, ...], weights: dict[str, Array], opset: int = 13) -> Module:
    module = load_model(symbolic_model(nodes, {"x": dims}, ["y"], opset, weights))  # type: ignore[arg-type]
    assert verify(module) == []
    return module


def op_names(module: Module) -> list[str]:
    return [op.name for op in module.main.block.ops]


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def node(op: str, inputs: str, output: str, **attributes: object) -> object:
    return helper.make_node(op, inputs.split(), [output], **attributes)


def test_a_shape_computed_as_pytorch_does() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Gather", "s two", "h", axis=0),
        node("Mul", "h four", "hw"),
        node("Unsqueeze", "n axis", "n1"),
        node("Unsqueeze", "hw axis", "hw1"),
        node("Concat", "n1 minus hw1", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    weights = {
        "zero": np.array(0),
        "two": np.array(2),
        "four": np.array(4),
        "axis": ints(0),
        "minus": ints(-1),
    }
    module = imported(nodes, ("n", 8, "h", 4), weights)
    assert op_names(module) == ["graph.reshape", "func.return"]
    assert str(module.main.results[0]) == "tensor<[n]x8x[h * 4]xf32>"


def test_expand_through_equal_and_where() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("ConstantOfShape", "rank", "ones", value=helper.make_tensor("v", 7, [1], [1])),
        node("Mul", "ones minus", "free"),
        node("Equal", "s free", "is_free"),
        node("Where", "is_free ones s", "target"),
        node("Expand", "w target", "y"),
    ]
    module = imported(nodes, ("n", 8), {"rank": ints(2), "minus": ints(-1), "w": np.zeros((1, 8), np.float32)})
    assert op_names(module) == ["graph.constant", "graph.broadcast", "func.return"]
    assert str(module.main.results[0]) == "tensor<[n]x8xf32>"


def test_sizes_of_a_resize_computed_in_floats() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s from to", "hw"),
        node("Cast", "hw", "f", to=TensorProto.FLOAT),
        node("Mul", "f factor", "scaled"),
        node("Floor", "scaled", "floored"),
        node("Cast", "floored", "i", to=7),
        node("Slice", "s zero from", "nc"),
        node("Concat", "nc i", "sizes", axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest"),
    ]
    weights = {"from": ints(2), "to": ints(4), "zero": ints(0), "factor": np.float32([1.5, 2])}
    module = imported(nodes, (1, 3, "h", 6), weights)
    assert str(module.main.results[0]) == "tensor<1x3x[((h * 3) // 2)]x12xf32>"
    found = evaluate(module, {"x": np.zeros((1, 3, 5, 6), np.float32)})[0]
    assert found.shape == (1, 3, 7, 12)


def test_a_condition_on_dimensions_chooses_a_branch() -> None:
    def branch(op: str) -> object:
        return helper.make_graph([node(op, "x", f"{op}_y")], op, [], [helper.make_empty_tensor_value_info(f"{op}_y")])

    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s one", "c", axis=0),
        node("Equal", "c three", "is_three"),
        node("If", "is_three", "y", then_branch=branch("Relu"), else_branch=branch("Neg")),
    ]
    module = imported(nodes, ("n", 3), {"one": np.array(1), "three": np.array(3)})
    assert op_names(module) == ["graph.relu", "func.return"]


def test_contents_that_something_uses_become_an_op() -> None:
    nodes = [node("Shape", "x", "s"), node("Cast", "s", "f", to=1), node("Div", "x f", "y")]
    module = imported(nodes, ("n", 2), {})
    assert "graph.dims" in op_names(module)
    found = evaluate(module, {"x": np.ones((3, 2), np.float32)})[0]
    assert np.allclose(found, np.ones((3, 2)) / np.float32([3, 2]))


def guards(module: Module) -> list[Require]:
    return [op for op in module.main.block.ops if isinstance(op, Require)]


def test_slices_of_symbolic_axes_assume_nothing() -> None:
    nodes = [node("Slice", "x one end axis", "y")]
    module = imported(nodes, ("n", 2), {"one": ints(1), "end": ints(-1), "axis": ints(0)})
    assert str(module.main.results[0]) == "tensor<[n - min(2, n)]x2xf32>"
    assert guards(module) == []


def test_a_slice_that_truncates_is_exact() -> None:
    nodes = [node("Slice", "x zero end axis", "y")]
    module = imported(nodes, ("n", 2), {"zero": ints(0), "end": ints(100), "axis": ints(0)})
    assert str(module.main.results[0]) == "tensor<[min(100, n)]x2xf32>"
    assert guards(module) == []


def test_a_range_over_a_dimension() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Range", "zero n two", "r"),
        node("Cast", "r", "f", to=1),
        node("Add", "f one", "y"),
    ]
    module = imported(nodes, ("n",), {"zero": np.array(0), "two": np.array(2), "one": np.float32(1)})
    assert evaluate(module, {"x": np.zeros(5, np.float32)})[0].tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (multiply(N, 0.5), Ratio(N, 2)),
        (floor(multiply(N, 0.5)), N // 2),
        (ceil(divide(N, 2.0)), (N + 1) // 2),
        (multiply(multiply(N, 0.5), 2.0), N),
        (divide(N * H, H), N),
        (divide_integers(N * 6, 3), N * 2),
        (add(N, 1.0), N + 1),
        (floor(2.5), 2),
        (equal(N, -1), False),
        (equal(N, N), True),
        (less(-1, N), True),
        (exact_quotient(N * H * 12, H * 4), N * 3),
        (exact_quotient(N + 1, H), None),
        (exact_quotient(N * 3, const(2)), None),
    ],
)
def test_arithmetic_on_dimensions(found: object, wanted: object) -> None:
    assert found == wanted


def test_what_is_not_decided() -> None:
    for call in (lambda: equal(N, 1), lambda: less(N, H), lambda: divide(1.0, N), lambda: multiply(N, 1 / 3)):
        with pytest.raises(Undecided):
            call()
