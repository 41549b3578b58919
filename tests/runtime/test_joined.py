"""Concatenations whose parts are written in place: the numbers stay, whoever else reads or returns a part."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from dlc.driver.compile import make_options
from dlc.driver.pipeline import lowered_module
from dlc.ir.dialects import run
from dlc.target import Target
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import check, compiled, expected, model, node
from tests.tolerances import assert_close

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]
rng = np.random.default_rng(5)


def weights(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32) * np.float32(0.1)


def conv(x: str, w: str, y: str) -> onnx.NodeProto:
    return node("Conv", [x, w], [y], pads=[1, 1, 1, 1])


def network(
    joins: list[onnx.NodeProto], last: str, returned: tuple[str, ...] = ("y",), batch: int = 1
) -> onnx.ModelProto:
    """a and b are convolutions of x, c one of a; then `joins`, and a convolution of `last`."""
    channels = {"ab": 64, "ba": 64, "aa": 64, "abc": 96, "abx": 80, "nested": 96, "deep": 128}[last]
    nodes = [conv("x", "u", "a"), conv("x", "v", "b"), conv("a", "t", "c"), *joins, conv(last, "w", "y")]
    given = {"u": weights(32, 16, 3, 3), "v": weights(32, 16, 3, 3), "t": weights(32, 32, 3, 3)}
    given["w"] = weights(16, channels, 3, 3)
    return model(nodes, {"x": ("f32", (batch, 16, 6, 9))}, dict.fromkeys(returned, "f32"), given)


def joined(*parts: str, into: str) -> onnx.NodeProto:
    return node("Concat", list(parts), [into], axis=1)


AB = joined("a", "b", into="ab")
NETWORKS = {
    "two parts": network([AB], "ab"),
    "a part read elsewhere": network([joined("a", "b", "c", into="abc")], "abc"),
    "a part returned": network([AB], "ab", ("y", "a")),
    "the whole returned": network([AB], "ab", ("y", "ab")),
    "one part twice": network([joined("a", "a", into="aa")], "aa"),
    "an input among the parts": network([joined("a", "b", "x", into="abx")], "abx"),
    "one in another": network([AB, joined("ab", "c", into="nested")], "nested"),
    "parts of two": network([AB, joined("ab", "a", "c", into="deep")], "deep"),
    "in two orders": network([AB, joined("b", "a", into="ba"), node("Relu", ["ab"], ["r"])], "ba", ("y", "r")),
    "several images": network([AB], "ab", batch=2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers(name: str) -> None:
    proto = NETWORKS[name]
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": rng.standard_normal(shape).astype(np.float32)}
    check(proto, feeds, tolerance=1e-5, target=whole_vectors())
    ready = compiled(proto)  # where vectors go in halves, by Winograd's larger tiles one after the other
    for array, wanted in zip(ready.run(feeds).values(), expected(proto, feeds), strict=True):
        assert_close(array, wanted, "network")


def whole_vectors() -> str:
    """This machine, as if its units took whole vectors: the algorithms are then the same on all machines."""
    host = Target.host()
    return str(Target(host.arch, host.features, host.caches))


COPIES = {"two parts": 0, "one in another": 0, "one part twice": 1, "several images": 1}


@pytest.mark.parametrize(("name", "copies"), COPIES.items())
def test_copies(name: str, copies: int) -> None:
    main = lowered_module(NETWORKS[name], make_options("host", None, 3, ("winograd",), False)).module.main
    called = [op.kernel for op in main.block.ops if isinstance(op, run.Call)]
    images = ("halo_", "conv_", "relayout_")
    before = sum(kernel.startswith("relayout_") for kernel in called) - 1  # of x
    assert before + sum(not kernel.startswith(images) for kernel in called) == copies
