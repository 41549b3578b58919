"""Compiled kernels give what `dlc.ir.eval` says, for awkward sizes, types, named dimensions and layouts.

Lanes that only fill a block are poison in every operand, memory around results is watched (see support/kernel_run.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest

from dlc.ir.core import Block, Op
from dlc.ir.dialects import buf, graph_index, graph_nn, graph_quant, graph_recurrent, graph_shape, vec
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.expr import as_expr, sym
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.types import F32, Layout, TensorType, scalar_of
from dlc.kernel_language.library import standard_library
from dlc.target import Target
from tests.eval import cases_index, cases_nn, cases_shape
from tests.eval.cases import Array, Case, f32, ints
from tests.support.kernel_run import Compiled, compiled
from tests.tolerances import assert_close

ELSEWHERE = (graph_nn.MatMul, graph_nn.Conv, graph_shape.Constant)
CASES = [c for c in (*cases_nn.CASES, *cases_shape.CASES, *cases_index.CASES) if not isinstance(c.op(), ELSEWHERE)]
NAMED = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
CLOSE = ("exact", "rounded", "op")
NAMED_SIZES = (graph_index.GatherNd, graph_index.ScatterNd)  # the length of an index vector is part of the op


def symbols_of(op: Op, arrays: Sequence[Array], wanted: Sequence[Array]) -> dict[str, int]:
    """The numbers of named dimensions, from the arrays."""
    known: dict[str, int] = {}
    values = [*op.operands, *op.results]
    for value, array in zip(values, (*arrays, *wanted), strict=True):
        for dim, size in zip(tensor(value).shape, array.shape, strict=True):
            if as_expr(dim).is_symbol:
                known[str(dim)] = size
    return known


def check(
    make: Callable[..., Op],
    arrays: Sequence[Array],
    types: Sequence[TensorType] | None = None,
    close: str = "op",
    target: Target | None = None,
) -> Compiled:
    kinds = list(types or [TensorType(a.shape, scalar_of(a.dtype)) for a in arrays])
    op = make(*Block(kinds).args)
    wanted = evaluate_op(op, arrays)
    known = symbols_of(op, arrays, wanted)
    kernel = compiled(kinds, make, sorted(known), target=target)
    for number, (actual, right) in enumerate(zip(kernel(arrays, known), wanted, strict=True)):
        assert_close(actual, right, close, name=f"result {number}")
    return kernel


def closeness(case: Case) -> str:
    return case.close if case.close in CLOSE else "op"


@NAMED
def test_case(case: Case) -> None:
    check(case.make, case.arrays, close=closeness(case))


@NAMED
def test_case_with_named_dimensions(case: Case) -> None:
    types = case.symbolic_types()
    if isinstance(case.op(), NAMED_SIZES):
        types[1] = tensor(case.op().operands[1])
    check(case.make, case.arrays, types, closeness(case))


@pytest.mark.parametrize("low", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
@pytest.mark.parametrize(
    "case", [c for c in CASES if any(a.dtype == np.float32 for a in c.arrays)], ids=lambda c: c.name
)
def test_case_in_half_precision(case: Case, low: type) -> None:
    with np.errstate(over="ignore"):
        arrays = [a.astype(low) if a.dtype == np.float32 else a for a in case.arrays]
    check(case.make, arrays, close="exact" if case.close == "exact" else "op")


# -- sizes and layouts -------------------------------------------------------------------------------------------------

BLOCKED = Layout((0, 1, 2, 3), ((1, 16),))
CHANNELS_LAST = Layout((0, 2, 3, 1))
WEIGHTS = Layout((1, 0, 2, 3), ((0, 16), (1, 16)))


def halo(before: int, after: int) -> Layout:
    return Layout((0, 1, 2, 3), ((1, 16),), ((0, 0), (0, 0), (before, after), (before, after)))


@dataclass(frozen=True)
class Trial:
    """An op with arrays and their layouts."""

    make: Callable[..., Op]
    arrays: tuple[Array, ...]
    layouts: tuple[Layout | None, ...] = ()
    close: str = "op"

    def __str__(self) -> str:
        shapes = " ".join("x".join(map(str, a.shape)) for a in self.arrays)
        name = self.make(*Block(self.types()).args).name.removeprefix("graph.")
        return f"{name} {shapes}{' blocked' if any(self.layouts) else ''}"

    def types(self) -> list[TensorType]:
        layouts = self.layouts or (None,) * len(self.arrays)
        return [TensorType(a.shape, scalar_of(a.dtype), y) for a, y in zip(self.arrays, layouts, strict=True)]


def trial(
    op: type[Op], /, *arrays: Array, layouts: tuple[Layout | None, ...] = (), close: str = "op", **attrs: object
) -> Trial:
    return Trial(lambda *v: op(*v, **attrs), arrays, layouts, close)


ROWS = [
    trial(kind, f32(*shape, low=-20, high=20), axis=axis)
    for shape, axis in (
        ((5, 49), 1),
        ((3, 130), 1),
        ((1, 1), 1),
        ((3, 20000), 1),
        ((3, 37), 0),
        ((2, 5, 33), 1),
        ((3, 1), 1),
        ((4, 0), 1),
        ((0, 4), 1),
    )
    for kind in (graph_nn.Softmax, graph_nn.LogSoftmax)
] + [
    trial(kind, f32(*shape), axes=axes)
    for shape, axes in (((2, 3, 7), (1, 2)), ((5, 130), (1,)), ((3, 1), (1,)), ((7, 768), (1,)), ((0, 3), (1,)))
    for kind in (graph_nn.LayerNorm, graph_nn.RmsNorm)
]

REDUCED = [
    trial(graph_nn.Reduce, f32(*shape), kind=kind, axes=axes, keepdims=keep)
    for shape, axes in (
        ((7, 13), (1,)),
        ((7, 130), (1,)),
        ((7, 197), (0,)),
        ((3, 500), (0, 1)),
        ((5, 3, 7), (1, 2)),
        ((5, 7, 49), (1, 2)),
        ((5, 64), (0,)),
        ((9,), (0,)),
        ((2, 3, 2), (2,)),
        ((130, 3), (1,)),
        ((4,), ()),
        ((3, 5, 7, 9), (0, 2)),
        ((70, 2), (0,)),
    )
    for kind, keep in (("sum", True), ("max", False))
] + [
    trial(graph_nn.Reduce, f32(0, 4), kind="sum", axes=(0,)),
    trial(graph_nn.Reduce, f32(4, 0), kind="sum", axes=(1,), keepdims=False),
    trial(graph_nn.Reduce, ints(3, 40, dtype=np.int8), kind="min", axes=(1,), close="exact"),
    trial(graph_nn.Reduce, f32(3, 40) > 1, kind="max", axes=(1,), close="exact"),
    trial(graph_nn.Reduce, f32(3, 50).astype(np.float64), kind="log_sum_exp", axes=(1,)),
    trial(graph_nn.Reduce, ints(3, 40, dtype=np.int64), kind="l2", axes=(0,), close="exact"),
    *(
        trial(graph_nn.ArgReduce, np.round(f32(*shape)), kind=kind, axis=axis, last=last, close="exact")
        for shape, axis in (((3, 40), 1), ((40, 3), 0), ((40, 30), 0), ((5, 1), 1))
        for kind, last in (("max", False), ("min", True))
    ),
]

PLACES = (
    (None, None),
    (BLOCKED, BLOCKED),
    (halo(1, 1), halo(2, 1)),
    (None, BLOCKED),
    (BLOCKED, None),
    (CHANNELS_LAST, CHANNELS_LAST),
)
POOLED = [
    trial(graph_nn.Pool, f32(*shape), kind=kind, layouts=(given,), layout=made, **attrs)
    for given, made in PLACES
    for kind in ("max", "average")
    for shape, attrs in (
        ((2, 20, 9, 11), {"window": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
        (
            (1, 3, 8, 12),
            {"window": (3, 2), "strides": (2, 3), "pads": (1, 0, 0, 1), "ceil": True, "count_include_pad": True},
        ),
        ((1, 17, 12, 9), {"window": (3, 2), "dilations": (2, 3), "pads": (2, 1, 2, 1)}),
    )
] + [
    trial(graph_nn.Pool, f32(2, 3, 50), kind="max", window=(5,), pads=(2, 2)),
    trial(
        graph_nn.Pool, f32(2, 3, 5, 6, 7), kind="average", window=(2, 3, 2), strides=(1, 2, 1), pads=(1, 1, 1, 0, 1, 1)
    ),
    trial(graph_nn.Pool, f32(1, 3, 20, 20), kind="average", window=(20, 20)),
    trial(graph_nn.Pool, f32(1, 3, 8, 8), kind="lp", window=(2, 2), p=3),
    trial(graph_nn.Pool, ints(1, 3, 8, 8), kind="average", window=(3, 3), pads=(1, 1, 1, 1), close="exact"),
    trial(
        graph_nn.MaxPoolIndices,
        np.round(f32(2, 20, 9, 11)),
        window=(3, 3),
        pads=(1, 1, 1, 1),
        layouts=(BLOCKED,),
        layout=BLOCKED,
    ),
]

SPATIAL = [
    trial(graph_nn.Reduce, f32(2, 20, 5, 7), kind="mean", axes=(2, 3), layouts=(given,), layout=made)
    for given, made in PLACES
] + [
    trial(graph_nn.Reduce, f32(2, 20, 3, 5), kind="sum", axes=(1,), layouts=(halo(1, 1),)),
    trial(graph_nn.Reduce, f32(2, 20, 3, 5), kind="max", axes=(1, 2, 3), keepdims=False, layouts=(BLOCKED,)),
    trial(graph_nn.Softmax, f32(2, 20, 3, 5), axis=1, layouts=(BLOCKED,)),
    trial(graph_nn.Softmax, f32(2, 20, 3, 5), axis=3, layouts=(halo(1, 1),), layout=BLOCKED),
    trial(
        graph_nn.BatchNorm,
        f32(2, 21, 5, 7),
        f32(21),
        f32(21),
        f32(21),
        f32(21, low=0.1),
        layouts=(BLOCKED, *(None,) * 4),
        layout=halo(1, 2),
    ),
    *(
        trial(graph_nn.Lrn, f32(1, 37, 2, 3), size=size, layouts=(given,), layout=given)
        for size in (1, 4, 5)
        for given in (None, BLOCKED)
    ),
    trial(
        graph_quant.Quantize,
        f32(2, 20, 3, 5),
        f32(20, low=0.1),
        ints(20, dtype=np.int8),
        axis=1,
        to=scalar_of(np.dtype("i1")),
        layouts=(BLOCKED, None, None),
        layout=BLOCKED,
        close="exact",
    ),
]


def concat(*channels: int, made: Layout | None = None) -> Trial:
    parts = tuple(f32(2, c, 3, 5) for c in channels)
    given = None if made is None else BLOCKED
    return trial(graph_shape.Concat, *parts, axis=1, layouts=(given,) * len(parts), layout=made, close="exact")


MOVED = [
    *(
        concat(*c, made=made)
        for c in ((16, 32), (24, 40), (8, 8, 20), (5, 11, 3), (3,))
        for made in (None, BLOCKED, halo(1, 1))
    ),
    trial(graph_shape.Concat, f32(20), f32(1), f32(33), axis=0, close="exact"),
    *(
        trial(
            graph_shape.Pad,
            f32(2, 20, 5, 37),
            before=(0, b, 1, 2),
            after=(1, a, 0, 1),
            mode=mode,
            layouts=(given,),
            layout=given,
            close="exact",
        )
        for mode in ("constant", "edge", "reflect", "wrap")
        for b, a in ((0, 0), (3, 2))
        for given in (None, BLOCKED)
    ),
    trial(graph_shape.Transpose, f32(1, 21, 5, 7), perm=(0, 2, 1, 3), close="exact"),
    trial(graph_shape.Transpose, ints(3, 5, 37, dtype=np.int8), perm=(2, 1, 0), close="exact"),
    trial(graph_shape.Transpose, f32(3, 0, 5), perm=(2, 1, 0), close="exact"),
    trial(graph_shape.Slice, f32(2, 3, 40), starts=(1, 2, 1), sizes=(1, 1, 37), close="exact"),
    trial(graph_shape.Relayout, f32(2, 20, 5, 7), layout=halo(1, 2), close="exact"),
    trial(graph_shape.Relayout, f32(2, 20, 5, 7), layouts=(halo(1, 2),), close="exact"),
    trial(graph_shape.Trilu, f32(2, 9, 35), k=-3, close="exact"),
    *(
        trial(graph_shape.Resize, f32(1, 20, 5, 7), sizes=(1, 20, h, w), mode=mode, layouts=(given,), layout=given)
        for mode in ("nearest", "linear")
        for h, w in ((10, 14), (15, 9), (1, 1))
        for given in (None, BLOCKED, halo(1, 0))
    ),
]


def special() -> Array:
    x = f32(3, 90)
    x[0, 5], x[1, ::3], x[1, 3], x[2, 4], x[2, 7] = np.nan, 0, -0.0, -np.inf, np.inf
    return x


INDEXED = [
    *(
        trial(graph_index.TopK, special(), axis=1, k=k, largest=largest, close="exact")
        for k in (1, 7, 40, 90)
        for largest in (True, False)
    ),
    trial(graph_index.TopK, f32(3, 50).astype(np.float16), axis=1, k=30, close="exact"),
    trial(graph_index.TopK, ints(30, 5, low=0, high=255, dtype=np.uint8), axis=0, k=3, close="exact"),
    trial(graph_index.Gather, f32(50, 40), ints(2, 3, low=-50, high=50, dtype=np.int64), close="exact"),
    trial(graph_index.Gather, f32(5, 40), ints(3, 19, low=-40, high=40), axis=1, close="exact"),
    trial(graph_index.ScatterElements, f32(40, 3), ints(70, 3, low=-40, high=40), f32(70, 3), axis=0, reduction="add"),
    trial(graph_index.CumSum, f32(3, 200), axis=1),
]

TRANSPOSED = [
    trial(graph_nn.ConvTranspose, f32(*x), f32(*w), layouts=(given, weights), layout=made, **attrs)
    for given, made, weights in (
        (None, None, None),
        (halo(1, 1), BLOCKED, WEIGHTS),
        (BLOCKED, halo(1, 1), WEIGHTS),
        (BLOCKED, None, WEIGHTS),
    )
    for x, w, attrs in (
        ((1, 20, 5, 7), (20, 18, 4, 4), {"strides": (2, 2), "pads": (1, 1, 1, 1)}),
        ((2, 5, 4, 6), (5, 3, 3, 3), {"strides": (2, 2), "pads": (1, 1, 0, 0), "output_padding": (1, 1)}),
        ((1, 20, 5, 7), (20, 18, 2, 2), {"strides": (2, 2)}),
        ((1, 20, 1, 1), (20, 33, 4, 4), {}),
        ((1, 5, 3, 3), (5, 3, 3, 3), {"strides": (4, 4), "pads": (1, 1, 1, 1)}),
        ((1, 5, 3, 4), (5, 3, 3, 3), {"strides": (2, 1), "pads": (1, 0, 1, 0), "dilations": (2, 2)}),
    )
]

TRIALS = [*ROWS, *REDUCED, *POOLED, *SPATIAL, *MOVED, *INDEXED, *TRANSPOSED]


@pytest.mark.parametrize("given", TRIALS, ids=str)
def test_sizes_and_layouts(given: Trial) -> None:
    check(given.make, given.arrays, given.types(), given.close)


# -- what a kernel is made of ------------------------------------------------------------------------------------------

IN_LANES = [
    trial(
        graph_nn.Pool,
        f32(1, 32, 8, 8),
        kind="max",
        window=(3, 3),
        strides=(2, 2),
        pads=(1, 1, 1, 1),
        layouts=(BLOCKED,),
        layout=BLOCKED,
    ),
    trial(graph_nn.Reduce, f32(1, 32, 7, 7), kind="mean", axes=(2, 3), keepdims=False, layouts=(BLOCKED,)),
    concat(16, 32, made=BLOCKED),
    trial(graph_shape.Resize, f32(1, 32, 4, 4), sizes=(1, 32, 8, 8), mode="linear", layouts=(BLOCKED,), layout=BLOCKED),
    trial(graph_nn.LayerNorm, f32(8, 197), axes=(1,)),
    trial(graph_nn.Softmax, f32(8, 197), axis=1),
    trial(graph_shape.Transpose, f32(1, 8, 3, 64), perm=(0, 2, 1, 3)),
    trial(graph_nn.Lrn, f32(1, 32, 4, 4), size=5, layouts=(BLOCKED,), layout=BLOCKED),
]


@pytest.mark.parametrize("given", IN_LANES, ids=str)
def test_results_are_stored_in_lanes(given: Trial) -> None:
    func = check(given.make, given.arrays, given.types(), given.close).lowered.func
    results = set(func.block.args)
    stores = [op for op in func.walk() if isinstance(op, buf.Store | vec.Store) and op.operands[1] in results]
    assert stores
    assert all(isinstance(op, vec.Store) and not op.step for op in stores)
    assert not [op for op in func.walk() if isinstance(op, vec.Gather)]


def test_every_op_without_a_scalar_function_has_a_kernel() -> None:
    modules = (graph_nn, graph_shape, graph_index, graph_quant, graph_recurrent)
    bare = (graph_shape.Constant, graph_index.ReadSizes)
    wanted = [k for m in modules for k in m.OPS if not k.spec.has(ELEMENTWISE) and k not in bare]
    names = set(standard_library().names("kernel"))
    assert [k.spec.name for k in wanted if k.spec.name.removeprefix("graph.") not in names] == []


def test_an_index_that_is_out_of_range_touches_nothing_outside() -> None:
    x, indices = f32(4, 37), np.array([2**40, -(2**40), 3], np.int64)
    kernel = compiled(
        [TensorType(x.shape, F32), TensorType((3,), scalar_of(np.dtype("i8")))], lambda a, i: graph_index.Gather(a, i)
    )
    with pytest.raises(AssertionError, match="the kernel reports the error 1"):
        kernel([x, indices])
    (found,) = kernel([x, np.array([-4, 3, -1], np.int64)])
    assert np.array_equal(found, x[[0, 3, 3]])


def test_a_row_of_unknown_length_is_summed_to_its_end() -> None:
    for n in (1, 15, 16, 17, 127, 128, 200):
        x = f32(3, n)
        kind = TensorType((3, sym("n")), F32)
        check(lambda v: graph_nn.Reduce(v, kind="sum", axes=(1,)), [x], [kind])
        check(lambda v: graph_nn.LayerNorm(v, axes=(1,)), [x], [kind])
