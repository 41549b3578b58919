"""Slices that are read where they lie: the numbers stay, whoever else reads or returns a part."""

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
rng = np.random.default_rng(6)


def weights(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32) * np.float32(0.1)


def conv(x: str, y: str, kernel: int = 3) -> onnx.NodeProto:
    return node("Conv", [x, f"{y}_w"], [y], pads=[kernel // 2] * 4)


def split(x: str, *parts: str, axis: int = 1, sizes: str = "sizes") -> onnx.NodeProto:
    return node("Split", [x, sizes], list(parts), axis=axis)


Filters = dict[str, tuple[int, int, int]]  # name of a convolution's result: channels out and in, window


def network(
    nodes: list[onnx.NodeProto], sizes: tuple[int, ...], filters: Filters,
    returned: tuple[str, ...] = ("y",), image: Shape = (1, 3, 6, 7),
) -> onnx.ModelProto:  # fmt: skip
    given = {"sizes": np.array(sizes, np.int64), "turned": np.array(sizes[::-1], np.int64)}
    for name, (outputs, inputs, window) in {"a": (sum(sizes), 3, 3), **filters}.items():
        given[f"{name}_w"] = weights(outputs, inputs, window, window)
    return model([conv("x", "a"), *nodes], {"x": ("f32", image)}, dict.fromkeys(returned, "f32"), given)


def halves(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [split("a", "p", "q"), conv("p", "c"), *nodes]


JOIN = node("Concat", ["p", "q", "c"], ["j"], axis=1)
TAIL = {"c": (32, 32, 3), "y": (16, 96, 1)}
NETWORKS = {
    "whole blocks": network(halves(node("Add", ["c", "q"], ["y"])), (32, 32), {"c": (32, 32, 3)}),
    "joined again": network(halves(JOIN, conv("j", "y", 1)), (32, 32), TAIL),
    "a part returned": network(halves(JOIN, conv("j", "y", 1)), (32, 32), TAIL, ("y", "p")),
    "the whole returned": network(halves(JOIN, conv("j", "y", 1)), (32, 32), TAIL, ("y", "a")),
    "several images": network(halves(JOIN, conv("j", "y", 1)), (32, 32), TAIL, image=(2, 3, 6, 7)),
    "symbolic sizes": network(halves(JOIN, conv("j", "y", 1)), (32, 32), TAIL, image=(1, 3, "h", "w")),
    "a rest": network(halves(conv("q", "y")), (32, 7), {"c": (5, 32, 3), "y": (4, 7, 3)}, ("y", "c")),
    "no whole blocks": network(halves(conv("q", "y")), (29, 30), {"c": (5, 29, 3), "y": (4, 30, 3)}, ("y", "c")),
    "a part of a part": network(
        [split("a", "p", "q"), conv("q", "c"), split("c", "s", "t", sizes="turned"), conv("t", "y", 5)], (16, 32),
        {"c": (48, 32, 3), "y": (8, 16, 5)}, ("y", "p", "s"),
    ),
    "a part in a whole": network(
        halves(conv("q", "d"), node("Concat", ["q", "d"], ["j"], axis=1), conv("j", "y")), (16, 32),
        {"c": (8, 16, 3), "d": (16, 32, 3), "y": (16, 48, 3)}, ("y", "c"),
    ),
    "rows": network([split("a", "p", "q", axis=2), conv("p", "c"), conv("q", "y")], (2, 4),
                    {"a": (16, 3, 3), "c": (8, 16, 3), "y": (8, 16, 3)}, ("y", "c")),
}  # fmt: skip

@pytest.mark.parametrize("name", NETWORKS)
def test_numbers(name: str) -> None:
    proto = NETWORKS[name]
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    shapes = [[d.dim_value or size for d in dims] for size in (5, 17)]
    cases = [{"x": rng.standard_normal(shape).astype(np.float32)} for shape in shapes]
    check(proto, *cases, tolerance=1e-5)


COPIES = {
    "whole blocks": 0, "joined again": 0, "symbolic sizes": 0, "a rest": 0, "a part in a whole": 1,
    "no whole blocks": 2,
}  # fmt: skip


@pytest.mark.parametrize(("name", "copies"), COPIES.items())
def test_copies(name: str, copies: int) -> None:
    main = lowered_module(NETWORKS[name], make_options("host-avx512f", None, 3, ("winograd",), False)).module.main
    called = [op.kernel for op in main.block.ops if isinstance(op, run.Call)]
    assert sum(kernel.startswith(("copy_", "concat_")) for kernel in called) == copies
