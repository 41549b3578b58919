"""Reading files: weights stay in the file, broken files give one sentence, external data is found and checked."""

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc
from dlc.errors import UserError
from dlc.frontends.load import load_model
from dlc.frontends.messages import FORMATS, READERS, Message
from dlc.frontends.reader import read_model
from dlc.frontends.wire import Malformed
from tests.frontends.models import model_of

BIG = np.arange(2048, dtype=np.float32).reshape(32, 64)


def add_model(weight: np.ndarray = BIG) -> onnx.ModelProto:
    node = helper.make_node("Add", ["x", "w"], ["y"], "add")
    return model_of([node], {"x": np.zeros((1, 64), np.float32), "w": weight}, ["y"], constants=("w",))


def external_model(**entries: str) -> onnx.ModelProto:
    model = add_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return model


def test_big_weights_are_views_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(add_model(), path)
    array = read_model(path).graph.initializers[0].load()
    assert np.array_equal(array, BIG)
    assert not array.flags.writeable and not array.flags.owndata


def test_bytes_and_protobuf_give_the_same_records(tmp_path: Path) -> None:
    model = add_model()
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    records = [read_model(source) for source in (model, model.SerializeToString(), path, str(path))]
    assert all(record == records[0] for record in records)


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.5, -2], np.float64),
        np.array([True, False]),
        np.array([1, 2], np.float16),
        np.array([-1, 5], np.int8),
        np.array(["a", "b"], object),
        np.zeros((0, 2), np.float32),
        np.array(3, np.int64),
    ],
)
def test_small_tensors_of_every_kind(array: np.ndarray) -> None:
    model = model_of([helper.make_node("Identity", ["c"], ["y"])], {"c": array}, ["y"], constants=("c",))
    found = read_model(model).graph.initializers[0].load()
    assert found.dtype == array.dtype and found.shape == array.shape and found.tolist() == array.tolist()


def test_numbers_that_are_not_raw_bytes() -> None:
    model = add_model()
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.FLOAT, (2, 2), [1, 2, 3, 4], raw=False))
    assert read_model(model).graph.initializers[0].load().tolist() == [[1, 2], [3, 4]]


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"12345678" + BIG.tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(external_model(location="w.bin", offset="8").SerializeToString())
    assert np.array_equal(read_model(path).graph.initializers[0].load(), BIG)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "none.bin"}, r"tensor 'w' lies in the file .*none\.bin, which cannot be read"),
        ({"location": "short.bin"}, r"tensor 'w' needs bytes 0 to 8192 of the file .*short\.bin, which has 100"),
        ({"location": "../outside.bin"}, r"tensor 'w' lies in '\.\./outside\.bin', which is not inside"),
        ({"location": "sub/../short.bin"}, r"tensor 'w' lies in 'sub/\.\./short\.bin', which is not inside"),
        ({"location": "/etc/passwd"}, r"tensor 'w' lies in '/etc/passwd', which is not inside"),
        ({"location": "a\0b"}, r"tensor 'w' lies in 'a.b', which is not inside"),
        ({"location": "x" * 300}, r"tensor 'w' lies in the file .*, which cannot be read: .*[Nn]ame too long"),
        ({"location": "."}, r"tensor 'w' lies in .*, which is no file"),
        ({"location": "pipe"}, r"tensor 'w' lies in .*pipe, which is no file"),
        ({"location": "loop"}, r"tensor 'w' lies in the file .*loop, which cannot be read"),
        ({"location": "link.bin"}, r"link\.bin, a link to .*outside\.bin, which is not inside .*; hint: put the data"),
        ({"location": "folder/outside.bin"}, r"a link to .*outside\.bin, which is not inside the model's folder"),
        ({"location": "short.bin", "offset": "9" * 5000}, r"has the offset '999.*', expected a number"),
        ({"location": "short.bin", "offset": "-8"}, r"has the offset '-8', expected a number"),
        ({"location": "short.bin", "offset": "9" * 19}, r"needs bytes 9{19} to \d+ of the file .*, which has 100"),
        ({"location": "short.bin", "length": "4"}, r"tensor 'w' needs 8192 bytes but declares 4"),
        ({"location": "short.bin", "offset": "x"}, r"has the offset 'x', expected a number"),
        ({}, r"tensor 'w' lies in '', which is not inside"),
    ],
)
def test_external_data_that_is_missing_short_or_elsewhere(
    tmp_path: Path, entries: dict[str, str], message: str
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "outside.bin").write_bytes(BIG.tobytes())
    (tmp_path / "inner" / "short.bin").write_bytes(b"0" * 100)
    (tmp_path / "inner" / "link.bin").symlink_to("../outside.bin")
    (tmp_path / "inner" / "folder").symlink_to("..")
    (tmp_path / "inner" / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "inner" / "pipe")
    path = tmp_path / "inner" / "model.onnx"
    path.write_bytes(external_model(**entries).SerializeToString())
    with pytest.raises(UserError, match=message):
        load_model(path)


def hub(folder: Path, revision: str, weight: np.ndarray) -> Path:
    """A model as the cache of a hub holds it: links into a folder of blobs, which equal files of revisions share."""
    blobs, snapshot = folder / "blobs", folder / "snapshots" / revision / "onnx"
    blobs.mkdir(exist_ok=True, parents=True)
    snapshot.mkdir(parents=True)
    graph = external_model(location="model.onnx_data").SerializeToString()
    for name, content in (("model.onnx", graph), ("model.onnx_data", weight.tobytes())):
        blob = blobs / hashlib.sha256(content).hexdigest()
        if not blob.exists():
            blob.write_bytes(content)
            os.utime(blob, (1, 1))  # as archives leave them: neither size nor time tells revisions apart
        (snapshot / name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot / "model.onnx"


def test_a_model_and_its_data_that_are_links_into_a_folder_of_blobs(tmp_path: Path) -> None:
    path = hub(tmp_path, "r1", BIG)
    record = read_model(path)
    assert np.array_equal(record.graph.initializers[0].load(), BIG)
    assert record.files == (str(path.with_name("model.onnx_data")),)


def test_revisions_that_share_the_graph_but_not_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    x = np.zeros((1, 64), np.float32)
    first, second = hub(tmp_path, "r1", BIG), hub(tmp_path, "r2", BIG + 1)
    assert first.resolve() == second.resolve()
    for path, expected in ((first, BIG), (second, BIG + 1), (first, BIG)):
        assert np.array_equal(dlc.compile(path)(x), expected)
    data = first.with_name("model.onnx_data")
    data.unlink()
    data.symlink_to(second.with_name("model.onnx_data").resolve())  # the hub has moved the link on
    assert np.array_equal(dlc.compile(first)(x), BIG + 1)


@pytest.mark.parametrize("beside_the_link", [True, False])
def test_a_link_to_a_model_with_data_beside_either(tmp_path: Path, beside_the_link: bool) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").mkdir()
    (tmp_path / "real" / "model.onnx").write_bytes(external_model(location="./w.bin").SerializeToString())
    (tmp_path / "real" / "w.bin").write_bytes(BIG.tobytes())
    (tmp_path / "link" / "m.onnx").symlink_to("../real/model.onnx")
    if beside_the_link:
        (tmp_path / "link" / "w.bin").write_bytes((BIG + 1).tobytes())
    found = read_model(tmp_path / "link" / "m.onnx").graph.initializers[0].load()
    assert np.array_equal(found, BIG + beside_the_link)


@pytest.mark.parametrize("offset", [(1 << 31) - 4, 1 << 31, (1 << 32) + 12, 5_000_000_001])
def test_external_data_beyond_what_32_bits_reach(tmp_path: Path, offset: int) -> None:
    with open(tmp_path / "w.bin", "wb") as file:  # a hole on the disk, up to the weights
        file.seek(offset)
        file.write(BIG.tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(external_model(location="w.bin", offset=str(offset)).SerializeToString())
    assert np.array_equal(read_model(path).graph.initializers[0].load(), BIG)


def test_external_data_without_a_folder() -> None:
    with pytest.raises(UserError, match="which came without a folder"):
        load_model(external_model(location="w.bin").SerializeToString())


def test_a_truncated_file_names_itself(tmp_path: Path) -> None:
    data = add_model().SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in (1, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UserError, match=re.escape(str(path))):
            load_model(path)


@pytest.mark.parametrize("content", [b"", b"hello world, this is no model", b"\x00" * 64, b"\xff" * 64, b"PK\x03\x04"])
def test_what_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no ONNX model"):
        load_model(path)
    with pytest.raises(UserError, match="is no ONNX model"):
        load_model(content)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load_model(tmp_path / "none.onnx")
    with pytest.raises(UserError, match="is a folder"):
        load_model(tmp_path)
    with pytest.raises(UserError, match="a model must be a path"):
        load_model(3)


def test_contents_that_do_not_fit_their_shape() -> None:
    model = add_model()
    model.graph.initializer[0].dims[0] = 33
    with pytest.raises(UserError, match="tensor 'w' of f32 and shape"):
        load_model(model.SerializeToString())


def test_the_wire_walker_refuses_lengths_that_leave_their_message() -> None:
    for data in (b"\x3a\x10abc", b"\x3b", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"):
        with pytest.raises(Malformed):
            Message("ModelProto", memoryview(data), 0, len(data))


def test_float_attributes_are_the_decimals_that_were_meant() -> None:
    node = helper.make_node("LeakyRelu", ["x"], ["y"], alpha=0.01)
    record = read_model(model_of([node], {"x": np.zeros(1, np.float32)}, ["y"]))
    assert record.graph.nodes[0].attributes["alpha"] == 0.01


def test_equal_weights_share_one_constant() -> None:
    nodes = [helper.make_node("Add", ["x", "a"], ["t"]), helper.make_node("Mul", ["t", "b"], ["y"])]
    weight = np.ones((200, 200), np.float32)
    module = load_model(model_of(nodes, {"x": weight, "a": weight, "b": weight.copy()}, ["y"], constants=("a", "b")))
    assert len(list(module.pool.keys())) == 1
    assert numpy_helper.to_array(numpy_helper.from_array(weight)).shape == (200, 200)


def test_the_tables_of_messages_agree_with_the_onnx_package() -> None:
    kinds = {"int": (3, 5, 14), "float": (2,), "string": (9,), "bytes": (12,)}  # protobuf's numbers of types
    file = onnx.ModelProto.DESCRIPTOR.file
    for name, table in FORMATS.items():
        outer, _, inner = name.partition(".")
        message = file.message_types_by_name[outer]
        message = message.nested_types_by_name[inner] if inner else message
        for number, (field, kind, repeated) in table.items():
            real = message.fields_by_number[number]
            assert real.name == field and isinstance(real.default_value, list) == repeated, (name, field)
            if kind in READERS:
                assert real.type in kinds[kind]
            else:
                assert real.message_type.full_name == f"onnx.{kind}"


def test_numbers_packed_and_one_by_one_read_alike() -> None:
    for data in (b"\x08\x02\x08\xff\x01", b"\x0a\x03\x02\xff\x01"):
        assert list(Message("TensorProto", memoryview(data), 0, len(data)).dims) == [2, 255]
    negative = b"\x18" + b"\xff" * 9 + b"\x01"
    assert Message("AttributeProto", memoryview(negative), 0, len(negative)).i == -1
