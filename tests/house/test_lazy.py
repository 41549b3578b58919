"""`import dlc` stays light: running a compiled model brings in neither the compiler nor what it depends on."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import dlc

HEAVY = ("onnx", "llvmlite", "lark", "click", "rich", "torch", "ml_dtypes")
COMPILER = ("dlc.ir", "dlc.frontends", "dlc.passes", "dlc.codegen", "dlc.driver", "dlc.cli")


def loaded_after(statement: str) -> set[str]:
    """The modules a fresh interpreter holds after the statement."""
    program = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_import_brings_in_no_part_of_the_package() -> None:
    assert {name for name in loaded_after("import dlc") if name.startswith("dlc")} == {"dlc"}


@pytest.mark.skipif(importlib.util.find_spec("dlc.runtime") is None, reason="dlc.runtime is not written yet")
def test_load_needs_no_compiler() -> None:
    loaded = loaded_after("import dlc\ndlc.load, dlc.CompiledModel, dlc.TensorSpec, dlc.UserError")
    assert loaded.isdisjoint((*HEAVY, *COMPILER))


def test_target_needs_no_dependency() -> None:
    assert loaded_after("import dlc\ndlc.Target.parse('x86-64-v3')").isdisjoint((*HEAVY, *COMPILER, "numpy"))


def test_unknown_name_is_an_attribute_error_that_lists_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'complie', expected one of .*compile"):
        dlc.complie  # noqa: B018
    assert not hasattr(dlc, "nonsense")


def test_missing_part_is_an_attribute_error_that_names_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dlc.HOMES, "later", "dlc.not_written")
    with pytest.raises(AttributeError, match=r"dlc\.later is not part of .*: it lacks the module dlc\.not_written"):
        dlc.later  # noqa: B018


def test_every_export_is_listed() -> None:
    assert set(dlc.__all__) == {*dlc.HOMES, "__version__"}
    assert set(dlc.__all__) <= set(dir(dlc))


COLD = """
import os, sys, tempfile, time
import numpy
began = time.perf_counter()
import dlc
with tempfile.TemporaryDirectory() as folder:
    os.environ["DLC_CACHE_DIR"] = folder
    dlc.compile(sys.argv[1]).save(os.path.join(folder, "model.so"))
    seconds = time.perf_counter() - began
print(seconds, *sys.modules)
"""


def test_a_small_model_compiles_in_a_moment_and_without_what_only_few_models_need(tmp_path: Path) -> None:
    path = tmp_path / "relu.onnx"
    relu = onnx.helper.make_node("Relu", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (4, 64)) for name in "xy")
    graph = onnx.helper.make_graph([relu], "g", [x], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    for _ in range(2):  # the first writes the bytecode
        done = subprocess.run(
            [sys.executable, "-c", COLD, str(path)], env=environment, check=True, capture_output=True, text=True
        )
    seconds, *loaded = done.stdout.split()
    assert set(loaded).isdisjoint({"onnx", "google.protobuf", "lark", "click", "rich", "dlc.ir.parser", "dlc.cli"})
    assert set(loaded).isdisjoint({"_hashlib", "subprocess", "uuid"})  # milliseconds each
    assert float(seconds) < 2  # a tenth of that where nothing else runs
