"""Model files that are broken in some way: one message that names the thing, and nothing left behind."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import dlc
from tests.cli.support import conv_model, refused, unsupported_model

COMMANDS = {
    "compile": ("compile", "-o", "out.so"), "run": ("run", "--random"), "bench": ("bench", "--seconds", "0.01"),
    "dump": ("dump", "-o", "out.dlc"), "inspect": ("inspect",), "check": ("check",),
}  # fmt: skip


def truncated(path: Path) -> str:
    data = conv_model(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return "is no ONNX model, or is cut short"


def text_file(path: Path) -> str:
    path.write_text("This is not a model.\n")
    return "is no ONNX model, or is cut short"


def empty_file(path: Path) -> str:
    path.touch()
    return "is no ONNX model"


def directory(path: Path) -> str:
    path.mkdir()
    return "is a folder"


def missing(path: Path) -> str:
    return "No such file or directory"


def missing_external_data(path: Path) -> str:
    conv_model(path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").unlink()
    return "weights.bin, which cannot be read: No such file or directory"


def short_external_data(path: Path) -> str:
    conv_model(path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    data = (path.parent / "weights.bin").read_bytes()
    (path.parent / "weights.bin").write_bytes(data[:100])
    return "weights.bin, which has 100"


def no_graph(path: Path) -> str:
    onnx.save_model(onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 17)]), path)
    return "has no graph"


def undefined_value(path: Path) -> str:
    node = helper.make_node("Add", ["x", "nowhere"], ["y"], "Add_1")
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "g", [value("x", TensorProto.FLOAT, [4])], [value("y", TensorProto.FLOAT, [4])])
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return "nowhere"


BROKEN = (
    truncated, text_file, empty_file, directory, missing, missing_external_data, short_external_data, no_graph,
    undefined_value,
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_broken_model_gives_one_message(broken: object, command: str, folder: Path) -> None:
    model = folder / "model.onnx"
    wanted = broken(model)  # type: ignore[operator]  # one of BROKEN
    before = {path.name for path in folder.iterdir()}
    name, *options = COMMANDS[command]
    message = refused(name, model, *options)
    assert wanted in message.replace("Is a directory", "is a folder").replace("there is no file", f"{missing(model)}")
    assert "model.onnx" in message or "Add_1" in message or "weights.bin" in message
    left = {path.name for path in folder.iterdir()} - before - {"cache"}
    assert left == set()
    cache = folder / "cache"
    assert not cache.exists() or list(cache.iterdir()) == []


def test_every_unsupported_operator_is_named_at_once(folder: Path) -> None:
    message = refused("compile", unsupported_model(folder / "bad.onnx"))
    assert "2 unsupported operators" in message
    assert "Frobnicate 'Frob_1'" in message and "Twist 'Twist_1'" in message
    assert [path.name for path in folder.iterdir()] == ["bad.onnx"]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_python_raises_the_same_errors(broken: object, folder: Path) -> None:
    model = folder / "model.onnx"
    broken(model)  # type: ignore[operator]  # one of BROKEN
    with pytest.raises(dlc.UserError):
        dlc.compile(model)


def test_bytes_need_no_file(conv: Path) -> None:
    with pytest.raises(dlc.UserError, match="no ONNX model"):
        dlc.compile(conv.read_bytes()[:1000])
    with pytest.raises(dlc.UserError, match=r"path, bytes or an onnx\.ModelProto"):
        dlc.compile(17)
