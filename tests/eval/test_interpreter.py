"""Functions run as a whole: symbols, constants, regions, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.errors import InternalError, UserError
from dlc.ir.core import Block, Func, Location, Module, Op, Region
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_flow import Group, Require, Yield
from dlc.ir.dialects.graph_math import Add, Mul, Neg, Relu
from dlc.ir.dialects.graph_shape import Constant, Reshape
from dlc.ir.eval.frame import Symbols
from dlc.ir.eval.interpreter import evaluate, evaluate_op
from dlc.ir.expr import Expr, sym
from dlc.ir.opdef import ELEMENTWISE, PURE, op_def, operand
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.ir.types import BF16, F32, TensorType, Type

N = sym("n")


def doubled_plus_one(shape: tuple[int | Expr, ...] = (N, 3)) -> Module:
    """y = x * 2 + 1, of a flattened x."""
    module = Module(ConstantPool())
    block = Block([TensorType(shape, F32)], ["x"])
    add = block.append
    two = add(Constant(value=module.pool.add(np.float32([2])), type=TensorType((1,), F32)))
    flat = add(Reshape(block.args[0], shape=(N * 3,)))
    one = add(Constant(value=module.pool.add(np.float32([1])), type=TensorType((1,), F32)))
    y = add(Add(add(Mul(flat.result, two.result)).result, one.result))
    add(Return(y.result))
    module.add(Func("main", Region([block]), (y.result.type,), {"inputs": ("x",), "outputs": ("y",)}))
    return module


def test_symbols_come_from_the_inputs() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = evaluate(doubled_plus_one(), {"x": x})
    np.testing.assert_array_equal(y, x.reshape(-1) * 2 + 1)
    (again,) = evaluate(doubled_plus_one(), [x])
    np.testing.assert_array_equal(y, again)


def test_a_sum_in_a_type_gives_its_symbol() -> None:
    symbols = Symbols()
    assert symbols.learn((N * 2 + 1, 4, sym("m") * N), (7, 4, 15))
    assert symbols.numbers == {"n": 3, "m": 5}
    assert not symbols.learn((N,), (4,))


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({"z": np.zeros((2, 3), np.float32)}, "not given: x"),
        ({}, "has 1 inputs"),
        ({"x": np.zeros((2, 4), np.float32)}, "got the shape"),
        ({"x": np.zeros((2, 3), np.float64)}, "got elements of type float64"),
    ],
)
def test_wrong_inputs_are_named(feeds: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(UserError, match=words):
        evaluate(doubled_plus_one(), feeds)


def test_group_runs_its_region() -> None:
    body = Block([TensorType((N,), F32)])
    body.append(Yield(body.append(Relu(body.append(Neg(body.args[0])).result)).result))
    x = Block([TensorType((N,), F32)]).args[0]
    group = Group(x, kernel="k", regions=[Region([body])])
    (y,) = evaluate_op(group, [np.float32([-2, 1])])
    np.testing.assert_array_equal(y, np.float32([2, 0]))


def test_results_have_the_inferred_type() -> None:
    x = np.array([1, 2], BF16.dtype)
    (y,) = evaluate_op(Add(*Block([TensorType((2,), BF16)] * 2).args), [x, x])
    assert y.dtype == BF16.dtype


@op_def("test.nameless", traits={PURE, ELEMENTWISE})
class Nameless(Op):
    """An op without a meaning"""

    x = operand()

    def infer(self) -> tuple[Type, ...]:
        return (self.x.type,)


def test_an_op_without_a_meaning_is_an_internal_error() -> None:
    x = Block([TensorType((1,), F32)]).args[0]
    with pytest.raises(InternalError, match=r"no meaning for test\.nameless"):
        evaluate_op(Nameless(x), [np.float32([1])])


def test_a_guard_compares_sizes() -> None:
    module = Module(ConstantPool())
    block = Block([TensorType((N, sym("m")), F32)], ["x"])
    block.append(Require(left=N, right=2, relation=">=", text="there must be two", what="Slice"))
    block.append(Require(left=N, right=sym("m"), text="the square must be one", loc=Location(("Det_3",))))
    block.append(Require(left=sym("m"), right=4, relation="1 or ==", text="m must broadcast"))
    block.append(Return(block.args[0]))
    module.add(Func("main", Region([block]), (block.args[0].type,), {"inputs": ("x",), "outputs": ("y",)}))
    assert evaluate(module, [np.zeros((4, 4), np.float32)])[0].shape == (4, 4)
    for shape, words in (
        ((1, 1), "Slice .*: there must be two, got n = 1"),
        ((2, 3), "model 'Det_3': the square must be one, got n = 2 and m = 3"),
        ((5, 5), "m must broadcast, got m = 5"),
    ):
        with pytest.raises(UserError, match=words):
            evaluate(module, [np.zeros(shape, np.float32)])


def test_a_name_that_the_code_has_a_number_for_comes_from_the_declared_type() -> None:
    """Where an equation makes `n` 3, types have 3 and the guard still has n."""
    text = """dlc 1
module @m {
  func @main(%x: buffer<3xf32, input>, %y: buffer<3xf32, output>) -> () attrs {
    inputs = ["x"], outputs = ["y"], declared = [tensor<[n]xf32>]
  } {
    run.check() {left = <3>, right = <n>, message = "n must be 3"} : () -> ()
    func.return() : () -> ()
  }
}
"""
    (y,) = evaluate(parse_module(text, ConstantPool()), [np.zeros(3, np.float32)])
    assert y.shape == (3,)
