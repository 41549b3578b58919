"""`dlc dump` and `dlc opt`: the stages of a compilation, and passes on IR text."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from dlc.driver.compile import make_options
from dlc.driver.pipeline import passes_for
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from dlc.passes.table import ALL_PASSES
from tests.cli.support import invoke, refused, succeed
from tests.models.zoo import model_of, weight

FIRST = {"graph": "dlc 1", "loop": "dlc 1", "llvm": "target triple", "asm": "\t.file"}
KERNEL = {
    "graph": "// kernel conv_1",
    "loop": "// kernel conv_1; schedule ",
    "llvm": "define hidden i32 @conv_1(",
    "asm": "\nconv_1:",
}


@pytest.mark.parametrize("stage", FIRST)
def test_each_stage(stage: str, conv: Path) -> None:
    assert succeed("dump", conv, "--stage", stage).startswith(FIRST[stage])


@pytest.mark.parametrize("stage", KERNEL)
def test_one_kernel_at_each_stage(stage: str, conv: Path) -> None:
    text = succeed("dump", conv, "--stage", stage, "--filter", "conv_1", "--without", "winograd")
    assert KERNEL[stage] in text
    assert not re.search(r"conv_0\b", text)


def test_large_constants_are_left_out(conv: Path) -> None:
    text = succeed("dump", conv)
    assert "dense<@" in text
    assert len(text) < 5000


def test_text_of_ir_parses(conv: Path) -> None:
    for stage in ("graph", "loop"):
        parse_module(succeed("dump", conv, "--stage", stage))


def test_kernels_say_how_they_were_scheduled_and_who_calls_them(conv: Path) -> None:
    text = succeed("dump", conv, "--stage", "loop", "--filter", "Conv_2", "--without", "winograd")
    assert re.search(r"// kernel conv_1; schedule \S.*\n  // considered: .*\n  // called once: Conv_2", text)
    assert re.search(r"// considered: .*direct: \d+k cycles; .*tile \d+ x \d+ x \d+: \d+ cycles a step", text)


def test_kernels_say_which_products_were_considered(tmp_path: Path) -> None:
    model = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [weight("w", np.zeros((768, 768)))], (200, 768), (200, 768),
    )  # fmt: skip
    onnx.save(model, tmp_path / "product.onnx")
    text = succeed("dump", tmp_path / "product.onnx", "--stage", "loop", "--target", "x86-64-v3")
    assert re.search(r"// considered: Strassen, \d+ tiles of \d+ x \d+ at a time: \d+k cycles; plain: \d+k", text)


def test_filter_by_op_kind_and_pattern(conv: Path) -> None:
    assert succeed("dump", conv, "--after", "import", "--filter", "relu").count("graph.relu") == 1
    assert succeed("dump", conv, "--after", "import", "--filter", "graph.*").count(" = graph.conv(") == 2
    assert succeed("dump", conv, "--after", "import", "--filter", "Conv_?").count(" = graph.") == 2


def test_filter_that_takes_nothing_names_what_there_is(conv: Path) -> None:
    assert "there are" in refused("dump", conv, "--stage", "loop", "--filter", "conv_9")
    assert "nothing in the model matches 'frob'" in refused("dump", conv, "--filter", "frob")


def test_after_a_pass_shows_each_of_its_runs(conv: Path) -> None:
    text = succeed("dump", conv, "--after", "fold-constants")
    assert re.findall(r"// ----- after ([\w-]+)", text) == ["fold-constants"] * text.count("dlc 1\n")
    assert text.count("dlc 1\n") > 1


def test_after_all_shows_every_pass_or_those_that_changed_something(conv: Path) -> None:
    every = re.findall(r"// ----- after ([\w-]+)", succeed("dump", conv, "--after-all"))
    changed = re.findall(r"// ----- after ([\w-]+)", succeed("dump", conv, "--after-all", "--changed-only"))
    options = make_options("host", None, 3, (), False)
    assert every == ["import", *(each.name for each in passes_for(options))]
    assert set(changed) < set(every)
    assert "lower-graph" in changed


def test_options_that_exclude_one_another(conv: Path) -> None:
    assert "--stage and --after" in refused("dump", conv, "--stage", "loop", "--after-all")
    assert "--changed-only goes with" in refused("dump", conv, "--changed-only")
    assert "there is no pass 'fold-cnstants'" in refused("dump", conv, "--after", "fold-cnstants")
    assert "does not run at -O0" in refused("dump", conv, "--after", "fold-pad", "-O", 0)


def test_every_pass_of_a_compilation_is_in_the_table() -> None:
    for level in range(4):
        options = make_options("host", None, level, (), False)
        assert {type(each) for each in passes_for(options)} <= set(ALL_PASSES)


# -- opt ---------------------------------------------------------------------------------------------------------------


def test_passes_on_the_dumped_text_do_what_a_compilation_does(folder: Path, conv: Path) -> None:
    passes = ",".join(map(str, passes_for(make_options("x86-64-v3", None, 3, (), False))))
    succeed("dump", conv, "--after", "import", "-o", "imported.dlc")
    lowered = succeed("opt", "imported.dlc", "--passes", passes, "--target", "x86-64-v3")
    dumped = succeed("dump", conv, "--stage", "loop", "--target", "x86-64-v3")
    assert lowered == print_module(parse_module(dumped))


def test_constants_are_read_and_written_beside_the_text(folder: Path, conv: Path) -> None:
    succeed("dump", conv, "-o", "a.dlc")
    succeed("opt", "a.dlc", "--passes", "eliminate-dead-code", "-o", "b.dlc")
    assert (folder / "b.dlc").read_text() == (folder / "a.dlc").read_text()
    assert (folder / "b.weights").read_bytes() == (folder / "a.weights").read_bytes()
    assert succeed("opt", "b.dlc") == (folder / "b.dlc").read_text()


def test_missing_constants_are_named(folder: Path, conv: Path) -> None:
    succeed("dump", conv, "-o", "a.dlc")
    (folder / "a.weights").unlink()
    message = refused("opt", "a.dlc", "--passes", "fold-constants")
    assert "a.weights does not exist" in message


def test_what_patterns_did_and_how_long_passes_took(relu: Path) -> None:
    succeed("dump", relu, "-o", "a.dlc")
    result = invoke("opt", "a.dlc", "--passes", "fold-constants,simplify-algebra", "--explain", "--timing")
    assert result.exit_code == 0
    assert result.stdout.startswith("dlc 1\n")
    assert re.search(r"^fold-constants +[\d.]+ \w?s  nothing changed", result.stderr)
    assert "simplify-algebra:\n" in result.stderr


def test_all_passes_are_listed() -> None:
    text = succeed("opt", "--list-passes")
    assert all(each.name in text for each in ALL_PASSES)
    assert "fold-constants" in text


def test_broken_text_shows_its_line(folder: Path, relu: Path) -> None:
    (folder / "a.dlc").write_text("dlc 1\nmodule @m {\n  func @main() -> () {\n    graph.frob() : () -> ()\n  }\n}\n")
    assert "a.dlc:4:" in refused("opt", "a.dlc")
    succeed("dump", relu, "-o", "b.dlc")
    text = (folder / "b.dlc").read_text().replace("{kernel = ", "{colour = 1, kernel = ")
    (folder / "b.dlc").write_text(text)
    assert "b.dlc holds invalid IR" in refused("opt", "b.dlc")


def test_options_of_passes_are_checked(folder: Path, relu: Path) -> None:
    succeed("dump", relu, "-o", "a.dlc")
    assert "did you mean fold-constants" in refused("opt", "a.dlc", "--passes", "fold-cnstants")
    assert "has no option 'more'" in refused("opt", "a.dlc", "--passes", "fold-constants{more=1}")
    assert "needs the IR at level graph" in refused("opt", "a.dlc", "--passes", "lower-graph,fold-constants")
    assert "dlc opt needs a file" in refused("opt")
    assert "cannot read none.dlc" in refused("opt", "none.dlc")
