"""Nodes that break ONNX's rules are refused by name; what mutants of real models found (tests/mutations)."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dlc.errors import UserError
from dlc.frontends.load import load_model
from dlc.frontends.messages import Message
from dlc.ir.dialects.graph_flow import Require
from dlc.ir.requirements import EQUAL
from tests.frontends.models import Array, model_of, symbolic_model

X = np.ones((2, 3), np.float32)
IMAGE = np.ones((1, 4, 8, 8), np.float32)
INTS = np.arange(3)


def node(op: str, inputs: str, outputs: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), "the_node", **attributes)


def reference() -> onnx.NodeProto:
    """A Constant whose number is a type."""
    made = node("Constant", "", value_float=1.5)
    made.attribute[0].type = onnx.AttributeProto.TYPE_PROTO
    return made


REFUSED: dict[str, tuple[onnx.NodeProto, dict[str, Array], str]] = {
    "a window larger than the image": (
        node("MaxPool", "x", kernel_shape=[20, 20]), {"x": IMAGE}, "the window must fit into the padded image, got -11"
    ),
    "a size that no machine has": (
        node("Expand", "x s"), {"x": X, "s": np.array([1 << 50, 1, 3])}, r"at most 2\*\*46 bytes"
    ),
    "a shape that is no vector": (node("ConstantOfShape", "s"), {"s": np.array([[2], [1]])}, "a vector of integers"),
    "a shape of fractions": (node("Expand", "i s"), {"i": INTS, "s": np.array([0.5])}, "a vector of integers"),
    "one value for two": (
        node("OneHot", "i d v"), {"i": INTS, "d": np.array(3), "v": np.array([1.0])}, "two values, off and on"
    ),
    "a size that no array has, though empty": (
        node("Expand", "x s"), {"x": np.zeros((0, 1), np.float32), "s": np.array([0, 1 << 60])}, r"at most 2\*\*46"
    ),
    "a division by 0": (node("Celu", "x", alpha=0.0), {"x": X}, "its alpha, by which it divides, is 0"),
    "a negative window": (
        node("MaxPool", "x", kernel_shape=[2, -1]), {"x": IMAGE}, "the sizes of the window must be 1 or more"
    ),
    "no groups": (
        node("Conv", "x w", group=-1), {"x": IMAGE, "w": np.ones((4, 4, 1, 1), np.float32)}, "at least one group"
    ),
    "a norm of integers": (
        node("LpPool", "x", kernel_shape=[2, 2]), {"x": IMAGE.astype(np.int32)}, "a p-norm must be of floats"
    ),
    "infinite scales": (
        node("Resize", "x _ s"), {"x": X, "_": INTS, "s": np.array([np.inf, 1], np.float32)}, "must be numbers above 0"
    ),
    "an infinite range": (
        node("Range", "a b c"), {"a": np.float32(0), "b": np.float32(np.inf), "c": np.float32(1)}, "made of integers"
    ),
    "too few operands of what is known": (node("Sub", "i"), {"i": INTS}, "input 1 is missing"),
    "more outputs than there are": (node("Shape", "x", "y z"), {"x": X}, "only the first 1 of its outputs"),
    "more outputs than are known": (node("Neg", "i", "y z"), {"i": INTS}, "only the first 1 of its outputs"),
    "a constant that is no number": (reference(), {"x": X}, "made of values of type float"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_node_is_refused_by_name(name: str) -> None:
    made, inputs, message = REFUSED[name]
    constants = [key for key, array in inputs.items() if array is not X and array is not IMAGE]
    given = {key: np.asarray(array) for key, array in inputs.items()}
    with pytest.raises(UserError, match=message) as raised:
        load_model(model_of([made], given, ["y"], 17, constants))
    assert "the_node" in str(raised.value) or "output 'y'" in str(raised.value)


def test_text_is_refused_wherever_it_turns_up() -> None:
    text = helper.make_tensor("t", TensorProto.STRING, [2], [b"a", b"b"])
    inside = model_of([node("Gather", "t i")], {"i": np.array(0)}, ["y"])
    returned = model_of([node("Identity", "x")], {"x": X}, ["y", "t"])
    for model in (inside, returned):
        model.graph.initializer.append(text)
        with pytest.raises(UserError, match="tensors of text are not supported"):
            load_model(model)
    given = model_of([node("Identity", "t")], {"t": X}, ["y"])
    given.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(UserError, match="input 't': tensors of text are not supported"):
        load_model(given)


def test_an_input_that_no_machine_can_hold() -> None:
    model = model_of([node("Relu", "x")], {"x": X}, ["y"])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = (1 << 63) - 1
    with pytest.raises(UserError, match=r"input 'x': a tensor must have at most 2\*\*46 bytes"):
        load_model(model)


def test_a_number_that_is_packed_and_empty_reads_as_absent() -> None:
    """Field 3 of an attribute, `i`, as a packed field without any number in it."""
    attribute = Message("AttributeProto", memoryview(b"\x1a\x00"), 0, 2)
    assert not attribute.HasField("i") and attribute.i == 0


# -- sizes that only one of two operands knows -------------------------------------------------------------------------

DEPTHS = {
    "Conv": (node("Conv", "x w"), ("n", "c", 8, 8), (16, 3, 3, 3)),
    "Conv in groups": (node("Conv", "x w", group=2), ("n", "c", 8, 8), (16, 3, 3, 3)),
    "ConvTranspose": (node("ConvTranspose", "x w"), ("n", "c", 8, 8), (3, 16, 3, 3)),
    "MatMul": (node("MatMul", "x w"), ("n", "c"), (64, 32)),
    "Gemm": (node("Gemm", "x w", transB=1), ("n", "c"), (32, 64)),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_a_weight_says_how_many_channels_there_are(name: str) -> None:
    made, x, w = DEPTHS[name]
    module = load_model(symbolic_model([made], {"x": x}, ["y"], weights={"w": np.ones(w, np.float32)}))
    product = next(op for op in module.main.block.ops if len(op.operands) == 2)
    assert "[c]" not in str(product.operands[0].type)
    channels = {"Conv in groups": 6, "MatMul": 64, "Gemm": 64}.get(name, 3)
    (guard,) = (op.requirement for op in module.main.block.ops if isinstance(op, Require) and op.relation == EQUAL)
    assert (str(guard.left), guard.right) == ("c", channels)


def test_statistics_say_how_many_channels_there_are() -> None:
    weights = {name: np.ones(8, np.float32) for name in ("s", "b", "m", "v")}
    model = symbolic_model([node("BatchNormalization", "x s b m v")], {"x": ("n", "c", 5)}, ["y"], weights=weights)
    assert str(load_model(model).main.terminator.operands[0].type) == "tensor<[n]x8x5xf32>"


def test_statistics_without_a_size_take_that_of_the_channels() -> None:
    names = {name: (name,) for name in ("s", "b", "m", "v")}
    model = symbolic_model([node("BatchNormalization", "x s b m v")], {"x": ("n", 8, 5), **names}, ["y"])
    assert str(load_model(model).main.terminator.operands[0].type) == "tensor<[n]x8x5xf32>"
