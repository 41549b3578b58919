"""Channels that are shuffled between convolutions: the numbers, whoever reads them, and what is still copied."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from dlc.driver.compile import make_options
from dlc.driver.pipeline import lowered_module
from dlc.ir.dialects import run
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import Shape, check, model, node

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]


class Network:
    """Nodes in order, with weights as they are needed."""

    def __init__(self, half: int, seed: int = 8) -> None:
        self.half = half
        self.nodes: list[onnx.NodeProto] = []
        self.given: dict[str, np.ndarray] = {}
        self.rng = np.random.default_rng(seed)

    def add(self, kind: str, inputs: list[str], outputs: list[str], **attributes: object) -> str:
        self.nodes.append(node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def weight(self, array: np.ndarray) -> str:
        name = f"w{len(self.given)}"
        self.given[name] = array
        return name

    def conv(self, x: str, inputs: int, outputs: int, window: int = 1, groups: int = 1, stride: int = 1) -> str:
        shape = (outputs, inputs // groups, window, window)
        w = self.weight(self.rng.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:]))))
        b = self.weight(self.rng.standard_normal(outputs).astype(np.float32))
        attributes = {"pads": [window // 2] * 4, "group": groups, "strides": [stride] * 2}
        y = self.add("Conv", [x, w, b], [f"c{len(self.nodes)}"], **attributes)
        return self.add("Relu", [y], [f"r{len(self.nodes)}"])

    def shuffle(self, x: str, shape: Shape, groups: int = 2) -> str:
        _, channels, *size = shape
        apart = self.weight(np.array([1, groups, int(channels) // groups, *size], np.int64))
        whole = self.weight(np.array([1, channels, *size], np.int64))
        y = self.add("Reshape", [x, apart], [f"s{len(self.nodes)}"])
        y = self.add("Transpose", [y], [f"t{len(self.nodes)}"], perm=[0, 2, 1, 3, 4])
        return self.add("Reshape", [y, whole], [f"u{len(self.nodes)}"])

    def split(self, x: str) -> tuple[str, str]:
        parts = [f"p{len(self.nodes)}", f"q{len(self.nodes)}"]
        self.add("Split", [x, self.weight(np.array([self.half] * 2, np.int64))], parts, axis=1)
        return parts[0], parts[1]

    def join(self, a: str, b: str) -> str:
        return self.add("Concat", [a, b], [f"j{len(self.nodes)}"], axis=1)

    def unit(self, x: str, size: tuple[int, int]) -> str:
        """Half of the channels go through, the others through convolutions; then they are shuffled."""
        half = self.half
        kept, changed = self.split(x)
        y = self.conv(changed, half, half)
        y = self.conv(self.conv(y, half, half, 3, half), half, half)
        return self.shuffle(self.join(kept, y), (1, 2 * half, *size))

    def ready(self, y: str) -> onnx.ModelProto:
        self.add("Identity", [y], ["y"])
        return model(self.nodes, {"x": ("f32", (1, 5, 6, 7))}, {"y": "f32"}, self.given)


def stage(half: int, units: int, *, last: str) -> onnx.ModelProto:
    """A stage of ShuffleNet V2, and what reads its result."""
    n, size = Network(half), (6, 7)
    y = n.shuffle(n.join(n.conv("x", 5, half), n.conv("x", 5, half, 3)), (1, 2 * half, *size))
    for _ in range(units):
        y = n.unit(y, size)
    if last == "pointwise":
        y = n.conv(y, 2 * half, 9)
    elif last == "depthwise":
        y = n.conv(y, 2 * half, 2 * half, 3, 2 * half, stride=2)
    elif last == "both":
        a = n.conv(n.conv(y, 2 * half, 2 * half, 3, 2 * half, stride=2), 2 * half, half)
        y = n.join(a, n.conv(n.conv(y, 2 * half, half), half, half, 3, half, stride=2))
    elif last == "window":
        y = n.conv(y, 2 * half, 9, 3)
    elif last == "residual":
        y = n.add("Add", [y, n.conv(y, 2 * half, 2 * half)], ["sum"])
    return n.ready(y)


def grouped() -> onnx.ModelProto:
    """ShuffleNet V1: convolutions in groups take no list of channels, the dense one at the end does."""
    n = Network(24)
    y = n.shuffle(n.conv("x", 5, 48, 1), (1, 48, 6, 7), 3)
    return n.ready(n.conv(n.shuffle(n.conv(y, 48, 48, 1, 3), (1, 48, 6, 7), 3), 48, 10, 3))


NETWORKS = {
    **{f"{half} channels": stage(half, 3, last="pointwise") for half in (1, 7, 16, 29, 32)},
    **{f"read by {last}": stage(13, 2, last=last) for last in ("depthwise", "both", "window", "residual", "nothing")},
    "many units": stage(6, 7, last="pointwise"),
    "in groups": grouped(),
}


@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
@pytest.mark.parametrize("name", NETWORKS)
def test_numbers(name: str, target: str) -> None:
    x = np.random.default_rng(0).standard_normal((1, 5, 6, 7)).astype(np.float32)
    check(NETWORKS[name], {"x": x}, tolerance=1e-4, target=target)


COPIES = {"29 channels": [], "32 channels": [], "read by both": ["gather_0"], "in groups": ["copy_0"]}


@pytest.mark.parametrize(("name", "copies"), COPIES.items())
def test_copies(name: str, copies: list[str]) -> None:
    main = lowered_module(NETWORKS[name], make_options("host", None, 3, ("winograd",), False)).module.main
    called = [op.kernel for op in main.block.ops if isinstance(op, run.Call)]
    assert [kernel for kernel in called if kernel.startswith(("copy_", "gather_"))] == copies
