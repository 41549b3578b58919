"""Chains of casts, fused with what is around them, and what they give: each cast rounds, at every level."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

BF16 = np.dtype(ml_dtypes.bfloat16)
CODES = {
    np.dtype("float64"): TensorProto.DOUBLE, np.dtype("float32"): TensorProto.FLOAT,
    np.dtype("float16"): TensorProto.FLOAT16,
    BF16: TensorProto.BFLOAT16, np.dtype("int32"): TensorProto.INT32, np.dtype("uint8"): TensorProto.UINT8,
    np.dtype("int8"): TensorProto.INT8, np.dtype("bool"): TensorProto.BOOL,
}  # fmt: skip
F32 = np.array([70000, 1.1, -1.1, 65519, 65520, 1e-7, 2049, 0.1, -3.3e38, np.inf, np.nan, 1 + 2**-9, 7], np.float32)
F64 = np.array(
    [70000, 1.1, 1 + 2**-11 + 2**-40, 1 + 2**-8 + 2**-40, 1 + 2**-24 + 2**-50, -1 - 2**-11 - 2**-40, 1e-7,
     65519.99999, 1e300, -np.inf, np.nan, 3e38, 0.1]
)  # fmt: skip
I32 = np.array([2049, -2049, 257, 259, 300, -1, 65520, 70000, 16777217, 0, 1, 127, -300], np.int32)


@dataclass(frozen=True)
class Chain:
    """`casts` of x one after the other and then, if asked for, what is left of x: x - cast(cast(x))."""

    x: np.ndarray
    casts: tuple[np.dtype, ...]
    difference: bool = False

    @property
    def name(self) -> str:
        return "-".join([str(self.x.dtype), *map(str, self.casts), *(["difference"] if self.difference else [])])

    def expected(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            y = self.x
            for kind in self.casts:
                y = cast(y, kind)
            return self.x - y if self.difference else y


def cast(x: np.ndarray, kind: np.dtype) -> np.ndarray:
    if x.dtype == np.float64 and kind == BF16:  # the package rounds twice
        return np.array([nearest_bf16(value) for value in x], BF16)
    if kind.kind in "iu" and x.dtype.kind not in "iub":
        limits = np.iinfo(kind)
        return np.clip(np.nan_to_num(np.trunc(x.astype(np.float64)), nan=0), limits.min, limits.max).astype(kind)
    return x.astype(kind)


def nearest_bf16(value: float) -> float:
    """Of the bf16 numbers around a number the nearest one, ties to even; what is nearer to 2**128 is infinite."""
    if not np.isfinite(value):
        return value
    start = int(np.array(value, np.float32).astype(BF16).view(np.uint16))
    near = [np.array(start + step, np.uint16) for step in (-1, 0, 1)]

    def distance(bits: np.ndarray) -> tuple[float, int]:
        number = float(bits.view(BF16))
        return abs((np.copysign(2.0**128, value) if np.isinf(number) else number) - value), int(bits) % 2

    return float(min(near, key=distance).view(BF16))


f16, f32, f64, i32, u8, i8 = map(np.dtype, ("float16", "float32", "float64", "int32", "uint8", "int8"))
CHAINS = (
    Chain(F32, (f16, f32)), Chain(F32, (BF16, f32)), Chain(F32, (f16, f32), True), Chain(F32, (BF16, f32), True),
    Chain(F32, (f16, BF16, f32)), Chain(F32, (BF16, f16, f32)), Chain(F32, (f16, f64)), Chain(F32, (i32, f32)),
    Chain(F64, (f32, f64)), Chain(F64, (f32, f64), True), Chain(F64, (f16, f64)), Chain(F64, (BF16, f64)),
    Chain(F64, (f16,)), Chain(F64, (BF16, f32)), Chain(I32, (f16, i32)), Chain(I32, (BF16, i32)),
    Chain(I32, (f32, i32)), Chain(I32, (f64, u8)), Chain(I32, (f64, i8, i32)),
    Chain(I32, (u8, f32, i8)), Chain(I32, (f64, f32)), Chain(I32, (np.dtype(bool), f32)),
    Chain(F32, (np.dtype(bool), f16, f32)), Chain(F32, (f32, f16, i32)), Chain(F32, (f64, f16, f32)),
)  # fmt: skip


def model_of_chains() -> onnx.ModelProto:
    """Output `y<n>` for each chain, from the inputs x_float32, x_float64 and x_int32."""
    nodes = []
    for n, chain in enumerate(CHAINS):
        last = f"x_{chain.x.dtype}"
        for step, kind in enumerate(chain.casts):
            final = step == len(chain.casts) - 1 and not chain.difference
            made = f"y{n}" if final else f"c{n}_{step}"
            nodes.append(helper.make_node("Cast", [last], [made], to=CODES[kind]))
            last = made
        if chain.difference:
            nodes.append(helper.make_node("Sub", [f"x_{chain.x.dtype}", last], [f"y{n}"]))
    inputs = [helper.make_tensor_value_info(f"x_{x.dtype}", CODES[x.dtype], ["n"]) for x in (F32, F64, I32)]
    outputs = [
        helper.make_tensor_value_info(f"y{n}", CODES[np.dtype(c.x.dtype if c.difference else c.casts[-1])], ["n"])
        for n, c in enumerate(CHAINS)
    ]
    graph = helper.make_graph(nodes, "casts", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


FEEDS = {f"x_{x.dtype}": x for x in (F32, F64, I32)}


def assert_rounded(found: dict[str, np.ndarray]) -> None:
    wrong = []
    for n, chain in enumerate(CHAINS):
        got, want = found[f"y{n}"], chain.expected()
        assert got.dtype == want.dtype, chain.name
        same = (got == want) | (np.isnan(got.astype(np.float64)) & np.isnan(want.astype(np.float64)))
        for at in np.flatnonzero(~same):
            wrong.append(f"{chain.name}: of {chain.x[at]} got {got[at]}, expected {want[at]}")
    assert not wrong, f"{len(wrong)} differ: " + "; ".join(wrong)
