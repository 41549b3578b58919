"""Mutations of the values in a model: attributes, weights, element types and sizes."""

from __future__ import annotations

import random

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.mutations.corpus import all_tensors, graphs

BIG = (1 << 31) - 1, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63), 1 << 40, 65537
INTEGERS = (-7, -3, -2, -1, 0, 1, 2, 3, 4, 5, 8, 13, 64, 1000, *BIG)
FLOATS = (0.0, -0.0, -1.0, 1e-40, 1e30, 3.5e38, float("inf"), float("-inf"), float("nan"), 0.5, -1e-3)
TEXTS = ("", "SAME_UPPER", "SAME_LOWER", "VALID", "nearest", "cubic", "linear", "é", "DCR", "reflect", "wrap", "x" * 99)
ATTRIBUTES = (
    "axis", "axes", "to", "perm", "keepdims", "pads", "strides", "dilations", "group", "kernel_shape", "auto_pad",
    "ceil_mode", "value", "allowzero", "alpha", "beta", "mode", "block_size", "output_padding", "output_shape", "split",
    "starts", "ends", "k", "epsilon", "num_groups", "transA", "transB", "blocksize", "direction", "hidden_size", "p",
    "count_include_pad", "storage_order", "batch_dims", "reduction", "equation", "channels_last", "opset", "dtype",
)  # fmt: skip
SHAPED = (
    "Reshape", "Expand", "Tile", "Unsqueeze", "Squeeze", "Pad", "TopK", "ConstantOfShape", "ReduceSum", "Gather",
    "Split", "Slice", "OneHot", "Range", "Resize", "CenterCropPad",
)  # fmt: skip
ELEMENTS = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16)
CODES = (*ELEMENTS, 0, 8, 14, 15, 17, 21, 22, 23, 40, -1, 1 << 40)
SYMBOLS = ("n", "batch", "height", "d0", "min", "n * 2", "é", "", "-1", "n")


def some_tensor(model: onnx.ModelProto, rng: random.Random) -> TensorProto | None:
    """A weight of any graph, or the contents of a constant."""
    found = all_tensors(model)
    found += [each for graph in graphs(model.graph)[1:] for each in graph.initializer]
    return rng.choice(found) if found else None


def read(tensor: TensorProto) -> np.ndarray | None:
    """The numbers of a tensor; None if an earlier mutation has broken it."""
    try:
        return np.array(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError):
        return None


def write(tensor: TensorProto, array: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), tensor.name))


# -- attributes --------------------------------------------------------------------------------------------------------


def attributed(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto | None:
    found = [node for graph in graphs(model.graph) for node in graph.node if node.attribute]
    return rng.choice(found) if found else None


def change_attribute(model: onnx.ModelProto, rng: random.Random) -> str | None:
    node = attributed(model, rng)
    if node is None:
        return None
    at = rng.randrange(len(node.attribute))
    attribute = node.attribute[at]
    before = onnx.AttributeProto.FromString(attribute.SerializeToString())
    what = rng.choice(("value", "value", "value", "kind", "remove", "rename", "type code", "twice"))
    match what:
        case "value":
            set_value(attribute, rng)
        case "kind":
            attribute.CopyFrom(helper.make_attribute(attribute.name, any_value(rng)))
        case "remove":
            del node.attribute[at]
        case "rename":
            attribute.name = rng.choice(ATTRIBUTES)
        case "type code":
            attribute.type = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14))
        case "twice":
            node.attribute.append(helper.make_attribute(attribute.name, any_value(rng)))
    return f"{what} of {before.name} of {node.op_type} '{node.name}': {str(attribute)[:120]!r}"


def set_value(attribute: onnx.AttributeProto, rng: random.Random) -> None:
    """Another value of the kind that it has."""
    match attribute.type:
        case onnx.AttributeProto.INT:
            attribute.i = rng.choice((*INTEGERS, attribute.i + 1 if attribute.i < 1 << 62 else 0))
        case onnx.AttributeProto.FLOAT:
            attribute.f = rng.choice(FLOATS)
        case onnx.AttributeProto.STRING:
            attribute.s = rng.choice(TEXTS).encode()
        case onnx.AttributeProto.INTS:
            attribute.ints[:] = other_integers(list(attribute.ints), rng)
        case onnx.AttributeProto.FLOATS:
            attribute.floats[:] = rng.choice(([], [rng.choice(FLOATS)], [*attribute.floats, rng.choice(FLOATS)]))
        case onnx.AttributeProto.TENSOR:
            array = any_array(rng)
            attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))
        case _:
            attribute.CopyFrom(helper.make_attribute(attribute.name, any_value(rng)))


def other_integers(values: list[int], rng: random.Random) -> list[int]:
    """Integers of another length, order or size."""
    what = rng.choice(("one", "one", "longer", "shorter", "none", "reverse", "all"))
    if what == "one" and values:
        values[rng.randrange(len(values))] = rng.choice(INTEGERS)
    elif what == "longer":
        values.insert(rng.randint(0, len(values)), rng.choice(INTEGERS))
    elif what == "shorter":
        del values[:1]
    elif what == "none":
        values = []
    elif what == "reverse":
        values.reverse()
    elif what == "all":
        values = [rng.choice(INTEGERS) for _ in values]
    return values


def any_array(rng: random.Random) -> np.ndarray:
    dtype = rng.choice((np.float32, np.int64, np.int32, np.int8, np.uint8, np.float16, np.float64, np.bool_))
    shape = rng.choice(((), (1,), (2,), (4,), (0,), (2, 3), (1, 1, 1)))
    return np.array([rng.choice((0, 1, 2, 3, 100)) for _ in range(int(np.prod(shape)))]).reshape(shape).astype(dtype)


def any_value(rng: random.Random) -> object:
    return rng.choice((
        rng.choice(INTEGERS), rng.choice(FLOATS), rng.choice(TEXTS), [rng.choice(INTEGERS) for _ in range(3)], [0, 1],
        [rng.choice(FLOATS)], ["a", "b"], numpy_helper.from_array(any_array(rng), "t"), [1], [1, 1, 1, 1],
    ))  # fmt: skip


def add_attribute(model: onnx.ModelProto, rng: random.Random) -> str | None:
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    if not nodes:
        return None
    node, name, value = rng.choice(nodes), rng.choice(ATTRIBUTES), any_value(rng)
    node.attribute.append(helper.make_attribute(name, value))
    return f"{node.op_type} '{node.name}' gets {name} = {str(value)[:60]!r}"


# -- inputs ------------------------------------------------------------------------------------------------------------


def change_input_dims(model: onnx.ModelProto, rng: random.Random) -> str | None:
    weights = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    if not inputs:
        return None
    value = rng.choice(inputs)
    dims = value.type.tensor_type.shape.dim
    what = rng.choice(("symbol", "symbol", "number", "number", "remove", "add", "no shape", "symbols", "unnamed"))
    at = rng.randrange(len(dims)) if dims else 0
    match what:
        case "symbol" if dims:
            dims[at].dim_param = rng.choice(SYMBOLS)
        case "number" if dims:
            dims[at].dim_value = rng.choice((0, 1, 2, 3, 5, 7, 17, 64, 333, -1, -5, 1 << 20, 1 << 33, (1 << 63) - 1))
        case "remove" if dims:
            del dims[at]
        case "add":
            dims.add().dim_value = rng.choice((1, 2, 5))
        case "no shape":
            value.type.tensor_type.ClearField("shape")
        case "symbols":
            same = rng.random() < 0.3
            for n, dim in enumerate(dims):
                dim.dim_param = "s" if same else f"s{n}"
        case "unnamed" if dims:
            dims[at].Clear()
        case _:
            return None
    return f"{what} at {at} of input '{value.name}': {[d.dim_param or d.dim_value for d in dims]}"


def change_input_type(model: onnx.ModelProto, rng: random.Random) -> str | None:
    if not model.graph.input:
        return None
    value = rng.choice(model.graph.input)
    what = rng.choice(("element", "element", "element", "sequence", "none", "optional"))
    match what:
        case "element":
            value.type.tensor_type.elem_type = rng.choice((*ELEMENTS, *CODES)) % (1 << 31)
        case "sequence":
            value.type.CopyFrom(helper.make_sequence_type_proto(value.type))
        case "optional":
            value.type.CopyFrom(helper.make_optional_type_proto(value.type))
        case "none":
            value.type.Clear()
    return f"{what} type of input '{value.name}': {str(value.type)[:60]!r}"


# -- weights -----------------------------------------------------------------------------------------------------------


def convert_weight(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """The same numbers in another type."""
    tensor = some_tensor(model, rng)
    array = None if tensor is None else read(tensor)
    if tensor is None or array is None:
        return None
    converted(tensor, array, rng.choice(ELEMENTS))
    return f"weight '{tensor.name}' becomes {tensor.data_type}"


def converted(tensor: TensorProto, array: np.ndarray, code: int) -> None:
    with np.errstate(all="ignore"):
        write(tensor, array.astype(helper.tensor_dtype_to_np_dtype(code)))


def convert_everything(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """Every float of the model in another type: inputs, weights, casts."""
    code = rng.choice((10, 11, 16, 6, 7, 3))
    for graph in graphs(model.graph):
        for tensor in (*graph.initializer, *(a.t for n in graph.node for a in n.attribute if a.HasField("t"))):
            array = read(tensor) if tensor.data_type == 1 else None
            if array is not None:
                converted(tensor, array, code)
    for value in model.graph.input:
        if value.type.tensor_type.elem_type == 1:
            value.type.tensor_type.elem_type = code
    return f"floats become {code}"


def retype_weight(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """Another type for the same bytes."""
    tensor = some_tensor(model, rng)
    if tensor is None:
        return None
    tensor.data_type = rng.choice(CODES) % (1 << 31)
    return f"weight '{tensor.name}' is called {tensor.data_type}"


def reshape_weight(model: onnx.ModelProto, rng: random.Random) -> str | None:
    tensor = some_tensor(model, rng)
    array = None if tensor is None else read(tensor)
    if tensor is None or array is None:
        return None
    what = rng.choice(("flat", "reverse", "grow", "cut", "empty", "scalar", "axis", "dims only"))
    match what:
        case "flat":
            write(tensor, array.reshape(-1))
        case "reverse":
            write(tensor, array.transpose())
        case "grow":
            write(tensor, np.concatenate([array, array], rng.randrange(array.ndim)) if array.ndim else array[None])
        case "cut" if array.ndim:
            write(tensor, np.delete(array, slice(0, 1), rng.randrange(array.ndim)))
        case "empty":
            write(tensor, array.reshape(-1)[:0])
        case "scalar" if array.size:
            write(tensor, array.reshape(-1)[0].reshape(()))
        case "axis":
            write(tensor, np.expand_dims(array, rng.randint(0, array.ndim)))
        case "dims only":
            tensor.dims[:] = other_integers(list(tensor.dims), rng)
        case _:
            return None
    return f"{what} shape of weight '{tensor.name}': {list(tensor.dims)}"


def hostile_integers(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """Weights of integers are shapes, axes, indices and zero points: numbers that nobody expects there."""
    found = [each for each in all_tensors(model) if each.data_type in (6, 7) and len(each.raw_data) < 1 << 10]
    if not found:
        return None
    tensor = rng.choice(found)
    array = read(tensor)
    if array is None or not array.size:
        return None
    values = other_integers(array.reshape(-1).tolist(), rng)
    kept = [value if array.dtype == np.int64 else np.int32(value & 0x7FFFFFFF) for value in values]
    made = np.array(kept, array.dtype)
    write(tensor, made.reshape(array.shape) if made.size == array.size else made)
    return f"integers of '{tensor.name}' are {values[:8]}"


def hostile_shape_operand(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """A new weight of integers as a second input: of a reshape, an expand, a tile, a slice."""
    nodes = [node for node in model.graph.node if node.input]
    if not nodes:
        return None
    node = rng.choice(nodes)
    name = f"shape_{rng.randrange(1 << 30)}"
    count = rng.choice((0, 1, 2, 3, 4, 5))
    values = [rng.choice((-1, 0, 1, 2, 3, 4, rng.choice(INTEGERS))) for _ in range(count)]
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    node.op_type = rng.choice(SHAPED)
    node.domain = ""
    del node.input[1:]
    node.input.extend([name] * (2 if node.op_type in ("Slice", "Range", "Resize") else 1))
    if node.op_type == "ConstantOfShape":
        node.input[:] = [name]
    return f"{node.op_type} '{node.name}' with {values}"


def hostile_floats(model: onnx.ModelProto, rng: random.Random) -> str | None:
    tensor = some_tensor(model, rng)
    array = None if tensor is None else read(tensor)
    if tensor is None or array is None or array.dtype.kind != "f" or not array.size:
        return None
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        if rng.random() < 0.4:
            flat[:] = rng.choice(FLOATS)
        else:
            flat[rng.randrange(flat.size)] = rng.choice(FLOATS)
    write(tensor, flat.reshape(array.shape))
    return f"floats of '{tensor.name}': {flat[:3].tolist()}"


def remove_weight(model: onnx.ModelProto, rng: random.Random) -> str | None:
    """A weight that is missing, or an input of the graph instead, or there under another's name."""
    found = model.graph.initializer
    if not found:
        return None
    at = rng.randrange(len(found))
    tensor = TensorProto.FromString(found[at].SerializeToString())
    what = rng.choice(("missing", "input", "symbolic input", "another's name"))
    if what == "another's name":
        found[at].name = rng.choice(found).name
        return f"weight '{tensor.name}' is called '{found[at].name}'"
    del found[at]
    kept = [each for each in model.graph.input if each.name != tensor.name]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    if what != "missing":
        dims = [f"w{n}" for n in range(len(tensor.dims))] if what == "symbolic input" else list(tensor.dims)
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))
    return f"weight '{tensor.name}' is {what}"
