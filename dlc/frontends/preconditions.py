"""What operators need of sizes whose standard body does not ask for it: with other sizes it computes something else."""

from __future__ import annotations

from collections.abc import Callable

from dlc.frontends.build import assume_shape
from dlc.frontends.context import NodeContext


def loss(cx: NodeContext) -> None:
    """One label for each place of x (N, C, *S), one weight for each class."""
    shape = cx.shape(0)
    assume_shape(cx, cx.x(1), (shape[0], *shape[2:]), "the labels")
    if cx.has(2):
        assume_shape(cx, cx.x(2), (shape[1],), "the weights")


PRECONDITIONS: dict[str, Callable[[NodeContext], None]] = {
    "NegativeLogLikelihoodLoss": loss, "SoftmaxCrossEntropyLoss": loss,
}  # fmt: skip
