"""Images that are too small, sizes that would be negative in the middle of a model, counts beyond what is there."""

from __future__ import annotations

import numpy as np
import onnx

from tests.sizes.rows import Declared, Row, f32, one, weight, whole
from tests.support.onnx_models import model, node

CONV_5 = {"w5": weight(4, 3, 5, 5)}
IMAGE: Declared = {"x": f32(1, 3, "h", 8)}
TOO_SMALL = ("Conv 'small'", "window must fit", "h - 4 = -2, at least 1", "h = 2 (dimension 2 of input 'x')")


def network() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w"], ["a"], "first"),
        node("MaxPool", ["a"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p", "v"], ["q"], "second"),
        node("GlobalAveragePool", ["q"], ["r"]),
        node("Flatten", ["r"], ["s"]),
        node("Gemm", ["s", "g", "b"], ["y"], "classes"),
    ]
    weights = {"w": weight(4, 3, 7, 7), "v": weight(8, 4, 5, 5), "g": weight(8, 10), "b": weight(10)}
    return model(nodes, {"x": f32("n", 3, "h", "w")}, {"y": "f32"}, weights)


def behind(
    kind: str, *inputs: str, outputs: str = "y", weights: dict[str, np.ndarray] | None = None, **attributes: object
) -> Row:
    """A node behind a convolution whose result would have a negative size."""
    opset = 18 if kind == "Resize" else 17
    nodes = [
        node("Conv", ["x", "w5"], ["a"], "small"),
        node(kind, ["a", *inputs], outputs.split(), "behind", **attributes),
    ]
    types = {name: "si64" if name == "places" else "f32" for name in outputs.split()}
    proto = model(nodes, IMAGE, types, CONV_5 | (weights or {}), opset)
    return Row(f"{kind} behind a convolution", proto, ({"x": (1, 3, 8, 8)},), (({"x": (1, 3, 2, 8)}, TOO_SMALL),))


def padded(mode: str) -> Row:
    proto = one("Pad", {"x": f32("n", 3)}, {"y": "f32"}, {"pads": whole(1, 0, 1, 0)}, mode=mode)
    wrong = ({"x": (0, 3)}, ("Pad 'the_node'", "has none to repeat", "n = 0 (dimension 0 of input 'x')"))
    return Row(f"Pad of nothing, {mode}", proto, ({"x": (4, 3)},), (wrong,))


ROWS = (
    Row(
        "image too small for a network",
        network(),
        ({"x": (1, 3, 20, 20)}, {"x": (0, 3, 16, 30)}),
        (
            ({"x": (1, 3, 8, 8)}, ("Conv 'second'", "window must fit", "= -3", "h = 8 (dimension 2 of input 'x')")),
            (
                {"x": (1, 3, 4, 2000)},
                ("Conv 'first'", "window must fit", "h - 6 = -2", "h = 4 (dimension 2 of input 'x')"),
            ),
            ({"x": (1, 3, 20, 7)}, ("MaxPool 'pool'", "window must fit", "w = 7 (dimension 3 of input 'x')")),
        ),
    ),
    Row(
        "a pool beyond its image",
        one("AveragePool", {"x": f32(1, 2, "n")}, {"y": "f32"}, kernel_shape=[9]),
        ({"x": (1, 2, 9)},),
        (({"x": (1, 2, 7)}, ("AveragePool 'the_node'", "window must fit", "n = 7")),),
    ),
    Row(
        "a negative size in a concatenation",
        model(
            [node("Conv", ["x", "w5"], ["a"], "small"), node("Concat", ["a", "k"], ["y"], "joined", axis=2)],
            IMAGE,
            {"y": "f32"},
            CONV_5 | {"k": weight(1, 4, 2, 4)},
        ),
        ({"x": (1, 3, 8, 8)}, {"x": (1, 3, 5, 8)}),
        (({"x": (1, 3, 2, 8)}, TOO_SMALL),),
    ),
    Row(
        "a pad that cuts more than there is",
        one("Pad", {"x": f32("n")}, {"y": "f32"}, {"pads": whole(-6, 0)}),
        ({"x": (8,)}, {"x": (6,)}),
        (({"x": (1,)}, ("Pad 'the_node'", "n = 1 (dimension 0 of input 'x')")),),
    ),
    behind("Reshape", "shape", weights={"shape": whole(4, -1)}),
    behind("Resize", "", "scales", weights={"scales": np.array([1, 1, 2, 2], np.float32)}, mode="nearest"),
    behind("Softmax", axis=1),
    behind("MatMul", "m", weights={"m": weight(4, 6)}),
    behind("TopK", "k", outputs="y places", weights={"k": whole(2)}, axis=1),
    behind("CumSum", "axis", weights={"axis": np.array(2)}),
    Row(
        "TopK of too few",
        one("TopK", {"x": f32("n")}, {"y": "f32", "places": "si64"}, {"k": whole(6)}),
        ({"x": (6,)}, {"x": (9,)}),
        (({"x": (2,)}, ("TopK 'the_node'", "k must not exceed", "got 2, at least 6", "n = 2")),),
    ),
    Row(
        "Split into other parts",
        one("Split", {"x": f32("n")}, {"a": "f32", "b": "f32"}, {"sizes": whole(2, 3)}),
        ({"x": (5,)},),
        tuple(({"x": (n,)}, ("Split 'the_node'", "must add up", f"got {n} and 5", f"n = {n}")) for n in (3, 6)),
    ),
    Row(
        "Split of which one part is used",
        model(
            [node("Split", ["x", "sizes"], ["unused", "b"], "the_node"), node("Relu", ["b"], ["y"])],
            {"x": f32("n")},
            {"y": "f32"},
            {"sizes": whole(2, 3)},
        ),
        ({"x": (5,)},),
        (({"x": (7,)}, ("Split 'the_node'", "must add up", "got 7 and 5", "n = 7")),),
    ),
    Row(
        "Split into what is left",
        model(
            [
                *(node("Shape", [name], [f"s{name}"]) for name in "xz"),
                node("Sub", ["sx", "sz"], ["rest"]),
                node("Concat", ["sz", "rest"], ["sizes"], axis=0),
                node("Split", ["x", "sizes"], ["a", "b"], "the_node"),
            ],
            {"x": f32("n"), "z": f32("m")},
            {"a": "f32", "b": "f32"},
        ),
        ({"x": (5,), "z": (2,)}, {"x": (5,), "z": (5,)}, {"x": (3,), "z": (0,)}),
        (({"x": (2,), "z": (3,)}, ("Split 'the_node'", "no part may have a negative size", "m = 3", "n = 2")),),
    ),
    Row(
        "Split into equal parts",
        one("Split", {"x": f32("n")}, {"a": "f32", "b": "f32"}),
        ({"x": (6,)}, {"x": (0,)}),
        (({"x": (5,)}, ("Split 'the_node'", "must add up", "n = 5")),),
    ),
    Row(
        "ArgMax of nothing",
        one("ArgMax", {"x": f32("n", 2)}, {"y": "si64"}),
        ({"x": (3, 2)},),
        (({"x": (0, 2)}, ("ArgMax 'the_node'", "must not be empty", "n = 0")),),
    ),
    padded("reflect"),
    padded("edge"),
    Row(
        "Resize of nothing",
        one("Resize", {"x": f32(1, 1, "n")}, {"y": "f32"}, {"sizes": whole(1, 1, 5)}, order=["x", "", "", "sizes"]),
        ({"x": (1, 1, 3)},),
        (({"x": (1, 1, 0)}, ("Resize 'the_node'", "cannot be resized", "n = 0")),),
    ),
    Row(
        "Reshape to another number of elements",
        one("Reshape", {"x": f32("n", 3)}, {"y": "f32"}, {"shape": whole(2, -1)}),
        ({"x": (4, 3)}, {"x": (0, 3)}),
        (({"x": (3, 3)}, ("Reshape 'the_node'", "number of elements", "n = 3")),),
    ),
    Row(
        "Expand to a shape that does not fit",
        model(
            [node("Shape", ["z"], ["s"]), node("Expand", ["x", "s"], ["y"], "the_node")],
            {"x": f32("n"), "z": f32("m")},
            {"y": "f32"},
        ),
        (
            {"x": (4,), "z": (4,)}, {"x": (4,), "z": (1,)}, {"x": (1,), "z": (1,)}, {"x": (1,), "z": (4,)},
            {"x": (0,), "z": (1,)}, {"x": (1,), "z": (0,)},
        ),
        (
            ({"x": (4,), "z": (2,)}, ("Expand 'the_node'", "must broadcast", "m = 2 (dimension 0 of input 'z')")),
            ({"x": (2,), "z": (4,)}, ("Expand 'the_node'", "must broadcast", "n = 2 (dimension 0 of input 'x')")),
        ),
    ),
    Row(
        "a slice beyond its axis",
        one("Slice", {"x": f32("n")}, {"y": "f32"}, {"from": whole(3), "to": whole(-2)}),
        ({"x": (8,)}, {"x": (5,)}, {"x": (4,)}, {"x": (1,)}, {"x": (0,)}),
        (),
    ),
    Row(
        "a table that is too short",
        model(
            [
                node("Shape", ["x"], ["length"], start=1, end=2),
                node("Slice", ["table", "zero", "length", "axis"], ["row"], "cut"),
                node("Add", ["x", "row"], ["y"], "the_node"),
            ],
            {"x": f32("n", "m", 4)},
            {"y": "f32"},
            {"table": weight(1, 9, 4), "zero": whole(0), "axis": whole(1)},
        ),
        ({"x": (2, 9, 4)}, {"x": (2, 3, 4)}, {"x": (0, 1, 4)}),
        (({"x": (2, 12, 4)}, ("Add 'the_node'", "broadcast", "m = 12 (dimension 1 of input 'x')")),),
    ),
)
