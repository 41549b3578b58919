"""The verifier reports every violation, and names the op."""

import pytest
from hypothesis import given, settings

from dlc.errors import InternalError
from dlc.ir.core import Block, Func, Location, Module, Region, Value
from dlc.ir.dialects.func import Return
from dlc.ir.expr import sym
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, SI8, TensorType
from dlc.ir.verify import verify, verify_or_raise
from tests.ir.sample_ops import DIALECTS, Add, Bag, Branch, Conv, Loop, Source, Split, Yield
from tests.ir.strategies import modules

MATRIX = TensorType((4, 4), F32)


def module_of(*ops, args=(), results=()):
    block = Block(args)
    for op in ops:
        block.append(op)
    module = Module(ConstantPool())
    module.add(Func("main", Region([block]), results))
    return module


def messages(module):
    return [problem.message for problem in verify(module)]


def body_of(*ops, args=()):
    block = Block(args)
    for op in ops:
        block.append(op)
    return Region([block])


def test_a_module_of_the_builder_is_well_formed():
    source = Source(type=F32)
    total = Add(source.result, source.result)
    assert messages(module_of(source, total, Return(total.result), results=(F32,))) == []


@given(modules())
@settings(max_examples=50)
def test_the_verifier_survives_any_module_and_leaves_it_alone(module):
    text = [str(problem) for problem in verify(module)]
    assert [str(problem) for problem in verify(module)] == text
    assert not any("does not know" in line or "list this use" in line or "lists a use" in line for line in text)


def test_all_violations_are_reported_with_op_and_location():
    source = Source(type=F32, loc=Location(("Conv_1",)))
    source.result.type = SI8
    bag = Bag.unchecked([], {"zzz": 1, "c": 3})
    found = verify(module_of(source, bag, Return()))
    assert [problem.message for problem in found] == [
        "test.source: its result must be of type f32, stated is si8",
        "test.bag: there is no attribute 'zzz'",
        "test.bag: attribute 'c' must be of kind float, got 3",
    ]
    assert str(found[0]).endswith('(at Conv_1)\n  %0 = test.source() {type = f32} : () -> si8 loc("Conv_1")')


# -- declarations -----------------------------------------------------------------------------------------------------


def conv(**attrs):
    return Conv.unchecked([Source(type=MATRIX).result] * 2, {"index": sym("d0"), **attrs}, [MATRIX])


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"groups": 1.0}, "attribute 'groups' must be of kind int, got 1.0"),
        ({"groups": True}, "attribute 'groups' must be of kind int, got True"),
        ({"alpha": 1}, "attribute 'alpha' must be of kind float, got 1"),
        ({"exact": 1}, "attribute 'exact' must be of kind bool, got 1"),
        ({"mode": None}, "attribute 'mode' must be of kind str, got None"),
        ({"pads": [1, 1]}, "attribute pads: a list is not an attribute"),
        ({"pads": (1, [1])}, "attribute pads: a tuple is not an attribute"),
        ({"index": 1}, "attribute 'index' must be of kind Expr, got 1"),
        ({"pads": (1, 1, 1)}, "its result types cannot be inferred: pads must be two, got 3"),
    ],
)
def test_attributes(attrs, message):
    assert f"test.conv: {message}" in messages(module_of(conv(**attrs), Return()))


def test_a_required_attribute_that_is_missing():
    assert "test.source: attribute 'type' is missing" in messages(module_of(Source.unchecked([]), Return()))


@pytest.mark.parametrize(("count", "said"), [(1, "expected 2 operands, got 1"), (4, "expected 2 operands, got 4")])
def test_operand_counts(count, said):
    source = Source(type=MATRIX)
    op = Conv.unchecked([source.result] * count, {"index": sym("d0")}, [MATRIX])
    assert f"test.conv: {said}" in messages(module_of(source, op, Return()))


def test_operand_constraints():
    vector, number = Source(type=TensorType((4,), F32)), Source(type=SI8)
    op = Conv.unchecked([vector.result, number.result], {"index": sym("d0")}, [MATRIX])
    assert messages(module_of(vector, number, op, Return())) == [
        "test.conv: operand 0 (x) must be of rank 2, got tensor<4xf32>",
        "test.conv: operand 1 (w) must be a tensor of floats, got si8",
    ]


def test_checks_of_the_op():
    a, b = Source(type=F32), Source(type=SI8)
    op = Add(a.result, b.result)
    assert messages(module_of(a, b, op, Return())) == ["test.add: c1: operands must have one type, got f32 and si8"]


def test_missing_results():
    source = Source(type=F32)
    op = Split.unchecked([source.result], {}, [F32])
    assert messages(module_of(source, op, Return())) == [
        "test.split: its result must be of type (f32, f32), stated is f32"
    ]


# -- regions and terminators ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([], "expected 1 regions, got 0"),
        ([body_of(Yield()), body_of(Yield())], "expected 1 regions, got 2"),
        ([Region()], "region 'body' must have one block, got 0"),
        ([Region([Block(), Block()])], "region 'body' must have one block, got 2"),
        ([body_of()], "region 'body' does not end in a terminator"),
        ([body_of(Source(type=F32))], "region 'body' does not end in a terminator"),
    ],
)
def test_regions(regions, message):
    op = Loop.unchecked([], {}, [], regions)
    assert f"test.loop: {message}" in messages(module_of(op, Return()))


def test_a_terminator_in_the_middle():
    assert messages(module_of(Yield(), Return())) == ["test.yield: a terminator must be the last op of its block"]


@pytest.mark.parametrize("ops", [(), (Yield(),), (Source(type=F32),)])
def test_a_function_must_end_in_return(ops):
    assert any("function 'main' does not end in func.return" in said for said in messages(module_of(*ops)))


def test_a_function_must_return_what_it_says():
    source = Source(type=F32)
    said = messages(module_of(source, Return(source.result), results=(F32, F32)))
    assert said == ["func.return: function 'main' must return (f32, f32)"]


def test_functions_have_one_block_and_the_name_they_are_filed_under():
    module = module_of(Return())
    module.main.body.add_block(Block()).append(Return())
    module.funcs["other"] = module.funcs.pop("main")
    assert messages(module) == [
        "function 'main' is filed under the name 'other'",
        "function 'main' has 2 blocks, not one",
    ]


# -- links ------------------------------------------------------------------------------------------------------------


def test_an_op_that_does_not_know_its_block():
    source = Source(type=F32)
    module = module_of(source, Return())
    source.parent = None
    assert messages(module) == ["test.source: does not know its block"]


def test_an_op_in_two_places():
    source = Source(type=F32)
    assert "test.source: stands in two places" in messages(module_of(source, source, Return()))


def test_results_and_arguments_know_their_place():
    source = Source(type=F32)
    module = module_of(source, Return(), args=[F32])
    source.result.index = 3
    module.main.args[0].owner = Block()
    assert messages(module) == [
        "block argument 0 does not know its place",
        "test.source: result 0 does not know its place",
    ]


def test_uses_must_be_mutual():
    a, b = Source(type=F32), Source(type=F32)
    total = Add(a.result, a.result)
    module = module_of(a, b, total, Return())
    total.operands[1] = b.result
    assert messages(module) == [
        "test.source: a value lists a use by test.add that is not there",
        "test.add: operand 1 does not list this use",
    ]


def test_regions_know_their_op_and_blocks_their_region():
    op = Loop(regions=[body_of(Yield())])
    module = module_of(op, Return())
    op.body.block.parent = None
    op.body.parent = None
    assert messages(module) == [
        "test.loop: a region does not know its op",
        "test.loop: a block does not know its region",
    ]


# -- dominance --------------------------------------------------------------------------------------------------------

NOT_VISIBLE = "is used where it is not defined yet, or not visible"


def test_a_use_before_the_definition():
    source = Source(type=F32)
    total = Add(source.result, source.result)
    assert messages(module_of(total, source, Return())) == [f"test.add: operand {n} {NOT_VISIBLE}" for n in (0, 1)]


def test_an_op_does_not_see_its_own_results():
    loop = Loop.unchecked([], {}, [], [body_of(Yield())])
    bag = Bag.unchecked([], {}, [F32])
    module = module_of(loop, bag, Return())
    bag.set_operands([bag.results[0]])
    assert messages(module) == [f"test.bag: operand 0 {NOT_VISIBLE}"]


def test_regions_see_what_stands_before_their_op_and_nothing_sees_into_them():
    outer, inner = Source(type=F32), Source(type=F32)
    loop = Loop(regions=[body_of(inner, Add(outer.result, inner.result), Yield())])
    assert messages(module_of(outer, loop, Return())) == []
    leak = Add(inner.result, outer.result)
    loop.parent.insert_after(loop, leak)
    module = Module(ConstantPool())
    module.add(Func("main", loop.parent.parent))
    assert messages(module) == [f"test.add: operand 0 {NOT_VISIBLE}"]


def test_regions_of_one_op_do_not_see_each_other():
    inner = Source(type=F32)
    op = Branch(Source(type=F32).result, regions=[body_of(inner, Yield()), body_of(Split(inner.result), Yield())])
    condition = op.condition.owner
    assert messages(module_of(condition, op, Return())) == [f"test.split: operand 0 {NOT_VISIBLE}"]


def test_values_of_other_functions_and_of_no_function():
    module = module_of(Source(type=F32), Return())
    foreign = module.main.block.ops[0].result
    other = body_of(Add(foreign, Value(F32, Block(), 0)), Return())
    module.add(Func("other", other))
    assert messages(module) == [
        "test.add: operand 0 belongs to function 'main'",
        "test.add: operand 1 is defined nowhere in the module",
    ]


# -- raising ----------------------------------------------------------------------------------------------------------


def test_raising_lists_the_violations():
    module = module_of(*(Yield() for _ in range(30)), Return())
    with pytest.raises(InternalError, match=r"after fold: test\.yield: a terminator") as caught:
        verify_or_raise(module, "after fold")
    assert "… and 10 more" in str(caught.value)
    verify_or_raise(module_of(Return()))


def test_wrong_types_in_text_are_diagnostics():
    text = """dlc 1
module @m {
  func @main(%x: f32) -> f32 {
    %y = test.add(%x, %x) : (f32, f32) -> si8 loc("Add_3")
    func.return(%x) : (f32) -> ()
  }
}
"""
    (problem,) = verify(parse_module(text, dialects=DIALECTS))
    assert str(problem) == (
        "test.add: its result must be of type f32, stated is si8 (at Add_3)\n"
        '  %y = test.add(%x, %x) : (f32, f32) -> si8 loc("Add_3")'
    )
