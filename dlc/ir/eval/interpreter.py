"""Evaluate a function, or one op, on NumPy arrays.

At the graph level layouts are ignored: an array holds the logical contents. At the loop level an array is a buffer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.ir.core import Func, Module, Op
from dlc.ir.eval import (
    graph_attention,
    graph_flow,
    graph_index,
    graph_math,
    graph_nn,
    graph_quant,
    graph_recurrent,
    graph_shape,
    graph_strassen,
    graph_winograd,
)
from dlc.ir.eval.frame import Array, Frame, Run, Symbols, checked_feed, pure, symbolic
from dlc.ir.eval.loop_run import RUNS as LOOP_RUNS
from dlc.ir.eval.loop_run import evaluate_main, input_names, is_lowered
from dlc.ir.guards import declared_types, pairs_of
from dlc.ir.pool import ConstantPool
from dlc.ir.types import BufferType, TensorType

RUNS: dict[type[Op], Run] = {
    **{kind: pure(meaning) for kind, meaning in graph_math.MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_nn.MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_attention.MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_winograd.MEANINGS.items()},
    **{kind: symbolic(meaning) for kind, meaning in graph_winograd.SYMBOLIC_MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_strassen.MEANINGS.items()},
    **{kind: symbolic(meaning) for kind, meaning in graph_strassen.SYMBOLIC_MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_quant.MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_recurrent.MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_shape.MEANINGS.items()},
    **{kind: symbolic(meaning) for kind, meaning in graph_shape.SYMBOLIC_MEANINGS.items()},
    **{kind: pure(meaning) for kind, meaning in graph_index.MEANINGS.items()},
    **{kind: symbolic(meaning) for kind, meaning in graph_index.SYMBOLIC_MEANINGS.items()},
    **graph_shape.RUNS,
    **graph_index.RUNS,
    **graph_flow.RUNS,
    **LOOP_RUNS,
}

Feeds = Mapping[str, Array] | Sequence[Array]


def evaluate(module: Module, feeds: Feeds, func: str = "") -> list[Array]:
    """The outputs of a function for inputs given by name or in order; of two bodies by default the one for their sizes.

    Raises UserError for inputs that do not fit.
    """
    function = module.funcs[func] if func else body_for(module, feeds)
    if is_lowered(function):
        return evaluate_main(module, function, _ordered(function, input_names(function), feeds))
    frame = Frame(RUNS, module.pool, Symbols())
    with np.errstate(all="ignore"):
        contents = frame.run_block(function.block, _inputs(function, feeds, frame.symbols))
    return [_array(content) for content in contents]


def body_for(module: Module, feeds: Feeds) -> Func:
    """The body that a run with these inputs takes."""
    main = module.main
    if len(module.bodies) == 1:
        return main
    symbols = Symbols()
    names = [str(name) for name in main.listed("inputs")]
    for kind, array in zip(declared_types(main), _ordered(main, names, feeds), strict=True):
        if isinstance(kind, TensorType | BufferType):
            symbols.learn(kind.shape, np.shape(array))
    try:
        equal = all((left - right).evaluate(symbols.numbers) == 0 for left, right in pairs_of(main))
    except KeyError:  # an input does not fit, which either body will say
        return main
    return main if equal else module.bodies[1]


def evaluate_op(
    op: Op, arrays: Sequence[Array], symbols: Mapping[str, int] | None = None, pool: ConstantPool | None = None
) -> list[Array]:
    """The results of one op for the contents of its operands."""
    frame = Frame(RUNS, pool or ConstantPool(), Symbols(symbols))
    args: list[object] = [
        checked_feed(value.hint or op.name, value.type, array, frame.symbols)
        for value, array in zip(op.operands, arrays, strict=True)
    ]
    with np.errstate(all="ignore"):
        return [_array(content) for content in frame.run_op(op, args)]


def _inputs(func: Func, feeds: Feeds, symbols: Symbols) -> list[object]:
    given = func.attrs.get("inputs", ())
    names = [str(name) for name in given] if isinstance(given, tuple) else []
    names += [arg.hint or f"arg{n}" for n, arg in enumerate(func.args)][len(names) :]
    arrays = _ordered(func, names, feeds)
    for name, kind, array in zip(names, func.listed("declared"), arrays, strict=False):  # what guards speak of
        if isinstance(kind, TensorType):
            checked_feed(name, kind, array, symbols)
    for name, arg, array in zip(names, func.args, arrays, strict=True):  # first: a type may use a later one's symbol
        checked_feed(name, arg.type, array, symbols)
    return [checked_feed(n, arg.type, a, symbols) for n, arg, a in zip(names, func.args, arrays, strict=True)]


def _ordered(func: Func, names: Sequence[str], feeds: Feeds) -> list[Array]:
    """The feeds in the order of the inputs."""
    if len(feeds) != len(names):
        raise UserError(f"{func.name} has {len(names)} inputs ({', '.join(names)}), got {len(feeds)}")
    if not isinstance(feeds, Mapping):
        return list(feeds)
    if missing := [name for name in names if name not in feeds]:
        raise UserError(f"{func.name} needs inputs that were not given: {', '.join(missing)}")
    return [feeds[name] for name in names]


def _array(content: object) -> Array:
    if not isinstance(content, np.ndarray):
        raise InternalError(f"expected an array, got {type(content).__name__}")
    return content
