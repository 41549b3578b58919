"""Models at the edge: nothing to compute, nothing to read, sizes of 0, scalars, every element type at the interface."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlc
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import TYPES, check, compiled, expected, model, node

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]
rng = np.random.default_rng(11)
DTYPES = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "si64": np.int64, "si32": np.int32, "si8": np.int8,
    "ui8": np.uint8, "bool": np.bool_,
}  # fmt: skip


def values(kind: str, *shape: int) -> np.ndarray:
    if kind == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if kind.startswith(("s", "u")):
        return np.asarray(rng.integers(0, 100, shape)).astype(DTYPES[kind])
    return np.asarray(rng.standard_normal(shape)).astype(DTYPES[kind])


# -- sizes of 0 --------------------------------------------------------------------------------------------------------

ON_EMPTY = {
    "relu": ([node("Relu", ["x"], ["y"])], {}),
    "sum": ([node("ReduceSum", ["x"], ["y"], keepdims=0)], {}),
    "sum_of_axis": ([node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)], {"axes": np.array([0])}),
    "matmul": ([node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((4, 3), np.float32)}),
    "softmax": ([node("Softmax", ["x"], ["y"], axis=1)], {}),
    "concat": ([node("Concat", ["x", "w"], ["y"], axis=0)], {"w": np.ones((2, 4), np.float32)}),
    "transpose": ([node("Transpose", ["x"], ["y"])], {}),
    "reshape": ([node("Reshape", ["x", "s"], ["y"])], {"s": np.array([2, -1])}),
    "gemm": ([node("Gemm", ["w", "x"], ["y"])], {"w": np.ones((3, 0), np.float32)}),
    "nonzero": ([node("NonZero", ["x"], ["y"])], {}),
    "gather": (
        [node("Gather", ["w", "i"], ["z"]), node("Concat", ["x", "z"], ["y"], axis=0)],
        {"w": np.ones((2, 4), np.float32), "i": np.zeros((0,), np.int64)},
    ),
    "layer_norm": ([node("LayerNormalization", ["x", "g"], ["y"])], {"g": np.ones(4, np.float32)}),
}  # fmt: skip


@pytest.mark.parametrize("name", ON_EMPTY)
@pytest.mark.parametrize("rows", [0, "n"])
def test_no_rows(name: str, rows: int | str) -> None:
    nodes, weights = ON_EMPTY[name]
    if name == "gemm" and rows == "n":
        pytest.skip("an empty weight needs an empty input")
    proto = model(nodes, {"x": ("f32", (rows, 4))}, {"y": "si64" if name == "nonzero" else "f32"}, weights)
    feeds = [{"x": np.zeros((0, 4), np.float32)}]
    if rows == "n" and name != "reshape":
        feeds.append({"x": values("f32", 5, 4)})
    if name == "reshape" and rows == 0:  # -1 is not decided by 0 elements: ONNX Runtime gives 0
        assert compiled(proto).run(feeds[0])["y"].shape == (2, 0)
        return
    check(proto, *feeds, tolerance=1e-5)


def test_a_convolution_of_no_images() -> None:
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["y"]),
    ]
    weights = {"w": values("f32", 16, 16, 3, 3)}
    proto = model(nodes, {"x": ("f32", ("n", 16, 8, 8))}, {"y": "f32"}, weights)
    check(proto, *({"x": values("f32", n, 16, 8, 8)} for n in (0, 2)), tolerance=1e-4)


# -- scalars -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["f32", "f64", "si64", "bool"])
def test_scalars_in_and_out(kind: str) -> None:
    nodes = [node("Not" if kind == "bool" else "Neg", ["x"], ["y"])]
    ready = check(model(nodes, {"x": (kind, ())}, {"y": kind}), {"x": values(kind)})
    found = ready.run({"x": np.array(True if kind == "bool" else 3, DTYPES[kind])})["y"]
    assert found.shape == () and found[()] == (False if kind == "bool" else -3)


def test_a_scalar_broadcast_and_made() -> None:
    nodes = [
        node("Mul", ["x", "s"], ["p"]),
        node("ReduceMax", ["p"], ["m"], keepdims=0),
        node("Add", ["m", "s"], ["y"]),
    ]
    check(
        model(nodes, {"x": ("f32", (3, "n")), "s": ("f32", ())}, {"p": "f32", "y": "f32"}),
        {"x": values("f32", 3, 5), "s": values("f32")},
    )


def test_the_shape_as_a_result() -> None:
    nodes = [node("Shape", ["x"], ["s"]), node("Size", ["x"], ["n"])]
    check(model(nodes, {"x": ("f32", ("a", 3, "b"))}, {"s": "si64", "n": "si64"}), {"x": values("f32", 2, 3, 4)})


# -- nothing to compute ------------------------------------------------------------------------------------------------


def test_an_output_that_is_an_input() -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])
    proto = helper.make_model(
        helper.make_graph([], "g", [value], [value]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    ready = compiled(proto)
    x = values("f32", 5, 3)
    found = ready.run({"x": x})["x"]
    np.testing.assert_array_equal(found, x)
    assert not np.may_share_memory(found, x)


@pytest.mark.parametrize("kind", ["f32", "f16", "si64", "bool"])
def test_identity(kind: str) -> None:
    check(
        model([node("Identity", ["x"], ["y"])], {"x": (kind, ("n", 3))}, {"y": kind}),
        {"x": values(kind, 5, 3)},
        {"x": values(kind, 0, 3)},
    )


@pytest.mark.parametrize("kind", ["f32", "f64", "f16", "si64", "ui8", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (0,), (40, 50)])
def test_an_output_that_is_a_constant(kind: str, shape: tuple[int, ...]) -> None:
    nodes = [node("Relu", ["x"], ["y"])]
    weights = {"c": values(kind, *shape)}
    proto = model(nodes, {"x": ("f32", (3,))}, {"c": kind, "y": "f32"}, weights)
    ready = compiled(proto)
    found = ready.run({"x": values("f32", 3)})
    np.testing.assert_array_equal(found["c"], weights["c"])
    assert found["c"].dtype == weights["c"].dtype and found["c"].shape == shape


def test_the_same_value_returned_twice() -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Identity", ["r"], ["a"]), node("Identity", ["r"], ["b"])]
    ready = check(
        model(nodes, {"x": ("f32", (4, "n"))}, {"r": "f32", "a": "f32", "b": "f32"}), {"x": values("f32", 4, 6)}
    )
    found = ready.run({"x": values("f32", 4, 6)})
    assert not np.may_share_memory(found["a"], found["b"])


def test_a_value_and_its_reshape_returned() -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Flatten", ["a"], ["b"], axis=0), node("Transpose", ["a"], ["c"])]
    check(model(nodes, {"x": ("f32", (4, "n"))}, {"a": "f32", "b": "f32", "c": "f32"}), {"x": values("f32", 4, 6)})


def test_a_model_without_inputs() -> None:
    nodes = [node("Add", ["a", "b"], ["y"]), node("ConstantOfShape", ["s"], ["z"])]
    weights = {"a": values("f32", 4), "b": values("f32", 4), "s": np.array([2, 3])}
    ready = check(model(nodes, {}, {"y": "f32", "z": "f32"}, weights), {})
    assert isinstance(ready(), tuple)


def test_inputs_that_nothing_reads() -> None:
    ready = check(
        model([node("Neg", ["x"], ["y"])], {"x": ("f32", (3,)), "z": ("si64", ("k", 2))}, {"y": "f32"}),
        {"x": values("f32", 3), "z": values("si64", 4, 2)},
    )
    assert [spec.name for spec in ready.inputs] == ["x", "z"]


def test_no_outputs_is_refused_or_runs() -> None:
    proto = model([node("Neg", ["x"], ["y"])], {"x": ("f32", (3,))}, {})
    try:
        assert dlc.compile(proto, cache=False).run({"x": values("f32", 3)}) == {}
    except dlc.UserError as refused:
        assert "output" in str(refused)


# -- element types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["f64", "f16", "si64", "si32", "si8", "ui8"])
def test_sums_and_products_of_every_type(kind: str) -> None:
    nodes = [node("Add", ["x", "z"], ["s"]), node("Mul", ["s", "x"], ["y"])]
    inputs = {"x": (kind, ("n", 37)), "z": (kind, (37,))}
    proto = model(nodes, inputs, {"s": kind, "y": kind})
    feeds = {"x": values(kind, 5, 37), "z": values(kind, 37)}
    if kind in ("si8", "ui8"):  # not in ONNX Runtime
        found = compiled(proto).run(feeds)
        np.testing.assert_array_equal(found["y"], (feeds["x"] + feeds["z"]) * feeds["x"])
        return
    check(proto, feeds, tolerance=2e-3 if kind == "f16" else 0)


def test_bools() -> None:
    nodes = [
        node("And", ["x", "z"], ["a"]),
        node("Xor", ["a", "x"], ["b"]),
        node("Not", ["b"], ["c"]),
        node("Where", ["c", "u", "v"], ["y"]),
    ]
    inputs = {"x": ("bool", ("n", 33)), "z": ("bool", (33,)), "u": ("f32", ("n", 33)), "v": ("f32", ())}
    feeds = {"x": values("bool", 3, 33), "z": values("bool", 33), "u": values("f32", 3, 33), "v": values("f32")}
    check(model(nodes, inputs, {"b": "bool", "y": "f32"}), feeds)


CASTS = [
    (a, b)
    for a in ("f32", "f64", "f16", "si64", "si32", "ui8", "bool")
    for b in ("f32", "f64", "f16", "si64", "si32", "bool")
    if a != b
]


@pytest.mark.parametrize(("source", "target"), CASTS)
def test_casts(source: str, target: str) -> None:
    proto = model([node("Cast", ["x"], ["y"], to=TYPES[target])], {"x": (source, (50,))}, {"y": target})
    check(proto, {"x": values(source, 50)})


def test_half_precision_computes_in_single() -> None:
    nodes = [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("MatMul", ["x", "w"], ["m"]),
        node("Softmax", ["m"], ["y"]),
    ]
    weights = {"w": (values("f32", 256, 48) / 16).astype(np.float16)}
    proto = model(nodes, {"x": ("f16", (8, 256))}, {"s": "f16", "m": "f16", "y": "f16"}, weights)
    x = values("f16", 8, 256)
    found = compiled(proto).run({"x": x})
    wide = x.astype(np.float32)
    np.testing.assert_allclose(found["s"].astype(np.float32), wide.sum(), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(
        found["m"].astype(np.float32), wide @ weights["w"].astype(np.float32), rtol=2e-3, atol=2e-3
    )
    # a sum that half precision cannot carry: 2048 + 1 is 2048 there
    ones = compiled(model([node("ReduceSum", ["x"], ["s"], keepdims=0)], {"x": ("f16", (4096,))}, {"s": "f16"})).run(
        {"x": np.ones(4096, np.float16)}
    )
    assert ones["s"] == 4096


def bf16_model() -> onnx.ModelProto:
    nodes = [
        node("Mul", ["x", "x"], ["p"]), node("ReduceSum", ["p"], ["s"], keepdims=0),
        node("Cast", ["p"], ["f"], to=TensorProto.FLOAT),
    ]  # fmt: skip
    return model(nodes, {"x": ("bf16", ("n",))}, {"p": "bf16", "s": "bf16", "f": "f32"}, opset=18)


def test_bfloat16() -> None:
    x = rng.standard_normal(100).astype(ml_dtypes.bfloat16)
    found = compiled(bf16_model()).run({"x": x})
    assert found["p"].dtype == x.dtype
    wide = x.astype(np.float32) ** 2
    np.testing.assert_array_equal(found["p"].view(np.uint16), wide.astype(ml_dtypes.bfloat16).view(np.uint16))
    np.testing.assert_allclose(found["s"].astype(np.float32), wide.sum(), rtol=1e-2)


def test_doubles_keep_their_precision() -> None:
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Exp", ["m"], ["e"]), node("ReduceMean", ["e"], ["y"], keepdims=0)]
    proto = model(nodes, {"x": ("f64", (5, 20))}, {"m": "f64", "y": "f64"}, {"w": values("f64", 20, 7)})
    feeds = {"x": values("f64", 5, 20)}
    found = compiled(proto).run(feeds)
    for array, wanted in zip(found.values(), expected(proto, feeds), strict=True):
        np.testing.assert_allclose(array, wanted, rtol=1e-12)


@pytest.mark.parametrize("k", [3, 20])
@pytest.mark.parametrize("asked", [("y",), ("j",), ("r",), ("r", "j")], ids=str)
def test_what_nobody_asks_of_top_k(asked: tuple[str, ...], k: int) -> None:
    """Its kernel sorts in its results, so they need memory even where the model has no use for one of them."""
    nodes = [node("TopK", ["x", "k"], ["y", "j"], axis=0)] + ([node("Relu", ["y"], ["r"])] if "r" in asked else [])
    kinds = {name: "si64" if name == "j" else "f32" for name in asked}
    proto = model(nodes, {"x": ("f32", (50, 3))}, kinds, {"k": np.array([k])})
    check(proto, {"x": values("f32", 50, 3)})


def test_a_copy_of_bf16_calls_nothing() -> None:
    """Vectors of bfloat are taken apart by way of float, and put together by compiler-rt: which is not there."""
    tile = node("Tile", ["x", "t"], ["y"])
    proto = model([tile], {"x": ("bf16", (2, 3, 4))}, {"y": "bf16"}, {"t": np.array([1, 2, 3])})
    proto.graph.output.append(proto.graph.output[0])
    x = np.arange(24).reshape(2, 3, 4).astype(ml_dtypes.bfloat16)
    for found in compiled(proto)(x):
        np.testing.assert_array_equal(found.astype(np.float32), np.tile(x.astype(np.float32), (1, 2, 3)))


def test_bytes_whose_products_stay_bytes() -> None:
    """No dot instruction sums them up: those of an einsum, which any type may have."""
    proto = model([node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik")], {"x": ("si8", (5, 20))}, {"y": "si8"},
                  {"w": values("si8", 20, 33)})  # fmt: skip
    x = values("si8", 5, 20)
    w = onnx.numpy_helper.to_array(proto.graph.initializer[0])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(compiled(proto)(x), np.matmul(x, w))
