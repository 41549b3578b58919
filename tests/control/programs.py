"""Programs of nested If, Loop and Scan that hypothesis draws: vectors and matrices, captured and carried.

All values are float32 of rank 1 with sizes that may change, so that anything may meet anything: what is added is first
cut or padded to a common length by the program itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_models import node

UNARY = ("Neg", "Abs", "Relu", "Tanh", "Sigmoid", "Identity")
BINARY = ("Add", "Sub", "Mul", "Max")
FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


@dataclass
class Scope:
    """The names that a graph sees: vectors of a size that is known (4) or not (0), and its nodes so far."""

    fixed: list[str]
    loose: list[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def inner(self) -> Scope:
        return Scope([*self.fixed], [*self.loose])


class Drawn:
    """One program."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.count = 0

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def pick(self, names: list[str]) -> str:
        return self.draw(st.sampled_from(names))

    def put(self, scope: Scope, kind: str, inputs: list[str], stem: str = "v", **attributes: object) -> str:
        name = self.fresh(stem)
        scope.nodes.append(node(kind, inputs, [name], self.fresh("n"), **attributes))
        return name

    # -- statements --------------------------------------------------------------------------------------------------

    def statements(self, scope: Scope, depth: int) -> None:
        for _ in range(self.draw(st.integers(1, 3))):
            kinds = ["unary", "binary", "longer", "shorter", "fit"]
            if depth:
                kinds += ["if", "if", "loop", "loop", "scan"]
            getattr(self, f"make_{self.draw(st.sampled_from(kinds)).replace('if', 'branch')}")(scope, depth)

    def make_unary(self, scope: Scope, depth: int) -> None:
        names = scope.fixed if self.draw(st.booleans()) else scope.loose
        names.append(self.put(scope, self.draw(st.sampled_from(UNARY)), [self.pick(names)]))

    def make_binary(self, scope: Scope, depth: int) -> None:
        kind = self.draw(st.sampled_from(BINARY))
        scope.fixed.append(self.put(scope, kind, [self.pick(scope.fixed), self.pick(scope.fixed)]))

    def make_longer(self, scope: Scope, depth: int) -> None:
        names = [self.pick(scope.loose), self.pick([*scope.fixed, *scope.loose])]
        joined = self.put(scope, "Concat", names, axis=0)
        scope.loose.append(self.put(scope, "Slice", [joined, "zero", "twelve"]))  # not without end

    def make_shorter(self, scope: Scope, depth: int) -> None:
        scope.loose.append(self.put(scope, "Slice", [self.pick(scope.loose), "one", "far"]))

    def make_fit(self, scope: Scope, depth: int) -> None:
        """Four elements of what may have any number."""
        padded = self.put(scope, "Concat", [self.pick(scope.loose), "four_zeros"], axis=0)
        scope.fixed.append(self.put(scope, "Slice", [padded, "zero", "four"]))

    def condition(self, scope: Scope) -> str:
        total = self.put(scope, "ReduceSum", [self.pick(scope.fixed)], keepdims=0)
        return self.put(scope, "Less", [total, self.pick(["half", "minus"])])

    def make_branch(self, scope: Scope, depth: int) -> None:
        condition = self.condition(scope)
        sides = []
        for _ in range(2):
            inner = scope.inner()
            self.statements(inner, depth - 1)
            ends = [self.put(inner, "Identity", [self.pick(names)]) for names in (inner.fixed, inner.loose)]
            sides.append(graph(inner, [], [(end, FLOAT) for end in ends]))
        results = [self.fresh("b"), self.fresh("b")]
        scope.nodes.append(
            node("If", [condition], results, self.fresh("If"), then_branch=sides[0], else_branch=sides[1])
        )
        scope.fixed.append(results[0])
        scope.loose.append(results[1])

    def make_loop(self, scope: Scope, depth: int) -> None:
        inner = scope.inner()
        trip, going, first, second = (self.fresh(stem) for stem in ("i", "c", "p", "q"))
        inner.fixed.append(first)
        inner.loose.append(second)
        self.statements(inner, depth - 1)
        again = self.put(inner, "Identity", [going]) if self.draw(st.booleans()) else self.condition(inner)
        ends = [self.put(inner, "Identity", [self.pick(names)]) for names in (inner.fixed, inner.loose, inner.fixed)]
        inputs = [(trip, INT, []), (going, BOOL, []), (first, FLOAT, None), (second, FLOAT, None)]
        body = graph(inner, inputs, [(again, BOOL), *((end, FLOAT) for end in ends)])
        results = [self.fresh("l") for _ in range(3)]
        count = self.draw(st.sampled_from(["n", "three", "one_trip"]))
        carried = [self.pick(scope.fixed), self.pick(scope.loose)]
        scope.nodes.append(node("Loop", [count, "", *carried], results, self.fresh("Loop"), body=body))
        scope.fixed.append(results[0])
        scope.loose += [results[1], self.put(scope, "Reshape", [results[2], "minus_one"])]

    def make_scan(self, scope: Scope, depth: int) -> None:
        """Over the elements of a vector of four, one by one."""
        inner = scope.inner()
        state, row = self.fresh("s"), self.fresh("r")
        inner.fixed.append(state)
        inner.fixed.append(self.put(inner, "Add", ["four_zeros", row]))
        self.statements(inner, depth - 1)
        ends = [self.put(inner, "Identity", [self.pick(inner.fixed)]) for _ in range(2)]
        body = graph(inner, [(state, FLOAT, [4]), (row, FLOAT, [])], [(end, FLOAT) for end in ends], [4])
        results = [self.fresh("t"), self.fresh("t")]
        back = int(self.draw(st.booleans()))
        scope.nodes.append(
            node(
                "Scan",
                [self.pick(scope.fixed), self.pick(scope.fixed)],
                results,
                self.fresh("Scan"),
                body=body,
                num_scan_inputs=1,
                scan_input_directions=[back],
                scan_output_directions=[back],
            )
        )
        scope.fixed.append(results[0])
        scope.loose.append(self.put(scope, "Reshape", [results[1], "minus_one"]))


def graph(
    scope: Scope, inputs: list[tuple[str, int, list[int] | None]], outputs: list[tuple[str, int]],
    shape: list[int] | None = None,
) -> onnx.GraphProto:
    return helper.make_graph(
        scope.nodes, "inner",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, kind, shape) for name, kind in outputs],
    )  # fmt: skip


WEIGHTS: dict[str, np.ndarray] = {
    "zero": np.array([0]), "one": np.array([1]), "four": np.array([4]), "twelve": np.array([12]),
    "far": np.array([1 << 40]), "minus_one": np.array([-1]), "four_zeros": np.zeros(4, np.float32),
    "half": np.array(0.5, np.float32), "minus": np.array(-0.75, np.float32), "three": np.array(3),
    "one_trip": np.array(1),
}  # fmt: skip


@st.composite
def programs(draw: st.DrawFn, depth: int = 3) -> onnx.ModelProto:
    """A model with inputs x (4), z (m) and n, a trip count; what it gives is all that it has computed."""
    drawn = Drawn(draw)
    scope = Scope(["x", "four_zeros"], ["z"])
    drawn.statements(scope, depth)
    while not any(each.op_type in ("If", "Loop", "Scan") for each in scope.nodes):
        drawn.make_loop(scope, depth)
    ends = [drawn.put(scope, "Identity", [name]) for name in (*scope.fixed[2:], *scope.loose[1:])]
    inputs = [
        helper.make_tensor_value_info("x", FLOAT, [4]), helper.make_tensor_value_info("z", FLOAT, ["m"]),
        helper.make_tensor_value_info("n", INT, []),
    ]  # fmt: skip
    outputs = [helper.make_tensor_value_info(name, FLOAT, None) for name in ends]
    weights = [numpy_helper.from_array(array, name) for name, array in WEIGHTS.items()]
    made = helper.make_graph(scope.nodes, "program", inputs, outputs, weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
