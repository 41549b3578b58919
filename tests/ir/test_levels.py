"""What may exist at which level."""

import pytest

from dlc.ir.core import Block, Func, Module, Region
from dlc.ir.dialects import arith, graph_math
from dlc.ir.dialects.func import Return
from dlc.ir.levels import CONTRACTS, Level, fits, satisfies
from dlc.ir.parser import parse_type
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, BufferType, TensorType


def module_of(build, arg_type):
    block = Block([arg_type])
    block.append(build(*block.args))
    block.append(Return())
    module = Module(ConstantPool())
    module.add(Func("main", Region([block])))
    return module


def test_tensors_belong_to_the_graph():
    module = module_of(graph_math.Relu, TensorType((4,), F32))
    assert satisfies(module, Level.GRAPH) == []
    assert [problem.message for problem in satisfies(module, Level.LOOP)] == [
        "function 'main': a tensor<4xf32> may not exist at level loop",
        "graph.relu may not exist at level loop, only ops of arith, buf, func, loop, run, vec",
        "graph.relu: a tensor<4xf32> may not exist at level loop",
    ]


def test_scalars_belong_to_the_loops():
    module = module_of(arith.Neg, F32)
    assert satisfies(module, Level.LOOP) == []
    assert len(satisfies(module, Level.GRAPH)) == 3


def test_buffers_belong_to_the_loops():
    module = module_of(lambda x: Return(), BufferType((4,), F32))
    assert satisfies(module, Level.LOOP) == []
    assert len(satisfies(module, Level.GRAPH)) == 1


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("tensor<4xf32>", Level.GRAPH),
        ("list<tensor<4xf32>>", Level.GRAPH),
        ("tuple<tensor<f32>, optional<list<tensor<str>>>>", Level.GRAPH),
        ("tuple<tensor<f32>, f32>", None),
        ("list<buffer<4xf32>>", None),
        ("vector<4xf32>", Level.LOOP),
        ("index", Level.LOOP),
        ("quant<si8, scale(0.5), zero(0)>", None),
    ],
)
def test_types(text, level):
    assert [each for each in Level if fits(parse_type(text), CONTRACTS[each])] == ([level] if level else [])
