"""The convolutional families of the benchmark's models, at a size that an emulator runs in a moment: the same blocks in
the same order, fewer of them, with fewer channels and small images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper

from tests.models.zoo import model_of, weight


class Network:
    """A graph in the making; each method adds an operator and returns the name of its result."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels = {"x": 3}

    def add(self, kind: str, *inputs: str, channels: int | None = None, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        self.channels[name] = self.channels[inputs[0]] if channels is None else channels
        return name

    def weight(self, shape: Sequence[int], scale: float = 1.0, shift: float = 0.0) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(weight(name, self.rng.standard_normal(shape) * scale + shift))
        return name

    def conv(
        self, x: str, channels: int, size: int = 3, stride: int = 1, groups: int = 1, batch_norm: bool = True
    ) -> str:
        inputs = self.channels[x] // groups
        w = self.weight((channels, inputs, size, size), (inputs * size * size) ** -0.5)
        shape = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [size // 2] * 4, "group": groups}
        if not batch_norm:
            return self.add("Conv", x, w, self.weight((channels,), 0.1), channels=channels, **shape)
        y = self.add("Conv", x, w, channels=channels, **shape)
        statistics = [self.weight((channels,), 0.1, shift) for shift in (1.0, 0.0, 0.0)]
        self.weights.append(weight(name := f"w{len(self.weights)}", self.rng.uniform(0.5, 2, channels)))
        return self.add("BatchNormalization", y, *statistics, name)

    def relu(self, x: str, most: float | None = None) -> str:
        if most is None:
            return self.add("Relu", x)
        limits = [weight(f"w{len(self.weights) + n}", np.array(limit)) for n, limit in enumerate((0.0, most))]
        self.weights += limits
        return self.add("Clip", x, *(limit.name for limit in limits))

    def pool(self, x: str, size: int = 2, stride: int = 2, pad: int = 0) -> str:
        return self.add("MaxPool", x, kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4)

    def classes(self, x: str, count: int = 10) -> str:
        flat = self.add("Flatten", self.add("GlobalAveragePool", x))
        w = self.weight((self.channels[x], count), self.channels[x] ** -0.5)
        return self.add("Gemm", flat, w, self.weight((count,), 0.1), channels=count)

    def model(self, y: str, image: tuple[int, ...], result: tuple[int, ...]) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [y], ["y"]))
        return model_of(self.nodes, self.weights, image, result)


def resnet() -> onnx.ModelProto:
    """A stem of 7 x 7 and a pool, then bottlenecks with and without a stride and a projection."""
    net = Network(1)
    x = net.pool(net.relu(net.conv("x", 16, 7, 2)), 3, 2, 1)
    for width, stride in ((8, 1), (8, 1), (16, 2), (16, 1)):
        y = net.relu(net.conv(x, width, 1))
        y = net.relu(net.conv(y, width, 3, stride))
        y = net.conv(y, 4 * width, 1)
        same = stride == 1 and net.channels[x] == 4 * width
        x = net.relu(net.add("Add", y, x if same else net.conv(x, 4 * width, 1, stride)))
    return net.model(net.classes(x), (1, 3, 61, 67), (1, 10))


def mobilenet(squeeze: bool = False) -> onnx.ModelProto:
    """Inverted residuals; with `squeeze` those of the third version: squeeze and excite, hard swish."""
    net = Network(2)

    def swish(x: str) -> str:
        return net.add("HardSwish", x) if squeeze else net.relu(x, 6.0)

    x = swish(net.conv("x", 16, 3, 2))
    for width, size, stride, expand in ((12, 3, 1, 1), (20, 3, 2, 3), (20, 5, 1, 3), (28, 5, 2, 2)):
        inner = net.channels[x] * expand
        y = swish(net.conv(x, inner, 1)) if expand > 1 else x
        y = swish(net.conv(y, inner, size, stride, groups=inner))
        if squeeze:
            scale = net.relu(net.conv(net.add("GlobalAveragePool", y), 8, 1, batch_norm=False))
            scale = net.add("HardSigmoid", net.conv(scale, inner, 1, batch_norm=False), alpha=1 / 6, beta=0.5)
            y = net.add("Mul", y, scale)
        y = net.conv(y, width, 1)
        x = net.add("Add", x, y) if stride == 1 and net.channels[x] == width else y
    return net.model(net.classes(x), (1, 3, 45, 50), (1, 10))


def squeezenet() -> onnx.ModelProto:
    """Fire modules: a narrow 1 x 1 convolution, then 1 x 1 and 3 x 3 ones side by side."""
    net = Network(3)
    x = net.pool(net.relu(net.conv("x", 20, 3, 2, batch_norm=False)), 3, 2)
    for narrow, wide in ((8, 16), (8, 24), (12, 20)):
        s = net.relu(net.conv(x, narrow, 1, batch_norm=False))
        sides = [net.relu(net.conv(s, wide, size, batch_norm=False)) for size in (1, 3)]
        x = net.add("Concat", *sides, channels=2 * wide, axis=1)
    y = net.relu(net.conv(x, 10, 1, batch_norm=False))
    return net.model(net.add("GlobalAveragePool", y), (1, 3, 47, 41), (1, 10, 1, 1))


def unet() -> onnx.ModelProto:
    """Down by pools, up by transposed convolutions, joined with what was on the way down."""
    net = Network(4)
    x, joins = "x", []
    for width in (8, 16):
        x = net.relu(net.conv(net.relu(net.conv(x, width)), width))
        joins.append(x)
        x = net.pool(x)
    x = net.relu(net.conv(x, 32))
    for join in reversed(joins):
        width = net.channels[join]
        w = net.weight((net.channels[x], width, 2, 2), (4 * net.channels[x]) ** -0.5)
        x = net.add("ConvTranspose", x, w, channels=width, kernel_shape=[2, 2], strides=[2, 2])
        x = net.add("Concat", x, join, channels=2 * width, axis=1)
        x = net.relu(net.conv(x, width))
    return net.model(net.add("Sigmoid", net.conv(x, 1, 1)), (1, 3, 36, 44), (1, 1, 36, 44))


def dcgan() -> onnx.ModelProto:
    """An image out of a vector: transposed convolutions of 4 x 4 windows."""
    net = Network(5)
    x, inputs = "x", 3
    for width, stride, pad in ((24, 1, 0), (12, 2, 1), (3, 2, 1)):
        w = net.weight((inputs, width, 4, 4), (4 * inputs) ** -0.5)
        x = net.add("ConvTranspose", x, w, channels=width, kernel_shape=[4, 4], strides=[stride] * 2, pads=[pad] * 4)
        x, inputs = (net.add("Tanh", x) if width == 3 else net.relu(x)), width
    return net.model(x, (1, 3, 1, 1), (1, 3, 16, 16))


def vgg() -> onnx.ModelProto:
    """Convolutions of 3 x 3 in a row, pools between them, dense layers over what is left of the image."""
    net = Network(6)
    x = "x"
    for width, count in ((16, 1), (24, 2), (32, 2)):
        for _ in range(count):
            x = net.relu(net.conv(x, width, batch_norm=False))
        x = net.pool(x)
    inputs, flat = 32 * 4 * 5, net.add("Flatten", x)
    for outputs in (40, 10):
        w = net.weight((outputs, inputs), inputs**-0.5)
        flat = net.add("Gemm", flat, w, net.weight((outputs,), 0.1), transB=1)
        flat, inputs = (net.relu(flat) if outputs == 40 else flat), outputs
    return net.model(flat, (1, 3, 32, 40), (1, 10))


FAMILIES: dict[str, Callable[[], onnx.ModelProto]] = {
    "resnet": resnet, "mobilenet_v2": mobilenet, "mobilenet_v3": lambda: mobilenet(squeeze=True),
    "squeezenet": squeezenet, "unet": unet, "dcgan": dcgan, "vgg": vgg,
}  # fmt: skip
