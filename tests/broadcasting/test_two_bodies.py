"""What becomes of a model whose axes may broadcast: two bodies, what they share, and which one a run takes."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import onnx
import pytest

from dlc.cli.text import Filter, chosen_functions, module_lines
from dlc.driver.build import metadata
from dlc.driver.pipeline import Lowered, Options, lowered_module
from dlc.driver.single import model_text
from dlc.errors import UserError
from dlc.ir.core import GENERAL, Func, Module
from dlc.ir.dialects import graph_shape, run
from dlc.ir.dialects.graph_flow import Require
from dlc.ir.eval.interpreter import body_for, evaluate
from dlc.ir.guards import insert_guards, pairs_of
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.ir.printer import print_module
from dlc.ir.types import Array
from dlc.runtime.profile import Profiler
from dlc.target import Target
from tests.differential.compiling import assert_same_meaning, lowered
from tests.support.onnx_models import compiled, expected, model, node

rng = np.random.default_rng(3)
OPTIONS = Options(Target.parse("x86-64-v3"))
SUM = """\
dlc 1

module @model {
  func @main(%x: tensor<[n]x8xf32>, %z: tensor<[m]x8xf32>) -> tensor<[max(m, n) * min(1, min(m, n))]x8xf32> attrs {inputs = ["x", "z"], outputs = ["y"]} {
    %0 = graph.relu(%x) : (tensor<[n]x8xf32>) -> tensor<[n]x8xf32> loc("first")
    %1 = graph.add(%0, %z) : (tensor<[n]x8xf32>, tensor<[m]x8xf32>) -> tensor<[max(m, n) * min(1, min(m, n))]x8xf32> loc("second")
    func.return(%1) : (tensor<[max(m, n) * min(1, min(m, n))]x8xf32>) -> ()
  }
}
"""  # noqa: E501
GUARDED = """\
dlc 1

module @model {
  func @main(%x: tensor<[n]x8xf32>, %z: tensor<[n]x8xf32>) -> tensor<[n]x8xf32> attrs {inputs = ["x", "z"], outputs = ["y"], declared = [tensor<[n]x8xf32>, tensor<[m]x8xf32>], pairs = [<n>, <m>]} {
    %0 = graph.relu(%x) : (tensor<[n]x8xf32>) -> tensor<[n]x8xf32> loc("first")
    %1 = graph.add(%0, %z) : (tensor<[n]x8xf32>, tensor<[n]x8xf32>) -> tensor<[n]x8xf32> loc("second")
    func.return(%1) : (tensor<[n]x8xf32>) -> ()
  }
  func @general(%x: tensor<[n]x8xf32>, %z: tensor<[m]x8xf32>) -> tensor<[max(m, n) * min(1, min(m, n))]x8xf32> attrs {inputs = ["x", "z"], outputs = ["y"]} {
    %0 = graph.relu(%x) : (tensor<[n]x8xf32>) -> tensor<[n]x8xf32> loc("first")
    graph.require() {left = <n>, right = <m>, relation = "== or 1", text = "the shapes of the operands must broadcast", what = "add"} : () -> () loc("second")
    %1 = graph.broadcast(%0) {shape = [<max(m, n) * min(1, min(m, n))>, 8]} : (tensor<[n]x8xf32>) -> tensor<[max(m, n) * min(1, min(m, n))]x8xf32> loc("second")
    %2 = graph.broadcast(%z) {shape = [<max(m, n) * min(1, min(m, n))>, 8]} : (tensor<[m]x8xf32>) -> tensor<[max(m, n) * min(1, min(m, n))]x8xf32> loc("second")
    %3 = graph.add(%1, %2) : (tensor<[max(m, n) * min(1, min(m, n))]x8xf32>, tensor<[max(m, n) * min(1, min(m, n))]x8xf32>) -> tensor<[max(m, n) * min(1, min(m, n))]x8xf32> loc("second")
    func.return(%3) : (tensor<[max(m, n) * min(1, min(m, n))]x8xf32>) -> ()
  }
}
"""  # noqa: E501


def imported(*nodes: onnx.NodeProto, weights: dict[str, Array] | None = None, **inputs: tuple[object, ...]) -> Lowered:
    return lowered_module(proto_of(*nodes, weights=weights, **inputs), OPTIONS)


def proto_of(
    *nodes: onnx.NodeProto, weights: dict[str, Array] | None = None, **inputs: tuple[object, ...]
) -> onnx.ModelProto:
    declared = {name: ("f32", shape) for name, shape in inputs.items()}
    return model(nodes, declared, {nodes[-1].output[0]: "f32"}, weights)  # type: ignore[arg-type]


def calls(body: Func) -> list[str]:
    return [op.kernel for op in body.block.ops if isinstance(op, run.Call)]


def floats(*shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


# -- the graph level ---------------------------------------------------------------------------------------------------


def test_a_pair_makes_a_second_body() -> None:
    module = parse_module(SUM, ConstantPool())
    insert_guards(module)
    assert print_module(module) == GUARDED


def test_broadcasts_of_the_second_body_stay_where_they_decide_something() -> None:
    module = lowered(parse_module(SUM, ConstantPool()), OPTIONS).module
    assert [body.name for body in module.bodies] == ["main", GENERAL]
    assert [str(op.left) for op in module.bodies[1].block.ops if isinstance(op, run.Check)] == ["n"]
    assert not [op for op in module.main.block.ops if isinstance(op, run.Check)]
    assert [clamps(module.funcs[calls(body)[-1]]) for body in module.bodies] == [False, True]


def clamps(kernel: Func) -> bool:
    """Whether a kernel reads an operand that may have one element where the result has more."""
    return " - 1)" in str([op.attrs.get("at") for op in kernel.walk()])


ADD = node("Add", ["x", "z"], ["y"], "sum")
ONE_BODY = {
    "one name": ([ADD], {"x": ("n", 8), "z": ("n", 8)}),
    "a known 1": ([ADD], {"x": ("n", 8), "z": (1, 8)}),
    "a product that says that they are equal": (
        [
            node("Transpose", ["z"], ["t"]), node("Mul", ["x", "t"], ["q"]), node("MatMul", ["x", "z"], ["p"]),
            node("MatMul", ["p", "q"], ["y"]),
        ],
        {"x": (8, "n"), "z": ("m", 8)},
    ),
    "a size that a kernel finds": (
        [node("NonZero", ["x"], ["i"]), node("Cast", ["i"], ["f"], to=1), node("Add", ["f", "z"], ["y"])],
        {"x": ("n",), "z": ("m",)},
    ),
    "a table that is cut to a length": (
        [
            node("Shape", ["x"], ["s"], start=0, end=1), node("Slice", ["table", "zero", "s"], ["row"]),
            node("Add", ["x", "row"], ["y"]),
        ],
        {"x": ("n", 8)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_BODY)
def test_no_second_body_without_need(name: str) -> None:
    nodes, inputs = ONE_BODY[name]
    module = imported(*nodes, weights={"table": floats(64, 8), "zero": np.array([0])}, **inputs).module
    assert [body.name for body in module.bodies] == ["main"]


def test_pairs_that_no_sizes_make_equal_leave_one_body() -> None:
    nodes = [node("Add", ["x", "three"], ["a"]), node("Add", ["x", "four"], ["b"]), node("Concat", ["a", "b"], ["y"], axis=0)]  # fmt: skip  # noqa: E501
    proto = proto_of(*nodes, weights={"three": floats(3), "four": floats(4)}, x=("n",))
    assert [body.name for body in lowered_module(proto, OPTIONS).module.bodies] == ["main"]
    ready = compiled(proto)
    assert ready.run({"x": floats(1)})["y"].shape == (7,)
    with pytest.raises(UserError, match="must broadcast"):
        ready.run({"x": floats(3)})


def test_sizes_that_only_a_run_can_compare_stay_as_they_are_where_they_are_equal() -> None:
    """2 * (n // 2) and n: no name can be replaced, and yet the first body reads as if one had been."""
    even = [
        node("Reshape", ["x", "pairs"], ["p"]), node("Reshape", ["p", "flat"], ["q"]), node("Add", ["q", "z"], ["y"]),
    ]  # fmt: skip
    proto = proto_of(*even, weights={"pairs": np.array([-1, 2]), "flat": np.array([-1])}, x=("n",), z=("m",))
    ready = compiled(proto)
    for n, m in ((4, 4), (6, 6), (6, 1), (0, 0), (0, 1)):
        feeds = {"x": floats(n), "z": floats(m)}
        np.testing.assert_array_equal(ready.run(feeds)["y"], feeds["x"] + feeds["z"])
    upsampled = [
        node("MaxPool", ["x"], ["p"], kernel_shape=[2], strides=[2]),
        node("Resize", ["p", "", "scales"], ["r"], mode="nearest"), node("Add", ["r", "x"], ["y"]),
    ]  # fmt: skip
    proto = proto_of(*upsampled, weights={"scales": np.array([1, 1, 2], np.float32)}, x=("b", 3, "n"))
    module = lowered_module(proto, OPTIONS).module
    assert [str(side) for pair in pairs_of(module.main) for side in pair] == ["(n // 2) * 2", "n"]
    assert [clamps(module.funcs[calls(body)[-1]]) for body in module.bodies] == [False, True]
    ready = compiled(proto)
    for n in (8, 2):
        feeds = {"x": floats(2, 3, n)}
        np.testing.assert_array_equal(ready.run(feeds)["y"], expected(proto, feeds)[0])
    with pytest.raises(UserError, match=r"Add 'Add_y': the shapes of the operands must broadcast, got .* = 8 and 9"):
        ready.run({"x": floats(2, 3, 9)})


def test_a_size_and_a_sum_that_it_is_part_of() -> None:
    nodes = [node("Concat", ["x", "z"], ["both"], axis=0), node("Add", ["x", "both"], ["y"])]
    ready = compiled(proto_of(*nodes, x=("n",), z=("m",)))
    for n, m in ((3, 0), (1, 4), (0, 1), (1, 0)):
        feeds = {"x": floats(n), "z": floats(m)}
        np.testing.assert_array_equal(ready.run(feeds)["y"], feeds["x"] + np.concatenate([*feeds.values()]))
    with pytest.raises(UserError, match="must broadcast"):
        ready.run({"x": floats(2), "z": floats(3)})


# -- what the bodies share ---------------------------------------------------------------------------------------------

PRODUCT = [
    node("MatMul", ["x", "w"], ["p"]), node("Relu", ["p"], ["r"]), node("MatMul", ["r", "v"], ["q"]),
    node("Add", ["q", "z"], ["y"], "sum"),
]  # fmt: skip
WEIGHTS = {"w": floats(32, 64), "v": floats(64, 8)}


def test_the_first_body_is_what_a_model_with_one_name_compiles_to() -> None:
    two = imported(*PRODUCT, weights=WEIGHTS, x=("n", 32), z=("m", 8)).module
    one = imported(*PRODUCT, weights=WEIGHTS, x=("n", 32), z=("n", 8)).module
    assert calls(two.main) == calls(one.main)
    for name in calls(one.main):
        assert kernel_text(two, name) == kernel_text(one, name)
    assert two.main.attrs["workspace"] == one.main.attrs["workspace"]


def kernel_text(module: Module, name: str) -> str:
    alone = Module(module.pool)
    alone.add(module.funcs[name])
    return print_module(alone)


def test_kernels_and_weights_that_do_not_differ_are_shared() -> None:
    # the names that are left in the first body are those of the other: all but the last kernel are the same
    two = imported(*PRODUCT, weights=WEIGHTS, x=("n", 32), z=("m", 8)).module
    one = imported(*PRODUCT, weights=WEIGHTS, x=("n", 32), z=("n", 8)).module
    first, second = two.bodies
    assert calls(first)[0] in calls(second)
    assert two.main.attrs["weights"] == one.main.attrs["weights"]


def test_the_description_speaks_of_both_bodies() -> None:
    found = imported(*PRODUCT, weights=WEIGHTS, x=("n", 32), z=("m", 8))
    described = metadata(found, OPTIONS.target)
    extra = described["extra"]
    assert isinstance(extra, dict)
    assert extra["pairs"] == [["n", "m"]]
    assert [row[0] for row in extra["calls"]] == calls(found.module.main)
    assert [row[0] for row in extra["general_calls"]] == calls(found.module.bodies[1])
    outputs = described["outputs"]
    assert isinstance(outputs, list)
    assert outputs[0]["shape"] == ["max(m, n) * min(1, min(m, n))", 8]


# -- which one runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m", "body"), [(3, 3, "main"), (1, 1, "main"), (1, 3, GENERAL), (0, 1, GENERAL)])
def test_the_evaluator_takes_the_body_for_the_sizes(n: int, m: int, body: str) -> None:
    module = parse_module(SUM, ConstantPool())
    insert_guards(module)
    feeds = [floats(n, 8), floats(m, 8)]
    wanted = [np.maximum(feeds[0], 0) + feeds[1]]
    assert body_for(module, feeds).name == body
    assert_same_meaning(evaluate(module, feeds), wanted)
    assert_same_meaning(evaluate(module, feeds, GENERAL), wanted)
    loops = lowered(parse_module(SUM, ConstantPool()), OPTIONS).module
    assert body_for(loops, feeds).name == body
    assert_same_meaning(evaluate(loops, feeds), wanted)
    assert_same_meaning(evaluate(loops, feeds, GENERAL), wanted)


def test_one_library_serves_equal_sizes_ones_and_mismatches_in_turn(tmp_path: Path) -> None:
    """As a C program does it: no Python between the calls."""
    path = tmp_path / "model.so"
    compiled(proto_of(*PRODUCT, weights=WEIGHTS, x=("n", 32), z=("m", 8)), target="host").save(path)
    library = ctypes.CDLL(str(path))
    library.dlc_ctx_bytes.restype = ctypes.c_int64
    library.dlc_message.restype = ctypes.c_int64
    context = aligned(library.dlc_ctx_bytes())
    assert library.dlc_init(context, ctypes.c_int32(2)) == 0
    for n, m in ((5, 5), (1, 5), (5, 1), (3, 2), (5, 5), (0, 1), (1, 1), (2, 3), (1, 0)):
        shapes, results, room = (ctypes.c_int64 * 4)(n, 32, m, 8), (ctypes.c_int64 * 2)(), ctypes.c_int64()
        code = library.dlc_bind(context, shapes, results, ctypes.byref(room))
        if 1 not in (n, m) and n != m:
            text = ctypes.create_string_buffer(1024)
            library.dlc_message(context, text, ctypes.c_int64(1024))
            assert code > 0
            assert text.value.decode() == (
                f"Add 'sum': the shapes of the operands must broadcast, got {n} and {m}; "
                f"m = {m} (dimension 0 of input 'z'), n = {n} (dimension 0 of input 'x')"
            )
            assert library.dlc_run(context, (ctypes.c_void_p * 3)(), None) == -1
            continue
        assert code == 0
        wanted = np.maximum(floats_of(n, 32) @ WEIGHTS["w"], 0) @ WEIGHTS["v"] + floats_of(m, 8)
        assert tuple(results) == wanted.shape
        x, z, y = floats_of(n, 32), floats_of(m, 8), np.full(wanted.shape, np.nan, np.float32)
        buffers = (ctypes.c_void_p * 3)(*(array.ctypes.data for array in (x, z, y)))
        assert library.dlc_run(context, buffers, aligned(room.value)) == 0
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    library.dlc_close(context)


def floats_of(*shape: int) -> Array:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


KEPT: list[Array] = []


def aligned(size: int) -> ctypes.c_void_p:
    KEPT.append(np.zeros(size + 64, np.uint8))
    return ctypes.c_void_p(KEPT[-1].ctypes.data + -KEPT[-1].ctypes.data % 64)


def test_a_profile_names_the_calls_of_the_body_that_runs() -> None:
    ready = compiled(proto_of(*PRODUCT, weights=WEIGHTS, x=("n", 32), z=("m", 8)))
    extra = ready.metadata.extra
    for n, m, rows in ((6, 6, "calls"), (6, 1, "general_calls")):
        profiler = Profiler(ready, {"x": floats(n, 32), "z": floats(m, 8)})
        assert [call.kernel for call in profiler.calls] == [row[0] for row in extra[rows]]  # type: ignore[attr-defined]
        assert (profiler.run() > 0).all()


def test_guards_of_both_bodies_name_their_nodes() -> None:
    found = imported(*PRODUCT, node("MatMul", ["y", "u"], ["o"], "last"), weights=WEIGHTS, x=("n", 32), z=("m", 8), u=("k", 4))  # fmt: skip  # noqa: E501
    checks = [[str(op.loc) for op in body.block.ops if isinstance(op, run.Check)] for body in found.module.bodies]
    assert checks == [["last"], ["sum", "last"]]


def test_guards_of_the_graph_level_stay_in_order() -> None:
    module = parse_module(SUM, ConstantPool())
    insert_guards(module)
    names = [type(op) for op in module.bodies[1].block.ops]
    assert names.index(Require) < names.index(graph_shape.Broadcast)


def test_a_dump_shows_both_bodies() -> None:
    module = lowered(parse_module(SUM, ConstantPool()), OPTIONS).module
    lines = module_lines(module)
    kernels = dict.fromkeys(name for body in module.bodies for name in calls(body))
    functions = [line.split("(")[0].strip() for line in lines if "func @" in line]
    assert functions == ["func @main", "func @general", *(f"func @{name}" for name in kernels)]
    wanted = Filter("second")
    assert chosen_functions(module, wanted) == [*calls(module.main), calls(module.bodies[1])[-1]]
    text = model_text(module, OPTIONS.target)
    assert all(f"define hidden i32 @{name}(" in text for name in ("dlc_main", "dlc_body_main", "dlc_body_general"))
