"""Models for versions of operators that the cases of `tests/frontends` do not show: older and newer forms, bodies of
control flow, sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.frontends.cases_math import X, bools, floats, integers
from tests.frontends.cases_shape import vector
from tests.frontends.models import Array, Case, model_of

F = TensorProto.FLOAT


@dataclass(frozen=True)
class Several(Case):
    """A case that needs more nodes around its own: sequences and optionals are no inputs of compiled models."""

    nodes: Sequence[onnx.NodeProto] = ()
    results: Sequence[str] = ("out0",)

    def model(self, opset: int) -> onnx.ModelProto:
        return model_of(self.nodes, self.inputs, self.results, opset, self.constants)


def node(kind: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def value(name: str, kind: int = F, shape: Sequence[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def branch(result: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), result, [], [value(result)])


def control_flow() -> list[Case]:
    then, otherwise = branch("t", node("Exp", "x", "t")), branch("e", node("Neg", "x", "e"))
    given = {"c": np.array(False), "x": X}
    loop = helper.make_graph(
        [node("Add", "old x", "new"), node("Identity", "going", "on"), node("Exp", "new", "row")], "body",
        [value("i", TensorProto.INT64, []), value("going", TensorProto.BOOL, []), value("old", F, X.shape)],
        [value("on", TensorProto.BOOL, []), value("new", F, X.shape), value("row", F, X.shape)],
    )  # fmt: skip
    scan = helper.make_graph(
        [node("Add", "state row", "sum"), node("Identity", "sum", "out")], "body",
        [value("state", F, [4]), value("row", F, [4])], [value("sum", F, [4]), value("out", F, [4])],
    )  # fmt: skip
    return [
        Several("If", given, constants=("c",), kind="function",
                nodes=[node("If", "c", "out0", then_branch=then, else_branch=otherwise)]),
        Several("Loop", {"n": np.array(3), "c": np.array(True), "start": X, "x": X}, constants=("n", "c"),
                nodes=[node("Loop", "n c start", "out0 out1", body=loop)], results=("out0", "out1")),
        Case("Scan", {"state": floats(4), "rows": floats(3, 4)}, {"num_scan_inputs": 1, "body": scan}, outputs=2),
    ]  # fmt: skip


def sequences() -> list[Case]:
    both = {"x": X, "y": floats(2, 1, 4)}
    made = node("SequenceConstruct", "x y", "s")
    first = node("SequenceAt", "s zero", "out0")
    with_zero = {**both, "zero": np.array(0)}
    mapped = helper.make_graph([node("Exp", "one", "two")], "body", [value("one")], [value("two")])

    scaled = helper.make_graph([node("Mul", "one by", "two"), node("Neg", "two", "three")], "body",
                               [value("one"), value("by")], [value("two"), value("three")])  # fmt: skip

    def several(op: str, inputs: dict[str, Array], *nodes: onnx.NodeProto, note: str = "") -> Case:
        return Several(op, inputs, constants=tuple({"zero"} & set(inputs)), nodes=nodes, note=note)

    join = node("ConcatFromSequence", "s", "out0", axis=1)
    return [
        several("SequenceConstruct", with_zero, made, first),
        several("SequenceAt", with_zero, made, first),
        several("ConcatFromSequence", both, made, join),
        several("SequenceLength", both, made, node("SequenceLength", "s", "out0")),
        several("SequenceErase", with_zero, made, node("SequenceErase", "s zero", "r"),
                node("ConcatFromSequence", "r", "out0", axis=0)),
        several("SequenceInsert", with_zero, made, node("SequenceInsert", "s x zero", "r"),
                node("ConcatFromSequence", "r", "out0", axis=1)),
        several("SequenceEmpty", both, node("SequenceEmpty", "", "e"), node("SequenceInsert", "e x", "s"), join),
        several("SequenceMap", both, made, node("SequenceMap", "s", "r", body=mapped),
                node("ConcatFromSequence", "r", "out0", axis=1)),
        several("SequenceMap", both, made, node("SequenceMap", "s x", "r t", body=scaled),
                node("ConcatFromSequence", "r", "a", axis=1), node("ConcatFromSequence", "t", "b", axis=1),
                node("Sub", "a b", "out0"), note="with a tensor"),
        several("SplitToSequence", {"x": X, "zero": np.array(0)},
                node("SplitToSequence", "x", "s", axis=1, keepdims=0), first),
        several("Optional", {"x": X}, node("Optional", "x", "o"), node("OptionalGetElement", "o", "out0")),
        several("OptionalGetElement", {"x": X}, node("Optional", "x", "o"), node("OptionalGetElement", "o", "out0")),
        several("OptionalHasElement", {"x": X}, node("Optional", "x", "o"), node("OptionalHasElement", "o", "out0")),
    ]  # fmt: skip


def older_forms() -> list[Case]:
    """Forms that a later version changed."""
    scales = np.array([1, 1, 2, 3], np.float32)
    return [
        Case("Equal", {"a": integers(3, 4), "b": integers(4)}),
        Case("Equal", {"a": bools(3, 4), "b": bools(4)}, note="bool"),
        *(Case(kind, {"a": floats(3, 4), "b": floats(4)}) for kind in ("Less", "Greater", "LessOrEqual")),
        Case("GreaterOrEqual", {"a": floats(3, 4), "b": floats(4)}),
        Case("Clip", {"x": X}, {"min": -0.5, "max": 0.5}, note="attributes"),
        Case("Clip", {"x": integers(5, dtype=np.int8), "low": np.array(-2, np.int8)}, constants=("low",), note="int8"),
        Case("TopK", {"x": X, "k": vector(2)}, constants=("k",), outputs=2, note="plain"),
        Case("Dropout", {"x": X}, {"ratio": 0.5}, note="ratio"),
        Case("BatchNormalization", {"x": floats(2, 3, 4), "s": floats(3), "b": floats(3), "m": floats(3),
                                    "v": floats(3, low=0.1)}, {"epsilon": 1e-3}, note="epsilon"),
        Case("BatchNormalization", {"x": floats(2, 3, 4), "s": floats(3), "b": floats(3), "m": floats(3),
                                    "v": floats(3, low=0.1)}, {"training_mode": 1}, outputs=3, note="training"),
        Case("Upsample", {"x": floats(1, 2, 3, 3)}, {"scales": [1.0, 1.0, 2.0, 3.0]}, note="attribute"),
        Case("Upsample", {"x": floats(1, 2, 3, 3), "s": scales}, constants=("s",), note="input"),
        Case("Resize", {"x": floats(1, 2, 3, 3), "s": scales}, {"mode": "linear"}, constants=("s",), note="scales"),
        *(Case(kind, {"x": floats(2, 3, 4)}, {"axis": axis}, note=f"axis{axis}")
          for kind in ("Softmax", "LogSoftmax", "Hardmax") for axis in (0, 1)),
        *(Case(kind, {"x": floats(2, 3, 4)}, note="default")
          for kind in ("Softmax", "LogSoftmax", "Hardmax")),
        Case("Pad", {"x": X}, {"pads": [0, 1, 0, 2, 0, 1], "value": 1.5}, note="attributes"),
        Case("Pad", {"x": X, "p": vector(0, 1, 0, 2, 0, 1), "v": np.array(2, np.float32)}, constants=("p", "v"),
             note="inputs"),
        Case("Pad", {"x": X, "p": vector(1, 2), "v": None, "a": vector(1)}, {"mode": "wrap"}, constants=("p", "a"),
             note="wrap"),
        Case("Split", {"x": floats(6, 2)}, outputs=3, note="equal"),
        Case("Split", {"x": floats(7, 2)}, {"num_outputs": 3}, outputs=3, note="num_outputs"),
        Case("Split", {"x": floats(7, 2)}, {"split": [4, 3]}, outputs=2, note="attribute"),
        Case("Split", {"x": floats(7, 2), "s": vector(4, 3)}, constants=("s",), outputs=2, note="input"),
        Case("Slice", {"x": X}, {"starts": [1, -2], "ends": [9, 9], "axes": [1, 2]}, note="attributes"),
        Case("Slice", {"x": X, "s": vector(-1), "e": vector(-9), "a": vector(1), "t": vector(-2)},
             constants=("s", "e", "a", "t"), note="backwards"),
        *(Case(f"Reduce{kind}", {"x": floats(2, 3, 4, low=0.5)}, {"axes": [0, 2], "keepdims": 0}, note="attribute")
          for kind in REDUCED),
        *(Case(f"Reduce{kind}", {"x": floats(2, 3, 4, low=0.5), "a": vector(-1)}, constants=("a",), note="input")
          for kind in REDUCED),
        *(Case(f"Reduce{kind}", {"x": floats(2, 3, 4, low=0.5)}, note="all") for kind in REDUCED),
        Case("ReduceMax", {"x": integers(3, 4, dtype=np.int8)}, note="int8"),
        Case("ReduceMin", {"x": bools(3, 4)}, note="bool"),
        Case("ArgMax", {"x": integers(3, 4)}, {"axis": -1}, note="ties"),
        Case("ArgMin", {"x": integers(3, 4)}, {"select_last_index": 1}, note="last"),
        Case("Scatter", {"x": floats(3, 3), "i": np.array([[1, 0, 2]]), "u": floats(1, 3)}),
        Case("ScatterElements", {"x": floats(3, 3), "i": np.array([[1, 0, 2], [1, 1, 0]]), "u": floats(2, 3)},
             {"reduction": "add"}, note="add"),
        Case("ScatterND", {"x": floats(4, 3), "i": np.array([[1], [1]]), "u": floats(2, 3)}, {"reduction": "mul"},
             note="mul"),
        Case("Pow", {"a": floats(3, low=0.1), "b": np.array([2, 3, 0], np.int64)}, kind="function", note="mixed"),
        Case("Constant", {}, {"value": helper.make_tensor("v", F, [2], [1, 2])}, note="tensor"),
        Case("Constant", {}, {"value_ints": [1, 2]}, note="ints"),
        Case("Cast", {"x": floats(5)}, {"to": TensorProto.INT32}, note="int32"),
        Case("Cast", {"x": floats(5)}, {"to": TensorProto.FLOAT16}, note="half"),
        Case("CastLike", {"x": floats(5), "y": np.zeros(1, np.float16)}, note="half"),
        Case("AveragePool", {"x": floats(1, 2, 6, 7)}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
             note="ceil"),
        Case("AveragePool", {"x": floats(1, 2, 6, 7)}, {"kernel_shape": [2, 2], "dilations": [2, 1]}, note="dilated"),
        Case("AveragePool", {"x": floats(1, 2, 6, 7)}, {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER"}, note="same"),
        Case("MaxPool", {"x": floats(1, 2, 6, 7)}, {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1]}, note="pads"),
        Case("MaxPool", {"x": integers(1, 2, 6, 7, dtype=np.int8)}, {"kernel_shape": [3, 2]}, note="int8"),
        Case("LpPool", {"x": floats(1, 2, 6, 7)}, {"kernel_shape": [2, 2], "p": 3}, note="p3"),
    ]  # fmt: skip


REDUCED = ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")


def newer_operators() -> list[Case]:
    q = floats(2, 3, 4, 8)
    labels = np.array([[0, 2], [1, 1], [2, 0]])
    scores = floats(3, 3, 2)
    window = np.hanning(5).astype(np.float32)
    return [
        *(Case(kind, {"n": np.array(7)}, constants=("n",))
          for kind in ("HannWindow", "HammingWindow", "BlackmanWindow")),
        Case("CumProd", {"x": X, "a": np.array(1)}, {"exclusive": 1, "reverse": 1}, constants=("a",)),
        Case("DFT", {"x": floats(1, 8, 1)}, {"axis": 1}, note="17"),
        Case("DFT", {"x": floats(1, 8, 3, 1), "n": None, "axis": np.array(1)}, constants=("axis",), note="20"),
        Case("STFT", {"s": floats(1, 20, 1), "step": np.array(4), "w": window}, constants=("step", "w")),
        Case("NegativeLogLikelihoodLoss", {"x": scores, "t": labels}, {"reduction": "mean"}),
        Case("NegativeLogLikelihoodLoss", {"x": scores, "t": labels, "w": floats(3, low=0.1)}, {"ignore_index": 1},
             note="weights"),
        Case("SoftmaxCrossEntropyLoss", {"x": scores, "t": labels}, outputs=2),
        Case("Swish", {"x": X}, {"alpha": 0.5}, kind="function"),
        Case("Attention", {"q": q, "k": q, "v": q}, {"is_causal": 1}),
        Case("RotaryEmbedding", {"x": q, "c": floats(2, 4, 4), "s": floats(2, 4, 4)}),
        Case("SwiGLU", {"a": floats(2, 4), "b": floats(2, 4)}, {"alpha": 1.5}, kind="function"),
        Case("CausalConvWithState", {"x": floats(2, 4, 8), "w": floats(4, 1, 4), "b": None, "p": floats(2, 4, 3)},
             {"activation": "silu"}, outputs=2),
        Case("LinearAttention", {"q": floats(2, 4, 32), "k": floats(2, 4, 32), "v": floats(2, 4, 32), "p": None,
                                 "d": None, "b": floats(2, 4, 4)},
             {"kv_num_heads": 4, "q_num_heads": 4, "update_rule": "delta"}, outputs=2),
        *(Case("GridSample", {"x": floats(2, 3, 4, 5), "g": floats(2, 3, 2, 2)}, {"mode": mode}, note=mode)
          for mode in ("bilinear", "bicubic", "linear", "cubic", "nearest")),
        *(Case("TensorScatter", {"x": floats(2, 5, 3), "u": floats(2, 2, 3), "at": vector(3, first)}, {"mode": mode},
               kind="exact", note=mode) for mode, first in (("linear", 1), ("circular", 4))),
        Case("AffineGrid", {"t": floats(2, 2, 3), "n": vector(2, 3, 4, 5)}, {"align_corners": 1}, constants=("n",)),
        Case("MaxUnpool", {"x": floats(1, 1, 2, 2), "i": np.array([[[[1, 3], [8, 10]]]])},
             {"kernel_shape": [2, 2], "strides": [2, 2]}, note="plain"),
        Case("QLinearMatMul", {"a": integers(2, 3, low=0, dtype=np.uint8), "as": np.array(0.1, np.float32),
                               "az": np.array(2, np.uint8), "b": integers(3, 4, low=0, dtype=np.uint8),
                               "bs": np.array(0.2, np.float32), "bz": np.array(1, np.uint8),
                               "ys": np.array(0.3, np.float32), "yz": np.array(3, np.uint8)}, kind="quantized"),
    ]  # fmt: skip


CASES = [*older_forms(), *control_flow(), *sequences(), *newer_operators()]
