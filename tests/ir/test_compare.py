"""Structural equality says where two modules differ."""

import numpy as np
import pytest
from hypothesis import given, settings

from dlc.ir.compare import compare, compare_funcs, compare_ops
from dlc.ir.core import Block
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, TensorType
from tests.ir.sample_ops import DIALECTS, Add, Constant
from tests.ir.strategies import modules

TEXT = """dlc 1
module @m attrs {a = 1} {
  func @main(%x: f32, %y: f32) -> f32 attrs {inputs = ["x"]} {
    %z = test.add(%x, %y) : (f32, f32) -> f32 loc("Add_1")
    %w = test.loop(%z) ({
      ^bb(%i: f32):
        %v = test.add(%z, %i) : (f32, f32) -> f32
        test.yield(%v) : (f32) -> ()
    }) : (f32) -> f32
    test.bag() {a = [1, 2.0]} : () -> ()
    func.return(%w) : (f32) -> ()
  }
}
"""


def parsed(text, pool=None):
    return parse_module(text, pool, DIALECTS)


@given(modules())
@settings(max_examples=30)
def test_a_clone_is_equal(module):
    assert compare(module, module.clone()) is None
    for func in module.funcs.values():
        assert compare_funcs(func, func.clone()) is None


def test_names_and_spacing_do_not_matter():
    assert compare(parsed(TEXT), parsed(TEXT.replace("%z", "%other").replace("%i", "%0"))) is None


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("@m", "@n", "name: 'm' and 'n'"),
        ("{a = 1}", "{a = 2}", "module/a: 1 and 2"),
        ("{a = 1}", "{b = 1}", "module/a: only on the left"),
        ("@main", "@f", "functions: main and f"),
        ('["x"]', '["y"]', 'main/inputs: ["x"] and ["y"]'),
        ("add(%x, %y)", "add(%y, %x)", "main/0 test.add/operand 0: different values"),
        ("add(%z, %i)", "add(%z, %z)", "main/1 test.loop/body/0 test.add/operand 1: different values"),
        ("test.add(%x, %y) : (f32, f32)", "test.bag(%x) : (f32)", "main/0 test.add: test.add and test.bag"),
        ("Add_1", "Add_2", "main/0 test.add/loc: Add_1 and Add_2"),
        ("2.0", "2", "main/2 test.bag/a: [1, 2.0] and [1, 2]"),
        ("{a = [1, 2.0]}", "{b = none}", "main/2 test.bag/a: [1, 2.0] and none"),
        ("%y: f32", "%y: f32, %q: f32", "main/arguments: (f32, f32) and (f32, f32, f32)"),
        ("    test.bag() {a = [1, 2.0]} : () -> ()\n", "", "main/2 test.bag: test.bag and func.return"),
        (
            "^bb(%i: f32):",
            "^bb(%i: f32):\n test.yield() : () -> ()",
            "main/1 test.loop/body/0 test.add: test.add and test.yield",
        ),
        ("-> f32 attrs", "-> (f32, f32) attrs", "main/results: (f32) and (f32, f32)"),
    ],
)
def test_the_first_difference_is_named(old, new, difference):
    assert old in TEXT
    assert compare(parsed(TEXT), parsed(TEXT.replace(old, new, 1))) == difference


def test_locations_may_be_left_out():
    assert compare(parsed(TEXT), parsed(TEXT.replace("Add_1", "Add_2")), locations=False) is None


def test_an_extra_op_at_the_end_is_named():
    longer = TEXT.replace("    func.return", "    test.yield() : () -> ()\n    func.return")
    text = "main/3 func.return: func.return and test.yield"
    assert compare(parsed(TEXT), parsed(longer)) == text


def constants(array):
    pool = ConstantPool()
    op = Constant(value=pool.add(array), type=TensorType((2,), F32))
    return op, pool


def test_operands_from_outside_must_be_the_same_values():
    block = Block([F32, F32])
    x, y = block.args
    assert compare_ops(Add(x, y), Add(x, y)) is None
    assert compare_ops(Add(x, y), Add(y, x)) == "test.add/operand 0: different values"


def test_constants_are_compared_by_contents_where_their_keys_differ():
    text = """dlc 1
module @m {
  func @main() -> () {
    %c = test.constant() {value = dense<@KEY>, type = tensor<2xf32>} : () -> tensor<2xf32>
    func.return() : () -> ()
  }
}
"""
    left, right = ConstantPool(), ConstantPool()
    left.add_lazy("a", lambda: np.array([1, 2], np.float32))
    right.add_lazy("b", lambda: np.array([1, 2], np.float32))
    right.add_lazy("c", lambda: np.array([1, 3], np.float32))
    module = parsed(text.replace("KEY", "a"), left)
    assert compare(module, parsed(text.replace("KEY", "b"), right)) is None
    assert compare(module, parsed(text.replace("KEY", "c"), right)) is not None
    assert compare(module, parsed(text.replace("KEY", "d"), right)) is not None
