"""Networks of convolutions of one to three axes and in groups, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import dlc
from dlc.driver.pipeline import Options, lowered_module
from dlc.target import Target
from tests.models.zoo import model_of, weight
from tests.tolerances import assert_close

TARGETS = ["host", *(pytest.param(name, marks=pytest.mark.isa(name)) for name in ("x86-64-v3", "x86-64-v2"))]


class Network:
    """Convolutions with bias and ReLU, one node after the other."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.weights: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.channels, self.last = 3, "x"

    def conv(self, channels: int, *window: int, groups: int = 1, **attrs: object) -> str:
        name = f"v{len(self.nodes)}"
        shape = (channels, self.channels // groups, *window)
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        self.weights.append(weight(f"{name}_w", self.rng.standard_normal(shape) * scale))
        self.weights.append(weight(f"{name}_b", self.rng.standard_normal(channels)))
        self.channels = channels
        self.node("Conv", [self.last, f"{name}_w", f"{name}_b"], group=groups, **attrs)
        return self.node("Relu", [self.last])

    def node(self, kind: str, inputs: list[str], **attrs: object) -> str:
        self.last = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.last], **attrs))
        return self.last

    def model(self, batch: int | str, *sizes: int | str) -> onnx.ModelProto:
        self.node("GlobalAveragePool", [self.last])
        self.nodes[-1].output[0] = "y"
        return model_of(self.nodes, self.weights, (batch, 3, *sizes), (batch, self.channels, *[1] * len(sizes)))


def any_axes(batch: int | str, *sizes: int | str) -> onnx.ModelProto:
    """Padded, dilated, strided, pointwise and depthwise; a residual, a pool, a concatenation."""
    network, axes = Network(), len(sizes)
    first = network.conv(36, *[3] * axes, pads=[1] * 2 * axes)
    network.conv(36, *[3] * axes, pads=[2] * 2 * axes, dilations=[2] * axes)
    network.node("Add", [first, network.last])
    network.node("MaxPool", [network.last], kernel_shape=[2] * axes, strides=[2] * axes)
    left = network.conv(32, *[1] * axes)
    right = network.conv(32, *[3] * axes, groups=32, pads=[1] * 2 * axes)
    network.node("Concat", [left, right], axis=1)
    network.channels = 64
    network.conv(20, *[2] * axes, strides=[2] * axes)
    return network.model(batch, *sizes)


def in_groups(batch: int | str, *sizes: int | str) -> onnx.ModelProto:
    """Groups of two vectors, one, half of one, fewer, of sizes that no vector divides, and an odd number of them."""
    network = Network()
    network.conv(96, 3, 3)
    for groups, channels in ((3, 96), (6, 96), (12, 96), (24, 96), (8, 192), (2, 30), (5, 20)):
        network.conv(channels, 3, 3, groups=groups, pads=[1] * 4)
    network.conv(104, 1, 1)
    network.conv(104, 3, 3, groups=13, pads=[1] * 4)
    network.conv(208, 3, 3, groups=13, pads=[0, 1, 1, 1], strides=[1, 2])
    return network.model(batch, *sizes)


def transposed(shape: tuple[int, ...], weights: tuple[int, ...], **attrs: object) -> onnx.ModelProto:
    """A transposed convolution of few output channels, with bias and what follows."""
    rng = np.random.default_rng(8)
    w = rng.standard_normal(weights) / np.sqrt(np.prod(weights[:1] + weights[2:]))
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w", "b"], ["c"], **attrs),
        helper.make_node("Tanh", ["c"], ["d"]),
        helper.make_node("LeakyRelu", ["d"], ["y"]),
    ]
    y = (shape[0], weights[1], *["?" for _ in shape[2:]])
    return model_of(nodes, [weight("w", w), weight("b", rng.standard_normal(weights[1]))], shape, y)


def expected(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(6).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", [(2, 37), (1, 11, 14), (1, 5, 6, 19)], ids=str)
def test_images_of_any_axes(size: tuple[int, ...], target: str) -> None:
    model, x = any_axes(*size), image(size[0], 3, *size[1:])
    assert_close(dlc.compile(model, target=target)(x), expected(model, x), "network")


@pytest.mark.parametrize("target", TARGETS)
def test_groups(target: str) -> None:
    model, x = in_groups(2, 9, 15), image(2, 3, 9, 15)
    assert_close(dlc.compile(model, target=target)(x), expected(model, x), "network")


@pytest.mark.parametrize("make, sizes", [(any_axes, ("n",)), (any_axes, ("d", "n", "m")), (in_groups, ("n", "m"))])
def test_sizes_known_at_run_time(make: object, sizes: tuple[str, ...]) -> None:
    model = make("batch", *sizes)  # type: ignore[operator]
    compiled = dlc.compile(model)
    for batch, some in ((1, (8, 9, 23)), (2, (17, 8, 11))):
        x = image(batch, 3, *some[-len(sizes) :])
        assert_close(compiled(x), expected(model, x), "network")


@pytest.mark.parametrize("sizes", [(40,), (6, 8, 20)], ids=str)
def test_images_of_any_axes_stay_in_blocks(sizes: tuple[int, ...]) -> None:
    module = lowered_module(any_axes(1, *sizes), Options(Target.parse("x86-64-v4"))).module
    names = [name for name in module.funcs if name.startswith("relayout")]
    assert len(names) <= 2, "the image and the result alone are copied"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("shape", "weights", "attrs"),
    [
        ((1, 64, 12, 13), (64, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((2, 5, 7, 6), (5, 2, 5, 3), {"strides": [2, 3], "pads": [1, 0, 2, 1], "output_padding": [1, 0]}),
        ((1, 20, 9), (20, 2, 6), {"strides": [4], "pads": [1, 1]}),
        ((1, 20, 9, 5, 5), (20, 1, 3, 3, 3), {"strides": [2, 2, 2], "pads": [1] * 6, "output_padding": [1, 1, 1]}),
        ((1, 20, 5, 5), (20, 1, 3, 2), {"strides": [3, 4]}),  # phases without taps
        ((1, 3, 1, 1), (3, 2, 4, 4), {"strides": [4, 4]}),
    ],
)
def test_transposed_to_few_channels(
    shape: tuple[int, ...], weights: tuple[int, ...], attrs: dict[str, object], target: str
) -> None:
    model, x = transposed(shape, weights, **attrs), image(*shape)
    assert_close(dlc.compile(model, target=target)(x), expected(model, x), "network")
