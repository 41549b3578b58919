"""The evaluator of the loop level: exact types, wrong accesses, undefined memory, and whole lowered modules."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.errors import InternalError, UserError
from dlc.ir.core import Block, Builder, Func, Module, Region, Value
from dlc.ir.dialects import arith, buf, run, vec
from dlc.ir.dialects.func import Return
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.eval.loop_run import evaluate_kernel
from dlc.ir.expr import Expr, as_expr, sym
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, SI8, SI32, BufferType, Layout, TensorType
from tests.loops.nests import Nest

N = sym("n")


def shifted(by: int) -> Func:
    nest = Nest([BufferType((N,), F32, "input"), BufferType((N,), F32, "output")])
    nest.loop("i", N, lambda n, i: n.store(n.load(n.args[0], i + by), n.args[1], i))
    return nest.done()


def test_symbols_come_from_the_buffers() -> None:
    x, y = np.arange(5, dtype="f4"), np.zeros(5, "f4")
    evaluate_kernel(shifted(0), [x, y])
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("by", [1, -1])
def test_an_access_outside_of_its_buffer_is_refused(by: int) -> None:
    with pytest.raises(InternalError, match=r"buf.load at \[(5|-1)\] is outside its buffer of shape \[5\]"):
        evaluate_kernel(shifted(by), [np.zeros(5, "f4"), np.zeros(5, "f4")])


def test_each_axis_has_its_own_bounds() -> None:
    """A place that exists in memory is still wrong if it is reached past the end of a row."""
    nest = Nest([BufferType((2, 4), F32, "input"), BufferType((1,), F32, "output")])
    nest.store(nest.load(nest.args[0], 0, 5), nest.args[1], 0)
    with pytest.raises(InternalError, match="outside its buffer"):
        evaluate_kernel(nest.done(), [np.zeros((2, 4), "f4"), np.zeros(1, "f4")])


def test_a_vector_of_whole_rows_is_one_access() -> None:
    nest = Nest([BufferType((3, 4), F32, "input"), BufferType((8,), F32, "output")])
    loaded = nest.add(vec.Load(nest.args[0], at=(as_expr(1), as_expr(0)), lanes=8))
    nest.b.insert(vec.Store(loaded, nest.args[1], at=(as_expr(0),)))
    x, y = np.arange(12, dtype="f4").reshape(3, 4), np.zeros(8, "f4")
    evaluate_kernel(nest.done(), [x, y])
    np.testing.assert_array_equal(y, x[1:].reshape(-1))


def test_constants_cannot_be_written() -> None:
    nest = Nest([BufferType((1,), F32, "const")])
    nest.store(nest.constant(1.0), nest.args[0], 0)
    with pytest.raises(InternalError, match="writes to a constant"):
        evaluate_kernel(nest.done(), [np.zeros(1, "f4")])


def test_buffers_must_have_the_type() -> None:
    with pytest.raises(InternalError, match="expected buffer"):
        evaluate_kernel(shifted(0), [np.zeros(5, "f4"), np.zeros(4, "f4")])
    with pytest.raises(InternalError, match="expected buffer"):
        evaluate_kernel(shifted(0), [np.zeros(5, "f8"), np.zeros(5, "f4")])


def test_scratch_memory_is_undefined_at_first() -> None:
    nest = Nest([BufferType((2,), F32, "output"), BufferType((1,), SI32, "output")])
    for number, kind in enumerate((F32, SI32)):
        kept = nest.add(buf.Scratch(type=BufferType((4,), kind, "scratch")))
        nest.store(nest.load(kept, 2), nest.args[number], 0)
    y, z = np.zeros(2, "f4"), np.zeros(1, "i4")
    evaluate_kernel(nest.done(), [y, z])
    assert np.isnan(y[0])
    assert z[0] not in (0, 1)


def test_arithmetic_keeps_its_type() -> None:
    """Integers wrap; f32 is not computed in f64."""
    nest = Nest([BufferType((2,), SI8, "output"), BufferType((1,), F32, "output")])
    hundred = nest.constant(100, SI8)
    nest.store(nest.add(arith.Add(hundred, hundred)), nest.args[0], 0)
    nest.store(nest.add(arith.Div(nest.constant(-7, SI8), nest.constant(2, SI8))), nest.args[0], 1)
    large = nest.constant(2.0**24)
    nest.store(nest.add(arith.Sub(nest.add(arith.Add(large, nest.constant(1.0))), large)), nest.args[1], 0)
    y, z = np.zeros(2, "i1"), np.ones(1, "f4")
    evaluate_kernel(nest.done(), [y, z])
    assert (y[0], y[1], z[0]) == (-56, -3, 0.0)


# -- whole modules -----------------------------------------------------------------------------------------------------


def add_kernel(name: str) -> Func:
    nest = Nest([BufferType((6,), F32, "input"), BufferType((6,), F32, "input"), BufferType((6,), F32, "output")])
    nest.loop("i", 6, lambda n, i: n.store(n.add(arith.Add(n.load(n.args[0], i), n.load(n.args[1], i))), n.args[2], i))
    func = nest.done()
    func.name = name
    return func


def module_of(offsets: tuple[Expr | None, Expr | None]) -> Module:
    """y = (x + c) + ((x + c) + x), where c lies in another order; intermediate results in the arena."""
    module = Module(ConstantPool())
    module.add(add_kernel("add"))
    block = Block([BufferType((2, 3), F32, "input"), BufferType((6,), F32, "output")], ["x", "y"])
    b = Builder(block)

    def call(*buffers: Value) -> None:
        b.insert(run.Call(*buffers, kernel="add", chunks=as_expr(1)))

    flat = BufferType((6,), F32)
    contents = module.pool.add(np.arange(6, dtype="f4").reshape(3, 2))
    laid = b.insert(run.Constant(value=contents, tensor=TensorType((3, 2), F32, Layout((1, 0)))))
    constant = b.insert(run.View(laid.result, type=flat)).result
    x = b.insert(run.View(block.args[0], type=flat)).result
    first, second = (b.insert(run.Alloc(type=flat, offset=offset)).result for offset in offsets)
    call(x, constant, first)
    call(first, x, second)
    call(first, second, block.args[1])
    b.insert(Return())
    module.add(Func("main", Region([block]), attrs={"inputs": ("x",), "outputs": ("y",)}))
    return module


X = np.array([[1, 2, 3], [4, 5, 6]], "f4")
C = np.array([0, 2, 4, 1, 3, 5], "f4")


@pytest.mark.parametrize("offsets", [(None, None), (as_expr(0), as_expr(24)), (as_expr(64), as_expr(0))])
def test_main_runs_its_kernels(offsets: tuple[Expr | None, Expr | None]) -> None:
    (y,) = evaluate(module_of(offsets), {"x": X})
    np.testing.assert_array_equal(y, 3 * X.reshape(-1) + 2 * C)


def test_buffers_planned_in_one_place_spoil_each_other() -> None:
    (y,) = evaluate(module_of((as_expr(0), as_expr(8))), [X])
    assert not np.array_equal(y, 3 * X.reshape(-1) + 2 * C)


def test_inputs_are_left_alone_and_must_fit() -> None:
    module = module_of((None, None))
    before = X.copy()
    evaluate(module, [X])
    np.testing.assert_array_equal(X, before)
    with pytest.raises(UserError, match="needs inputs that were not given: x"):
        evaluate(module, {"z": X})
    with pytest.raises(UserError, match="input 'x': expected"):
        evaluate(module, [X.T.copy()])
