"""What cannot be imported is reported at once, with names and reasons; functions and branches are looked into."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from dlc.errors import UnsupportedOps, UserError
from dlc.frontends.load import check, describe, load_model
from dlc.ir.eval.interpreter import evaluate
from tests.frontends.models import model_of

X = np.ones((2, 3), np.float32)


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: object) -> object:
    return helper.make_node(op, inputs.split(), outputs.split(), name, **attributes)


def tiny(*nodes: object, output: str = "y", opset: int = 17, domain: str = "") -> object:
    return model_of(list(nodes), {"x": X}, [output], opset, domain=domain)  # type: ignore[arg-type]


def test_all_problems_come_at_once() -> None:
    model = tiny(
        node("Frobnicate", "x", "a", "first", domain="my.domain"),
        node("Relu", "a", "b"),
        node("Multinomial", "b", "c", "second"),
        node("RandomNormalLike", "x", "d"),
        node("Add", "c d", "y"),
        domain="my.domain",
    )
    with pytest.raises(UnsupportedOps) as raised:
        load_model(model)
    found = [(op.op_type, op.node) for op in raised.value.ops]
    assert found == [
        ("my.domain.Frobnicate", "first"),
        ("Multinomial", "second"),
        ("RandomNormalLike", "RandomNormalLike -> d"),
    ]


def test_a_number_from_data_that_must_be_known_says_so() -> None:
    model = tiny(
        node("Cast", "x", "i", to=7), node("Reshape", "i i2", "q"), node("STFT", "x q", "y", "bad"), output="y"
    )
    model.graph.initializer.add(name="i2", data_type=7, dims=[1], int64_data=[-1])  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedOps, match=r"STFT 'bad': its frame_step is computed from data"):
        load_model(model)


def test_a_condition_from_data_and_what_its_branches_hold() -> None:
    branch = helper.make_graph(
        [node("Multinomial", "x", "z", "inner")], "b", [], [helper.make_empty_tensor_value_info("z")]
    )
    model = tiny(
        node("ReduceMax", "x", "m", keepdims=0),
        node("Cast", "m", "c", to=9),
        node("If", "c", "y", "choice", then_branch=branch, else_branch=branch),
    )
    report = check(model)
    assert not report.supported
    assert {(op.op_type, op.node) for op in report.unsupported} >= {("If", "choice"), ("Multinomial", "inner")}
    assert report.lines()[-1].endswith("unsupported")


def test_types_that_ir_does_not_have() -> None:
    model = tiny(node("Identity", "x", "y"))
    model.graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT8E4M3FN, (1,)))  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedOps, match="input 's': inputs of type FLOAT8E4M3FN are not supported"):
        load_model(model)


def test_operands_that_do_not_fit_are_named() -> None:
    with pytest.raises(UserError, match="Add 'sum': dimensions 3 and 5 do not broadcast"):
        load_model(model_of([node("Add", "x w", "y", "sum")], {"x": X, "w": np.ones(5, np.float32)}, ["y"]))  # type: ignore[list-item]


def test_a_name_that_nothing_computes() -> None:
    with pytest.raises(UserError, match="Relu 'late' uses 'z', which nothing before it computes"):
        load_model(tiny(node("Relu", "z", "y", "late")))


def test_an_opset_from_the_future() -> None:
    with pytest.raises(UserError, match="opset 99"):
        load_model(tiny(node("Relu", "x", "y"), opset=99))


def test_a_function_of_the_model_is_inlined_with_its_attributes() -> None:
    scale = helper.make_node("Constant", [], ["c"])
    scale.attribute.add(name="value_float", ref_attr_name="factor", type=1)
    inner = [scale, helper.make_node("Mul", ["a", "c"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("my", "Scale", ["a"], ["b"], inner, opsets, ["factor"])
    model = tiny(node("Scale", "x", "y", "call", domain="my", factor=3.0), domain="my")
    model.functions.append(function)  # type: ignore[attr-defined]
    module = load_model(model)
    assert evaluate(module, {"x": X})[0].tolist() == (X * 3).tolist()
    assert [str(op.loc) for op in module.main.block.ops if op.name == "graph.mul"] == ["call/Mul -> b"]


def test_a_function_of_the_standard_is_inlined() -> None:
    module = load_model(tiny(node("MeanVarianceNormalization", "x", "y", axes=[0, 1])))
    assert np.allclose(evaluate(module, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})[0].mean(), 0, atol=1e-6)


def test_every_op_says_where_it_comes_from() -> None:
    module = load_model(tiny(node("Relu", "x", "a", "named"), node("Neg", "a", "y")))
    assert [str(op.loc) for op in module.main.block.ops[:2]] == ["named", "Neg -> y"]


def test_sequences_that_are_known() -> None:
    model = tiny(
        node("SplitToSequence", "x", "s", axis=1, keepdims=0),
        node("SequenceAt", "s one", "b"),
        node("SequenceInsert", "s b", "t"),
        node("ConcatFromSequence", "t", "y", axis=0),
    )
    model.graph.initializer.add(name="one", data_type=7, dims=[], int64_data=[1])  # type: ignore[attr-defined]
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert evaluate(load_model(model), {"x": x})[0].tolist() == [0, 3, 1, 4, 2, 5, 1, 4]


def test_an_input_may_be_an_output() -> None:
    module = load_model(tiny(node("Identity", "x", "y")))
    assert module.main.terminator.operands == module.main.args


def test_description() -> None:
    found = describe(tiny(node("Relu", "x", "y")))
    assert (found.inputs[0].name, found.inputs[0].dtype, found.inputs[0].shape) == ("x", "f32", (2, 3))
    assert dict(found.operators) == {"Relu": 1} and found.parameters == 0
