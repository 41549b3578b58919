"""A case: one op on small arrays, and what says which results are right (ONNX Runtime or NumPy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import DTypeLike, NDArray
from onnx import helper, numpy_helper

from dlc.ir.core import Block, Op, Value
from dlc.ir.expr import Dim, sym
from dlc.ir.types import TensorType, scalar_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Onnx:
    """An ONNX op that means the same: its operands are the case's, then `extra`, unless `inputs` lists them all."""

    kind: str
    attrs: dict[str, Any] = field(default_factory=dict)
    extra: tuple[Array | None, ...] = ()
    inputs: tuple[Array | int | None, ...] | None = None  # an int: that operand of the case
    opset: int = 21


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[..., Op]
    arrays: Sequence[Array]
    right: Onnx | Callable[..., Any]  # an ONNX op, or a function of the arrays
    close: str = "op"  # the name of a tolerance

    def op(self, types: Sequence[TensorType] | None = None) -> Op:
        wanted = types or [TensorType(a.shape, scalar_of(a.dtype)) for a in self.arrays]
        return self.make(*arguments(wanted))

    def expected(self) -> list[Array]:
        if isinstance(self.right, Onnx):
            return run_onnx(self.right, self.arrays, len(self.op().results))
        found = self.right(*self.arrays)
        return [np.asarray(each) for each in (found if isinstance(found, tuple) else (found,))]

    def symbolic_types(self) -> list[TensorType]:
        """The operand types with a symbol for each size."""
        return [TensorType(tuple(map(symbol_for, a.shape)), scalar_of(a.dtype)) for a in self.arrays]


def symbol_for(size: int) -> Dim:
    return size if size <= 1 else sym(f"n{size}")


def arguments(types: Sequence[TensorType]) -> list[Value]:
    return Block(types).args


def run_onnx(node: Onnx, arrays: Sequence[Array], results: int) -> list[Array]:
    given = node.inputs if node.inputs is not None else (*range(len(arrays)), *node.extra)
    names = [f"in{item}" if isinstance(item, int) else "" if item is None else f"c{n}" for n, item in enumerate(given)]
    outputs = [f"out{n}" for n in range(results)]
    graph = helper.make_graph(
        [helper.make_node(node.kind, names, outputs, **node.attrs)],
        "case",
        [
            helper.make_tensor_value_info(f"in{n}", helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in enumerate(arrays)
            if n in given_operands(given)
        ],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(c, names[n]) for n, c in enumerate(given) if isinstance(c, np.ndarray)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {f"in{n}": arrays[n] for n in given_operands(given)})
    return [np.asarray(each) for each in found]


def given_operands(given: Sequence[Array | int | None]) -> list[int]:
    return sorted(item for item in given if isinstance(item, int))


def rng(*shape: int) -> np.random.Generator:
    """A generator that depends on what is asked for alone, so that cases do not depend on their order."""
    return np.random.default_rng((17, *shape))


def f32(*shape: int, low: float = -3.0, high: float = 3.0) -> Array:
    return rng(*shape).uniform(low, high, shape).astype(np.float32)


def ints(*shape: int, low: int = -9, high: int = 10, dtype: DTypeLike = np.int32) -> Array:
    return rng(*shape).integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> Array:
    return rng(*shape).random(shape) < 0.5


def vector(*numbers: float, dtype: DTypeLike = np.int64) -> Array:
    return np.array(numbers, dtype)
