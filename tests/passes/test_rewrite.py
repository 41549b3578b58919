"""The rewriter and the worklist: use lists, locations, dead producers, an end to endless patterns."""

from dataclasses import dataclass

import pytest

from dlc.errors import InternalError
from dlc.ir.core import Location, Module
from dlc.ir.dialects.graph_math import Abs, Add, Exp, Mul, Neg, Relu
from dlc.ir.opdef import PURE
from dlc.ir.parser import parse_module
from dlc.ir.rewrite import Explain, NoMatch, Pattern, Rewriter, apply_patterns, sorted_ops
from dlc.ir.types import F32, TensorType
from dlc.ir.verify import verify

TEXT = """dlc 1
module @m {
  func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %a = graph.neg(%x) : (tensor<2xf32>) -> tensor<2xf32> loc("first")
    %b = graph.neg(%a) : (tensor<2xf32>) -> tensor<2xf32> loc("second")
    %c = graph.exp(%b) : (tensor<2xf32>) -> tensor<2xf32> loc("third")
    func.return(%c) : (tensor<2xf32>) -> ()
  }
}
"""


@dataclass
class Context:
    module: Module
    explain: Explain

    @property
    def pool(self):
        return self.module.pool


def context(text: str = TEXT) -> Context:
    return Context(parse_module(text), Explain())


class DropDoubleNeg(Pattern[Neg]):
    def rewrite(self, op: Neg, rw: Rewriter) -> NoMatch | None:
        if (inner := op.x.defined_by(Neg)) is None:
            return NoMatch("x is no neg")
        rw.replace(op, inner.x)
        return None


class ExpToAbs(Pattern[Exp]):
    def rewrite(self, op: Exp, rw: Rewriter) -> NoMatch | None:
        rw.replace(op, rw.insert(Abs(op.x), op.x.defining_op or op).result)
        return None


class Flip(Pattern[Abs | Exp]):
    def rewrite(self, op: Abs | Exp, rw: Rewriter) -> NoMatch | None:
        other = Exp if isinstance(op, Abs) else Abs
        rw.replace(op, rw.insert(other(op.x)).result)
        return None


def names(module: Module) -> list[str]:
    return [op.name for op in module.main.block.ops]


def test_a_pattern_knows_what_it_matches() -> None:
    assert DropDoubleNeg.kinds == (Neg,)
    assert Flip.kinds == (Abs, Exp)


def test_replacing_erases_what_only_the_replaced_op_used() -> None:
    cx = context()
    assert apply_patterns(cx.module, [DropDoubleNeg()], cx)
    assert names(cx.module) == ["graph.exp", "func.return"]
    assert not verify(cx.module)


def test_reasons_and_firings_are_counted() -> None:
    cx = context()
    cx.explain.current = "some-pass"
    apply_patterns(cx.module, [DropDoubleNeg()], cx)
    assert cx.explain.fired["some-pass", "DropDoubleNeg"] == 1
    assert cx.explain.refused["some-pass", "DropDoubleNeg", "x is no neg"] == 1
    assert cx.explain.lines("some-pass") == ["     1 DropDoubleNeg: fired", "     1 DropDoubleNeg: x is no neg"]


def test_a_new_op_comes_from_all_ops_it_stands_for() -> None:
    cx = context()
    apply_patterns(cx.module, [ExpToAbs()], cx)
    assert cx.module.main.block.ops[2].loc == Location(("second", "third"))


def test_nothing_to_do_is_no_change() -> None:
    cx = context()
    apply_patterns(cx.module, [DropDoubleNeg()], cx)
    assert not apply_patterns(cx.module, [DropDoubleNeg()], cx)


def test_endless_patterns_are_a_defect_that_names_them() -> None:
    cx = context()
    with pytest.raises(InternalError, match="never come to an end; the last two were Flip and Flip"):
        apply_patterns(cx.module, [Flip()], cx)


def test_a_replacement_of_another_type_is_a_defect() -> None:
    cx = context()
    rw = Rewriter(cx.pool)
    wide = cx.module.main.block.add_arg(TensorType((3,), F32))
    with pytest.raises(InternalError, match="replaced by one of tensor<3xf32>"):
        rw.replace(cx.module.main.block.ops[2], wide)


def test_erasing_an_op_that_is_used_is_a_defect() -> None:
    cx = context()
    with pytest.raises(InternalError, match=r"graph\.neg is erased but still used"):
        Rewriter(cx.pool).erase(cx.module.main.block.ops[0])


def test_set_operand_drops_what_is_left_unused() -> None:
    cx = context()
    rw = Rewriter(cx.pool)
    rw.set_operand(cx.module.main.block.ops[2], 0, cx.module.main.args[0])
    assert names(cx.module) == ["graph.exp", "func.return"]
    assert rw.changed
    assert not verify(cx.module)


def test_sorting_moves_only_what_stands_before_its_definition() -> None:
    cx = context()
    block = cx.module.main.block
    first, second, third, end = block.ops
    block.ops = [third, first, second, end]
    assert sorted_ops(block) == [first, second, third, end]
    rw = Rewriter(cx.pool)
    rw.sort(block)
    assert rw.changed
    assert not verify(cx.module)


def test_sorting_a_cycle_is_a_defect() -> None:
    cx = context()
    first, second, *_ = cx.module.main.block.ops
    first.set_operand(0, second.results[0])
    with pytest.raises(InternalError, match="depends on itself"):
        sorted_ops(cx.module.main.block)


def test_places_are_found_after_many_inserts() -> None:
    cx = context()
    rw = Rewriter(cx.pool)
    block = cx.module.main.block
    x, last = cx.module.main.args[0], block.ops[2]
    added = [rw.insert(Relu(x), before=last) for _ in range(50)]
    rw.insert(Mul(x, x), before=added[25])
    rw.insert(Add(x, x), before=block.ops[0])
    assert block.ops.index(added[25]) == 2 + 25 + 2
    for op in added:
        rw.erase(op)
    assert names(cx.module)[:4] == ["graph.add", "graph.neg", "graph.neg", "graph.mul"]
    assert all(op.spec.has(PURE) for op in block.ops[:4])
