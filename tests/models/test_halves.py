"""Networks of f16 and bf16: within the rounding of what they store of their f32 form, and of the same kernels."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc
from dlc.driver.pipeline import Options, lowered_module
from dlc.ir.printer import print_module
from dlc.target import Target
from tests.models.families import FAMILIES
from tests.models.zoo import Arrays, mlp, random_feeds
from tests.tolerances import assert_close

KINDS = {"f16": (TensorProto.FLOAT16, np.float16), "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16)}


def transformer() -> onnx.ModelProto:
    """A layer of a decoder for one token: norms, a cache that grows, attention, GELU."""
    rng = np.random.default_rng(3)
    heads, width, size = 2, 8, 16

    def w(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array((rng.standard_normal(shape) * 0.3).astype(np.float32), name)

    shapes = {"q": (size, size), "k": (size, size), "v": (size, size), "o": (size, size)}
    weights = [w(f"w{name}", *shape) for name, shape in shapes.items()]
    weights += [w("up", size, 4 * size), w("down", 4 * size, size), w("gain", size), w("shift", size)]
    weights += [numpy_helper.from_array(np.array(a, np.int64), n) for n, a in
                (("split", (1, -1, heads, width)), ("join", (1, -1, size)))]  # fmt: skip
    weights += [numpy_helper.from_array(np.array(a, np.float32), n) for n, a in
                (("scale", width**-0.5), ("root", 2**0.5), ("one", 1.0), ("half", 0.5))]  # fmt: skip
    node = helper.make_node
    nodes = [node("LayerNormalization", ["x", "gain", "shift"], ["n"])]
    for each in "qkv":
        nodes += [node("MatMul", ["n", f"w{each}"], [f"{each}1"]), node("Reshape", [f"{each}1", "split"], [f"{each}2"]),
                  node("Transpose", [f"{each}2"], [f"{each}3"], perm=[0, 2, 1, 3])]  # fmt: skip
    nodes += [
        node("Concat", ["past_k", "k3"], ["keys"], axis=2), node("Concat", ["past_v", "v3"], ["values"], axis=2),
        node("Transpose", ["keys"], ["turned"], perm=[0, 1, 3, 2]), node("MatMul", ["q3", "turned"], ["s1"]),
        node("Mul", ["s1", "scale"], ["s2"]), node("Softmax", ["s2"], ["p"], axis=-1),
        node("MatMul", ["p", "values"], ["c1"]), node("Transpose", ["c1"], ["c2"], perm=[0, 2, 1, 3]),
        node("Reshape", ["c2", "join"], ["c3"]), node("MatMul", ["c3", "wo"], ["c4"]), node("Add", ["x", "c4"], ["r"]),
        node("MatMul", ["r", "up"], ["u"]), node("Div", ["u", "root"], ["e1"]), node("Erf", ["e1"], ["e2"]),
        node("Add", ["e2", "one"], ["e3"]), node("Mul", ["u", "e3"], ["e4"]), node("Mul", ["e4", "half"], ["g"]),
        node("MatMul", ["g", "down"], ["d"]), node("Add", ["r", "d"], ["y"]),
    ]  # fmt: skip
    value = helper.make_tensor_value_info
    inputs = [value("x", 1, (1, 1, size)), *(value(n, 1, (1, heads, "past", width)) for n in ("past_k", "past_v"))]
    outputs = [value("y", 1, (1, 1, size)), *(value(n, 1, (1, heads, "total", width)) for n in ("keys", "values"))]
    graph = helper.make_graph(nodes, "decoder", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def recurrent() -> onnx.ModelProto:
    rng = np.random.default_rng(4)
    weights = [numpy_helper.from_array((rng.standard_normal(shape) * 0.3).astype(np.float32), name) for name, shape in
               (("w", (1, 28, 5)), ("r", (1, 28, 7)), ("b", (1, 56)))]  # fmt: skip
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=7)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "lstm", [value("x", 1, ("n", 2, 5))], [value("y", 1, ("n", 1, 2, 7))], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


NETWORKS = {**FAMILIES, "mlp": mlp, "decoder": transformer, "lstm": recurrent}


def halved(source: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """The model with all its f32 as halves."""
    number, dtype = KINDS[kind]
    made = onnx.ModelProto()
    made.CopyFrom(source)
    for weight in made.graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(weight).astype(dtype)
            weight.CopyFrom(helper.make_tensor(weight.name, number, array.shape, array.tobytes(), raw=True))
    for value in (*made.graph.input, *made.graph.output, *made.graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = number
    return made


def widened(source: onnx.ModelProto, half: onnx.ModelProto) -> onnx.ModelProto:
    """The f32 model with the weights of the half one."""
    made = onnx.ModelProto()
    made.CopyFrom(source)
    for weight, narrow in zip(made.graph.initializer, half.graph.initializer, strict=True):
        array = numpy_helper.to_array(narrow)
        if weight.data_type == TensorProto.FLOAT:
            weight.CopyFrom(numpy_helper.from_array(array.astype(np.float32), weight.name))
    return made


def fed(proto: onnx.ModelProto, dtype: type) -> tuple[Arrays, Arrays]:
    feeds = random_feeds(proto, 3)
    narrow = {name: array.astype(dtype) if array.dtype == np.float32 else array for name, array in feeds.items()}
    wide = {name: a.astype(np.float32) if a.dtype == dtype else a for name, a in narrow.items()}
    return narrow, wide


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_halves_is_its_wide_form_rounded(name: str, kind: str) -> None:
    """Nothing is rounded in between, the ends alone are: ONNX Runtime in f32 says what is right."""
    source = NETWORKS[name]()
    half = halved(source, kind)
    narrow, wide = fed(source, KINDS[kind][1])
    session = onnxruntime.InferenceSession(widened(source, half).SerializeToString())
    expected = session.run(None, wide)
    for level in (3, 0):
        found = dlc.compile(half, opt_level=level, cache=False).run(narrow)
        for array, right in zip(found.values(), expected, strict=True):
            assert array.dtype == KINDS[kind][1]
            rounded_once = level == 3 and name != "decoder"  # whose new keys are rounded as they join the cache
            assert_close(array, right.astype(array.dtype), "narrow" if rounded_once else "network-low")


@pytest.mark.parametrize("name", ["resnet", "mobilenet_v3", "unet", "lstm", "vgg"])
def test_a_network_of_halves_has_the_kernels_of_its_wide_form(name: str) -> None:
    source = NETWORKS[name]()
    assert heavy(halved(source, "f16")) == heavy(source)


def heavy(proto: onnx.ModelProto) -> list[str]:
    """The products and convolutions of a model as they are lowered, but for the types that they read and write."""
    module = lowered_module(proto, Options(Target.parse("x86-64-v3"))).module
    names = [re.sub(r"_\d+$", "", name) for name in module.funcs]
    return [name for name in names if re.match("conv|matmul|winograd|strassen|lstm|attention", name)]


def test_weights_of_one_row_and_a_cache_stay_halves() -> None:
    module = lowered_module(halved(transformer(), "bf16"), Options(Target.parse("x86-64-v3"))).module
    lines = print_module(module).split("func @", 2)[1].splitlines()
    matrices = [line for line in lines if "run.constant" in line and re.search(r"tensor<[0-9]+x[0-9]+x", line)]
    assert matrices and all("xbf16" in line for line in matrices), matrices
    (attention,) = [line for line in lines if 'kernel = "attention_0"' in line]
    assert attention.count("xbf16") == 2, attention
