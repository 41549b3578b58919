"""Dimensions of inputs: names, overrides, contradictions."""

import pytest
from onnx import TensorProto, helper

from dlc.errors import UserError
from dlc.frontends.load import load_model
from dlc.frontends.symbols import symbol_name
from tests.frontends.models import symbolic_model

TWO = symbolic_model([helper.make_node("Add", ["a", "b"], ["y"], "add")], {"a": ("batch", 3), "b": ("batch", 3)}, ["y"])


def shapes(model: object, **inputs: tuple[int | str | None, ...]) -> list[str]:
    module = load_model(model, input_shapes=inputs)
    return [str(value.type) for value in module.main.args] + [str(kind) for kind in module.main.results]


def test_named_dimensions_are_symbols() -> None:
    assert shapes(TWO) == ["tensor<[batch]x3xf32>"] * 3


def test_a_size_for_one_input_holds_for_all() -> None:
    assert shapes(TWO, a=(4, 3)) == ["tensor<4x3xf32>"] * 3


def test_names_and_open_dimensions() -> None:
    assert shapes(TWO, a=("n", None)) == ["tensor<[n]x3xf32>"] * 3


def test_unnamed_dimensions_get_names_from_the_input() -> None:
    model = symbolic_model([helper.make_node("Relu", ["x.1"], ["y"])], {"x.1": (None, 2)}, ["y"])  # type: ignore[dict-item]
    assert shapes(model) == ["tensor<[x_1_dim_0]x2xf32>"] * 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"c": (1, 3)}, r"names 'c', which is no input of the model; its inputs are 'a', 'b'"),
        ({"a": (1, 3, 3)}, r"gives 'a' 3 dimensions \(1, 3, 3\), but the model declares 2"),
        ({"a": (1, 3), "b": (2, 3)}, r"gives 'batch' as 2 in 'b' and as 1 in 'a'"),
        ({"a": (-1, 3)}, r"gives dimension 0 of 'a' as -1, expected a size >= 0 or a name"),
        ({"a": (1.5, 3)}, r"as 1.5, expected a size"),
    ],
)
def test_overrides_that_do_not_fit(inputs: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_model(TWO, input_shapes=inputs)


def test_a_fixed_dimension_may_be_given_anew() -> None:
    model = load_model(TWO, input_shapes={"a": ("batch", 5), "b": ("batch", 5)})
    assert [str(arg.type) for arg in model.main.args] == ["tensor<[batch]x5xf32>"] * 2


def test_an_input_without_a_rank_needs_a_shape() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_empty_tensor_value_info("y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(UserError, match="does not say how many dimensions its input 'x' has"):
        load_model(model)
    assert shapes(model, x=(2, "n")) == ["tensor<2x[n]xf32>"] * 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("batch", "batch"),
        ("batch-size", "batch_size"),
        ("0", "dim_0"),
        ("d0", "dim_d0"),
        ("min", "dim_min"),
        ("", "dim_"),
        ("größe", "gr__e"),
        ("a b", "a_b"),
    ],
)
def test_names_that_expressions_can_hold(text: str, name: str) -> None:
    assert symbol_name(text) == name
