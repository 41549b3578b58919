"""Results that are written over an operand: the numbers stay, on several threads too, and who is read later is kept."""

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
rng = np.random.default_rng(7)


def weights(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32) * np.float32(0.1)


def conv(x: str, w: str, y: str) -> onnx.NodeProto:
    pad = int(w[-1]) // 2
    return node("Conv", [x, w], [y], pads=[pad] * 4)


def network(channels: int, *nodes: onnx.NodeProto, image: Shape = (1, 0, 9, 14)) -> onnx.ModelProto:
    """w1, w3 and w5 are filters of these windows."""
    given = {f"w{n}": weights(channels, channels, n, n) for n in (1, 3, 5)}
    given |= {"left": weights(14, 14), "gate": weights(channels, channels, 1, 1)}
    nodes = (conv("x", "w1", "a"), *nodes)
    return model(list(nodes), {"x": ("f32", [d or channels for d in image])}, {"y": "f32"}, given)


def add(a: str, b: str, y: str) -> onnx.NodeProto:
    return node("Add", [a, b], [y])


RESIDUAL = (conv("a", "w5", "b"), conv("b", "w1", "c"), add("c", "a", "d"), conv("d", "w5", "y"))
GATED = (
    node("GlobalAveragePool", ["a"], ["m"]), node("Conv", ["m", "gate"], ["g"]), node("Sigmoid", ["g"], ["s"]),
    node("Mul", ["a", "s"], ["t"]), conv("t", "w1", "y"),
)  # fmt: skip
PRODUCTS = (node("MatMul", ["a", "left"], ["p"]), add("p", "a", "q"), node("MatMul", ["q", "left"], ["y"]))
NETWORKS = {
    "residual": (network(32, *RESIDUAL), 1),
    "channels that fill no block": (network(19, *RESIDUAL), 1),
    "one channel": (network(1, *RESIDUAL), None),
    "several images": (network(32, *RESIDUAL, image=(3, 0, 7, 7)), 1),
    "sizes with names": (network(32, *RESIDUAL, image=(1, 0, "h", "w")), 1),
    "gated": (network(40, *GATED), 1),
    "products": (network(8, *PRODUCTS), 1),
    "read later": (network(32, *RESIDUAL[:3], conv("d", "w1", "e"), add("e", "a", "y")), 0),
    "read by the convolution too": (network(32, conv("a", "w1", "c"), add("c", "a", "d"), conv("d", "w5", "y")), 0),
    "read twice in place": (
        network(32, conv("a", "w5", "b"), conv("b", "w1", "c"), node("Sigmoid", ["a"], ["s"]),
                node("Mul", ["c", "s"], ["d"]), add("d", "a", "e"), conv("e", "w5", "y")), 1,
    ),
    "turned": (network(14, node("Transpose", ["a"], ["t"], perm=[0, 3, 2, 1]), conv("a", "w1", "c"),
                       add("c", "t", "d"), conv("d", "w1", "y"), image=(1, 0, 9, 14)), None),
    "concatenated": (
        network(32, node("Relu", ["a"], ["p"]), conv("a", "w5", "b"), conv("b", "w1", "c"), add("c", "p", "d"),
                node("Concat", ["d", "p"], ["j"], axis=1), node("Sigmoid", ["j"], ["k"]), add("k", "j", "y")), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers(name: str) -> None:
    proto, _ = NETWORKS[name]
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    shapes = [[d.dim_value or size for d in dims] for size in (14, 1)]
    check(proto, *({"x": rng.standard_normal(shape).astype(np.float32)} for shape in shapes), tolerance=1e-5)


@pytest.mark.parametrize("name", [name for name, (_, count) in NETWORKS.items() if count is not None])
def test_how_many_are_written_over_an_operand(name: str) -> None:
    proto, count = NETWORKS[name]
    assert written_over(proto, "x86-64-v4") == count


def test_a_kernel_whose_squares_overlap_keeps_its_operands() -> None:
    """Lines of 14 are two squares of 8 that share two columns: those would have the residual added twice."""
    assert written_over(NETWORKS["products"][0], "x86-64-v3") == 0


def written_over(proto: onnx.ModelProto, target: str) -> int:
    main = lowered_module(proto, make_options(target, None, 3, ("winograd",), False)).module.main
    calls = [op for op in main.block.ops if isinstance(op, run.Call)]
    return sum(any(place(op, at) == place(op, -1) is not None for at in op.over) for op in calls)


def place(call: run.Call, number: int) -> object:
    source = call.operands[number].owner
    return source.offset if isinstance(source, run.Alloc) else None
