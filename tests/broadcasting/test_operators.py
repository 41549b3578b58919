"""Each operator that broadcasts, from its ONNX node, a symbol for every axis: what ONNX Runtime says at 0, 1 and n.

One library serves all sizes: equal ones, those where one is 1, and those that do not fit, which are refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest

from dlc.errors import UserError
from tests.support.onnx_models import assert_same, compiled, expected, model, node

Shape = tuple[int | str, ...]
Array = np.ndarray
SIZES = {"a": (3, 1, 0), "b": (3, 1, 2, 0), "c": (3, 1), "s": (17, 1), "t": (17, 1, 5), "k": (4,)}


@dataclass(frozen=True)
class Operator:
    """Nodes that make y; the sizes of each symbol are tried with each other's."""

    nodes: tuple[onnx.NodeProto, ...]
    inputs: Mapping[str, Shape]
    types: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    wider: bool = False  # dlc also takes a second operand that makes the result larger, which ONNX Runtime refuses

    def model(self) -> onnx.ModelProto:
        declared = {name: (self.types.get(name, "f32"), shape) for name, shape in self.inputs.items()}
        return model(self.nodes, declared, {"y": self.types.get("y", "f32")}, self.weights)

    def sizes(self) -> list[dict[str, int]]:
        names = list(dict.fromkeys(d for shape in self.inputs.values() for d in shape if isinstance(d, str)))
        return [dict(zip(names, each, strict=True)) for each in itertools.product(*(SIZES[name] for name in names))]

    def feeds(self, numbers: Mapping[str, int]) -> dict[str, Array]:
        random = np.random.default_rng(1)
        made = {}
        for name, shape in self.inputs.items():
            array = random.uniform(0.5, 2, [numbers[d] if isinstance(d, str) else d for d in shape])
            kind = self.types.get(name, "f32")
            made[name] = array > 1 if kind == "bool" else array.astype(np.float32)
            if kind == "si64":
                made[name] = np.ceil(array * 3).astype(np.int64)  # at least 2: a divisor
        return made


def one(kind: str, *shapes: Shape, wider: bool = False, **types: str) -> Operator:
    names = "xzu"[: len(shapes)]
    return Operator((node(kind, list(names), ["y"]),), dict(zip(names, shapes, strict=True)), types, wider=wider)


ALPHA = np.array([0.5, 1.5], np.float32)
OPERATORS = {
    **{kind: one(kind, ("a", "s"), ("b", "t")) for kind in ("Add", "Mul", "Pow", "Max")},
    "Mod": one("Mod", ("a", "s"), ("b", 1), x="si64", z="si64", y="si64"),
    "Less": one("Less", ("a",), ("b",), y="bool"),
    "last axis": one("Sub", ("s",), ("k", "t")),
    "numbers": one("Add", ("a", 3), ("b", 3)),
    "a number": one("Add", ("a", 4), (3, 4)),
    "Where": one("Where", ("a", "s"), ("b", 1), ("c", "t"), x="bool"),
    "Max of three": one("Max", ("a",), ("b",), ("c",)),
    "PRelu": one("PRelu", ("a", "s"), ("t",), wider=True),
    "MatMul": one("MatMul", ("a", "s", "k"), ("b", 4, "t")),
    "MatMul of ranks": one("MatMul", ("b", "a", 2, 4), ("c", 4, 3)),
    "Gemm": one("Gemm", ("a", "k"), (4, "s"), ("b", "t"), wider=True),
    "Expand": Operator(
        (node("Shape", ["z"], ["shape"]), node("Expand", ["x", "shape"], ["y"])),
        {"x": ("a", "s"), "z": ("b", "t")},
    ),
    "Expand to a number": Operator(
        (node("Expand", ["x", "shape"], ["y"]),), {"x": ("a", "s")}, weights={"shape": np.array([3, 17])}
    ),
    "LayerNormalization": one("LayerNormalization", ("a", 4), ("k",), ("k",)),
    "scale and bias": Operator(
        (
            node("InstanceNormalization", ["x", "w", "v"], ["i"]), node("Mul", ["i", "z"], ["m"]),
            node("Add", ["m", "u"], ["y"]),
        ),
        {"x": (2, 2, "s"), "z": ("a", 2, 1), "u": ("b", 1, "t")}, weights={"w": ALPHA, "v": ALPHA},
    ),
    "attention with a mask": Operator(
        (
            node("Transpose", ["z"], ["zt"], perm=[0, 1, 3, 2]), node("MatMul", ["x", "zt"], ["p"]),
            node("Add", ["p", "m"], ["q"]), node("Softmax", ["q"], ["r"], axis=-1), node("MatMul", ["r", "z"], ["y"]),
        ),
        {"x": (2, 2, "t", 8), "z": (2, 2, "s", 8), "m": ("a", 1, "c", "b")},
    ),
    "a chain": Operator(
        (
            node("Add", ["x", "z"], ["p"]), node("Relu", ["p"], ["q"]), node("Mul", ["q", "u"], ["r"]),
            node("Add", ["r", "x"], ["e"]), node("Sub", ["e", "z"], ["y"]),
        ),
        {"x": ("a", "s"), "z": ("b", "t"), "u": ("c", 1)},
    ),
    "Einsum": Operator(
        (node("Einsum", ["x", "z"], ["y"], equation="bij,bjk->bik"),), {"x": ("a", "s", 4), "z": ("b", 4, "t")}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_gives_what_onnx_runtime_gives(name: str) -> None:
    operator = OPERATORS[name]
    proto = operator.model()
    ready = compiled(proto)
    outcomes = set()
    for numbers in operator.sizes():
        feeds = operator.feeds(numbers)
        try:
            wanted = expected(proto, feeds)
        except Exception:  # noqa: BLE001  # ONNX Runtime raises what it likes
            wanted = []
        if wanted:
            assert_same(ready.run(feeds)["y"], wanted[0], 1e-4)
        elif not operator.wider and 0 not in numbers.values():
            with pytest.raises(UserError, match=f"'{'|'.join(each.name for each in operator.nodes)}'"):
                ready.run(feeds)
        outcomes.add(bool(wanted))
    assert True in outcomes
