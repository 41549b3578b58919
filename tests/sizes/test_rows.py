"""Sizes that do not fit end in an error that names the node, the input and the numbers; those that fit in an answer."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dlc.errors import UserError
from dlc.runtime import CompiledModel
from tests.sizes import rows_operands, rows_shapes
from tests.sizes.rows import Row, Shape
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import assert_same, compiled, expected

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]

ROWS = (*rows_shapes.ROWS, *rows_operands.ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_sizes_that_fit_give_the_answer_and_others_an_error(row: Row) -> None:
    ready = compiled(row.proto)
    for shapes in row.right:
        check_right(row, shapes, ready)
    for shapes, parts in row.wrong:
        with pytest.raises(UserError) as caught:
            ready.run(row.feeds(shapes))
        message = str(caught.value)
        assert all(part in message for part in parts), message
    check_right(row, row.right[0], ready)  # and the model is as usable as before


def check_right(row: Row, shapes: Mapping[str, Shape], ready: CompiledModel) -> None:
    feeds = row.feeds(shapes)
    found = ready.run(feeds)
    if 0 in sum(shapes.values(), ()):  # ONNX Runtime refuses some of these
        return
    for array, wanted in zip(found.values(), expected(row.proto, feeds), strict=True):
        assert_same(array, wanted, 1e-4)
