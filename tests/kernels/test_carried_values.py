"""What the kernel language says, on kernels of a user's own."""

from __future__ import annotations

from pathlib import Path

from dlc.ir.core import Block
from dlc.ir.dialects import graph_nn, loop
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.types import F32, TensorType
from dlc.kernel_files import kernel_root
from dlc.kernel_language.library import Library
from tests.eval.cases import f32
from tests.support.kernel_run import compiled
from tests.tolerances import assert_close

ONE_PASS = """
kernel layer_norm(x; axes, epsilon) -> y {
  let row = take(shape(x), axes)
  let missing = if x == none then 1 else 0
  for *i: without(shape(x), axes) {
    let sums = sum(*k: row) [x[*i, *k], squared(x[*i, *k])]
    let count = cast(product(row), type(y))
    let mean = sums[0] / count
    let factor = 1 / sqrt(sums[1] / count - squared(mean) + epsilon + missing)
    for *k: row { y[*i, *k] = (x[*i, *k] - mean) * factor }
  }
}
schedule layer_norm { auto }
"""


def test_the_sum_of_a_list_is_one_loop(tmp_path: Path) -> None:
    (tmp_path / "mine.kernel").write_text(ONE_PASS)
    library = Library([*sorted(kernel_root().glob("*.kernel")), tmp_path / "mine.kernel"])
    for width in (1, 5, 37, 200):
        x = f32(3, 2, width, low=-1, high=1)
        make = lambda v: graph_nn.LayerNorm(v, axes=(1, 2), epsilon=1e-3)  # noqa: E731
        types = [TensorType(x.shape, F32)]
        kernel = compiled(types, make, library=library)
        assert_close(kernel([x])[0], evaluate_op(make(*Block(types).args), [x])[0], "network")
        carried = [op.carried for op in kernel.lowered.func.walk() if isinstance(op, loop.For) and op.carried]
        assert set(carried) <= {2}
