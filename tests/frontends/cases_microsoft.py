"""Operators of com.microsoft, as ONNX Runtime has them."""

from __future__ import annotations

import numpy as np

from tests.frontends.models import Array, Case

RNG = np.random.default_rng(12)
F32, U8, I8, U16, I16 = np.float32, np.uint8, np.int8, np.uint16, np.int16


def f32(*shape: int) -> Array:
    return RNG.uniform(-3, 3, shape).astype(np.float32)


def case(op: str, inputs: dict[str, Array | None], note: str = "", constants: str = "", **attributes: object) -> Case:
    outputs = int(str(attributes.pop("outputs", 1)))
    drop = (1, 2) if "Skip" in op else ()
    kind = "quantized" if op.startswith("Q") and inputs.get("yz", inputs.get("z")) is not None else "op"
    return Case(
        op, inputs, attributes, (17,), tuple(constants.split()), outputs, kind, note, "com.microsoft", drop_outputs=drop
    )


def quantizing() -> list[Case]:
    found = []
    x = np.concatenate([f32(3, 5) * 40, np.float32([[0.5, 1.5, 2.5, 1e9, -1e9]])])
    for zero in (U8(128), I8(-3), U16(32768), I16(-5), U16(0), I16(32767)):
        kind, scale = zero.dtype, F32(0.001 if zero.dtype.itemsize == 2 else 0.5)
        found.append(case("QuantizeLinear", {"x": x, "s": scale, "z": zero}, f"{kind}-{zero}", "s z"))
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        q = RNG.integers(low, high, (4, 5), endpoint=True).astype(kind)
        found.append(case("DequantizeLinear", {"x": q, "s": scale, "z": zero}, f"{kind}-{zero}", "s z"))
        many, zeros = F32([0.5, 0.01, 1, 2]), np.array([zero, 0, 1, 2]).astype(kind)
        found.append(case("QuantizeLinear", {"x": x, "s": many, "z": zeros}, f"axis-{kind}-{zero}", axis=0))
        found.append(case("DequantizeLinear", {"x": q, "s": many, "z": zeros}, f"axis-{kind}-{zero}", axis=-2))
    return found


def u8(*shape: int) -> Array:
    return RNG.integers(0, 255, shape, endpoint=True).astype(np.uint8)


def with_scales() -> list[Case]:
    image, w = u8(1, 4, 7, 5), RNG.integers(-20, 20, (3, 4, 3, 3)).astype(np.int8)
    conv = {
        "s": F32(0.1), "z": U8(120), "w": w, "ws": F32(0.02), "wz": I8(0), "ys": F32(0.3), "yz": U8(128),
        "b": np.int32([100, -50, 7]),
    }  # fmt: skip
    last = {"x": image.transpose(0, 2, 3, 1).copy(), **conv}
    where = {
        "c": np.array([[True], [False], [True]]), "x": u8(3, 4), "xs": F32(0.1), "xz": U8(3), "y": u8(4),
        "ys": F32(0.2), "yz": U8(200), "zs": F32(0.15), "zz": U8(100),
    }  # fmt: skip
    gemm = {
        "a": u8(3, 5), "as": F32(0.05), "az": U8(128), "b": RNG.integers(-9, 9, (5, 4)).astype(np.int8), "bs": F32(0.1),
        "bz": I8(0), "c": np.int32([50, 0, -20, 9]), "ys": F32(0.2), "yz": U8(128),
    }  # fmt: skip
    return [
        case("QLinearConv", {"x": image, **conv}, "first", "s z w ws wz ys yz b", pads=[1, 1, 1, 1]),
        case("QLinearConv", last, "last", "s z w ws wz ys yz b", channels_last=1, pads=[1, 1, 1, 1]),
        case("QLinearWhere", where, "", "xs xz ys yz zs zz"),
        case("QGemm", gemm, "", "as az b bs bz c ys yz"),
        case("QGemm", {**gemm, "a": gemm["a"].T.copy(), "b": gemm["b"].T.copy(), "ys": None, "yz": None}, "turned",
             "as az b bs bz c", transA=1, transB=1, alpha=0.5),
        case("MatMulIntegerToFloat", {
            "a": u8(3, 5), "b": gemm["b"], "as": F32(0.05), "bs": F32([0.1, 0.2, 0.3, 0.4]), "az": U8(128),
            "bz": np.int8([0, 1, 2, -3]), "bias": f32(4)}),
    ]  # fmt: skip


def standard() -> list[Case]:
    x = f32(2, 3, 5)
    return [
        case("Pad", {"x": x, "p": np.int64([0, 1, 2, 1, 0, -1]), "v": F32(7)}, "", "p v"),
        case("Pad", {"x": x, "p": np.int64([0, 1, 2, 0, 0, 1])}, "reflect", "p", mode="reflect"),
        case("Trilu", {"x": x, "k": np.array(-1, np.int64)}, "", "k", upper=0),
        case("GatherND", {"x": x, "i": np.int64([[1, 2], [0, -1]])}),
        case("Range", {"a": np.int64(3), "b": np.int64(9), "c": np.int64(2)}, "", "a b c"),
        case("Range", {"a": np.array(1.5, np.float32), "b": np.array(4, np.float32)}, "no delta", "a b"),
        *(
            case("GridSample", {"x": f32(2, 3, 7, 5), "g": f32(2, 4, 3, 2)}, mode, mode=mode, padding_mode=padding)
            for mode, padding in (("bilinear", "zeros"), ("nearest", "border"), ("bicubic", "reflection"))
        ),
        case("ExpandDims", {"x": x, "a": np.array(-2, np.int32)}, "", "a"),
        case("Unique", {"x": np.float32([2, 1, 1, 3, 4, 3])}, outputs=3),
        case("Gelu", {"x": x}), case("BiasGelu", {"x": x, "b": f32(5)}), case("FastGelu", {"x": x}, "plain"),
        case("FastGelu", {"x": x, "b": f32(5)}), case("QuickGelu", {"x": x}),
        case("QuickGelu", {"x": x}, "alpha", alpha=0.7),
    ]  # fmt: skip


def fused() -> list[Case]:
    a, b = f32(2, 3, 4, 5), f32(2, 3, 5, 6)
    turned = {"a": np.swapaxes(a, 2, 3).copy(), "b": np.swapaxes(b, 2, 3).copy()}
    found = [
        case("FusedMatMul", {"a": a, "b": b}, "plain", alpha=0.25),
        case("FusedMatMul", turned, "turned", transA=1, transB=1),
        case("FusedMatMul", {"a": np.moveaxis(a, 2, 0).copy(), "b": b}, "batch", transBatchA=1),
        case("FusedMatMul", {"a": np.moveaxis(a, 3, 0).copy(), "b": b}, "batch and turned", transBatchA=1, transA=1),
        case("FusedMatMul", {"a": f32(5), "b": f32(5, 6)}, "vector"),
        case("TransposeMatMul", {"a": f32(5, 4), "b": f32(6, 5)}, "", transA=1, transB=1, alpha=2.0),
        case("MatMulInteger16", {"a": np.int16([[300, -7], [2, 9]]), "b": np.int16([[1, 500], [-30, 4]])}),
    ]
    gemm = {"a": f32(3, 5), "b": f32(5, 4), "c": f32(4)}
    hard = ("HardSigmoid", (0.1, 0.4))
    for name, numbers in (("Relu", ()), ("LeakyRelu", (0.3,)), hard, ("Tanh", ()), ("Elu", (2.0,))):
        attributes = dict(zip(("activation_alpha", "activation_beta"), numbers, strict=False))
        found.append(case("FusedGemm", gemm, name, activation=name, alpha=0.5, **attributes))
    image = {"x": f32(1, 4, 7, 5), "w": f32(3, 4, 3, 3), "b": f32(3)}
    for name, numbers in (("Relu", ()), ("LeakyRelu", (0.3,)), ("Clip", (-1.0, 2.0)), hard):
        params = {"activation_params": list(numbers)} if numbers else {}
        found.append(case("FusedConv", image, name, activation=name, pads=[1, 1, 1, 1], **params))
    found.append(case("FusedConv", {**image, "z": f32(1, 3, 7, 5)}, "sum", activation="Relu", pads=[1, 1, 1, 1]))
    skip = {"x": f32(2, 3, 8), "s": f32(2, 3, 8), "g": f32(8)}
    return [
        *found,
        case("SkipLayerNormalization", {**skip, "b": f32(8)}, "plain"),
        case("SkipLayerNormalization", {**skip, "b": f32(8), "bias": f32(8)}, outputs=4, epsilon=1e-5),
        case("SkipSimplifiedLayerNormalization", skip, "plain"),
        case("SkipSimplifiedLayerNormalization", {**skip, "bias": f32(8)}, outputs=4, epsilon=1e-5),
    ]  # fmt: skip


CASES = [*quantizing(), *with_scales(), *standard(), *fused()]
