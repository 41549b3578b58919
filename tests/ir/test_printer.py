"""Names of values, and text for what is broken."""

import numpy as np
import pytest

from dlc.ir.attrs import attribute_text, is_attribute, same, symbol_text
from dlc.ir.core import Block, Func, Location, Module, Region, Value
from dlc.ir.dialects.func import Return
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.printer import Names, op_line, print_func, print_module
from dlc.ir.types import F32, SI64, TensorType
from tests.ir.sample_ops import DIALECTS, Add, Bag, Constant, Loop, Source, Yield


def func_of(*ops, args=(), hints=()):
    block = Block(args, hints)
    for op in ops:
        block.append(op)
    return Func("main", Region([block]))


def names_of(hints):
    func = func_of(args=[F32] * len(hints), hints=hints)
    names = Names(func.body)
    return [names.of(arg) for arg in func.args]


@pytest.mark.parametrize(
    ("hints", "names"),
    [
        (["x", "x", "x"], ["%x", "%x_1", "%x_2"]),
        (["x", "x", "x_1"], ["%x", "%x_1", "%x_1_1"]),
        ([None, "y", None], ["%0", "%y", "%1"]),
        (["0", None], ["%_0", "%0"]),
        (["/conv/out:0", "a b", "é"], ["%_conv_out_0", "%a_b", "%_"]),
        (["", None], ["%0", "%1"]),
    ],
)
def test_hints_become_unique_names(hints, names):
    assert names_of(hints) == names
    assert names_of([name[1:] if not name[1:].isdigit() else None for name in names]) == names


def test_an_operand_from_nowhere_prints():
    func = func_of(Add(Value(F32, Block(), 0), Value(F32, Block(), 0)))
    assert "%0 = test.add(%<<dangling>>, %<<dangling>>) : (f32, f32) -> f32" in print_func(func, ConstantPool())


def test_what_is_no_attribute_prints():
    func = func_of(Bag(a=np.float64(0.5), b=[1, (2, {})]))
    text = print_func(func, ConstantPool())
    assert "a = <<float64 0.5>>" in text
    assert "b = <<list [1, (2, {})]>>" in text


@pytest.mark.parametrize("value", [np.int64(1), np.float64(1), np.bool_(True), [1], (1, [2]), {}, b"x", object(), {1}])
def test_foreign_values_are_no_attributes(value):
    assert not is_attribute(value)
    assert "<<" in attribute_text(value)


def test_values_that_python_calls_equal_are_not_the_same_attribute():
    assert (
        not same(1, 1.0) and not same(1, True) and not same(0.0, -0.0) and not same((1,), (1.0,)) and not same((), None)
    )
    assert same(float("nan"), float("nan")) and same((1, (2.0,)), (1, (2.0,)))


def test_negative_zero_is_not_a_default_of_zero():
    module = Module(ConstantPool())
    op = Bag.unchecked([], {"c": -0.0})
    module.add(func_of(op, Return()))
    assert "{c = -0.0}" in print_module(module)
    again = parse_module(print_module(module), dialects=DIALECTS).main.block.ops[0]
    assert same(again.attrs["c"], -0.0)


def test_functions_of_no_or_many_blocks_print():
    for blocks, shown in (([], 0), ([Block([F32]), Block([F32]), Block()], 2)):
        text = print_func(Func("f", Region(blocks)), ConstantPool())
        assert text.count("^bb") == shown


def test_an_op_outside_of_any_block_prints_on_a_line():
    op = Source(type=F32, loc=Location(("Conv_1",)))
    assert op_line(op) == '%<<dangling>> = test.source() {type = f32} : () -> f32 loc("Conv_1")'


def test_an_op_inside_a_region_prints_on_a_line_with_the_names_of_the_function():
    body = Block([F32], ["acc"])
    inner = body.append(Yield(body.args[0]))
    func = func_of(args=[F32], hints=["x"])
    outer = func.block.append(Loop(func.args[0], regions=[Region([body])]))
    assert op_line(inner) == "test.yield(%acc) : (f32) -> ()"
    assert op_line(outer) == "%0 = test.loop(%x) ({…}) : (f32) -> f32"


def constant_line(array, its_type):
    pool = ConstantPool()
    func = func_of(Constant(value=pool.add(array), type=its_type))
    return print_func(func, pool).split("\n")[1]


def test_small_constants_are_in_place_and_large_ones_by_key():
    assert "dense<[0, 1, 2, 3]>" in constant_line(np.arange(4).reshape(2, 2), TensorType((2, 2), SI64))
    assert "dense<@" in constant_line(np.arange(17), TensorType((17,), SI64))
    assert "dense<[]>" in constant_line(np.zeros((0, 3), np.float32), TensorType((0, 3), F32))


def test_constants_that_do_not_fit_the_stated_type_go_by_key():
    assert "dense<@" in constant_line(np.arange(4), TensorType((4,), F32))
    assert "dense<@" in constant_line(np.arange(4), TensorType((2, 2), SI64))


def test_a_constant_that_the_pool_lacks_goes_by_key():
    func = func_of(Constant(value=DenseRef("abc"), type=TensorType((), F32)))
    assert "dense<@abc>" in print_func(func, ConstantPool())


def test_large_lazy_constants_are_not_read_for_printing():
    pool = ConstantPool()
    ref = pool.add_lazy("w", lambda: pytest.fail("was read"))
    assert "dense<@w>" in print_func(func_of(Constant(value=ref, type=TensorType((100,), F32))), pool)


def test_symbols_that_are_no_identifiers_are_quoted():
    assert symbol_text("main.1") == "@main.1"
    assert symbol_text("a b") == '@"a b"'
