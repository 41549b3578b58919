"""Convolutions, products, pools, normalisations, resizing and quantized operators."""

import numpy as np

from tests.frontends.cases_math import X, floats, integers
from tests.frontends.cases_shape import vector
from tests.frontends.models import Case

IMAGE = floats(1, 4, 7, 8)


def conv_cases() -> list[Case]:
    w, bias = floats(6, 4, 3, 3), floats(6)
    t = floats(4, 3, 3, 3)
    return [
        Case("Conv", {"x": IMAGE, "w": w, "b": bias}, {"pads": [1, 0, 2, 1], "strides": [2, 1]}, (7, 11, 22)),
        Case("Conv", {"x": IMAGE, "w": floats(8, 1, 3, 3)}, {"group": 4, "dilations": [2, 2]}, (11,), note="groups"),
        *(
            Case("Conv", {"x": IMAGE, "w": w}, {"auto_pad": mode, "strides": [2, 3]}, (11,), note=mode)
            for mode in ("SAME_UPPER", "SAME_LOWER", "VALID")
        ),
        Case("Conv", {"x": floats(2, 3, 9), "w": floats(4, 3, 3), "b": floats(4)}, {}, (11,), note="1d"),
        Case("Conv", {"x": floats(1, 2, 4, 5, 5), "w": floats(3, 2, 2, 2, 2)}, {}, (11,), note="3d"),
        Case("ConvTranspose", {"x": IMAGE, "w": t, "b": floats(3)}, {"strides": [2, 2], "pads": [1, 1, 1, 1]}, (7, 11)),
        Case(
            "ConvTranspose",
            {"x": IMAGE, "w": t},
            {"strides": [2, 2], "output_padding": [1, 0], "dilations": [2, 1]},
            (11,),
            note="extra",
        ),
        Case("ConvTranspose", {"x": IMAGE, "w": t}, {"strides": [2, 2], "output_shape": [15, 16]}, (11,), note="shape"),
        *(
            Case("ConvTranspose", {"x": IMAGE, "w": t}, {"strides": [2, 2], "auto_pad": mode}, (11,), note=mode)
            for mode in ("SAME_UPPER", "SAME_LOWER")
        ),
        Case("ConvTranspose", {"x": IMAGE, "w": floats(4, 2, 2, 2)}, {"group": 2}, (11,), note="groups"),
    ]


def product_cases() -> list[Case]:
    a, b = floats(3, 4), floats(4, 5)
    return [
        Case("MatMul", {"a": floats(2, 1, 3, 4), "b": floats(5, 4, 2)}, {}, (9, 13)),
        Case("MatMul", {"a": floats(4), "b": floats(2, 4, 3)}, {}, (13,), note="row"),
        Case("MatMul", {"a": floats(2, 3, 4), "b": floats(4)}, {}, (13,), note="column"),
        Case("MatMul", {"a": floats(4), "b": floats(4)}, {}, (13,), note="dot"),
        Case("Gemm", {"a": a, "b": b, "c": floats(5)}, {}, (7, 9, 13)),
        Case(
            "Gemm",
            {"a": a.T.copy(), "b": b.T.copy(), "c": floats(3, 1)},
            {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0},
            (13,),
            note="all",
        ),
        Case("Gemm", {"a": a, "b": b}, {}, (11,), note="no c"),
        *(
            Case("Einsum", {"a": floats(*left), "b": floats(*right)}, {"equation": text}, (12,), note=text)
            for text, left, right in (
                ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
                ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
                ("i,j->ij", (3,), (4,)),
                ("ij,j", (3, 4), (4,)),
                ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
                ("ij,ij->", (3, 4), (3, 4)),
                ("bn,anm->ba", (2, 3), (4, 3, 5)),
                ("abc,cd->abd", (2, 3, 4), (4, 5)),
            )
        ),
        Case("Einsum", {"a": floats(3, 3)}, {"equation": "ii->i"}, (12,), note="diagonal"),
        Case("Einsum", {"a": floats(2, 3, 4)}, {"equation": "...j->j..."}, (12,), note="ellipsis"),
        Case(
            "Einsum",
            {"a": floats(2, 3), "b": floats(3, 4), "c": floats(4, 5)},
            {"equation": "ab,bc,cd->ad"},
            (12,),
            note="three",
        ),
    ]


def pool_cases() -> list[Case]:
    window = {"kernel_shape": [3, 2], "strides": [2, 2]}
    return [
        Case("MaxPool", {"x": IMAGE}, {**window, "pads": [1, 0, 1, 1]}, (8, 12)),
        Case("MaxPool", {"x": IMAGE}, {**window, "ceil_mode": 1}, (10,), note="ceil"),
        Case("MaxPool", {"x": IMAGE}, {**window, "dilations": [2, 1]}, (10,), note="dilations"),
        Case("MaxPool", {"x": IMAGE}, window, (8,), outputs=2, note="indices"),
        Case("MaxPool", {"x": IMAGE}, {**window, "auto_pad": "SAME_UPPER"}, (12,), note="same"),
        Case("MaxPool", {"x": floats(1, 2, 9)}, {"kernel_shape": [3]}, (12,), note="1d"),
        Case("AveragePool", {"x": IMAGE}, {**window, "pads": [1, 0, 1, 1]}, (7, 11)),
        Case(
            "AveragePool", {"x": IMAGE}, {**window, "pads": [1, 0, 1, 1], "count_include_pad": 1}, (11,), note="count"
        ),
        Case("AveragePool", {"x": IMAGE}, {**window, "ceil_mode": 1}, (11,), note="ceil"),
        Case("AveragePool", {"x": IMAGE}, {**window, "auto_pad": "SAME_LOWER"}, (11,), note="same"),
        Case("LpPool", {"x": IMAGE}, {**window, "p": 3}, (11,)),
        *(Case(op, {"x": IMAGE}, {}, (7,)) for op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")),
        Case("GlobalLpPool", {"x": IMAGE}, {"p": 3}, (7,), note="p"),
    ]


def norm_cases() -> list[Case]:
    c = floats(4, low=0.5)
    stats = {"scale": c, "bias": floats(4), "mean": floats(4), "var": floats(4, low=0.3)}
    return [
        Case("BatchNormalization", {"x": IMAGE, **stats}, {"epsilon": 0.01}, (7, 9, 15)),
        Case("BatchNormalization", {"x": IMAGE, **stats}, {"training_mode": 1}, (15,), outputs=3, note="training"),
        Case("InstanceNormalization", {"x": IMAGE, "scale": c, "bias": floats(4)}, {}, (7,)),
        Case("LayerNormalization", {"x": X, "scale": floats(4), "bias": floats(4)}, {}, (17,)),
        Case("LayerNormalization", {"x": X, "scale": floats(3, 4)}, {"axis": 1}, (17,), outputs=3, note="statistics"),
        Case("RMSNormalization", {"x": X, "scale": floats(4)}, {}, (23,)),
        Case("GroupNormalization", {"x": IMAGE, "scale": c, "bias": floats(4)}, {"num_groups": 2}, (21,)),
        Case(
            "GroupNormalization",
            {"x": IMAGE, "scale": floats(2), "bias": floats(2)},
            {"num_groups": 2},
            (18,),
            note="per group",
        ),
        Case("LpNormalization", {"x": X}, {"axis": 1}, (7,)),
        Case("LpNormalization", {"x": X * np.float32([1, 0, 1])[:, None]}, {"axis": 2, "p": 1}, (7,), note="zeros"),
        Case("LRN", {"x": IMAGE}, {"size": 3, "alpha": 0.1, "beta": 0.6, "bias": 2.0}, (7, 13)),
        Case("MeanVarianceNormalization", {"x": IMAGE}, {}, (9, 13)),
    ]


def resize_cases() -> list[Case]:
    scales = np.float32([1, 1, 2, 1.5])
    by_scales = {"x": IMAGE, "roi": np.zeros(0, np.float32), "scales": scales}
    by_sizes = {"x": IMAGE, "roi": None, "scales": None, "sizes": vector(1, 4, 5, 13)}
    return [
        Case("Upsample", {"x": IMAGE}, {"scales": [1.0, 1.0, 2.0, 3.0]}, (7,)),
        Case(
            "Upsample",
            {"x": IMAGE, "scales": np.float32([1, 1, 2, 3])},
            {"mode": "linear"},
            (9,),
            ("scales",),
            note="linear",
        ),
        Case("Resize", {"x": IMAGE, "scales": np.float32([1, 1, 2, 3])}, {}, (10,), ("scales",)),
        *(
            Case("Resize", by_scales, {"mode": mode}, (11, 13, 19), ("roi", "scales"), note=mode)
            for mode in ("nearest", "linear", "cubic")
        ),
        *(
            Case(
                "Resize",
                by_sizes,
                {"mode": "linear", "coordinate_transformation_mode": way},
                (13,),
                ("sizes",),
                note=way,
            )
            for way in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
        ),
        *(
            Case(
                "Resize",
                by_sizes,
                {"nearest_mode": way, "coordinate_transformation_mode": "asymmetric"},
                (13,),
                ("sizes",),
                note=way,
            )
            for way in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        ),
        Case("Resize", {**by_sizes, "sizes": vector(9, 9)}, {"axes": [2, 3]}, (18,), ("sizes",), note="axes"),
        Case(
            "Resize",
            {**by_sizes, "sizes": vector(9, 9)},
            {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
            (18,),
            ("sizes",),
            note="policy",
        ),
        Case("Resize", by_sizes, {"mode": "cubic", "exclude_outside": 1}, (13,), ("sizes",), note="exclude"),
        Case(
            "Resize",
            {**by_sizes, "roi": np.float32([0, 0, 0.1, 0.2, 1, 1, 0.8, 1.1])},
            {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0},
            (13,),
            ("sizes", "roi"),
            note="crop",
        ),
        Case(
            "Resize",
            {**by_sizes, "sizes": vector(1, 4, 3, 4)},
            {"mode": "linear", "antialias": 1},
            (18,),
            ("sizes",),
            note="antialias",
        ),
    ]


def quant_cases() -> list[Case]:
    one, zero = np.float32(0.05), np.uint8(120)
    channels = {"scale": np.float32([0.1, 0.2, 0.05]), "zero": np.int8([0, 1, -3])}
    a, b = integers(2, 3, low=0, high=255, dtype=np.uint8), integers(3, 4, low=-128, high=127, dtype=np.int8)
    image, w = (
        integers(1, 2, 5, 5, low=0, high=255, dtype=np.uint8),
        integers(3, 2, 3, 3, low=-128, high=127, dtype=np.int8),
    )
    return [
        Case("QuantizeLinear", {"x": X, "scale": one, "zero": zero}, {}, (10, 13, 21), kind="quantized"),
        Case("QuantizeLinear", {"x": X, "scale": one}, {}, (13,), kind="quantized", note="no zero"),
        Case("QuantizeLinear", {"x": X, **channels}, {"axis": 1}, (13,), kind="quantized", note="axis"),
        Case("QuantizeLinear", {"x": X, "scale": one}, {"output_dtype": 5}, (21,), kind="quantized", note="int16"),
        Case("DequantizeLinear", {"x": a, "scale": one, "zero": zero}, {}, (10, 13, 21)),
        Case("DequantizeLinear", {"x": b, **channels}, {"axis": 0}, (13,), note="axis"),
        Case(
            "DequantizeLinear",
            {"x": b, "scale": floats(3, 2, low=0.1)},
            {"axis": 1, "block_size": 2},
            (21,),
            note="blocks",
        ),
        Case(
            "DequantizeLinear",
            {"x": b, "scale": floats(2, 4, low=0.1)},
            {"axis": 0, "block_size": 2},
            (21,),
            note="rows",
        ),
        Case("DynamicQuantizeLinear", {"x": X}, {}, (11,), outputs=3, kind="quantized"),
        Case("MatMulInteger", {"a": a, "b": b}, {}, (10,)),
        Case("MatMulInteger", {"a": a, "b": b, "za": np.uint8(7), "zb": np.int8(3)}, {}, (10,), note="zero points"),
        Case(
            "MatMulInteger",
            {"a": a, "b": b, "za": np.uint8(7), "zb": np.int8([1, 2, 3, 4])},
            {},
            (10,),
            ("b", "zb"),
            note="per column",
        ),
        Case("ConvInteger", {"x": image, "w": w.view(np.uint8)}, {}, (10,)),
        Case(
            "ConvInteger",
            {"x": image, "w": w.view(np.uint8), "zx": np.uint8(9)},
            {"pads": [1, 1, 1, 1]},
            (10,),
            note="zero point",
        ),
        Case(
            "QLinearConv",
            {
                "x": image,
                "xs": np.float32(0.1),
                "xz": np.uint8(9),
                "w": w // 3,  # where there is no VNNI, ONNX Runtime saturates sums of two products at 16 bits
                "ws": channels["scale"],
                "wz": np.int8([0, 0, 0]),
                "ys": np.float32(2),
                "yz": np.uint8(100),
                "b": integers(3, dtype=np.int32),
            },
            {"pads": [1, 1, 1, 1]},
            (10,),
            ("xs", "xz", "w", "ws", "wz", "ys", "yz", "b"),
            kind="quantized",
        ),
        Case(
            "QLinearMatMul",
            {
                "a": a,
                "as": np.float32(0.1),
                "az": np.uint8(9),
                "b": b,
                "bs": np.float32(0.2),
                "bz": np.int8(3),
                "ys": np.float32(5),
                "yz": np.uint8(100),
            },
            {},
            (10,),
            kind="quantized",
        ),
    ]


CASES = [*conv_cases(), *product_cases(), *pool_cases(), *norm_cases(), *resize_cases(), *quant_cases()]
