"""Cases of ops that select by index, sort or count."""

from __future__ import annotations

import numpy as np

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_index as ops
from tests.eval.cases import Array, Case, Onnx, bools, f32, ints, vector

X = f32(3, 4, 5)
TIES = np.float32([[3, 1, 3, 0, 1], [2, 2, 2, 5, -1]])


def gather_nd(indices: Array, batch_dims: int) -> Case:
    return Case(
        f"gather_nd-{indices.shape}-{batch_dims}",
        lambda x, i: ops.GatherNd(x, i, batch_dims=batch_dims),
        [X, indices],
        Onnx("GatherND", {"batch_dims": batch_dims}),
        "exact",
    )


def scatter(reduction: str, indices: Array) -> list[Case]:
    def elements(x: Value, i: Value, u: Value) -> Op:
        return ops.ScatterElements(x, i, u, axis=1, reduction=reduction)

    def slices(x: Value, i: Value, u: Value) -> Op:
        return ops.ScatterNd(x, i, u, reduction=reduction)

    vectors = vector(2, 0, -1).reshape(3, 1) if reduction != "none" else vector(2, 0).reshape(2, 1)
    onnx = {"reduction": reduction}
    return [
        Case(
            f"scatter_elements-{reduction}",
            elements,
            [X, indices, f32(*indices.shape)],
            Onnx("ScatterElements", {"axis": 1, **onnx}),
            "rounded",
        ),
        Case(
            f"scatter_nd-{reduction}", slices, [X, vectors, f32(len(vectors), 4, 5)], Onnx("ScatterND", onnx), "rounded"
        ),
    ]


def cum_sum(exclusive: bool, reverse: bool) -> Case:
    return Case(
        f"cum_sum-{exclusive}-{reverse}",
        lambda x: ops.CumSum(x, axis=1, exclusive=exclusive, reverse=reverse),
        [X],
        Onnx("CumSum", {"exclusive": int(exclusive), "reverse": int(reverse)}, (np.array(1),)),
    )


def top_k(x: Array, axis: int, k: int, largest: bool) -> Case:
    return Case(
        f"top_k-{x.dtype}-{axis}-{k}-{largest}",
        lambda v: ops.TopK(v, axis=axis, k=k, largest=largest),
        [x],
        Onnx("TopK", {"axis": axis, "largest": int(largest)}, (vector(k),)),
        "exact",
    )


def unique(x: Array, axis: int | None, in_order: bool) -> Case:
    attrs = {"sorted": int(in_order)} if axis is None else {"sorted": int(in_order), "axis": axis}
    return Case(
        f"unique-{axis}-{in_order}",
        lambda v: ops.Unique(v, axis=axis, sorted=in_order, size="u"),
        [x],
        Onnx("Unique", attrs),
        "exact",
    )


REPEATED = ints(4, 3, low=0, high=2, dtype=np.int64)
CASES = [
    Case(
        "gather",
        lambda x, i: ops.Gather(x, i, axis=1),
        [X, vector(0, -1, 2, 2).reshape(2, 2)],
        Onnx("Gather", {"axis": 1}),
        "exact",
    ),
    Case("gather-scalar", ops.Gather, [X, np.array(-2)], Onnx("Gather"), "exact"),
    Case("gather-none", ops.Gather, [X, np.zeros((0,), np.int64)], Onnx("Gather"), "exact"),
    Case(
        "gather_elements",
        lambda x, i: ops.GatherElements(x, i, axis=2),
        [X, ints(2, 4, 3, low=-5, high=5, dtype=np.int64)],
        Onnx("GatherElements", {"axis": 2}),
        "exact",
    ),
    gather_nd(vector(0, 1, -1, 3).reshape(2, 2), 0),
    gather_nd(vector(2, 0, 1).reshape(3, 1), 1),
    gather_nd(np.zeros((3, 4, 1), np.int64), 2),
    gather_nd(vector(2, 3, 4), 0),
    *scatter("none", vector(0, -1).reshape(1, 2, 1)),
    *scatter("add", np.zeros((3, 2, 2), np.int64)),
    *scatter("mul", np.ones((2, 3, 1), np.int64)),
    *scatter("max", np.zeros((3, 2, 2), np.int64)),
    *scatter("min", np.zeros((3, 2, 2), np.int64)),
    *(cum_sum(e, r) for e in (False, True) for r in (False, True)),
    *(top_k(TIES, 1, 3, largest) for largest in (True, False)),
    top_k(X, 0, 2, True),
    top_k(X, 2, 5, False),
    top_k(ints(5, low=-9, dtype=np.int64), 0, 3, True),
    top_k(X, 1, 0, True),
    Case("nonzero", lambda x: ops.NonZero(x, size="n"), [bools(3, 4)], Onnx("NonZero"), "exact"),
    Case("nonzero-none", lambda x: ops.NonZero(x, size="n"), [f32(3) * 0], Onnx("NonZero"), "exact"),
    Case(
        "compress",
        lambda x, c: ops.Compress(x, c, size="n", axis=1),
        [X, np.array([True, False, True])],
        Onnx("Compress", {"axis": 1}),
        "exact",
    ),
    Case("compress-flat", lambda x, c: ops.Compress(x, c, size="n"), [X, bools(23)], Onnx("Compress"), "exact"),
    *(unique(REPEATED, axis, order) for axis in (None, 0) for order in (True, False)),
]
