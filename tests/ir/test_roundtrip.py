"""The law of the text: what is printed parses to an equal module, which prints the same."""

import pytest
from hypothesis import given, settings

from dlc.ir.attrs import same
from dlc.ir.compare import compare
from dlc.ir.core import Location
from dlc.ir.dialects import ALL_DIALECTS
from dlc.ir.expr import as_expr
from dlc.ir.expr_text import parse_expr
from dlc.ir.floats import float_from_bits, float_text
from dlc.ir.parser import parse_module, parse_type
from dlc.ir.pool import ConstantPool
from dlc.ir.printer import PrintOptions, print_module
from tests.ir.sample_ops import DIALECTS
from tests.ir.strategies import attributes, floats, modules, types

BOTH = (*DIALECTS, *ALL_DIALECTS[1:])


def check_law(module, dialects=BOTH):
    text = print_module(module)
    parsed = parse_module(text, module.pool, dialects)
    assert compare(parsed, module) is None
    assert print_module(parsed) == text
    return text


@given(modules())
def test_a_printed_module_parses_to_an_equal_one(module):
    check_law(module)


@given(modules())
def test_the_text_alone_holds_the_module_where_constants_are_in_place(module):
    text = print_module(module)
    if "dense<@" not in text:
        assert compare(parse_module(text, ConstantPool(), BOTH), module) is None


@given(types)
def test_a_printed_type_parses_to_an_equal_one(its_type):
    again = parse_type(str(its_type))
    assert again == its_type
    assert str(again) == str(its_type)


@given(attributes)
def test_an_attribute_is_the_same_as_itself(value):
    assert same(value, value)


@given(floats)
def test_a_float_reads_back_bit_by_bit(value):
    text = float_text(value)
    assert same(float_from_bits(text) if text.startswith("0x") else float(text), value)


@given(modules())
@settings(max_examples=20)
def test_a_clone_prints_the_same(module):
    assert print_module(module.clone()) == print_module(module)


@given(modules())
@settings(max_examples=30)
def test_without_locations_the_module_is_equal_but_for_them(module):
    text = print_module(module, PrintOptions(locations=False))
    parsed = parse_module(text, module.pool, BOTH)
    assert all(op.loc == Location() for op in parsed.walk())
    assert compare(parsed, module, locations=False) is None


SAMPLE = """\
dlc 1

module @net attrs {producer = "test"} {
  func @main(%x: tensor<[batch]x4xf32>, %n: index) -> (tensor<[batch]x4xf32>, f32) attrs {inputs = ["x", "n"]} {
    %w = test.constant() {value = dense<[1.0, 0.1, 0x7fc00000, -0.0]>, type = tensor<4xf32>} : () -> tensor<4xf32>
    %y = test.conv(%x, %w) {pads = [1, 1], index = <d0 * 16 + 3>} : (tensor<[batch]x4xf32>, tensor<4xf32>) -> \
tensor<[batch]x4xf32> loc("Conv_7", "Relu_8")
    %0 = test.source() {type = f32} : () -> f32
    %a, %b = test.split(%0) : (f32) -> (f32, f32)
    %r = test.loop(%a) ({
      ^bb(%i: f32, %acc: f32):
        %a_1 = test.add(%acc, %b) : (f32, f32) -> f32
        test.branch(%i) ({
          test.yield() : () -> ()
        }, {
          test.yield() : () -> ()
        }) : (f32) -> ()
        test.yield(%a_1) : (f32) -> ()
    }) : (f32) -> f32
    func.return(%y, %r) : (tensor<[batch]x4xf32>, f32) -> ()
  }
}
"""


def test_the_sample_is_in_printed_form():
    assert print_module(parse_module(SAMPLE, dialects=DIALECTS)) == SAMPLE


def test_comments_and_free_spacing_are_accepted():
    text = SAMPLE.replace("{pads = [1, 1]", "{  // pads\n   pads=[ 1,1 ]").replace("    %0", "%0")
    assert print_module(parse_module("// a file\n\n" + text, dialects=DIALECTS)) == SAMPLE


def test_defaults_written_out_are_left_out_again():
    text = SAMPLE.replace("{pads = [1, 1],", '{mode = "same", pads = [1, 1],')
    assert print_module(parse_module(text, dialects=DIALECTS)) == SAMPLE


def test_an_empty_module():
    text = "dlc 1\n\nmodule @m {\n}\n"
    assert print_module(parse_module(text)) == text


def test_elided_constants_do_not_parse():
    module = parse_module(SAMPLE, dialects=DIALECTS)
    text = print_module(module, PrintOptions(elide=True))
    assert "value = dense<...>" in text
    with pytest.raises(Exception, match=r"expected"):
        parse_module(text, dialects=DIALECTS)


def test_expressions_of_the_text_are_those_of_the_parser():
    module = parse_module(SAMPLE, dialects=DIALECTS)
    conv = next(op for op in module.walk() if op.name == "test.conv")
    assert conv.index == parse_expr("16 * d0 + 3") == as_expr("d0") * 16 + 3
