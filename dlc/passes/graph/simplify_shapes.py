"""Rewrite movements of elements to fewer and cheaper ones.

    reshape of reshape, transpose of transpose, slice of slice, …   ->  one
    reshape to the same shape, transpose by 0 1 2, slice of all, …  ->  x
    a transpose that moves only axes of size 1                      ->  reshape
    an elementwise op, or a matmul, of a broadcast                  ->  of what is broadcast: they broadcast themselves
    slice of concat                                                 ->  slice of the part it lies in
    concat of slices that lie side by side                          ->  of one slice
    gather by a constant number or by consecutive ones              ->  slice
    gather, gather_nd by places counted along whole axes            ->  transpose, broadcast
    f(reshape(x)), f(transpose(x)) for elementwise f                ->  reshape(f(x)), transpose(f(x))
    transpose of joined axes, which are split again                 ->  transpose of what was joined
    slice(transpose(x)), slice or transpose of a reshape by 1s      ->  the reshape or transpose comes last
    matmul of many matrices with one                                ->  of one long matrix, between reshapes
    softmax(reshape(x)) and the like                                ->  reshape(softmax(x))
    dims ops under gather, slice, concat, arithmetic                ->  one dims op, or a constant

Movements sink below elementwise ops so that they meet and cancel, and so that an elementwise op stands next to the op
that computes its operand and can be fused into it. Only slices rise; every other movement sinks, so this ends.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module
from dlc.ir.levels import Level
from dlc.ir.rewrite import apply_patterns
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.counted_patterns import COUNTED_PATTERNS
from dlc.passes.graph.dims_patterns import DIMS_PATTERNS
from dlc.passes.graph.joined_axes_patterns import JOINED_AXES_PATTERNS
from dlc.passes.graph.movement_patterns import MOVEMENT_PATTERNS
from dlc.passes.graph.sink_patterns import SINK_PATTERNS
from dlc.passes.graph.unit_axes_patterns import UNIT_AXES_PATTERNS
from dlc.record import record


@record
class SimplifyShapes(Pass):
    name: ClassVar[str] = "simplify-shapes"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        axes = (*UNIT_AXES_PATTERNS, *JOINED_AXES_PATTERNS, *COUNTED_PATTERNS)
        return apply_patterns(module, [*DIMS_PATTERNS, *MOVEMENT_PATTERNS, *axes, *SINK_PATTERNS], cx)
