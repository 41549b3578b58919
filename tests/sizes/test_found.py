"""Guards about sizes that kernels find: checked right after the size is known, before anything relies on it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from dlc.errors import UserError
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import assert_same, compiled, expected, model, node

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]


def compressed(*behind: onnx.NodeProto, weights: dict[str, np.ndarray] | None = None) -> onnx.ModelProto:
    """What the nodes make of `some`, the elements of x where c holds, and z."""
    first = node("Compress", ["x", "c"], ["some"], "chosen")
    inputs = {"x": ("f32", ("n",)), "c": ("bool", ("n",)), "z": ("f32", ("m", 2))}
    return model([first, *behind], inputs, {"y": "f32"}, weights, opset=18)


def feeds(found: int, n: int = 8, m: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(found)
    condition = np.zeros(n, np.bool_)
    condition[rng.permutation(n)[:found]] = True
    return {
        "x": rng.standard_normal(n).astype(np.float32),
        "c": condition,
        "z": rng.standard_normal((m, 2)).astype(np.float32),
    }


FLAT = node("Reshape", ["z", "all"], ["flat"])
ALL = {"all": np.array([-1])}
CASES = {
    "Add": (compressed(FLAT, node("Add", ["some", "flat"], ["y"], "sum"), weights=ALL), 6, (0, 5, 8), "broadcast"),
    "Reshape": (
        compressed(node("Reshape", ["some", "two"], ["y"], "rows"), weights={"two": np.array([2, -1])}),
        4,
        (1, 3, 7),
        "elements",
    ),
    "MatMul": (compressed(node("MatMul", ["some", "z"], ["y"], "product")), 3, (0, 1, 2, 8), "last axis"),
    "TopK": (
        compressed(node("TopK", ["some", "k"], ["y", "places"], "best"), weights={"k": np.array([3])}),
        3,
        (0, 2),
        "k must not exceed",
    ),
    "Slice": (
        compressed(
            node("Slice", ["some", "from", "to"], ["rest"], "rest"),
            node("Add", ["rest", "three"], ["y"], "sum"),
            weights={"from": np.array([2]), "to": np.array([1 << 40]), "three": np.ones(3, np.float32)},
        ),
        5,
        (0, 4),
        "broadcast",
    ),
    "Split": (
        compressed(node("Split", ["some", "parts"], ["y", "other"], "parts"), weights={"parts": np.array([2, 3])}),
        5,
        (4, 6),
        "add up",
    ),
    "ArgMax": (
        compressed(node("ArgMax", ["some"], ["i"], "largest"), node("Cast", ["i"], ["y"], to=1)),
        2,
        (0,),
        "empty",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_size_that_is_found_and_does_not_fit(name: str) -> None:
    proto, right, wrong, words = CASES[name]
    ready = compiled(proto)
    for count in wrong:
        with pytest.raises(UserError) as caught:
            ready.run(feeds(count))
        assert words in str(caught.value)
        assert f"= {count} (found at run time)" in str(caught.value)
    given = feeds(right)
    assert_same(ready.run(given)["y"], expected(proto, given)[0], 1e-5)


def test_it_says_so_before_the_next_kernel_runs() -> None:
    """Two sizes: the first does not fit, so the kernel that would find the second is not reached."""
    nodes = [
        node("Add", ["some", "flat"], ["sum"], "sum"),
        node("NonZero", ["sum"], ["i"], "second"),
        node("Cast", ["i"], ["y"], to=1),
    ]
    with pytest.raises(UserError, match="sum"):
        compiled(compressed(FLAT, *nodes, weights=ALL)).run(feeds(5))
