"""Recognise softmax and log_softmax written out.

    exp(x) / sum(exp(x))                           ->  softmax(x)
    exp(x - max(x)) / sum(exp(x - max(x)))         ->  softmax(x)
    log(softmax(x)),  x - log_sum_exp(x)           ->  log_softmax(x)

along one axis that the reductions keep. Without the maximum the softmax is no less exact, and cannot overflow.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_math import Add, Div, Exp, Log, Mul, Neg, Reciprocal, Sub
from dlc.ir.dialects.graph_nn import LogSoftmax, Reduce, Softmax
from dlc.ir.levels import Level
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter, apply_patterns
from dlc.passes.base import Pass, PassContext
from dlc.record import record


@record
class RecognizeSoftmax(Pass):
    name: ClassVar[str] = "recognize-softmax"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        patterns: list[AnyPattern] = [SoftmaxFormula(), LogOfSoftmax(), LogSoftmaxFormula()]
        return apply_patterns(module, patterns, cx)


def kept_axis(value: Value, kind: str) -> tuple[Reduce, int] | None:
    """A reduction over one axis, which is kept, and the axis."""
    reduce = value.defined_by(Reduce)
    if reduce is None or reduce.kind != kind or not reduce.keepdims or len(reduce.axes) != 1:
        return None
    return reduce, reduce.axes[0]


def without_maximum(value: Value, axis: int) -> Value:
    """x for the value x - max(x) along `axis`; else the value."""
    sub = value.defined_by(Sub)
    found = kept_axis(sub.b, "max") if sub is not None else None
    if sub is None or found is None or found[1] != axis or found[0].x is not sub.a:
        return value
    return sub.a


class SoftmaxFormula(Pattern[Div | Mul]):
    """exp(x) / sum(exp(x)), or times the reciprocal of the sum"""

    def rewrite(self, op: Div | Mul, rw: Rewriter) -> NoMatch | None:
        for top, bottom in ((op.a, op.b), (op.b, op.a)) if isinstance(op, Mul) else ((op.a, op.b),):
            if isinstance(op, Mul):
                inverse = bottom.defined_by(Reciprocal)
                if inverse is None:
                    continue
                bottom = inverse.x
            exp, total = top.defined_by(Exp), kept_axis(bottom, "sum")
            if exp is None or total is None or total[0].x is not top:
                continue
            x = without_maximum(exp.x, total[1])
            if x.type == op.result.type:
                rw.replace(op, rw.insert(Softmax(x, axis=total[1])).result)
                return None
        return NoMatch("not an exp over its own sum along an axis that is kept")


class LogOfSoftmax(Pattern[Log]):
    def rewrite(self, op: Log, rw: Rewriter) -> NoMatch | None:
        inner = op.x.defined_by(Softmax)
        if inner is None or not op.x.has_one_use():
            return NoMatch("x is no softmax of which this is the only user")
        rw.replace(op, rw.insert(LogSoftmax(inner.x, axis=inner.axis), inner).result)
        return None


class LogSoftmaxFormula(Pattern[Sub | Add]):
    """x - log(sum(exp(x))), also written x + (-log…); the log of the sum may be one reduction"""

    def rewrite(self, op: Sub | Add, rw: Rewriter) -> NoMatch | None:
        subtracted = op.b
        if isinstance(op, Add):
            if (negative := op.b.defined_by(Neg)) is None:
                return NoMatch("nothing is subtracted")
            subtracted = negative.x
        found = log_sum_exp(subtracted)
        if found is None or found[0] is not op.a or op.a.type != op.result.type:
            return NoMatch("what is subtracted is not the log of the sum of exp(x)")
        rw.replace(op, rw.insert(LogSoftmax(op.a, axis=found[1])).result)
        return None


def log_sum_exp(value: Value) -> tuple[Value, int] | None:
    """x and the axis where a value is log(sum(exp(x)))."""
    found = kept_axis(value, "log_sum_exp")
    if found is not None:
        return found[0].x, found[1]
    log = value.defined_by(Log)
    total = kept_axis(log.x, "sum") if log is not None else kept_axis(value, "log_sum")
    if total is None:
        return None
    exp = total[0].x.defined_by(Exp)
    return (exp.x, total[1]) if exp is not None else None
