"""Guards: where they are put, which are left out, and what becomes of names that must be equal to something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings

from dlc.errors import UserError
from dlc.ir.compare import compare
from dlc.ir.core import Block, Func, Location, Module, Op, Region, Value
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_flow import Group, Require, Yield
from dlc.ir.dialects.graph_index import NonZero
from dlc.ir.dialects.graph_math import Add, Cast, Relu
from dlc.ir.dialects.graph_nn import MatMul, Softmax
from dlc.ir.dialects.graph_shape import Slice
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.expr import as_dim, minimum, sym
from dlc.ir.expr_text import parse_expr
from dlc.ir.guards import declared_types, insert_guards, plain_name
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.ir.printer import print_module
from dlc.ir.requirements import AT_LEAST, EQUAL, Requirement
from dlc.ir.types import F32, TensorType
from dlc.ir.verify import verify
from dlc.passes.base import CompileOptions, PassContext
from dlc.passes.table import parse_pipeline
from dlc.target import Target
from tests.differential.generators import Sample, graph_samples

N, M = sym("n"), sym("m")
ALIKE_TEXT = "the operands must have dimensions that are equal"


class Making:
    """A function that is being written: inputs of floats, each a shape such as ``"n, 3"``."""

    def __init__(self, *shapes: str) -> None:
        self.main = self.block = Block([floats(shape) for shape in shapes], [f"x{n}" for n in range(len(shapes))])
        self.inputs: Sequence[Value] = self.block.args

    def put(self, op: Op, loc: str = "") -> Value:
        op.loc = Location((loc,)) if loc else op.loc
        self.block.append(op)
        return op.results[0]

    def add(self, a: Value, b: Value, loc: str = "Add_1") -> Value:
        """The sum of two values whose axes must be equal: whoever put it there has asked for that."""
        pairs = list(zip(reversed(tensor(a).shape), reversed(tensor(b).shape), strict=False))
        for left, right in reversed(pairs):
            if left != right and 1 not in (left, right):
                op = Require(left=left, right=right, relation=EQUAL, text=ALIKE_TEXT, what="add", loc=Location((loc,)))
                self.block.append(op)
        return self.put(Add(a, b), loc)

    def sum_in_a_region(self, a: Value, b: Value) -> Value:
        inner = self.block = Block([a.type, b.type])
        result = self.add(*inner.args, "Inner")
        self.put_last(Yield(result))
        self.block = self.main
        return self.put(Group(a, b, kernel="k", regions=[Region([inner])]))

    def put_last(self, op: Op) -> None:
        self.block.append(op)

    def finish(self, *results: Value) -> Module:
        self.put_last(Return(*results))
        module = Module(ConstantPool(), name="m")
        names = {"inputs": tuple(str(arg.hint) for arg in self.inputs), "outputs": tuple(map(str, range(len(results))))}
        module.add(Func("main", Region([self.block]), tuple(value.type for value in results), dict(names)))
        assert [str(problem) for problem in verify(module)] == []
        return module


def floats(shape: str) -> TensorType:
    return TensorType(tuple(as_dim(parse_expr(dim)) for dim in shape.split(",")), F32)


def sum_of(*shapes: str) -> Module:
    """The first two inputs added."""
    f = Making(*shapes)
    return f.finish(f.add(*f.inputs[:2]))


def guarded(module: Module) -> Module:
    insert_guards(module)
    assert [str(problem) for problem in verify(module)] == []
    assert compare(parse_module(print_module(module), module.pool), module) is None
    return module


def guards(module: Module) -> list[tuple[str, str, str]]:
    found = [op for op in module.main.walk() if isinstance(op, Require)]
    return [(str(op.left), op.relation, str(op.right)) for op in found]


def order(block: Block) -> list[str]:
    return [op.name.partition(".")[2] for op in block.ops]


def inputs_of(module: Module) -> list[TensorType]:
    return [arg.type for arg in module.main.args if isinstance(arg.type, TensorType)]


# -- where they stand --------------------------------------------------------------------------------------------------


def test_a_guard_stands_before_the_op_that_needs_it_and_speaks_of_it() -> None:
    f = Making("2, n", "m, 3")
    module = guarded(f.finish(f.put(MatMul(f.put(Relu(f.inputs[0])), f.inputs[1]), "MatMul_1")))
    assert order(module.main.block) == ["relu", "require", "matmul", "return"]
    guard = module.main.block.ops[1]
    assert isinstance(guard, Require)
    assert (guard.left, guard.relation, guard.right) == (N, EQUAL, M)
    assert (guard.text, guard.what) == ("the last axis of a must equal the last but one of b", "matmul")
    assert str(guard.loc) == "MatMul_1"


def test_an_op_is_called_by_the_users_word_for_it() -> None:
    f = Making("2, n", "m, 3")
    module = f.finish(f.put(MatMul(*f.inputs)))
    insert_guards(module, name=lambda op: f"my {plain_name(op)}")
    assert [op.what for op in module.main.walk() if isinstance(op, Require)] == ["my matmul"]


def test_what_an_importer_relies_on_is_asked_for_before_what_its_op_needs() -> None:
    module = sum_of("n", "m")
    insert_guards(module, {module.main.block.ops[0]: [Requirement(N, AT_LEAST, 2, "there must be two")]})
    assert guards(module) == [("n", ">=", "2"), ("n", "==", "m")]


def test_a_model_of_fixed_sizes_stays_as_it_is() -> None:
    module = sum_of("4, 3", "4, 3")
    text = print_module(module)
    assert print_module(guarded(module)) == text


def test_what_holds_at_all_sizes_is_not_guarded() -> None:
    module = guarded(sum_of("n, 3", "1, 3"))
    assert guards(module) == []
    assert "declared" not in module.main.attrs


def test_equal_guards_are_one() -> None:
    f = Making("n, 3", "m, 3")
    x, z = f.inputs
    again = f.add(f.put(Relu(f.add(x, z))), z, "Add_2")
    assert guards(guarded(f.finish(again, f.add(z, x, "Add_3")))) == [("n", "==", "m")]


def test_guards_of_different_sizes_are_several() -> None:
    f = Making("n")
    (x,) = f.inputs
    parts = [f.put(Slice(x, starts=(start,), sizes=(N - less,))) for start, less in ((1, 3), (2, 3), (0, 4))]
    assert guards(guarded(f.finish(*parts))) == [("n - 3", ">=", "0"), ("n - 4", ">=", "0")]


def test_guards_of_an_importer_are_merged_with_the_others() -> None:
    f = Making("n, 3", "m, 3")
    f.put_last(Require(left=N, right=M, text="n must be m", what="Loss", loc=Location(("Loss_1",))))
    f.put_last(Require(left=N, right=0, relation=AT_LEAST, text="a size", what="Loss"))
    module = guarded(f.finish(f.add(*f.inputs)))
    assert order(module.main.block) == ["require", "add", "return"]
    kept = module.main.block.ops[0]
    assert isinstance(kept, Require) and (kept.what, str(kept.loc)) == ("Loss", "Loss_1")
    assert module.main.results == (floats("n, 3"),) or module.main.results == (floats("m, 3"),)


# -- names that are equal to something ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "renamed", "result"),
    [
        (("n, 3", "4, 3"), ("4, 3", "4, 3"), "4, 3"),
        (("n, 3", "m, 3"), ("n, 3", "n, 3"), "n, 3"),
        (("n - 2", "m", "n"), ("m", "m", "m + 2"), "m"),
        (("n * 2", "m"), ("n * 2", "n * 2"), "n * 2"),
        (("n * 2", "m * 2"), ("n * 2", "n * 2"), "n * 2"),
        (("n * 2", "8"), ("8", "8"), "8"),
        (("n * k", "m", "k"), ("n * k", "n * k", "k"), "n * k"),
    ],
)  # fmt: skip
def test_a_name_becomes_what_it_equals(shapes: tuple[str, ...], renamed: tuple[str, ...], result: str) -> None:
    module = guarded(sum_of(*shapes))
    assert len(guards(module)) == 1
    assert inputs_of(module) == [floats(shape) for shape in renamed]
    assert module.main.results == (floats(result),)
    assert module.main.block.ops[1].results[0].type == floats(result)
    assert declared_types(module.main) == [floats(shape) for shape in shapes]


def test_a_minimum_that_must_be_one_of_its_members_is_it() -> None:
    """A table of positions, cut to the length of a sequence: all passes see the length."""
    f = Making("m, n", "1, 512")
    row = f.put(Slice(f.inputs[1], starts=(0, 0), sizes=(1, minimum(N, 512))))
    module = guarded(f.finish(f.add(f.inputs[0], row)))
    assert guards(module) == [("min(512, n)", "==", "n")] or guards(module) == [("n", "==", "min(512, n)")]
    assert module.main.results == (floats("m, n"),)
    assert inputs_of(module) == [floats("m, n"), floats("1, 512")]


def test_names_that_are_renamed_one_after_the_other() -> None:
    f = Making("n, 3", "m, 3", "k, 3", "5, 3")
    x, z, u, five = f.inputs
    module = guarded(f.finish(f.add(f.add(x, z), u, "Add_2"), f.add(u, five, "Add_3")))
    assert inputs_of(module) == [floats("5, 3")] * 4
    assert module.main.results == (floats("5, 3"),) * 2
    assert declared_types(module.main) == list(map(floats, ("n, 3", "m, 3", "k, 3", "5, 3")))
    spoken_of = [op.requirement.surplus.symbols() for op in module.main.walk() if isinstance(op, Require)]
    assert frozenset().union(*spoken_of) == {"n", "m", "k"}


@pytest.mark.parametrize("shapes", [("n * m", "12"), ("n * 3", "m * 2"), ("n // 2", "4"), ("n * n", "m * m")])
def test_a_name_that_no_guard_gives_a_value_stays(shapes: tuple[str, ...]) -> None:
    module = guarded(sum_of(*shapes))
    assert len(guards(module)) == 1
    assert "declared" not in module.main.attrs
    assert inputs_of(module) == [floats(shape) for shape in shapes]


def test_sizes_that_are_found_at_run_time_keep_their_names() -> None:
    f = Making("n", "m")
    x, z = f.inputs
    places = f.put(Cast(f.put(NonZero(x, size="k")), to=F32))
    module = guarded(f.finish(f.add(places, z)))
    assert guards(module) == [("k", "==", "m")]
    assert "declared" not in module.main.attrs
    assert inputs_of(module) == [floats("n"), floats("m")]


def test_contradictions_are_the_users_mistake() -> None:
    f = Making("n", "3", "4")
    x, three, four = f.inputs
    module = f.finish(f.add(x, three), f.add(x, four, "Add_2"))
    with pytest.raises(UserError, match=r"^add 'Add_2': the operands .* are equal, which no sizes of the inputs"):
        insert_guards(module)


def test_attention_is_recognized_where_a_mask_has_another_name_for_the_keys() -> None:
    f = Making("1, 2, 3, 4", "1, 2, 4, length", "1, 2, length, 4", "1, 1, 3, n - 1", "n")
    q, k, v, mask, _ = f.inputs
    scores = f.put(Softmax(f.add(f.put(MatMul(q, k)), mask), axis=3))
    module = guarded(f.finish(f.put(MatMul(scores, v))))
    (recognize,) = parse_pipeline("recognize-attention")
    assert recognize.run(module, PassContext(Target.parse("x86-64-v3"), module.pool, CompileOptions()))
    assert "attention" in order(module.main.block)


# -- regions -----------------------------------------------------------------------------------------------------------


def region_of(module: Module) -> Block:
    return next(op.regions[0].block for op in module.main.block.ops if op.regions)


def test_a_guard_inside_a_region_stays_there_and_renames_nothing() -> None:
    f = Making("n, 3", "m, 3")
    module = guarded(f.finish(f.sum_in_a_region(*f.inputs)))
    assert order(module.main.block) == ["group", "return"]
    assert order(region_of(module)) == ["require", "broadcast", "broadcast", "add", "yield"]
    assert inputs_of(module) == [floats("n, 3"), floats("m, 3")]
    assert "declared" not in module.main.attrs


def test_what_is_asked_for_before_a_region_is_not_asked_for_inside() -> None:
    f = Making("n, 3", "m, 3")
    module = guarded(f.finish(f.add(*f.inputs), f.sum_in_a_region(*f.inputs)))
    assert order(module.main.block) == ["require", "add", "group", "return"]
    assert order(region_of(module)) == ["add", "yield"]
    assert module.main.results == (floats("n, 3"),) * 2


def test_what_is_asked_for_inside_a_region_is_asked_for_behind_it_too() -> None:
    f = Making("n, 3", "m, 3")
    module = guarded(f.finish(f.sum_in_a_region(*f.inputs), f.add(*f.inputs)))
    assert order(module.main.block) == ["group", "require", "add", "return"]
    assert order(region_of(module)) == ["require", "add", "yield"]
    assert module.main.results == (floats("n, 3"),) * 2


# -- what they do ------------------------------------------------------------------------------------------------------


def test_sizes_that_disagree_end_in_an_error() -> None:
    module = guarded(sum_of("n, 3", "m, 3"))
    two, three = np.ones((2, 3), np.float32), np.ones((3, 3), np.float32)
    assert evaluate(module, [two, two])[0].shape == (2, 3)
    with pytest.raises(UserError):
        evaluate(module, [two, three])


@settings(max_examples=50)
@given(graph_samples(found_sizes=True))
def test_guards_change_nothing_where_sizes_fit(sample: Sample) -> None:
    module = sample.module.clone()
    insert_guards(module)
    assert [str(problem) for problem in verify(module)] == []
    assert declared_types(module.main) == [arg.type for arg in sample.module.main.args]
    for one, other in zip(evaluate(sample.module, sample.feeds), evaluate(module, sample.feeds), strict=True):
        np.testing.assert_array_equal(one, other)
