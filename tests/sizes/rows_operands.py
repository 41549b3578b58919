"""Operands that must fit one another: indices and updates, statistics and scales, states and lengths."""

from __future__ import annotations

import numpy as np

from tests.sizes.rows import Row, f32, one, si64, weight, whole
from tests.support.onnx_models import model, node

NODE = "'the_node'"
QUANTIZED = {"scale": np.array([0.1, 0.2, 0.3], np.float32), "zero": np.array([1, 2, 3], np.uint8)}
S1, Z1 = np.array(0.1, np.float32), np.array(3, np.uint8)


def recurrent(kind: str, gates: int, states: tuple[str, ...]) -> Row:
    """A recurrence with symbols in its first states and lengths."""
    inputs = {"x": f32("t", "b", 3), "lengths": ("si32", ("l",))} | {name: f32(1, f"{name}_b", 4) for name in states}
    order = ["x", "w", "r", "", "lengths", *states]
    weights = {"w": weight(1, gates * 4, 3), "r": weight(1, gates * 4, 4)}
    proto = one(kind, inputs, {"y": "f32"}, weights, order, hidden_size=4)
    right = {"x": (5, 2, 3), "lengths": (2,)} | dict.fromkeys(states, (1, 2, 4))
    wrong = [
        (right | {name: (1, n, 4)}, (f"{kind} {NODE}", f"{name}_b = {n} (dimension 1 of input '{name}')"))
        for name in states
        for n in (1, 3)
    ]
    wrong += [
        (right | {"lengths": (n,)}, (f"{kind} {NODE}", f"l = {n} (dimension 0 of input 'lengths')")) for n in (1, 9)
    ]
    return Row(
        f"states and lengths of {kind}",
        proto,
        (right, right | {"x": (0, 2, 3)}),
        tuple(wrong),
        {"lengths": np.array([5, 0])},
    )


def loss(kind: str) -> Row:
    proto = one(kind, {"x": f32("n", 4), "labels": si64("m")}, {"y": "f32"}, reduction="mean")
    wrong = tuple(
        ({"x": (3, 4), "labels": (m,)}, (NODE[1:-1], f"m = {m} (dimension 0 of input 'labels')")) for m in (2, 5)
    )
    return Row(kind, proto, ({"x": (3, 4), "labels": (3,)},), wrong)


ROWS = (
    Row(
        "ScatterElements",
        one("ScatterElements", {"x": f32("a", "b"), "i": si64("c", "d"), "u": f32("e", "f")}, {"y": "f32"}, axis=0),
        ({"x": (3, 4), "i": (2, 4), "u": (2, 4)}, {"x": (3, 4), "i": (7, 2), "u": (7, 2)}),
        (
            ({"x": (3, 4), "i": (2, 5), "u": (2, 5)}, (NODE, "got 4 and 5", "d = 5 (dimension 1 of input 'i')")),
            ({"x": (3, 4), "i": (2, 4), "u": (2, 3)}, (NODE, "one shape", "f = 3 (dimension 1 of input 'u')")),
            ({"x": (3, 4), "i": (2, 4), "u": (1, 4)}, (NODE, "one shape", "e = 1 (dimension 0 of input 'u')")),
        ),
    ),
    Row(
        "GatherElements",
        one("GatherElements", {"x": f32("a", "b"), "i": si64("c", "d")}, {"y": "f32"}, axis=1),
        ({"x": (3, 4), "i": (3, 9)}, {"x": (3, 4), "i": (2, 1)}),
        (({"x": (3, 4), "i": (4, 2)}, (NODE, "inside x", "c = 4 (dimension 0 of input 'i')")),),
    ),
    Row(
        "GatherND with batch axes",
        one("GatherND", {"x": f32("a", 4), "i": si64("c", 1)}, {"y": "f32"}, batch_dims=1),
        ({"x": (3, 4), "i": (3, 1)},),
        tuple(({"x": (3, 4), "i": (n, 1)}, (NODE, "batch", f"c = {n} (dimension 0 of input 'i')")) for n in (2, 5)),
    ),
    Row(
        "ScatterND",
        one("ScatterND", {"x": f32("a", "b"), "i": si64("n", 1), "u": f32("m", "c")}, {"y": "f32"}),
        ({"x": (5, 4), "i": (2, 1), "u": (2, 4)},),
        (
            ({"x": (5, 4), "i": (2, 1), "u": (2, 3)}, (NODE, "updates", "c = 3 (dimension 1 of input 'u')")),
            ({"x": (5, 4), "i": (2, 1), "u": (1, 4)}, (NODE, "updates", "m = 1 (dimension 0 of input 'u')")),
        ),
    ),
    loss("NegativeLogLikelihoodLoss"),
    loss("SoftmaxCrossEntropyLoss"),
    Row(
        "statistics of BatchNormalization",
        one(
            "BatchNormalization",
            {"x": f32("n", "c", "w")},
            {"y": "f32"},
            {"s": weight(3), "b": weight(3), "m": weight(3), "v": np.abs(weight(3))},
        ),
        ({"x": (2, 3, 5)}, {"x": (0, 3, 5)}),
        tuple(
            ({"x": (2, c, 5)}, (f"BatchNormalization {NODE}", f"got 3 and {c}", f"c = {c} (dimension 1 of input 'x')"))
            for c in (1, 2, 4)
        ),
    ),
    Row(
        "scales per axis",
        one("QuantizeLinear", {"x": f32("n", "c")}, {"y": "ui8"}, QUANTIZED, axis=1),
        ({"x": (2, 3)},),
        tuple(({"x": (2, c)}, (f"QuantizeLinear {NODE}", f"c = {c} (dimension 1 of input 'x')")) for c in (1, 4)),
    ),
    Row(
        "zero points per axis",
        one(
            "DequantizeLinear",
            {"x": ("ui8", ("n", "c")), "scale": f32("s"), "zero": ("ui8", ("z",))},
            {"y": "f32"},
            axis=1,
        ),
        ({"x": (2, 3), "scale": (3,), "zero": (3,)},),
        (
            ({"x": (2, 3), "scale": (2,), "zero": (3,)}, (NODE, "s = 2 (dimension 0 of input 'scale')")),
            ({"x": (2, 3), "scale": (3,), "zero": (1,)}, (NODE, "z = 1 (dimension 0 of input 'zero')")),
        ),
    ),
    Row(
        "scales per block",
        one(
            "DequantizeLinear",
            {"x": ("ui8", ("n", 6)), "scale": f32("m", 2)},
            {"y": "f32"},
            axis=1,
            block_size=3,
            opset=21,
        ),
        ({"x": (2, 6), "scale": (2, 2)},),
        (({"x": (4, 6), "scale": (2, 2)}, (NODE, "m = 2 (dimension 0 of input 'scale')")),),
    ),
    Row(
        "QLinearConv",
        one(
            "QLinearConv",
            {"x": ("ui8", (1, "c", "n"))},
            {"y": "ui8"},
            {
                "xs": S1,
                "xz": Z1,
                "w": np.ones((3, 2, 3), np.uint8),
                "ws": QUANTIZED["scale"],
                "wz": QUANTIZED["zero"],
                "ys": S1,
                "yz": Z1,
            },
        ),
        ({"x": (1, 2, 5)},),
        (
            ({"x": (1, 3, 5)}, (NODE, "c = 3 (dimension 1 of input 'x')")),
            ({"x": (1, 2, 1)}, (NODE, "n = 1 (dimension 2 of input 'x')")),
        ),
    ),
    Row(
        "QLinearMatMul",
        one(
            "QLinearMatMul",
            {"a": ("ui8", ("n", "k"))},
            {"y": "ui8"},
            {"as": S1, "az": Z1, "b": np.ones((3, 2), np.uint8), "bs": S1, "bz": Z1, "ys": S1, "yz": Z1},
        ),
        ({"a": (2, 3)},),
        (({"a": (2, 4)}, (NODE, "k = 4 (dimension 1 of input 'a')")),),
    ),
    recurrent("RNN", 1, ("h",)),
    recurrent("GRU", 3, ("h",)),
    recurrent("LSTM", 4, ("h", "c")),
    Row(
        "ReverseSequence",
        one("ReverseSequence", {"x": f32("t", "b"), "lengths": si64("l")}, {"y": "f32"}),
        ({"x": (4, 2), "lengths": (2,)},),
        tuple(({"x": (4, 2), "lengths": (n,)}, (NODE, f"l = {n} (dimension 0 of input 'lengths')")) for n in (1, 3)),
    ),
    Row(
        "OneHot",
        one(
            "OneHot",
            {"i": si64("n"), "values": f32("v")},
            {"y": "f32"},
            {"depth": np.array(4)},
            ["i", "depth", "values"],
        ),
        ({"i": (3,), "values": (2,)},),
        tuple(
            ({"i": (3,), "values": (n,)}, (NODE, "two values", f"v = {n} (dimension 0 of input 'values')"))
            for n in (0, 1, 3)
        ),
    ),
    Row(
        "channels of ConvTranspose",
        one("ConvTranspose", {"x": f32(1, "c", "h", 5)}, {"y": "f32"}, {"w": weight(3, 2, 3, 3)}),
        ({"x": (1, 3, 5, 5)},),
        tuple(
            ({"x": (1, c, 5, 5)}, (f"ConvTranspose {NODE}", "same channels", f"c = {c} (dimension 1 of input 'x')"))
            for c in (1, 9)
        ),
    ),
    Row(
        "channels of Conv",
        one("Conv", {"x": f32(1, "c", 5, 5)}, {"y": "f32"}, {"w": weight(2, 3, 3, 3)}),
        ({"x": (1, 3, 5, 5)},),
        tuple(({"x": (1, c, 5, 5)}, (f"Conv {NODE}", f"c = {c}")) for c in (1, 9)),
    ),
    Row(
        "weights of Conv that are an input",
        one("Conv", {"x": f32(1, "c", "h", 9), "w": f32("o", "i", "kh", "kw")}, {"y": "f32"}, kernel_shape=[3, 3]),
        ({"x": (1, 2, 9, 9), "w": (4, 2, 3, 3)}, {"x": (1, 5, 3, 9), "w": (1, 5, 3, 3)}),
        (
            ({"x": (1, 2, 9, 9), "w": (4, 2, 5, 3)}, (NODE, "kernel_shape", "kh = 5 (dimension 2 of input 'w')")),
            ({"x": (1, 2, 9, 9), "w": (4, 3, 3, 3)}, (NODE, "channels", "i = 3 (dimension 1 of input 'w')")),
        ),
    ),
    Row(
        "Add",
        one("Add", {"x": f32("n"), "z": f32("m")}, {"y": "f32"}),
        (
            {"x": (4,), "z": (4,)}, {"x": (0,), "z": (0,)}, {"x": (1,), "z": (4,)}, {"x": (4,), "z": (1,)},
            {"x": (0,), "z": (1,)}, {"x": (1,), "z": (1,)},
        ),
        (
            (
                {"x": (4,), "z": (2,)},
                (f"Add {NODE}", "got 4 and 2", "m = 2 (dimension 0 of input 'z')", "n = 4 (dimension 0 of input 'x')"),
            ),
        ),
    ),
    Row(
        "MatMul",
        one("MatMul", {"a": f32("b", "n", "k"), "w": f32("c", "l", 5)}, {"y": "f32"}),
        (
            {"a": (2, 3, 4), "w": (2, 4, 5)}, {"a": (2, 3, 0), "w": (2, 0, 5)}, {"a": (1, 3, 4), "w": (2, 4, 5)},
            {"a": (2, 3, 4), "w": (1, 4, 5)}, {"a": (2, 1, 1), "w": (1, 1, 5)},
        ),
        (
            ({"a": (2, 3, 4), "w": (2, 3, 5)}, (f"MatMul {NODE}", "l = 3 (dimension 1 of input 'w')")),
            ({"a": (2, 3, 4), "w": (3, 4, 5)}, (f"MatMul {NODE}", "c = 3 (dimension 0 of input 'w')")),
        ),
    ),
    Row(
        "Concat",
        one("Concat", {"x": f32("n", "a"), "z": f32("m", 3)}, {"y": "f32"}, axis=0),
        ({"x": (1, 3), "z": (2, 3)},),
        (({"x": (1, 4), "z": (2, 3)}, (f"Concat {NODE}", "a = 4 (dimension 1 of input 'x')")),),
    ),
    Row(
        "Where",
        one("Where", {"c": ("bool", ("n",)), "x": f32("m"), "z": f32(1)}, {"y": "f32"}),
        ({"c": (3,), "x": (3,), "z": (1,)},),
        (({"c": (3,), "x": (5,), "z": (1,)}, (f"Where {NODE}", "m = 5", "n = 3")),),
    ),
    Row(
        "Einsum",
        one("Einsum", {"a": f32("n", "k"), "b": f32("l", "m")}, {"y": "f32"}, equation="nk,km->nm"),
        ({"a": (2, 3), "b": (3, 4)},),
        (({"a": (2, 3), "b": (5, 4)}, (f"Einsum {NODE}", "l = 5 (dimension 0 of input 'b')")),),
    ),
    Row(
        "the diagonal of Einsum",
        one("Einsum", {"a": f32("n", "m")}, {"y": "f32"}, equation="ii->i"),
        ({"a": (3, 3)},),
        (({"a": (3, 4)}, (f"Einsum {NODE}", "m = 4")), ({"a": (4, 3)}, (f"Einsum {NODE}", "m = 3"))),
    ),
    Row(
        "rotary embedding, written out",
        model(
            [
                node("Slice", ["x", "zero", "two", "three"], ["p"]),
                node("Slice", ["x", "two", "four", "three"], ["q"]),
                node("Neg", ["q"], ["nq"]),
                node("Concat", ["nq", "p"], ["r"], axis=3),
                node("Mul", ["x", "cos"], ["xc"], "the_node"),
                node("Mul", ["r", "sin"], ["rs"]),
                node("Add", ["xc", "rs"], ["y"]),
            ],
            {"x": f32("b", "h", "t", 4), "cos": f32("t2", 4), "sin": f32("t2", 4)},
            {"y": "f32"},
            {"zero": whole(0), "two": whole(2), "three": whole(3), "four": whole(4)},
        ),
        ({"x": (1, 2, 5, 4), "cos": (5, 4), "sin": (5, 4)},),
        (
            (
                {"x": (1, 2, 5, 4), "cos": (3, 4), "sin": (3, 4)},
                (NODE, "t = 5 (dimension 2 of input 'x')", "t2 = 3 (dimension 0 of input 'cos')"),
            ),
        ),
    ),
)
