"""Operators of the domain ai.onnx.ml that are tensor arithmetic."""

from __future__ import annotations

from math import floor

from dlc.frontends.build import cast, reshaped, shape_of
from dlc.frontends.context import Handler, NodeContext
from dlc.ir.core import Value
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_math import Greater
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import product


def binarizer(cx: NodeContext) -> Value:
    """1 above the threshold, else 0; an integer is above -0.5 if it is above -1."""
    x, threshold = cx.x(), cx.decimal("threshold", 0.0)
    limit = threshold if tensor(x).scalar.is_float else floor(threshold)
    return cast(cx, cx.put(Greater(x, cx.number(limit, x))), tensor(x).scalar)


def array_feature_extractor(cx: NodeContext) -> Value:
    """The named columns of x; a vector is a matrix of one row."""
    x, columns = cx.x(0), cx.x(1)
    if tensor(x).rank == 1:
        x = reshaped(cx, x, (1, *shape_of(x)))
    flat = reshaped(cx, columns, (product(shape_of(columns)),))
    return cx.put(Gather(x, flat, axis=tensor(x).rank - 1))


HANDLERS: dict[str, Handler] = {"Binarizer": binarizer, "ArrayFeatureExtractor": array_feature_extractor}
