"""Einsum as transposes, reshapes, matrix products and sums.

Operands are contracted from left to right. For a pair, each label is one of four kinds:

    batch    in both, and still needed     contracted   in both, needed no more
    left     in a alone                    right        in b alone

    (batch, left, contracted) x (batch, contracted, right) -> (batch, left, right)     with each kind as one axis
"""

from __future__ import annotations

from collections.abc import Sequence

from dlc.frontends.build import assume_equal, rank_of, reduced, reshaped, shape_of, transposed
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.ir.core import Value
from dlc.ir.dialects.graph_index import GatherElements
from dlc.ir.dialects.graph_math import Mul
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.graph_shape import Iota
from dlc.ir.dialects.shape_rules import broadcast_dim, replaced
from dlc.ir.expr import Dim, product
from dlc.record import record

Labels = tuple[str, ...]


@record
class Term:
    """An operand with a label for each axis."""

    value: Value
    labels: Labels

    def size(self, label: str) -> Dim:
        return shape_of(self.value)[self.labels.index(label)]


def einsum(cx: NodeContext) -> Value:
    inputs, output = parsed(cx.text("equation"), [rank_of(value) for value in cx.values()])
    terms = [_without_repeats(cx, value, labels) for value, labels in zip(cx.values(), inputs, strict=True)]
    total = terms[0]
    for n, term in enumerate(terms[1:], 1):
        needed = {label for later in terms[n + 1 :] for label in later.labels} | set(output)
        total = _contracted(cx, _summed(cx, total, needed | set(term.labels)), term, needed)
    total = _summed(cx, total, set(output))
    return transposed(cx, total.value, [total.labels.index(label) for label in output])


def parsed(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of each operand and of the result; the axes of an ellipsis are ``.0`` (the last), ``.1``, …"""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ranks):
        raise Unsupported(f"its equation '{equation}' has {len(texts)} operands, the operator {len(ranks)}")
    inputs = [_labels(text, rank) for text, rank in zip(texts, ranks, strict=True)]
    hidden = max((sum(label[0] == "." for label in labels) for labels in inputs), default=0)
    if arrow:
        return inputs, _labels(right, len(right.replace("...", "")) + hidden)
    letters = [label for labels in inputs for label in labels if label[0] != "."]
    once = sorted(label for label in set(letters) if letters.count(label) == 1)
    return inputs, (*(f".{n}" for n in reversed(range(hidden))), *once)


def _labels(text: str, rank: int) -> Labels:
    before, dots, after = text.partition("...")
    hidden = rank - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise Unsupported(f"its term '{text}' does not fit an operand of {rank} axes")
    return (*before, *(f".{n}" for n in reversed(range(hidden))), *after)


def _without_repeats(cx: NodeContext, value: Value, labels: Labels) -> Term:
    """A label that occurs twice takes the diagonal."""
    for label in labels:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            shape = shape_of(value)
            assume_equal(cx, shape[first], shape[second], f"the axes '{label}' of one operand must be equal")
            places = cx.put(Iota(shape=replaced(shape, second, 1), axis=first))
            taken = cx.put(GatherElements(value, places, axis=second))
            value = reshaped(cx, taken, (*shape[:second], *shape[second + 1 :]))
            labels = (*labels[:second], *labels[second + 1 :])
    return Term(value, labels)


def _summed(cx: NodeContext, term: Term, needed: set[str]) -> Term:
    """Sum over the labels that nothing needs any more."""
    axes = [n for n, label in enumerate(term.labels) if label not in needed]
    if not axes:
        return term
    kept = tuple(label for label in term.labels if label in needed)
    return Term(reduced(cx, term.value, "sum", axes, keepdims=False), kept)


def _contracted(cx: NodeContext, a: Term, b: Term, needed: set[str]) -> Term:
    b = _summed(cx, b, needed | set(a.labels))
    shared = [label for label in a.labels if label in b.labels]
    gone = [label for label in shared if label not in needed]
    if not gone or any(a.size(label) != b.size(label) for label in gone):
        return _summed(cx, _multiplied(cx, a, b), needed)
    batch = [label for label in shared if label in needed]
    left = [label for label in a.labels if label not in shared]
    right = [label for label in b.labels if label not in shared]
    x = _grouped(cx, a, batch, left, gone)
    y = _grouped(cx, b, batch, gone, right)
    labels = (*batch, *left, *right)
    dims = [broadcast_dim(a.size(label), b.size(label)) for label in batch]
    shape = (*dims, *(a.size(label) for label in left), *(b.size(label) for label in right))
    return Term(reshaped(cx, cx.put(MatMul(x, y)), shape), labels)


def _grouped(cx: NodeContext, term: Term, batch: list[str], rows: list[str], columns: list[str]) -> Value:
    """(batch…, product of rows, product of columns)"""
    order = [term.labels.index(label) for label in (*batch, *rows, *columns)]
    moved = transposed(cx, term.value, order)
    sizes = [[term.size(label) for label in group] for group in (rows, columns)]
    return reshaped(cx, moved, (*(term.size(label) for label in batch), *map(product, sizes)))


def _multiplied(cx: NodeContext, a: Term, b: Term) -> Term:
    """The product with the labels of both, broadcast."""
    labels = (*a.labels, *(label for label in b.labels if label not in a.labels))
    aligned = []
    for term in (a, b):
        moved = transposed(cx, term.value, [term.labels.index(label) for label in labels if label in term.labels])
        aligned.append(reshaped(cx, moved, [term.size(label) if label in term.labels else 1 for label in labels]))
    return Term(cx.put(Mul(*aligned)), labels)


HANDLERS: dict[str, Handler] = {"Einsum": einsum}
