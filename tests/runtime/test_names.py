"""Dimensions may be called anything: names that are expressions, words of the language, numbers, or hardly text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import dlc
from dlc.errors import UserError
from dlc.frontends.load import load_model
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from tests.cli.support import invoke, refused, succeed
from tests.support.onnx_models import compiled, model, node

pytestmark = pytest.mark.isa("x86-64")

ODD = (
    "n+1", "n-1", "batch size", "batch_size", "é", "è", "d0", "d0#", "min", "max", "3", 'a"b', "a\nb", "{x}", "{0}",
    "past_sequence_length + 1", "i1'", "lambda", "lane", "block", "x", "//", "[a]", "a,b", "ﬁ", "fi", " ", "%20", "a=b",
    "max(1, 2)",
)  # fmt: skip


def joined() -> onnx.ModelProto:
    """An input for each name, all of them one after the other, and some that must fit."""
    inputs = {f"x{number}": ("f32", (name, 2)) for number, name in enumerate(ODD)}
    nodes = [
        node("Concat", list(inputs), ["all"], axis=0),
        node("Relu", ["all"], ["y"]),
        node("Slice", ["x6", "one", "end", "zero"], ["part"], "the_slice"),
        node("Concat", ["x6", "x0"], ["two"], axis=0),
        node("MatMul", ["x0", "square"], ["product"]),
        node("Reshape", ["x2", "flat"], ["row"]),
        node("Add", ["row", "x2"], ["z"], "the_sum"),
    ]
    numbers = {"one": np.array([1]), "end": np.array([1 << 62]), "zero": np.array([0]), "flat": np.array([-1, 2])}
    weights = {**numbers, "square": np.ones((2, 2), np.float32)}
    outputs = dict.fromkeys(("y", "part", "two", "product", "z"), "f32")
    return model(nodes, inputs, outputs, weights, 18)


def confused() -> onnx.ModelProto:
    """Dimensions that are called what sizes of results look like."""
    inputs = {"a": ("f32", ("n",)), "b": ("f32", ("n + 1",)), "c": ("f32", ("n * 2",)), "w": ("f32", (None, "w_dim_0"))}
    nodes = [
        node("Concat", ["a", "one"], ["longer"], axis=0),
        node("Concat", ["a", "a"], ["double"], axis=0),
        node("Add", ["b", "b"], ["same"]),
        node("Add", ["a", "c"], ["sum"], "the_sum"),
        node("Transpose", ["w"], ["turned"], perm=[1, 0]),
    ]
    outputs = dict.fromkeys(("longer", "double", "same", "sum", "turned"), "f32")
    return model(nodes, inputs, outputs, {"one": np.ones(1, np.float32)}, 18)


def feeds_of(ready: dlc.CompiledModel) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        each.name: rng.standard_normal((number % 4 + 1, 2)).astype(np.float32)
        for number, each in enumerate(ready.inputs)
    }


def test_each_name_is_a_dimension_of_its_own(tmp_path: Path) -> None:
    ready = compiled(joined())
    ready.save(tmp_path / "saved.so")
    for each in (ready, dlc.load(tmp_path / "saved.so")):
        assert [spec.shape for spec in each.inputs] == [(name, 2) for name in ODD]
        given = feeds_of(each)
        found = each.run(given)
        np.testing.assert_array_equal(found["y"], np.maximum(np.concatenate(list(given.values())), 0))
        np.testing.assert_array_equal(found["part"], given["x6"][1:])
        np.testing.assert_array_equal(found["z"], given["x2"] * 2)


def test_what_messages_call_them() -> None:
    ready = compiled(confused())
    good = {"a": np.ones(2), "b": np.ones(7), "c": np.ones(2), "w": np.ones((3, 5))}
    given = {name: array.astype(np.float32) for name, array in good.items()}
    found = ready.run(given)
    assert {name: array.shape for name, array in found.items()} == {
        "longer": (3,), "double": (4,), "same": (7,), "sum": (2,), "turned": (5, 3),
    }  # fmt: skip
    assert [spec.shape for spec in ready.inputs] == [("n",), ("n + 1",), ("n * 2",), ("w_dim_0_2", "w_dim_0")]
    with pytest.raises(UserError) as caught:
        ready.run({**given, "c": np.ones(3, np.float32)})
    message = str(caught.value)
    assert "Add 'the_sum'" in message
    assert "n = 2 (dimension 0 of input 'a')" in message
    assert "\"n * 2\" = 3 (dimension 0 of input 'c')" in message


def test_a_result_that_reads_like_a_name_stands_in_brackets() -> None:
    nodes = [node("Concat", ["a", "one"], ["longer"], axis=0), node("Relu", ["b"], ["same"])]
    inputs = {"a": ("f32", ("n",)), "b": ("f32", ("n + 1",))}
    one = {"one": np.ones(1, np.float32)}
    ready = compiled(model(nodes, inputs, {"longer": "f32", "same": "f32"}, one))
    assert [spec.shape for spec in ready.outputs] == [("(n + 1)",), ("n + 1",)]


@pytest.mark.parametrize("proto", [joined(), confused()], ids=["joined", "confused"])
def test_their_text_can_be_read_again(proto: onnx.ModelProto) -> None:
    module = load_model(proto)
    text = print_module(module)
    again = parse_module(text, module.pool)
    assert print_module(again) == text
    assert [arg.type for arg in again.main.args] == [arg.type for arg in module.main.args]


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    nodes = [node("Concat", ["x", "z"], ["y"], axis=0)]
    inputs = {"x": ("f32", ("n+1", 2)), "z": ("f32", ("batch size", 2)), "unused": ("f32", ("a=b", "3"))}
    onnx.save(model(nodes, inputs, {"y": "f32"}), tmp_path / "odd.onnx")
    return tmp_path


def test_the_command_line_takes_them(folder: Path) -> None:
    sizes = ("--dim", "n+1=5", "--dim", "batch size=2", "--dim", "a=b=1")
    shown = succeed("run", "odd.onnx", "--random", "--json", *sizes)
    assert '"shape": [\n      7,\n      2\n    ]' in shown
    named = "no dimension 'n', its named dimensions are: 'n+1', 'batch size', 'a=b', '3'"
    assert named in refused("run", "odd.onnx", "--random", "--dim", "n=5")
    assert "n+1" in succeed("inspect", "odd.onnx")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("x=4x2", (4, 2)), ('x="n+1",2', ("n+1", 2)), ("x=n+1,2", ("n+1", 2)), ('x="a=b","3"', ("a=b", "3")),
        ('unused="a=b",4', ("a=b", 4)), ("z=batch size,2", ("batch size", 2)), ('x="a\\"b",2', ('a"b', 2)),
    ],
)  # fmt: skip
def test_shapes_with_such_names(given: str, wanted: tuple[int | str, ...], folder: Path) -> None:
    invoke("compile", "odd.onnx", "-o", "odd.so", "--input-shape", given)
    name = given.partition("=")[0]
    assert next(each.shape for each in dlc.load("odd.so").inputs if each.name == name) == wanted
