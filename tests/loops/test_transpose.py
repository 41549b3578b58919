"""Copies across the grain become squares that are turned in registers; what they compute stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlc
from dlc.codegen.emit.transpose import deinterleaved, interleaved
from dlc.ir.core import Block, Func, Op, Region
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.dialects.func import Return
from dlc.ir.eval.loop_run import evaluate_kernel
from dlc.ir.expr import as_expr, const, sym
from dlc.ir.types import BF16, BOOL, F16, F32, F64, SI32, SI64, UI8, Array, BufferType, Layout, ScalarType
from dlc.passes.loop.automatic import schedule_automatically
from dlc.passes.loop.cleanup import clean
from dlc.passes.loop.transpose import plans, transpose_copies
from dlc.target import Target
from tests.loops.nests import Axis, Case, Drawn, contents, formula, layouts, problems_of, same, text_of
from tests.support.compiled import assembly, run_compiled

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
KINDS = (F32, F64, F16, UI8, SI32, SI64)
HALO = ((0, 0), (0, 0), (1, 1), (2, 0))
PLAIN = Layout((0, 1, 2, 3))


def blocked(block: int, halo: tuple[tuple[int, int], ...] = (), axis: int = 1) -> Layout:
    return Layout((0, 1, 2, 3), ((axis, block),), halo)


class Fixed(Drawn):
    """A kernel between given tensors instead of drawn ones."""

    def __init__(self) -> None:
        self.types, self.tensors, self.arrays, self.symbols, self.seed = [], [], [], {}, 0


def copying(
    shape: Sequence[int],
    source: Layout | None,
    wanted: Layout | None,
    *,
    perm: Sequence[int] = (),
    kind: ScalarType = F32,
    symbolic: bool = False,
) -> Case:
    """y = 2 x + x, where y's axis n is x's axis perm[n]."""
    made = Fixed()
    axes = [Axis(size, sym(f"n{n}") if symbolic else as_expr(size)) for n, size in enumerate(shape)]
    perm = perm or range(len(shape))
    x = made.tensor(axes, kind, source)
    y = made.tensor([axes[p] for p in perm], kind, wanted, "output")
    nest = made.nest()
    order = wanted.order if wanted is not None else range(len(shape))

    def body(nest, variables):  # type: ignore[no-untyped-def]
        index = [variables[list(order).index(n)] for n in range(len(shape))]
        loaded = nest.load(nest.args[x], *made.place(x, [index[list(perm).index(n)] for n in range(len(shape))]))
        value = loaded if kind == BOOL else nest.add(arith.Add(loaded, nest.add(arith.Add(loaded, loaded))))
        nest.store(value, nest.args[y], *made.place(y, index))

    nest.loops([(f"i.{n}", axes[perm[n]].expr) for n in order], body)
    return made.case(nest)


def ops(func: Func, kind: type[Op]) -> list[Op]:
    return [op for op in func.walk() if isinstance(op, kind)]


def check(case: Case, lanes: int, turned: bool | None = True, fill: bool = False) -> None:
    expected = case.run()
    assert transpose_copies(case.func, lanes, fill) in ((True, False) if turned is None else (turned,))
    assert problems_of(case.func) == []
    assert same(expected, case.run()), text_of(case.func)
    schedule_automatically(case.func, lanes, fill)
    clean(case.func)
    assert problems_of(case.func) == []
    assert same(expected, case.run()), text_of(case.func)


# -- the op ------------------------------------------------------------------------------------------------------------


def squares(lanes: int, kind: ScalarType) -> Func:
    """y = x transposed, lanes x lanes."""
    block = Block([BufferType((lanes, lanes), kind, "input"), BufferType((lanes, lanes), kind, "output")])
    rows = [block.append(vec.Load(block.args[0], at=(const(n), const(0)), lanes=lanes)).result for n in range(lanes)]
    columns = block.append(vec.Transpose(*rows)).results
    for n, column in enumerate(columns):
        block.append(vec.Store(column, block.args[1], at=(const(n), const(0))))
    block.append(Return())
    return Func("kernel", Region([block]))


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("kind", [F32, F64, F16, BF16, UI8, SI32, SI64, BOOL], ids=str)
def test_a_square_is_turned(lanes: int, kind: ScalarType, tmp_path: Path) -> None:
    x = contents((lanes, lanes), kind, 0)
    expected, seen = np.ascontiguousarray(x.T), np.zeros_like(x)
    evaluate_kernel(squares(lanes, kind), [x, seen])
    assert np.array_equal(seen, expected)
    for cpu in ("x86-64-v2", "host"):
        found = run_compiled(squares(lanes, kind), [x, np.zeros_like(x)], tmp_path, Target.parse(cpu))
        assert np.array_equal(found[1], expected), cpu


@pytest.mark.parametrize(("target", "lanes"), [("x86-64-v4", 16), ("x86-64-v3", 8), ("x86-64-v2", 4), ("aarch64", 4)])
def test_a_square_takes_no_more_than_its_shuffles(target: str, lanes: int) -> None:
    words = [line.split() for line in assembly(squares(lanes, F32), Target.parse(target)).splitlines()]
    text = [w[0] for w in words if w and not w[0].startswith((".", "#")) and not w[0].endswith(":")]
    stages = lanes.bit_length() - 1
    shuffles = (
        "unpck", "vunpck", "vperm", "vshuf", "shuf", "movlh", "movhl", "vmovlh", "zip", "uzp", "trn", "vinsert",
        "vblend", "vbroadcast", "mov", "vmov", "ext",
    )  # fmt: skip
    moving = [t for t in text if t.startswith(shuffles)]
    assert len(moving) <= lanes * (stages + 3) + 8, text
    scalar = ("pinsr", "pextr", "vpinsr", "vpextr", "insertps", "extractps", "ins", "vpgather")
    assert not any(t.startswith(scalar) for t in text)


def test_shuffles_stay_inside_blocks_or_take_them_whole() -> None:
    assert interleaved(8, 4, 1) == ([0, 8, 1, 9, 4, 12, 5, 13], [2, 10, 3, 11, 6, 14, 7, 15])
    assert interleaved(8, 4, 2) == ([0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
    assert deinterleaved(8, 4) == ([0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])


IMAGES = [(1, 8, 2, 8), (2, 16, 1, 16), (1, 13, 2, 7), (1, 17, 3, 19), (1, 3, 2, 5), (1, 5, 1, 4), (3, 4, 1, 31)]


# -- the rewrite -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("shape", IMAGES, ids=str)
@pytest.mark.parametrize("source", ["plain", "plain to halo", "blocked", "halo"])
def test_relayouts(shape: tuple[int, ...], source: str, symbolic: bool, lanes: int) -> None:
    layouts_of = {
        "plain": (PLAIN, blocked(lanes)), "plain to halo": (PLAIN, blocked(lanes, HALO)),
        "blocked": (blocked(lanes), PLAIN), "halo": (blocked(lanes, HALO), PLAIN),
    }[source]  # fmt: skip
    for fill in {False, layouts_of[1] is not PLAIN}:
        check(copying(shape, *layouts_of, symbolic=symbolic), lanes, fill=fill)


@pytest.mark.parametrize("shape", [(4, 4), (7, 5), (8, 24), (13, 11), (2, 9), (31, 4), (16, 17)], ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("symbolic", [False, True])
def test_a_matrix_transposed(shape: tuple[int, int], kind: ScalarType, symbolic: bool) -> None:
    case = copying(shape, None, None, perm=(1, 0), kind=kind, symbolic=symbolic)
    check(case, 4, None if min(shape) < 4 else True)
    if not symbolic and min(shape) >= 4:
        assert ops(case.func, vec.Transpose)
        assert all(not op.attrs.get("step") for op in ops(case.func, vec.Load))


@pytest.mark.parametrize("shape", [(7, 5), (13, 11), (4, 8), (3, 9), (3, 2)], ids=str)
def test_the_last_square_of_a_line_overlaps_the_one_before_it(shape: tuple[int, int]) -> None:
    case = copying(shape, None, None, perm=(1, 0))
    check(case, 4)
    assert len(ops(case.func, vec.Transpose)) == 1
    assert not ops(case.func, loop.If)


def test_lines_of_unknown_length_and_blocks_have_a_version_for_their_rest() -> None:
    for case in (
        copying((7, 6), None, None, perm=(1, 0), symbolic=True), copying((1, 6, 3, 8), blocked(4), PLAIN),
    ):  # fmt: skip
        check(case, 4)
        assert ops(case.func, loop.If)


def test_iterations_that_read_what_others_write_run_once() -> None:
    """y[i, j] = y[i, 0] + x[j, i]: what a second run of an iteration read, the first one may have changed."""
    made = Fixed()
    axes = [Axis(6, as_expr(6)), Axis(7, as_expr(7))]
    x, y = made.tensor([axes[1], axes[0]], F32, None), made.tensor(axes, F32, None, "output")
    nest = made.nest()

    def body(nest, variables):  # type: ignore[no-untyped-def]
        i, j = variables
        loaded = nest.load(nest.args[x], *made.place(x, [j, i]))
        before = nest.load(nest.args[y], *made.place(y, [i, j]))
        nest.store(nest.add(arith.Add(loaded, before)), nest.args[y], *made.place(y, [i, j]))

    nest.loops([("i", axes[0].expr), ("j", axes[1].expr)], body)
    check(made.case(nest), 4, turned=None)


@pytest.mark.parametrize("shape", [(6, 256), (5, 263), (8, 276)], ids=str)
def test_wide_matrices_go_several_squares_at_a_time(shape: tuple[int, int]) -> None:
    case = copying(shape, None, None, perm=(1, 0))
    assert [plan.neighbours for plan in plans(case.func, 4)] == [4]
    check(case, 4)
    assert "i.0.o.s" in [op.attrs["name_hint"] for op in ops(case.func, loop.For)]


def test_squares_of_narrow_rows_go_one_by_one() -> None:
    case = copying((40, 40), None, None, perm=(1, 0))
    assert [plan.neighbours for plan in plans(case.func, 4)] == [1]


@pytest.mark.parametrize("columns", [4, 8, 12])
@pytest.mark.parametrize("rows", [1, 3, 4, 11, 25])
def test_panels_of_a_transposed_operand(rows: int, columns: int) -> None:
    """(1, rows, heads, depth) to (1, heads, depth, rows) in panels of `columns` rows, which lie side by side."""
    panels = Layout((0, 1, 3, 2), ((3, columns),))
    case = copying((1, rows, 2, 9), None, panels, perm=(0, 2, 3, 1))
    check(case, 4, turned=rows > 1, fill=True)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (0, 5)], ids=str)
def test_short_sides_are_left_alone(shape: tuple[int, int]) -> None:
    check(copying(shape, None, None, perm=(1, 0)), 4, turned=False)


def test_bools_are_left_alone() -> None:
    check(copying((8, 8), None, None, perm=(1, 0), kind=BOOL), 4, turned=False)


def test_rows_that_lie_right_are_left_alone() -> None:
    check(copying((2, 6, 3, 8), None, None, perm=(0, 2, 1, 3)), 4, turned=False)


def test_a_buffer_that_is_written_is_not_read_ahead() -> None:
    block = Block([BufferType((8, 8), F32, "output")])
    case = Case(Func("kernel", Region([block])), [contents((8, 8), F32, 0)])
    inner = Block([_index()])
    outer = Block([_index()])
    load = inner.append(buf.Load(block.args[0], inner.args[0], outer.args[0], at=(sym("d0"), sym("d1"))))
    inner.append(buf.Store(load.result, block.args[0], outer.args[0], inner.args[0], at=(sym("d0"), sym("d1"))))
    inner.append(loop.Yield())
    outer.append(loop.For(lower=const(0), upper=const(8), name_hint="j", regions=[Region([inner])]))
    outer.append(loop.Yield())
    block.append(loop.For(lower=const(0), upper=const(8), name_hint="i", regions=[Region([outer])]))
    block.append(Return())
    assert not list(plans(case.func, 4))


def _index() -> ScalarType:
    return ScalarType("index")


@st.composite
def copies(draw: st.DrawFn) -> Case:
    """y[i…] = f(a[permuted], b[otherwise permuted]) in drawn layouts."""
    made = Drawn(draw)
    sizes = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 12, 13])
    extents = []
    for n in range(draw(st.integers(2, 4))):
        size = draw(sizes)
        extents.append(Axis(size, sym(f"n{n}") if draw(st.integers(0, 3)) == 0 else as_expr(size)))
    rank, kind = len(extents), draw(st.sampled_from([F32, F32, UI8, SI32]))
    sources = []
    for _ in range(draw(st.integers(1, 2))):
        perm = draw(st.permutations(range(rank)))
        sources.append((made.tensor([extents[p] for p in perm], kind, draw(layouts(rank))), perm))
    y = made.tensor(extents, kind, draw(layouts(rank)), "output")
    order = draw(st.permutations(range(rank)))
    nest = made.nest()

    def body(nest, variables):  # type: ignore[no-untyped-def]
        index = [variables[order.index(n)] for n in range(rank)]
        leaves = [nest.load(nest.args[x], *made.place(x, [index[p] for p in perm])) for x, perm in sources]
        nest.store(formula(draw, nest, leaves, kind, index), nest.args[y], *made.place(y, index))

    nest.loops([(f"i.{n}", extents[n].expr) for n in order], body)
    return made.case(nest)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(case=copies(), lanes=st.sampled_from([4, 8]), fill=st.booleans())
def test_drawn_copies_keep_their_meaning(case: Case, lanes: int, fill: bool) -> None:
    kinds = case.tensors[-1].layout
    fill = fill and kinds is not None and bool(kinds.blocks)
    expected, original = case.run(), text_of(case.func)
    transpose_copies(case.func, lanes, fill)
    clean(case.func)
    assert problems_of(case.func) == []
    assert same(expected, case.run()), f"{original}\nbecame\n{text_of(case.func)}"


# -- compiled ----------------------------------------------------------------------------------------------------------


def physical(case: Case, lanes: int, tmp_path: Path, target: str) -> None:
    expected = case.run()
    schedule_automatically(case.func, lanes, False)
    clean(case.func)
    assert ops(case.func, vec.Transpose)
    found = run_compiled(case.func, case.arrays, tmp_path, Target.parse(target), case.symbols)
    assert same(expected, case.logical(found))


@pytest.mark.parametrize(("target", "lanes"), [("x86-64-v2", 4), ("host", 8), ("host", 16)])
@pytest.mark.parametrize("shape", [(1, 32, 3, 32), (2, 24, 5, 19), (1, 35, 2, 7)], ids=str)
@pytest.mark.parametrize("kind", [F32, F16, UI8], ids=str)
def test_compiled_relayouts(shape: tuple[int, ...], kind: ScalarType, target: str, lanes: int, tmp_path: Path) -> None:
    physical(copying(shape, PLAIN, blocked(lanes, HALO), kind=kind), lanes, tmp_path, target)
    physical(copying(shape, blocked(lanes, HALO), PLAIN, kind=kind), lanes, tmp_path, target)
    physical(copying(shape, PLAIN, PLAIN, perm=(0, 3, 2, 1), kind=kind, symbolic=True), lanes, tmp_path, target)


# -- whole models ------------------------------------------------------------------------------------------------------


def model(nodes: list[onnx.NodeProto], shape: Sequence[int], **constants: Array) -> bytes:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, list(shape))
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = onnx.helper.make_graph(nodes, "small", [x], [y], weights)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def outcome(nodes: list[onnx.NodeProto], x: Array, folder: Path, **constants: Array) -> Array:
    path = folder / "small.onnx"
    path.write_bytes(model(nodes, x.shape, **constants))
    compiled = dlc.compile(path, cache=False, threads=1)
    return next(iter(compiled.run({"x": x}).values()))


@pytest.mark.parametrize(
    ("shape", "perm"), [((37, 53), (1, 0)), ((1, 19, 3, 33), (0, 2, 3, 1)), ((2, 3, 20, 7), (3, 0, 2, 1))]
)
def test_transposed_by_a_model(shape: tuple[int, ...], perm: tuple[int, ...], tmp_path: Path) -> None:
    x = contents(shape, F32, 0)
    nodes = [onnx.helper.make_node("Transpose", ["x"], ["t"], perm=perm), onnx.helper.make_node("Relu", ["t"], ["y"])]
    assert np.array_equal(outcome(nodes, x, tmp_path), np.maximum(x.transpose(perm), 0))


@pytest.mark.parametrize("channels", [(35, 21), (16, 48), (3, 16)])
def test_images_into_blocks_and_back(channels: tuple[int, int], tmp_path: Path) -> None:
    x, w = contents((2, channels[0], 9, 19), F32, 0), contents((channels[1], channels[0], 1, 1), F32, 1)
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"]),
        onnx.helper.make_node("Transpose", ["c"], ["y"], perm=(0, 2, 3, 1)),
    ]
    expected = np.einsum("nchw,oc->nhwo", x.astype(np.float32), w[:, :, 0, 0].astype(np.float32))
    assert np.allclose(outcome(nodes, x, tmp_path, w=w), expected, rtol=1e-4, atol=1e-4)


def test_keys_of_an_attention(tmp_path: Path) -> None:
    x = contents((1, 37, 3, 20), F32, 0)
    nodes = [
        onnx.helper.make_node("Transpose", ["x"], ["q"], perm=(0, 2, 1, 3)),
        onnx.helper.make_node("Transpose", ["x"], ["k"], perm=(0, 2, 3, 1)),
        onnx.helper.make_node("MatMul", ["q", "k"], ["y"]),
    ]
    keys = x.astype(np.float32)
    expected = np.einsum("nshd,nthd->nhst", keys, keys)
    assert np.allclose(outcome(nodes, x, tmp_path), expected, rtol=1e-4, atol=1e-4)
