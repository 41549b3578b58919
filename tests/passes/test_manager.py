"""The pass manager: levels, checks after each pass, dumps, reproducers; and pipelines as text."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from dlc.errors import InternalError, UserError
from dlc.ir.core import Module
from dlc.ir.dialects.graph_math import Exp, Neg
from dlc.ir.levels import Level
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, TensorType
from dlc.passes.base import Pass, PassContext, PassFailed
from dlc.passes.graph.eliminate_dead_code import EliminateDeadCode
from dlc.passes.graph.fold_constants import FoldConstants
from dlc.passes.graph.fuse_elementwise import FuseElementwise
from dlc.passes.graph.outline_remaining import OutlineRemaining
from dlc.passes.manager import Checks, Dump, PassManager
from dlc.passes.pipelines import GRAPH_PIPELINES, graph_pipeline
from dlc.passes.reproducer import read_weights
from dlc.passes.table import ALL_PASSES, parse_pipeline
from dlc.target import Target

TARGET = Target.parse("x86-64-v3")
TEXT = """dlc 1
module @m {
  func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
    %a = graph.exp(%x) : (tensor<2xf32>) -> tensor<2xf32>
    %b = graph.neg(%x) : (tensor<2xf32>) -> tensor<2xf32>
    func.return(%b) : (tensor<2xf32>) -> ()
  }
}
"""


@dataclass(frozen=True)
class GraphPass(Pass):
    name: ClassVar[str] = "graph-pass"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return False


@dataclass(frozen=True)
class Lower(GraphPass):
    name: ClassVar[str] = "lower"
    leaves: ClassVar[Level] = Level.LOOP


@dataclass(frozen=True)
class Lie(GraphPass):
    name: ClassVar[str] = "lie"
    says: bool = False
    does: bool = True

    def run(self, module: Module, cx: PassContext) -> bool:
        if self.does:
            block = module.main.block
            block.insert(0, Exp(block.args[0]))
        return self.says


@dataclass(frozen=True)
class Break(GraphPass):
    name: ClassVar[str] = "break"

    def run(self, module: Module, cx: PassContext) -> bool:
        block = module.main.block
        block.insert(0, Neg.unchecked([block.args[0]], {}, [TensorType((7,), F32)]))
        return True


@dataclass(frozen=True)
class Crash(GraphPass):
    name: ClassVar[str] = "crash"

    def run(self, module: Module, cx: PassContext) -> bool:
        raise KeyError("oops")


@dataclass(frozen=True)
class Complain(GraphPass):
    name: ClassVar[str] = "complain"

    def run(self, module: Module, cx: PassContext) -> bool:
        raise UserError("no such input")


def run(module: Module, *passes: Pass, checks: Checks | None = None, dump: Dump | None = None):
    return PassManager(passes, checks, dump).run(module, PassContext(TARGET, module.pool))


def test_a_pipeline_whose_levels_do_not_fit_is_refused_when_it_is_built() -> None:
    with pytest.raises(UserError, match="pass graph-pass needs the IR at level graph, after lower it is at level loop"):
        PassManager([Lower(), GraphPass()])
    assert PassManager([GraphPass(), Lower()]).end is Level.LOOP


def test_records_say_what_each_pass_did() -> None:
    first, second = run(parse_module(TEXT), EliminateDeadCode(), GraphPass())
    assert (first.name, first.changed, first.ops_before, first.ops_after) == ("eliminate-dead-code", True, 3, 2)
    assert (second.changed, second.ops_after) == (False, 2)
    assert first.seconds >= 0


@pytest.mark.parametrize(("says", "does", "message"), [(False, True, "the text differs"), (True, False, "the same")])
def test_a_lie_about_what_changed_is_caught(says: bool, does: bool, message: str) -> None:
    with pytest.raises(PassFailed, match=message):
        run(parse_module(TEXT), Lie(says, does), checks=Checks(changed_flag=True))


def test_invalid_ir_names_the_pass_that_left_it() -> None:
    with pytest.raises(PassFailed, match="pass break failed after graph-pass: InternalError: invalid IR after break"):
        run(parse_module(TEXT), GraphPass(), Break())


def test_ir_of_another_level_than_promised_is_caught() -> None:
    with pytest.raises(PassFailed, match=r"graph\.exp may not exist at level loop"):
        run(parse_module(TEXT), LyingLower())


@dataclass(frozen=True)
class LyingLower(Lower):
    def run(self, module: Module, cx: PassContext) -> bool:
        return True


def test_a_users_mistake_is_passed_on_as_it_is() -> None:
    with pytest.raises(UserError, match="no such input"):
        run(parse_module(TEXT), Complain())


def test_a_failure_leaves_the_text_before_the_pass_and_the_weights(tmp_path: Path) -> None:
    array = np.arange(20, dtype=np.float32)
    pool = ConstantPool()
    key = pool.add(array).key
    text = TEXT.replace("%a = graph.exp(%x) : (tensor<2xf32>) -> tensor<2xf32>", constant_text(key))
    text = text.replace("return(%b) : (tensor<2xf32>)", "return(%b, %a) : (tensor<2xf32>, tensor<20xf32>)")
    module = parse_module(text.replace("-> tensor<2xf32> {", "-> (tensor<2xf32>, tensor<20xf32>) {"), pool)
    with pytest.raises(PassFailed, match="pass crash failed after lie: KeyError: 'oops'") as caught:
        run(module, Lie(True), Crash(), GraphPass(), checks=Checks(reproducers=tmp_path))
    assert isinstance(caught.value, InternalError)
    path = Path(caught.value.reproducer or "")
    assert path.parent == tmp_path
    written = path.read_text()
    assert f"// dlc opt {path.name} --passes crash,graph-pass\n" in written
    again = ConstantPool()
    read_weights(path.with_suffix(".weights"), again)
    kept = parse_module(written, again)
    assert [op.name for op in kept.main.block.ops] == ["graph.exp", "graph.constant", "graph.neg", "func.return"]
    assert np.array_equal(again.get(kept.main.block.ops[1].attrs["value"]), array)


def constant_text(key: str) -> str:
    return f"%a = graph.constant() {{value = dense<@{key}>, type = tensor<20xf32>}} : () -> tensor<20xf32>"


def test_dumps_after_the_passes_asked_for() -> None:
    seen: list[str] = []
    module = parse_module(TEXT)
    run(module, GraphPass(), EliminateDeadCode(), dump=Dump(lambda name, text: seen.append(name)))
    run(module, GraphPass(), dump=Dump(lambda name, text: seen.append(name), changed_only=True))
    chosen = Dump(lambda name, text: seen.append(text), frozenset({"graph-pass"}))
    run(parse_module(TEXT), GraphPass(), EliminateDeadCode(), dump=chosen)
    assert seen[:2] == ["graph-pass", "eliminate-dead-code"]
    assert len(seen) == 3
    assert "graph.exp" in seen[2]


# -- pipelines as text -------------------------------------------------------------------------------------------------


def test_a_pipeline_is_read_with_its_options() -> None:
    text = "fold-constants{few=16, most=32}, eliminate-dead-code,fuse-elementwise{most_ops=4}"
    assert parse_pipeline(text) == (FoldConstants(16, 32), EliminateDeadCode(), FuseElementwise(4))


@pytest.mark.parametrize("level", GRAPH_PIPELINES)
def test_a_pipeline_prints_as_it_is_read(level: int) -> None:
    passes = graph_pipeline(level)
    assert parse_pipeline(",".join(map(str, passes))) == passes
    assert str(FoldConstants(few=7)) == "fold-constants{few=7}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fold-constant", "there is no pass 'fold-constant'; hint: did you mean fold-constants"),
        ("xyz", "there is no pass 'xyz'"),
        ("fold-constants{fw=1}", "pass fold-constants has no option 'fw', it has few, most"),
        ("fold-constants{few=lots}", "pass fold-constants: option few must be a int, got 'lots'"),
        ("fold-constants{few}", "expected an option like name=value at column 1 of 'few'"),
        ("fold-constants fold-pad", "expected a pass at column 1"),
    ],
)
def test_a_wrong_pipeline_is_the_users_mistake(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_pipeline(text)
    assert message in str(caught.value)


def test_passes_can_be_left_out_by_name() -> None:
    names = [each.name for each in graph_pipeline(3, disable=("fold-constants", "outline-remaining"))]
    assert "fold-constants" not in names
    assert names[-1] == OutlineRemaining.name
    with pytest.raises(UserError, match="there is no pass 'winogradd'"):
        graph_pipeline(3, disable=("winogradd",))


def test_names_of_passes_are_the_names_of_their_files() -> None:
    for each in ALL_PASSES:
        assert each.__module__.rpartition(".")[2] == each.name.replace("-", "_")
        assert each.__name__ == "".join(word.capitalize() for word in each.name.split("-"))
    assert len({each.name for each in ALL_PASSES}) == len(ALL_PASSES)
