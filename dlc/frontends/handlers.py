"""All handlers by domain and operator."""

from __future__ import annotations

from dlc.frontends import (
    ops_einsum,
    ops_flow,
    ops_index,
    ops_loops,
    ops_math,
    ops_microsoft,
    ops_ml,
    ops_nn,
    ops_norm,
    ops_quant,
    ops_recurrent,
    ops_reduce,
    ops_resize,
    ops_sample,
    ops_shape,
    ops_signal,
)
from dlc.frontends.context import Handler

HANDLERS: dict[str, dict[str, Handler]] = {
    "": {
        **ops_math.HANDLERS,
        **ops_nn.HANDLERS,
        **ops_norm.HANDLERS,
        **ops_reduce.HANDLERS,
        **ops_shape.HANDLERS,
        **ops_index.HANDLERS,
        **ops_resize.HANDLERS,
        **ops_sample.HANDLERS,
        **ops_quant.HANDLERS,
        **ops_flow.HANDLERS,
        **ops_einsum.HANDLERS,
        **ops_loops.HANDLERS,
        **ops_signal.HANDLERS,
        **ops_recurrent.HANDLERS,
    },
    "ai.onnx.ml": {
        **ops_ml.HANDLERS,
    },
    "com.microsoft": {
        **ops_microsoft.HANDLERS,
        **ops_quant.MICROSOFT,
    },
}
