"""Operators that make, move and select elements."""

import numpy as np

from tests.frontends.cases_math import X, bools, floats, integers
from tests.frontends.models import Case

LAST = np.iinfo(np.int64).max


def vector(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def shape_cases() -> list[Case]:
    return [
        Case("Reshape", {"x": X, "shape": vector(0, -1)}, {}, (7, 13, 21), ("shape",)),
        Case(
            "Reshape",
            {"x": np.zeros((0, 3), np.float32), "shape": vector(3, 0)},
            {"allowzero": 1},
            (14,),
            ("shape",),
            note="zero",
        ),
        *(Case("Flatten", {"x": X}, {"axis": axis}, (9, 13), note=str(axis)) for axis in (0, 1, 2, 3)),
        Case("Flatten", {"x": X}, {"axis": -1}, (13,), note="negative"),
        Case("Squeeze", {"x": floats(1, 3, 1)}, {"axes": [0]}, (7, 11)),
        Case("Squeeze", {"x": floats(1, 3, 1)}, {}, (11, 13), note="all"),
        Case("Squeeze", {"x": floats(1, 3, 1), "axes": vector(-1)}, {}, (13, 21), ("axes",), note="input"),
        Case("Unsqueeze", {"x": X}, {"axes": [0, 2]}, (7, 11)),
        Case("Unsqueeze", {"x": X, "axes": vector(3, 0)}, {}, (13, 21), ("axes",), note="input"),
        Case("Transpose", {"x": X}, {}, (7, 13)),
        Case("Transpose", {"x": X}, {"perm": [1, 2, 0]}, (13,), note="perm"),
        Case("Expand", {"x": floats(3, 1), "shape": vector(2, 1, 4)}, {}, (8, 13), ("shape",)),
        Case("Tile", {"x": X, "repeats": vector(1, 2, 3)}, {}, (7, 13), ("repeats",)),
        Case("DepthToSpace", {"x": floats(1, 8, 2, 3)}, {"blocksize": 2}, (7, 11, 13)),
        Case("DepthToSpace", {"x": floats(1, 8, 2, 3)}, {"blocksize": 2, "mode": "CRD"}, (11,), note="CRD"),
        Case("SpaceToDepth", {"x": floats(1, 2, 4, 6)}, {"blocksize": 2}, (7, 13)),
        Case("Shape", {"x": X}, {}, (7, 13)),
        Case("Shape", {"x": X}, {"start": -2, "end": 2}, (15,), note="part"),
        Case("Size", {"x": X}, {}, (7, 13)),
    ]


def part_cases() -> list[Case]:
    names = ("starts", "ends", "axes", "steps")

    def slice_of(note: str, *arguments: list[int]) -> Case:
        given = {name: vector(*values) for name, values in zip(names, arguments, strict=False)}
        return Case("Slice", {"x": X, **given}, {}, (10, 13), tuple(given), note=note)

    return [
        Case("Slice", {"x": X}, {"starts": [1, -2], "ends": [3, LAST], "axes": [1, 2]}, (7,)),
        slice_of("plain", [0, 1], [1, 3]),
        slice_of("axes", [-3], [-1], [-1]),
        slice_of("backwards", [LAST, -1], [-LAST, 0], [1, 2], [-1, -2]),
        slice_of("steps", [0], [LAST], [2], [3]),
        slice_of("empty", [2], [1], [2]),
        slice_of("beyond", [-100], [100], [2]),
        Case("Split", {"x": X}, {"axis": 1}, (7, 11, 13), outputs=3),
        Case("Split", {"x": X}, {"axis": 2, "split": [1, 3]}, (11,), outputs=2, note="attribute"),
        Case("Split", {"x": X, "split": vector(1, 3)}, {"axis": 2}, (13,), ("split",), outputs=2, note="input"),
        Case("Split", {"x": floats(7)}, {"num_outputs": 3}, (18,), outputs=3, note="uneven"),
        Case("Concat", {"a": X, "b": floats(2, 1, 4)}, {"axis": -2}, (11, 13)),
        Case("Pad", {"x": X}, {"pads": [0, 1, 2, 1, 0, 0], "value": 1.5}, (7,)),
        Case(
            "Pad",
            {"x": X, "pads": vector(0, 1, 2, 1, 0, 0), "v": np.float32(1.5)},
            {},
            (11, 13),
            ("pads", "v"),
            note="input",
        ),
        Case("Pad", {"x": X, "pads": vector(0, 0, -1, 0, 1, 2)}, {}, (13,), ("pads",), note="negative"),
        *(
            Case("Pad", {"x": X, "pads": vector(0, 1, 2, 0, 1, 1)}, {"mode": mode}, (13,), ("pads",), note=mode)
            for mode in ("edge", "reflect")
        ),
        Case(
            "Pad",
            {"x": X, "pads": vector(1, 2), "v": None, "axes": vector(-1)},
            {"mode": "wrap"},
            (19,),
            ("pads", "axes"),
            note="wrap and axes",
        ),
        Case("CenterCropPad", {"x": floats(5, 8), "shape": vector(8, 5)}, {}, (18,), ("shape",)),
        Case("Trilu", {"x": floats(2, 3, 4)}, {}, (14,)),
        Case("Trilu", {"x": floats(3, 4), "k": np.int64(-1)}, {"upper": 0}, (14,), ("k",), note="lower"),
        Case("Trilu", {"x": floats(3, 4), "k": np.int64(1)}, {}, (14,), note="at run time"),
        Case(
            "Pad",
            {"x": X, "pads": vector(0, 1, 2, 1, 0, 0), "v": np.float32(1.5)},
            {},
            (13,),
            ("pads",),
            note="later",
        ),
        Case("ReverseSequence", {"x": floats(4, 3), "lengths": vector(1, 2, 4)}, {}, (10,)),
    ]


def made_cases() -> list[Case]:
    return [
        Case("ConstantOfShape", {"shape": vector(2, 3)}, {}, (9, 20), ("shape",)),
        Case("Range", {"a": np.int64(2), "b": np.int64(11), "d": np.int64(3)}, {}, (11,), ("a", "b", "d")),
        Case(
            "Range",
            {"a": np.float32(3), "b": np.float32(0), "d": np.float32(-0.5)},
            {},
            (11,),
            ("a", "b", "d"),
            note="down",
            kind="rounded",
        ),
        Case("EyeLike", {"x": floats(3, 4)}, {"k": 1}, (9,)),
        Case("EyeLike", {"x": floats(4, 3)}, {"k": -1, "dtype": 7}, (9,), note="dtype"),
        *(
            Case("Constant", {}, attrs, (13,), note=next(iter(attrs)))
            for attrs in ({"value_float": 1.5}, {"value_floats": [1.0, 2.0]}, {"value_int": 3}, {"value_ints": [3, 4]})
        ),
        Case(
            "OneHot",
            {"i": vector(0, 2, -1), "depth": np.int64(3), "values": np.float32([0.5, 2])},
            {},
            (9, 11),
            ("depth",),
        ),
        Case(
            "OneHot",
            {"i": vector(0, 2), "depth": vector(3), "values": np.float32([0.5, 2])},
            {"axis": 0},
            (11,),
            ("depth",),
            note="axis",
        ),
    ]


def index_cases() -> list[Case]:
    indices, updates = integers(2, 2, 4, low=0, high=3), floats(2, 2, 4)
    return [
        Case("Gather", {"x": X, "i": integers(2, 2, low=-3, high=3)}, {"axis": 1}, (7, 13)),
        Case("GatherElements", {"x": X, "i": indices}, {"axis": 1}, (11, 13)),
        Case("GatherND", {"x": X, "i": vector(0, 1, 1, 2).reshape(2, 2)}, {}, (11, 13)),
        Case("GatherND", {"x": X, "i": vector(1, 2).reshape(2, 1)}, {"batch_dims": 1}, (13,), note="batch"),
        Case("Scatter", {"x": floats(2, 4), "i": vector(1, 0).reshape(1, 2), "u": floats(1, 2)}, {}, (9,)),
        Case("ScatterElements", {"x": floats(4), "i": vector(1, -1), "u": floats(2)}, {}, (11, 13)),
        Case(
            "ScatterElements", {"x": X, "i": indices, "u": updates}, {"axis": 1, "reduction": "add"}, (18,), note="add"
        ),
        Case("ScatterND", {"x": X, "i": vector(1, 0).reshape(2, 1), "u": floats(2, 3, 4)}, {}, (11, 13)),
        Case(
            "ScatterND",
            {"x": X, "i": vector(1, 1).reshape(2, 1), "u": floats(2, 3, 4)},
            {"reduction": "max"},
            (18,),
            note="max",
        ),
        Case("NonZero", {"x": bools(3, 4)}, {}, (9, 13)),
        Case("Compress", {"x": X, "c": np.array([True, False, True])}, {"axis": 1}, (9, 11)),
        Case("Compress", {"x": X, "c": bools(24)}, {}, (11,), note="flat"),
        Case("Unique", {"x": integers(9, low=0, high=4)}, {}, (11,), outputs=4),
        Case("Unique", {"x": integers(9, low=0, high=4)}, {"sorted": 0}, (11,), outputs=4, note="unsorted"),
        Case(
            "MaxUnpool",
            {"x": floats(1, 1, 2, 2), "i": vector(0, 3, 8, 10).reshape(1, 1, 2, 2)},
            {"kernel_shape": [2, 2], "strides": [2, 2]},
            (11,),
        ),
        Case(
            "Col2Im",
            {"x": floats(1, 12, 12), "image": vector(5, 5), "block": vector(2, 3)},
            {},
            (18,),
            ("image", "block"),
        ),
        Case(
            "Col2Im",
            {"x": floats(1, 8, 6), "image": vector(4, 6), "block": vector(2, 2)},
            {"strides": [2, 2], "dilations": [1, 1]},
            (18,),
            ("image", "block"),
            note="strides",
        ),
    ]


CASES = [*shape_cases(), *part_cases(), *made_cases(), *index_cases()]
