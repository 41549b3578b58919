"""Dimensions of inputs: names, overrides, contradictions."""

import pytest
from onnx import TensorProto, helper

from dlc.errors import UserError
from dlc.frontends.load import load_model
from dlc.ir.dim_names import name_of, plain_dim, plain_shape, readable, symbol_of
from dlc.ir.expr import sym
from dlc.ir.expr_text import parse_expr
from dlc.ir.types import TensorType
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
    assert shapes(model) == ["tensor<[x.1_dim_0]x2xf32>"] * 2


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


NAMES = [
    "n+1", "n-1", "batch size", "batch_size", "batch-size", "é", "è", "d0", "d1#", "min", "max", "3", "i1'", "'", 'a"b',
    "a\nb", "{x}", "{0}", "[a]", "a,b", "//", "%20", " ", "past_sequence_length + 1", "lambda", "\0d",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_any_text(name: str) -> None:
    symbol = symbol_of(name)
    assert name_of(symbol) == name
    assert parse_expr(str(sym(symbol) * 2 + 1)) == sym(symbol) * 2 + 1
    assert is_symbol_of_a_size(symbol)


def test_names_that_differ_are_different_dimensions() -> None:
    assert len({symbol_of(name) for name in NAMES}) == len(NAMES)
    for first, second in (("n+1", "n-1"), ("batch size", "batch_size"), ("é", "è")):
        nodes = [helper.make_node("Concat", ["a", "b"], ["y"], "join", axis=0)]
        found = load_model(symbolic_model(nodes, {"a": (first,), "b": (second,)}, ["y"])).main.results[0]
        assert isinstance(found, TensorType)
        assert found.shape == (sym(first) + sym(second),)


def is_symbol_of_a_size(symbol: str) -> bool:
    """Whether no kernel takes it for an index of its own."""
    return not sym(symbol).places() and not symbol.endswith("'")


def test_what_people_read() -> None:
    n, odd, index = (sym(symbol_of(name)) for name in ("n", 'batch "size"', "d0"))
    assert readable(n * 2 - odd // 4 + index) == 'd0 + n * 2 - ("batch \\"size\\"" // 4)'
    assert plain_dim(odd) == 'batch "size"'
    assert plain_shape((index, 3)) == "(d0, 3)"
    assert plain_shape((odd * 2,)) == '("batch \\"size\\"" * 2)'


def test_names_for_dimensions_without_one_are_new() -> None:
    model = symbolic_model(
        [helper.make_node("Concat", ["x", "z"], ["y"], axis=0)],
        {"x": (None,), "z": ("x_dim_0",)},  # type: ignore[dict-item]
        ["y"],
    )
    assert shapes(model) == ["tensor<[x_dim_0_2]xf32>", "tensor<[x_dim_0]xf32>", "tensor<[x_dim_0 + x_dim_0_2]xf32>"]


def test_digits_are_a_name_where_a_name_is_given() -> None:
    assert shapes(TWO, a=("7", 3)) == ['tensor<["7"]x3xf32>'] * 3
