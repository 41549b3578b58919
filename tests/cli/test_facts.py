"""`dlc inspect`, `dlc check`, `dlc targets`: facts about models and machines."""

import json
from pathlib import Path

from dlc.target import ALL_TARGETS, Target, host_can_run
from tests.cli.support import invoke, succeed, unsupported_model


def test_a_model_and_its_library_agree(conv: Path) -> None:
    succeed("compile", conv, "--target", "x86-64-v3")
    model = json.loads(succeed("inspect", conv, "--target", "x86-64-v3", "--json"))
    library = json.loads(succeed("inspect", "conv.so", "--json"))
    assert model["kernels"] == library["kernels"]
    assert model["arena"] == library["arena"]
    assert model["scratch"] == library["scratch"]
    assert model["compiled_weights"] == library["weights"]
    assert model["features"] == library["features"]
    assert [each["name"] for each in model["inputs"]] == [each["name"] for each in library["inputs"]] == ["x"]
    assert model["operators"] == {"Conv": 2, "Add": 1, "Flatten": 1, "Relu": 1}
    assert model["parameters"] == (16 * 8 + 16 * 16) * 9
    assert library["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 8, 6, 6]}]


def test_tables_for_people(conv: Path) -> None:
    succeed("compile", conv)
    for text in (succeed("inspect", conv), succeed("inspect", "conv.so")):
        assert "arena" in text and "instruction sets" in text and "(1, 8, 6, 6)" in text and "kernels of" in text


def test_libraries_for_other_machines_can_be_read(relu: Path) -> None:
    succeed("compile", relu, "--target", "aarch64+dotprod")
    facts = json.loads(succeed("inspect", "relu.so", "--json"))
    assert facts["target"] == "aarch64+dotprod"
    assert facts["inputs"][0]["shape"] == ["batch", 4]


def test_check_is_content_with_what_can_be_compiled(conv: Path) -> None:
    text = succeed("check", conv)
    assert "5 operators of 4 kinds, 0 unsupported" in text
    assert json.loads(succeed("check", conv, "--json")) == {
        "supported": True, "operators": {"Conv": 2, "Add": 1, "Flatten": 1, "Relu": 1}, "unsupported": [],
    }  # fmt: skip


def test_check_names_every_unsupported_operator(folder: Path) -> None:
    model = unsupported_model(folder / "bad.onnx")
    result = invoke("check", model)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert "Frob_1" in result.stdout and "Twist_1" in result.stdout
    result = invoke("check", model, "--json")
    assert result.exit_code == 1
    assert [each["node"] for each in json.loads(result.stdout)["unsupported"]] == ["Frob_1", "Twist_1"]


def test_inspect_shows_a_model_that_cannot_be_compiled(folder: Path) -> None:
    text = succeed("inspect", unsupported_model(folder / "bad.onnx"))
    assert "2 operators: dlc check lists them" in text
    assert "Frobnicate" in text


def test_every_target_is_listed_and_host_is_resolved() -> None:
    text = succeed("targets")
    assert all(known.target.name in text for known in ALL_TARGETS)
    listed = json.loads(succeed("targets", "--json"))
    assert listed["host"]["target"] == str(Target.host())
    assert listed["host"]["runs_here"] is True
    for row in listed["targets"]:
        assert row["runs_here"] == host_can_run(Target.parse(row["name"]))[0]
