"""Sizes whose products leave 63 bits are an error, never another number; so are those that no memory is there for."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import onnx
import pytest

import dlc
from dlc.errors import UserError
from dlc.runtime import CompiledModel
from tests.support.onnx_models import compiled, model, node

pytestmark = pytest.mark.isa("x86-64")
MILLION = 10**6
MOST = (1 << 63) - 1


def bind(ready: CompiledModel, *sizes: int) -> tuple[str, list[int], int]:
    """What `dlc_bind` says of sizes that no array has: the message, shapes of the results and bytes of workspace."""
    with ready.state() as state:
        given = (ctypes.c_int64 * len(sizes))(*sizes)
        address = state.memory.address
        code = state.functions.bind(address, given, state.results, ctypes.byref(state.workspace))
        return state.message() if code else "", state.results[:], state.workspace.value


def outer_product(axes: int, *behind: onnx.NodeProto, kind: str = "f64") -> onnx.ModelProto:
    """x0[n0] ⊗ x1[n1] ⊗ … in memory: softmax keeps the product from melting into what reads it."""
    weights = {f"axes{n}": np.array([k for k in range(axes) if k != n]) for n in range(axes)}
    nodes = [node("Unsqueeze", [f"x{n}", f"axes{n}"], [f"u{n}"]) for n in range(axes)]
    total = "u0"
    for n in range(1, axes):
        nodes.append(node("Mul", [total, f"u{n}"], [f"m{n}"], f"product{n}"))
        total = f"m{n}"
    nodes += [node("Softmax", [total], ["soft"], "soft", axis=0), node("Softmax", ["soft"], ["y"], "softer", axis=-1)]
    return model([*nodes, *behind], {f"x{n}": (kind, (f"n{n}",)) for n in range(axes)}, {"y": kind}, weights)


@pytest.fixture(scope="module")
def product3() -> CompiledModel:
    return compiled(outer_product(3))


@pytest.mark.parametrize(
    "sizes",
    [
        (MILLION, MILLION, 4 * MILLION),
        (1 << 32, 1 << 32, 1),
        (1 << 31, 1 << 31, 2),
        (1 << 62, 2, 1),
        (MOST, 1, 1),
        (1, MOST, 1),
        (1 << 21, 1 << 21, 1 << 21),
        (MOST, MOST, MOST),
        (MOST, 1 << 62, 0),
    ],
)
def test_products_beyond_63_bits(product3: CompiledModel, sizes: Sequence[int]) -> None:
    message, _, _ = bind(product3, *sizes)
    assert "63 bits" in message
    assert any(f"n{n} = {size} (dimension 0 of input 'x{n}')" in message for n, size in enumerate(sizes)), message


def test_a_million_by_a_million_by_a_million(product3: CompiledModel) -> None:
    """8 * 10^18 bytes are a 63-bit number, twice as many are not; no machine has either."""
    message, shape, workspace = bind(product3, MILLION, MILLION, MILLION)
    assert message or (shape == [MILLION] * 3 and workspace >= 8 * 10**18)
    assert "63 bits" in bind(compiled(outer_product(4)), *[MILLION] * 4)[0]


def test_what_fits_is_taken(product3: CompiledModel) -> None:
    message, shape, workspace = bind(product3, 1000, 1000, 1000)
    assert (message, shape) == ("", [1000] * 3)
    assert workspace >= 8 * 10**9


def test_no_memory_is_an_error_that_leaves_the_model_usable(product3: CompiledModel) -> None:
    large = np.zeros(200_000)
    with pytest.raises(UserError, match=r"there is no memory for .* bytes"):
        product3(large, large, large)
    assert product3(*[np.ones(3)] * 3).shape == (3, 3, 3)


@pytest.mark.parametrize("sizes", [(MOST, 1), (1 << 62, 1 << 62), (MOST, MOST)])
def test_sums_beyond_63_bits(sizes: tuple[int, int]) -> None:
    proto = model(
        [node("Concat", ["x", "z"], ["y"], "joined", axis=0)],
        {"x": ("ui8", ("n",)), "z": ("ui8", ("m",))},
        {"y": "ui8"},
    )
    assert "63 bits" in bind(compiled(proto), *sizes)[0]


def test_a_guard_whose_numbers_leave_63_bits() -> None:
    nodes = [node("Reshape", ["x", "shape"], ["y"], "flat")]
    proto = model(nodes, {"x": ("f32", ("n", "m", 3))}, {"y": "f32"}, {"shape": np.array([2, -1])})
    ready = compiled(proto)
    assert "63 bits" in bind(ready, 1 << 40, 1 << 40, 3)[0]
    assert bind(ready, 4, 5, 3)[0] == ""


def test_loops_that_no_buffer_bounds() -> None:
    nodes = [
        node("Unsqueeze", ["x", "last"], ["a"]),
        node("Unsqueeze", ["z", "first"], ["b"]),
        node("Mul", ["a", "b"], ["p"], "outer"),
        node("ReduceSum", ["p"], ["y"], keepdims=0),
    ]
    inputs = {"x": ("f32", ("n",)), "z": ("f32", ("m",))}
    ready = compiled(model(nodes, inputs, {"y": "f32"}, {"last": np.array([1]), "first": np.array([0])}))
    assert "63 bits" in bind(ready, 1 << 32, 1 << 32)[0]


def test_negative_sizes(product3: CompiledModel) -> None:
    message, _, _ = bind(product3, 3, -1, 3)
    assert message == "input 'x1' must have shape (n1) with n1 = -1: dimension 0 is -1"


@pytest.mark.parametrize("shape", [[MILLION] * 4, [1 << 32, 1 << 32], [1 << 62, 2]])
def test_fixed_sizes_beyond_63_bits_are_refused_when_compiled(shape: list[int]) -> None:
    nodes = [node("Expand", ["x", "shape"], ["a"], "wide"), node("Softmax", ["a"], ["y"], "soft")]
    proto = model(nodes, {"x": ("f32", (1,))}, {"y": "f32"}, {"shape": np.array(shape)})
    with pytest.raises(UserError, match="wide"):
        dlc.compile(proto, cache=False)
