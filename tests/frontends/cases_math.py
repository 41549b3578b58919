"""Elementwise operators, reductions and what orders elements."""

import numpy as np

from tests.frontends.models import Array, Case

RANDOM = np.random.default_rng(7)


def floats(*shape: int, low: float = -2, high: float = 2) -> Array:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


def integers(*shape: int, low: int = -5, high: int = 6, dtype: type = np.int64) -> Array:
    return RANDOM.integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> Array:
    return RANDOM.integers(0, 2, shape).astype(np.bool_)


X = floats(2, 3, 4)
COLUMNS = np.array([2, 0], np.int64)
ML = [
    Case("Binarizer", {"x": X}, {"threshold": 0.3}, domain="ai.onnx.ml"),
    Case("ArrayFeatureExtractor", {"x": X, "y": COLUMNS}, domain="ai.onnx.ml"),
    Case("ArrayFeatureExtractor", {"x": X[0, 0], "y": COLUMNS}, domain="ai.onnx.ml", note="vector"),
]
UNARY = (
    "Abs",
    "Neg",
    "Sign",
    "Exp",
    "Sin",
    "Cos",
    "Tan",
    "Atan",
    "Sinh",
    "Cosh",
    "Tanh",
    "Asinh",
    "Erf",
    "Ceil",
    "Floor",
    "Round",
    "Sigmoid",
    "Relu",
    "Softplus",
    "Softsign",
    "HardSwish",
    "Mish",
    "Reciprocal",
    "IsNaN",
    "Identity",
)
WITH_ATTRIBUTES: dict[str, dict[str, float]] = {
    "LeakyRelu": {"alpha": 0.3},
    "Elu": {"alpha": 0.7},
    "Celu": {"alpha": 1.4},
    "Selu": {"alpha": 1.1, "gamma": 1.3},
    "ThresholdedRelu": {"alpha": 0.5},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "Shrink": {"bias": 0.2, "lambd": 0.7},
}
REDUCTIONS = (
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceSumSquare",
)


def unary_cases() -> list[Case]:
    cases = [Case(op, {"x": X}, opsets=(14, 21) if op != "Mish" else (18,), kind="function") for op in UNARY]
    cases += [Case(op, {"x": X}, attrs, (16, 21), kind="function") for op, attrs in WITH_ATTRIBUTES.items()]
    cases += [Case(op, {"x": X}, {}, (16,), kind="function", note="defaults") for op in WITH_ATTRIBUTES]
    cases += [
        Case(op, {"x": floats(5, low=low, high=high)}, opsets=(13,), kind="function")
        for op, low, high in (
            ("Log", 0.1, 3),
            ("Sqrt", 0, 3),
            ("Asin", -0.9, 0.9),
            ("Acos", -0.9, 0.9),
            ("Atanh", -0.9, 0.9),
            ("Acosh", 1.1, 3),
        )
    ]
    special = np.array([1, np.nan, np.inf, -np.inf], np.float32)
    return [
        *cases,
        Case("IsNaN", {"x": special}, note="special"),
        Case("IsInf", {"x": special}, {"detect_negative": 0}),
        Case("Not", {"x": bools(5)}),
        Case("BitwiseNot", {"x": integers(5, dtype=np.int32)}),
        Case("Gelu", {"x": X}, {}, (20,)),
        Case("Gelu", {"x": X}, {"approximate": "tanh"}, (20,), note="tanh"),
        Case("Abs", {"x": integers(4, dtype=np.int32)}, note="integers"),
        Case("Clip", {"x": X}, {"min": -0.5, "max": 0.5}, (7, 10), kind="exact"),
        Case("Clip", {"x": X}, {}, (7, 13), kind="exact", note="nothing"),
        Case(
            "Clip",
            {"x": X, "low": np.float32(-0.5), "high": np.float32(1)},
            {},
            (11, 13),
            ("low", "high"),
            kind="exact",
            note="constants",
        ),
        Case(
            "Clip", {"x": X, "low": None, "high": np.float32(1)}, {}, (13,), ("high",), kind="exact", note="one bound"
        ),
        Case(
            "Clip",
            {"x": X, "low": np.float32(-0.5), "high": np.float32(1)},
            {},
            (13,),
            kind="exact",
            note="at run time",
        ),
        Case(
            "Clip", {"x": integers(6, dtype=np.int32), "low": np.int32(0)}, {}, (13,), ("low",), note="relu on integers"
        ),
        Case("Dropout", {"x": X}, {}, (7, 10), kind="exact"),
        Case("Dropout", {"x": X}, {}, (12, 13), kind="exact", outputs=2, note="mask"),
        Case(
            "Dropout", {"x": X, "ratio": np.float32(0.3), "training": np.array(False)}, {}, (13,), ("ratio", "training")
        ),
    ]


def binary_cases() -> list[Case]:
    a, b = floats(2, 3, 4), floats(3, 1, low=0.5)
    i, j = integers(2, 3), integers(3, low=1)
    return [
        *(Case(op, {"a": a, "b": b}, {}, (7, 14), kind="rounded") for op in ("Add", "Sub", "Mul", "Div")),
        *(Case(op, {"a": i, "b": j}, {}, (14,), note="integers") for op in ("Add", "Sub", "Mul", "Div")),
        *(Case(op, {"a": a, "b": a.round()}, {}, (13,)) for op in ("Less", "Greater", "Equal")),
        *(Case(op, {"a": i, "b": j}, {}, (16,)) for op in ("LessOrEqual", "GreaterOrEqual")),
        *(Case(op, {"a": bools(2, 3), "b": bools(3)}, {}, (7,)) for op in ("And", "Or", "Xor")),
        *(
            Case(op, {"a": integers(4, dtype=np.int32), "b": integers(4, dtype=np.int32)}, {}, (18,))
            for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
        ),
        *(
            Case(
                "BitShift",
                {"a": integers(4, low=0, dtype=np.uint8), "b": integers(4, low=0, high=3, dtype=np.uint8)},
                {"direction": way},
                (11,),
                note=way,
            )
            for way in ("LEFT", "RIGHT")
        ),
        Case("Equal", {"a": bools(4), "b": bools(4)}, {}, (13,), note="bools"),
        Case("Pow", {"a": floats(4, low=0.1), "b": b}, {}, (7, 13), kind="function"),
        Case(
            "Pow",
            {"a": floats(4, low=0.1), "b": np.array([2], np.int64)},
            {},
            (13,),
            ("b",),
            kind="function",
            note="integer exponent",
        ),
        Case("Pow", {"a": integers(4, low=1), "b": floats(4, low=1)}, {}, (13,), note="integer base"),
        Case("Mod", {"a": i, "b": integers(3, low=1) * np.array([1, -1, 1])}, {}, (10, 13)),
        Case("Mod", {"a": a, "b": b}, {"fmod": 1}, (13,), kind="function", note="fmod"),
        Case("PRelu", {"x": X, "slope": floats(3, 1)}, {}, (9, 16), kind="rounded"),
        Case("Where", {"c": bools(3, 1), "x": a, "y": b}, {}, (9, 16), kind="exact"),
        *(Case(op, {"a": a, "b": b, "c": floats(4)}, {}, (8, 13)) for op in ("Sum", "Mean", "Max", "Min")),
        Case("Max", {"a": integers(4, dtype=np.int32), "b": integers(4, dtype=np.int32)}, {}, (13,), note="integers"),
        Case("Sum", {"a": a}, {}, (13,), note="one"),
        Case("Cast", {"x": X}, {"to": 7}, (9, 13, 21)),
        Case("Cast", {"x": X}, {"to": 9}, (13,), note="bool"),
        Case("Cast", {"x": X}, {"to": 10}, (13,), kind="exact", note="half"),
        Case("CastLike", {"x": X, "like": integers(1)}, {}, (15,)),
    ]


def reduction_cases() -> list[Case]:
    cases = []
    for op in REDUCTIONS:
        cases += [
            Case(op, {"x": X}, {"axes": [1, -1]}, (11, 13), note="attribute"),
            Case(op, {"x": X}, {"keepdims": 0}, (13, 18), note="all"),
            Case(op, {"x": X, "axes": np.array([0, 2])}, {"keepdims": 0}, (18,), ("axes",), note="input"),
        ]
    return [
        *cases,
        Case("ReduceLogSum", {"x": floats(2, 3, low=0.5)}, {"axes": [1]}, (13,)),
        Case("ReduceSum", {"x": X}, {"axes": [1]}, (11,)),
        Case("ReduceSum", {"x": X, "axes": np.array([1])}, {}, (13, 18), ("axes",), note="input"),
        Case(
            "ReduceSum",
            {"x": X, "axes": np.array([], np.int64)},
            {"noop_with_empty_axes": 1},
            (13,),
            ("axes",),
            note="noop",
        ),
        Case("ReduceMax", {"x": integers(2, 3, dtype=np.int32)}, {"axes": [0]}, (13,), note="integers"),
        Case("ReduceMax", {"x": bools(2, 3), "axes": np.array([1])}, {}, (20,), ("axes",), note="bools"),
        *(Case(op, {"x": X}, {"axis": -1, "keepdims": 0}, (11, 13)) for op in ("ArgMax", "ArgMin")),
        Case("ArgMax", {"x": np.float32([[1, 3, 3]])}, {"axis": 1, "select_last_index": 1}, (13,), note="last"),
        *(
            Case(op, {"x": X}, {"axis": 1}, (7, 11), kind="function", note="flattened")
            for op in ("Softmax", "LogSoftmax", "Hardmax")
        ),
        *(Case(op, {"x": X}, {}, (11, 13), kind="function", note="default") for op in ("Softmax", "LogSoftmax")),
        *(Case(op, {"x": X}, {"axis": 1}, (13,), note="one axis") for op in ("Softmax", "LogSoftmax", "Hardmax")),
        Case("CumSum", {"x": X, "axis": np.int64(1)}, {"exclusive": 1, "reverse": 1}, (11, 14), ("axis",)),
        Case("CumSum", {"x": X, "axis": np.int32(-1)}, {}, (14,), ("axis",), note="plain"),
        Case("TopK", {"x": X}, {"k": 2, "axis": 1}, (7,), outputs=2),
        Case("TopK", {"x": X, "k": np.array([3])}, {"largest": 0}, (11,), ("k",), outputs=2, note="smallest"),
    ]


CASES = [*unary_cases(), *binary_cases(), *reduction_cases(), *ML]
