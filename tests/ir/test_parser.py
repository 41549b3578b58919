"""What the parser refuses, and how it says so; what it leaves to the verifier."""

import pytest

from dlc.errors import InternalError, UserError
from dlc.ir.core import Location
from dlc.ir.dialects import ALL_DIALECTS, all_ops, op_table
from dlc.ir.parser import parse_module, parse_type
from dlc.ir.pool import ConstantPool
from tests.ir.sample_ops import DIALECTS, OPS, Add


def in_main(line, head="%x: f32, %y: si8"):
    return f"dlc 1\nmodule @m {{\n  func @main({head}) -> () {{\n    {line}\n  }}\n}}\n"


def refusal(text, **options):
    with pytest.raises(UserError) as caught:
        parse_module(text, dialects=DIALECTS, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("%z = test.ad(%x, %x) : (f32, f32) -> f32", "4:10", "there is no op 'test.ad'"),
        ("%z = test.add(%x, %q) : (f32, f32) -> f32", "4:23", "%q is not defined"),
        ("%z = test.add(%x, %y) : (f32, f32) -> f32", "4:23", "%y is of type si8, not f32"),
        ("%z = test.add(%x, %x) : (f32) -> f32", "4:10", "test.add: 1 types for 2 operands"),
        ("%z, %w = test.add(%x, %x) : (f32, f32) -> f32", "4:14", "test.add: 2 names for 1 results"),
        ("test.add(%x, %x) : (f32, f32) -> f32", "4:5", "test.add: 0 names for 1 results"),
        ("%x = test.add(%x, %x) : (f32, f32) -> f32", "4:5", "%x is defined twice"),
        ("test.bag() {a = 1, a = 2} : () -> ()", "4:24", "attribute 'a' is given twice"),
        ("test.bag() {a = <d0 +>} : () -> ()", "4:22", "unexpected 'end' in an integer expression"),
        ("test.bag() {a = <d0 // 0>} : () -> ()", "4:22", "d0 // 0"),
        ("test.bag() {a = 0x7f} : () -> ()", "4:21", "0x7f must have 8 digits (f32) or 16 (f64)"),
        ("test.bag() {a = dense<[1]>} : () -> ()", "4:17", "a = dense<[…]> needs an op with a type of fixed shape"),
        ("test.bag() {a = dense<[1, 2]>, type = tensor<3xf32>} : () -> ()", "4:17", "a: expected 3 elements, got 2"),
        ("test.bag() {a = dense<[1.5]>, type = tensor<1xsi8>} : () -> ()", "4:17", "a: 1.5 is no si8"),
        ("test.bag() {a = dense<[300]>, type = tensor<1xsi8>} : () -> ()", "4:17", "a: 300 is no si8"),
        ("test.bag() {a = tensor<4xf31>} : () -> ()", "4:30", "expected a type, got 'f31'"),
        ("test.bag() {a = vector<4x4xf32>} : () -> ()", "4:21", "a vector has one fixed number of lanes"),
        ("test.bag() {a = tensor<4xf32, order(1)>} : () -> ()", "4:21", "must name each axis once"),
        ("test.bag() {} : () -> ()", "4:17", "expected a name, got '}'"),
        ("test.bag( : () -> ()", "4:15", "expected %value or ')', got ':'"),
        ('test.bag() {a = "\\x"} : () -> ()', "4:21", "is no string"),
        ("$", "4:5", "got '$'"),
    ],
)
def test_a_mistake_is_shown_where_it_is(line, place, message):
    text = in_main(line)
    said = refusal(text, source="net.dlc")
    assert said.startswith(f"net.dlc:{place}: ")
    assert message in said
    row, column = map(int, place.split(":"))
    shown, caret = said.split("\n")[1:3]
    assert shown == "  " + text.split("\n")[row - 1]
    assert caret.partition(";")[0].rstrip() == " " * (column + 1) + "^"


def test_a_close_name_is_suggested():
    assert "hint: did you mean test.add?" in refusal(in_main("%z = test.ad(%x, %x) : (f32, f32) -> f32"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module @m {\n}\n", "1:1: expected 'dlc 1' in the first line"),
        ("dlc 2\nmodule @m {\n}\n", "1:5: this is dlc format 2, and only format 1 is understood"),
        ("// c\ndlc 1\nmodule @m {\n", "3:12: expected 'func' or '}', got 'the end'"),
        ("dlc 1\nmodule @m { func @f() -> () { } func @f() -> () { } }", "there are two functions 'f'"),
        ("", "1:1: expected 'dlc 1'"),
    ],
)
def test_a_file_that_is_none(text, message):
    assert message in refusal(text)


@pytest.mark.parametrize("text", ["f33", "tensor<", "tensor<3>", "tuple<f32", "tensor<[]xf32>", "f32 f32", ""])
def test_what_is_no_type(text):
    with pytest.raises(UserError, match="<type>:1:"):
        parse_type(text)


def test_uses_before_definitions_are_left_to_the_verifier():
    module = parse_module(
        in_main("%a = test.add(%b, %x) : (f32, f32) -> f32\n%b = test.add(%x, %x) : (f32, f32) -> f32"),
        dialects=DIALECTS,
    )
    first, second = module.main.block.ops
    assert first.operands[0] is second.results[0]
    assert second.results[0].uses == {(first, 0): None}


def test_a_use_before_a_definition_of_another_type_is_refused():
    said = refusal(in_main("%a = test.add(%b, %x) : (f32, f32) -> f32\n%b = test.add(%y, %y) : (si8, si8) -> si8"))
    assert "4:19: %b is of type si8, not f32" in said


def test_names_locations_and_hints():
    module = parse_module(in_main('%sum.1 = test.add(%x, %x) : (f32, f32) -> f32 loc("a", "b\\n")'), dialects=DIALECTS)
    op = module.main.block.ops[0]
    assert isinstance(op, Add)
    assert op.loc == Location(("a", "b\n"))
    assert op.result.hint == "sum.1"
    assert module.main.args[0].hint == "x"


def test_constants_in_place_go_to_the_given_pool():
    pool = ConstantPool()
    text = in_main("%c = test.constant() {value = dense<[1, -2]>, type = tensor<2xsi8>} : () -> tensor<2xsi8>")
    module = parse_module(text, pool, DIALECTS)
    array = pool.get(module.main.block.ops[0].value)
    assert array.tolist() == [1, -2]
    assert array.dtype == "int8"


def test_the_table_holds_every_op_once():
    assert len(op_table()) == len(all_ops())
    assert all(name == kind.spec.name and "." in name for name, kind in op_table().items())
    assert not set(op_table()) & {kind.spec.name for kind in OPS}


def test_two_ops_of_one_name_are_an_error():
    twin = type("Twin", (Add,), {"spec": Add.spec})
    with pytest.raises(InternalError, match=r"two ops are called test\.add"):
        op_table((*ALL_DIALECTS, OPS, (twin,)))
