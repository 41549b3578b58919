"""Mutations of a model as a graph: operators, edges, nodes, outputs, opsets. Values are changed in `hostile`."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import onnx
from onnx import TensorProto, helper

from dlc.frontends.handlers import HANDLERS
from tests.frontends import cases_math, cases_nn, cases_recurrent, cases_shape
from tests.mutations import hostile
from tests.mutations.corpus import chosen, contents, graphs

Change = Callable[[onnx.ModelProto, random.Random], str | None]
STANDARD = sorted(HANDLERS[""])
MICROSOFT = sorted(HANDLERS["com.microsoft"])
UNARY = (
    "Relu", "Neg", "Abs", "Exp", "Sqrt", "Floor", "Not", "BitwiseNot", "Softmax", "IsNaN", "Sign", "Identity", "Shape",
    "NonZero", "Flatten", "Transpose", "Erf", "GlobalAveragePool", "ReduceSum", "Squeeze", "Size", "Unique",
)  # fmt: skip
BINARY = (
    "Add", "Div", "Mod", "Pow", "And", "Equal", "Less", "BitShift", "BitwiseAnd", "MatMul", "Gather", "Reshape",
    "Expand", "Tile", "PRelu", "Min", "CumSum", "TopK", "GatherND", "Compress", "MatMulInteger", "Concat", "Unsqueeze",
)  # fmt: skip
CAST_TO = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16, 8, 17)


def mutated_graph(rng: random.Random) -> tuple[str, bytes, list[str]]:
    """The model's name, the changed file, and what was changed."""
    name = chosen(rng)
    return name, *mutated(contents(name), rng)


def mutated_operator(rng: random.Random) -> tuple[str, bytes, list[str]]:
    """The same for a model of one operator: all that dlc knows, where the real models hold a few."""
    name, data = rng.choice(operator_models())
    return name, *mutated(data, rng)


@cache
def operator_models() -> list[tuple[str, bytes]]:
    cases = [*cases_math.CASES, *cases_shape.CASES, *cases_nn.CASES, *cases_recurrent.CASES]
    return [
        (f"{case.name}-{opset}", case.model(opset).SerializeToString(deterministic=True))
        for case in cases for opset in case.opsets
    ]  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> tuple[bytes, list[str]]:
    model = onnx.ModelProto.FromString(data)
    done: list[str] = []
    wanted = rng.choice((1, 1, 1, 2, 2, 3))
    for _ in range(50):
        if len(done) == wanted:
            break
        made = rng.choices(CHANGES, SHARES)[0](model, rng)
        done += [made] if made else []
    return model.SerializeToString(deterministic=True), done


def some_graph(model: onnx.ModelProto, rng: random.Random) -> onnx.GraphProto:
    return rng.choice([graph for graph in graphs(model.graph) if graph.node] or [model.graph])


def some_node(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto | None:
    graph = some_graph(model, rng)
    return rng.choice(graph.node) if graph.node else None


def label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} '{node.name or ' '.join(node.output)}'"


def names(graph: onnx.GraphProto) -> list[str]:
    """All values of a graph."""
    found = [each.name for each in (*graph.input, *graph.initializer)]
    return [*found, *(name for node in graph.node for name in node.output if name)]


def free_name(model: onnx.ModelProto, rng: random.Random) -> str:
    return f"made_{rng.randrange(1 << 30)}"


# -- operators ---------------------------------------------------------------------------------------------------------


def other_operator(model: onnx.ModelProto, rng: random.Random) -> str | None:
    node = some_node(model, rng)
    if node is None:
        return None
    before = label(node)
    kept = [each.op_type for each in model.graph.node]
    pool = rng.choice((STANDARD, STANDARD, kept, UNARY if len(node.input) < 2 else BINARY, MICROSOFT))
    node.op_type = rng.choice(pool)
    node.domain = "com.microsoft" if pool is MICROSOFT else rng.choice((node.domain, ""))
    if rng.random() < 0.3:
        del node.attribute[:]
    return f"{before} becomes {node.domain}.{node.op_type}"


def other_domain(model: onnx.ModelProto, rng: random.Random) -> str | None:
    node = some_node(model, rng)
    if node is None:
        return None
    node.domain = rng.choice(("", "com.microsoft", "ai.onnx.ml", "nowhere", "ai.onnx"))
    return f"{label(node)} gets the domain '{node.domain}'"


# -- edges -------------------------------------------------------------------------------------------------------------


def change_inputs(model: onnx.ModelProto, rng: random.Random) -> str | None:
    node = some_node(model, rng)
    if node is None or not node.input:
        return None
    at, other = rng.randrange(len(node.input)), rng.randrange(len(node.input))
    what = rng.choice(("swap", "remove", "blank", "duplicate", "shuffle", "same"))
    inputs = list(node.input)
    match what:
        case "swap":
            inputs[at], inputs[other] = inputs[other], inputs[at]
        case "remove":
            del inputs[at]
        case "blank":
            inputs[at] = ""
        case "duplicate":
            inputs.insert(at, inputs[other])
        case "shuffle":
            rng.shuffle(inputs)
        case "same":
            inputs = [inputs[at]] * len(inputs)
    node.input[:] = inputs
    return f"{what} inputs of {label(node)} at {at}"


def redirect(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """An input from anywhere: also from a later node, or from the node itself."""
    graph = some_graph(model, rng)
    users = [node for node in graph.node if node.input]
    if not users:
        return None
    node = rng.choice(users)
    at = rng.randrange(len(node.input))
    node.input[at] = rng.choice((rng.choice(names(graph)), rng.choice(names(model.graph)), *node.output, "nowhere"))
    return f"input {at} of {label(node)} is '{node.input[at]}'"


def add_input(model: onnx.ModelProto, rng: random.Random) -> str | None:
    graph = some_graph(model, rng)
    if not graph.node:
        return None
    node = rng.choice(graph.node)
    node.input.append(rng.choice(names(graph)))
    return f"{label(node)} also reads '{node.input[-1]}'"


def insert_on_edge(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """A node between a value and its user: most often a cast, so that element types do not fit."""
    graph = some_graph(model, rng)
    users = [n for n, node in enumerate(graph.node) if any(node.input)]
    if not users:
        return None
    at = rng.choice(users)
    user = graph.node[at]
    position = rng.choice([n for n, name in enumerate(user.input) if name])
    made = free_name(model, rng)
    kind = rng.choice(("Cast", "Cast", "Cast", "Cast", *UNARY))
    attributes = {"to": rng.choice(CAST_TO)} if kind == "Cast" else {}
    node = helper.make_node(kind, [user.input[position]], [made], made, **attributes)
    user.input[position] = made
    graph.node.insert(at, node)
    return f"{kind} {attributes or ''} before input {position} of {label(graph.node[at + 1])}"


def change_outputs_of_node(model: onnx.ModelProto, rng: random.Random) -> str | None:
    graph = some_graph(model, rng)
    node = rng.choice(graph.node) if graph.node else None
    if node is None or not node.output:
        return None
    at = rng.randrange(len(node.output))
    what = rng.choice(("rename", "blank", "remove", "another's", "more", "input's"))
    match what:
        case "rename":
            node.output[at] = free_name(model, rng)
        case "blank":
            node.output[at] = ""
        case "remove":
            del node.output[at]
        case "more":
            node.output.append(free_name(model, rng))
        case _:
            node.output[at] = rng.choice(names(graph))
    return f"{what} for output {at} of {label(node)}"


# -- nodes -------------------------------------------------------------------------------------------------------------


def change_nodes(model: onnx.ModelProto, rng: random.Random) -> str | None:
    graph = some_graph(model, rng)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    if not nodes:
        return None
    at, other = rng.randrange(len(nodes)), rng.randrange(len(nodes))
    what = rng.choice(("drop", "bypass", "duplicate", "swap", "move", "shuffle", "cut", "empty"))
    text = f"{what} node {at} of {len(nodes)}: {label(nodes[at])}"
    match what:
        case "drop":
            del nodes[at]
        case "bypass":
            nodes[at] = helper.make_node("Identity", nodes[at].input[:1], nodes[at].output[:1])
        case "duplicate":
            nodes.insert(other, nodes[at])
        case "swap":
            nodes[at], nodes[other] = nodes[other], nodes[at]
        case "move":
            nodes.insert(other, nodes.pop(at))
        case "shuffle":
            rng.shuffle(nodes)
        case "cut":
            del nodes[at:]
        case "empty":
            nodes[at] = onnx.NodeProto(output=nodes[at].output)
    del graph.node[:]
    graph.node.extend(nodes)
    return text


# -- outputs, opsets ---------------------------------------------------------------------------------------------------


def change_graph_outputs(model: onnx.ModelProto, rng: random.Random) -> str | None:
    graph = rng.choice((model.graph, some_graph(model, rng)))
    what = rng.choice(("remove", "duplicate", "redirect", "redirect", "nowhere", "none", "add", "add"))
    outputs = list(graph.output)
    at = rng.randrange(len(outputs)) if outputs else 0
    match what:
        case "remove" if outputs:
            del graph.output[at]
        case "duplicate" if outputs:
            graph.output.append(outputs[at])
        case "redirect" if outputs:
            graph.output[at].name = rng.choice(names(graph))
        case "nowhere" if outputs:
            graph.output[at].name = "nowhere"
        case "none":
            del graph.output[:]
        case "add":
            value = rng.choice(names(graph) or ["nowhere"])
            graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
        case _:
            return None
    return f"{what} output {at} of the graph: {[each.name for each in graph.output][:4]}"


def change_opset(model: onnx.ModelProto, rng: random.Random) -> str | None:
    what = rng.choice(("version", "version", "version", "drop", "domain", "duplicate"))
    if not model.opset_import:
        return None
    entry = rng.choice(model.opset_import)
    match what:
        case "version":
            entry.version = rng.choice((*range(1, 27), 0, -1, 1 << 40, 99))
        case "drop":
            model.opset_import.remove(entry)
        case "domain":
            entry.domain = rng.choice(("", "com.microsoft", "nowhere"))
        case "duplicate":
            model.opset_import.append(helper.make_opsetid(entry.domain, rng.randrange(1, 24)))
    return f"{what} of opsets: {[(each.domain, each.version) for each in model.opset_import]}"


def rename(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """Names are just text: empty, strange, or the same for all."""
    text = rng.choice(("", " ", "a/b:0", "é漢字", "x" * 300, "d0", "min", "%s{}", "'", '"', "\n", "main"))
    what = rng.choice(("node", "nodes", "graph", "value"))
    match what:
        case "node" if (node := some_node(model, rng)) is not None:
            node.name = text
        case "nodes":
            for node in model.graph.node:
                node.name = text
        case "graph":
            model.graph.name = text
        case "value":
            graph = some_graph(model, rng)
            replace_name(graph, rng.choice(names(graph) or [""]), text)
        case _:
            return None
    return f"rename {what} to {text!r}"


def replace_name(graph: onnx.GraphProto, old: str, new: str) -> None:
    for each in (*graph.input, *graph.output, *graph.initializer):
        each.name = new if each.name == old else each.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


ROWS: tuple[tuple[Change, int], ...] = (
    (other_operator, 8), (other_domain, 1), (change_inputs, 5), (redirect, 5), (add_input, 2), (insert_on_edge, 7),
    (change_outputs_of_node, 2), (change_nodes, 4), (change_graph_outputs, 3), (change_opset, 3), (rename, 1),
    (hostile.change_attribute, 8), (hostile.add_attribute, 3), (hostile.change_input_dims, 6),
    (hostile.change_input_type, 3), (hostile.convert_weight, 4), (hostile.retype_weight, 2),
    (hostile.reshape_weight, 4), (hostile.hostile_integers, 5), (hostile.hostile_floats, 3),
    (hostile.remove_weight, 3), (hostile.convert_everything, 2), (hostile.hostile_shape_operand, 4),
)  # fmt: skip
CHANGES = tuple(change for change, _ in ROWS)
SHARES = tuple(share for _, share in ROWS)
