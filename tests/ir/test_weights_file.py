"""Constants beside the text: what is saved comes back, mapped and not read."""

import numpy as np
import pytest
from hypothesis import given, settings

from dlc.errors import UserError
from dlc.ir.compare import compare
from dlc.ir.core import Block, Func, Module, Region
from dlc.ir.dialects.func import Return
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.printer import print_module
from dlc.ir.types import STRING, TensorType, scalar_of
from dlc.ir.weights_file import load_weights, save_weights, used_constants, weights_path
from tests.ir.sample_ops import DIALECTS, Bag, Constant
from tests.ir.strategies import modules
from tests.ir.test_roundtrip import BOTH

ARRAYS = [
    np.arange(100, dtype=np.float32).reshape(4, 25),
    np.array([True, False] * 20),
    np.zeros((0, 3), np.int64),
    np.array(3, np.uint8),
    np.array(["a", "ü", ""] * 10, object).reshape(2, 15),
    np.arange(40).astype("bfloat16") if "bfloat16" in np.sctypeDict else np.arange(40, dtype=np.float16),
    np.asfortranarray(np.arange(60, dtype=np.int16).reshape(6, 10)),
]


def module_of(arrays):
    module = Module(ConstantPool())
    block = Block()
    for array in arrays:
        element = STRING if array.dtype == object else scalar_of(array.dtype)
        block.append(Constant(value=module.pool.add(array), type=TensorType(array.shape, element)))
    block.append(Return())
    module.add(Func("main", Region([block])))
    return module


def test_arrays_come_back(tmp_path):
    module = module_of(ARRAYS)
    path = tmp_path / "net.weights"
    assert save_weights(module, path) == len(ARRAYS)
    pool = ConstantPool()
    refs = load_weights(path, pool)
    assert refs == used_constants(module)
    for ref, array in zip(refs, ARRAYS, strict=True):
        found = pool.get(ref)
        assert found.dtype == array.dtype and found.shape == array.shape
        assert found.tolist() == array.tolist()
        assert not found.flags.writeable
    again = parse_module(print_module(module), pool, DIALECTS)
    assert compare(again, module) is None


@given(modules())
@settings(max_examples=20)
def test_text_and_weights_hold_the_whole_module(tmp_path_factory, module):
    path = tmp_path_factory.mktemp("w") / "net.weights"
    save_weights(module, path)
    pool = ConstantPool()
    load_weights(path, pool)
    again = parse_module(print_module(module), pool, BOTH)
    assert compare(again, module) is None
    assert all(ref in pool for ref in used_constants(module))


def test_only_what_the_module_uses_is_saved(tmp_path):
    module = module_of(ARRAYS[:1])
    module.pool.add(np.zeros(1000))
    module.main.block.insert(0, Bag(a=(1, (DenseRef("unknown"),))))
    module.main.attrs["table"] = module.pool.add(np.ones(3))
    assert [ref.key for ref in used_constants(module)][1:2] == ["unknown"]
    assert save_weights(module, tmp_path / "w") == 2


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save_weights(module_of(ARRAYS), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_arrays_lie_on_boundaries(tmp_path):
    save_weights(module_of(ARRAYS), tmp_path / "w")
    pool = ConstantPool()
    first = pool.get(load_weights(tmp_path / "w", pool)[0])
    assert first.ctypes.data % 64 == 0


@pytest.mark.parametrize("cut", [0, 4, 12, 100, -64])
def test_a_file_that_is_none_is_refused(tmp_path, cut):
    path = tmp_path / "net.weights"
    save_weights(module_of(ARRAYS[:1]), path)
    path.write_bytes(path.read_bytes()[:cut] if cut else b"")
    with pytest.raises(UserError, match=r"is not a weights file|is shorter than"):
        load_weights(path, ConstantPool())


def test_a_module_without_constants_has_an_empty_file(tmp_path):
    assert save_weights(module_of([]), tmp_path / "w") == 0
    assert load_weights(tmp_path / "w", ConstantPool()) == []


def test_the_file_lies_beside_the_text(tmp_path):
    assert weights_path(tmp_path / "net.dlc") == tmp_path / "net.weights"
