"""Weights that come in at run time, with sizes known by name only, and attributes too large for code of their own."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

import dlc

SYMBOLS = ("a", "b", "c", "d")


def convolution(kind: str, x: tuple[int | str, ...], w: tuple[int | str, ...], **attributes: object) -> bytes:
    shapes = {"x": x, "w": w}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    node = helper.make_node(kind, ["x", "w"], ["y"], "the_node", kernel_shape=[3, 3], **attributes)
    graph = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name="y")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("group", [1, 16])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_no_size_of_the_weights_is_known(kind: str, group: int) -> None:
    for x in ((1, 16, 20, 20), ("n", "m", "h", "w")):
        dlc.compile(convolution(kind, x, SYMBOLS, group=group), cache=False)


def test_depthwise_windows_by_name() -> None:
    dlc.compile(convolution("Conv", ("n", 16, "h", "w"), (16, 1, "a", "b"), group=16), cache=False)


def test_a_stride_of_many_phases_has_no_code_for_each() -> None:
    model = convolution("ConvTranspose", (1, 64, 8, 8), (64, 64, 3, 3), strides=[1000, 1000])
    assert dlc.compile(model, cache=False).artifact.path.stat().st_size < 1 << 18


def test_a_wide_antialias_filter_is_a_loop() -> None:
    sizes = helper.make_tensor("s", TensorProto.INT64, [4], [1, 3, 2, 2])
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="linear", antialias=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 1000, 1000))
    graph = helper.make_graph([node], "g", [x], [onnx.ValueInfoProto(name="y")], [sizes])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    assert dlc.compile(made, cache=False).artifact.path.stat().st_size < 1 << 18
