"""Which passes run, in which order, at each optimisation level; every line says why it stands where it does."""

from __future__ import annotations

from collections.abc import Iterable

from dlc.passes.base import Pass
from dlc.passes.graph.eliminate_common_subexpressions import EliminateCommonSubexpressions
from dlc.passes.graph.eliminate_dead_code import EliminateDeadCode
from dlc.passes.graph.fold_batch_norm import FoldBatchNorm
from dlc.passes.graph.fold_constants import FoldConstants
from dlc.passes.graph.fold_pad import FoldPad
from dlc.passes.graph.fold_scale import FoldScale
from dlc.passes.graph.fuse_elementwise import FuseElementwise
from dlc.passes.graph.fuse_epilogue import FuseEpilogue
from dlc.passes.graph.fuse_producers import FuseProducers
from dlc.passes.graph.merge_groups import MergeGroups
from dlc.passes.graph.move_strides import MoveStrides
from dlc.passes.graph.nest_concats import NestConcats
from dlc.passes.graph.outline_remaining import OutlineRemaining
from dlc.passes.graph.phases_to_channels import PhasesToChannels
from dlc.passes.graph.read_halves import ReadHalves
from dlc.passes.graph.recognize_attention import RecognizeAttention
from dlc.passes.graph.recognize_gelu import RecognizeGelu
from dlc.passes.graph.recognize_layer_norm import RecognizeLayerNorm
from dlc.passes.graph.recognize_rotary import RecognizeRotary
from dlc.passes.graph.recognize_softmax import RecognizeSoftmax
from dlc.passes.graph.recognize_swish import RecognizeSwish
from dlc.passes.graph.select_channels import SelectChannels
from dlc.passes.graph.simplify_algebra import SimplifyAlgebra
from dlc.passes.graph.simplify_shapes import SimplifyShapes
from dlc.passes.graph.split_depth import SplitDepth
from dlc.passes.graph.strassen import Strassen
from dlc.passes.graph.widen_halves import WidenHalves
from dlc.passes.graph.winograd import Winograd
from dlc.passes.table import pass_named

CLEAN: tuple[Pass, ...] = (
    EliminateDeadCode(),  # first: what nobody uses need not be folded
    FoldConstants(),  # before all patterns: they ask for constants, not for expressions of constants
    EliminateCommonSubexpressions(),  # before recognition: formulas share their parts, as x - mean(x)
)

SIMPLIFY: tuple[Pass, ...] = (
    WidenHalves(),  # first: all that follows then sees the f32 form, and constants are folded as such
    *CLEAN,
    SimplifyAlgebra(),  # before recognition: it sees x * x for pow(x, 2), and constants on the right
    RecognizeRotary(),  # before shapes, which may move a reshape below a part of the formula and not the others
    RecognizeLayerNorm(),  # likewise
    SimplifyShapes(),  # brings factors next to the ops they fold into, below reshapes and transposes
    EliminateCommonSubexpressions(),  # constants written anew by the two before are alike again
    RecognizeGelu(),  # before swish: both look at products of x and a function of x
    RecognizeSwish(),
    RecognizeSoftmax(),
    RecognizeAttention(),  # after softmax; before fold-scale, which would move scales away from the product
    RecognizeLayerNorm(),  # again; before fold-scale, which would take the scale of x out of its reach
    FoldPad(),  # before batch_norm: a padded conv is as foldable as any
    FoldBatchNorm(),  # leaves products of constants
    FoldScale(),  # after batch_norm: what became a product and a sum may stand behind another linear op
    FoldConstants(),  # computes the weights that the two folds left as expressions
    SimplifyAlgebra(),  # merges the sums of constants that folding has brought together
    SimplifyShapes(),
    MoveStrides(),  # after batch_norm, which would stand in the way; before winograd, which takes no strides
    *CLEAN,
)

CHANNELS: tuple[Pass, ...] = (
    SelectChannels(),  # after all algorithms, which know no lists of channels
    FoldConstants(),  # sorts and widens the weights
    EliminateDeadCode(),  # the movements that nobody reads
)

CACHE: tuple[Pass, ...] = (
    ReadHalves(),  # after all folding, which computes with weights of f32; and after strassen, which would take them
    SplitDepth(),  # after all that simplifies, which would join what it has cut
    FoldConstants(),  # the slices of the weights
    EliminateDeadCode(),  # the weights as a whole
)

FUSE: tuple[Pass, ...] = (
    NestConcats(),  # after simplify-shapes, which makes nested ones flat
    FuseEpilogue(),  # first: an elementwise op costs least where its operand is computed
    FuseProducers(),  # before elementwise: an index map moves into the op that reads it, alone or not
    FuseElementwise(),  # what no root has taken
    OutlineRemaining(),  # last: from here on there are groups only
)

ALGORITHMS: tuple[Pass, ...] = (
    MergeGroups(),  # after all folding into weights, which it makes larger
    PhasesToChannels(),
    FoldConstants(),  # computes the weights that these two left as expressions: winograd asks for constants
    Winograd(),  # after all folding into weights, before fusion: what it makes takes an epilogue too
    Strassen(),  # as late, and before split-depth, whose slices it would take one by one
    EliminateCommonSubexpressions(),  # products that read the same share what strassen makes of it
    FoldConstants(),  # transforms the weights
    EliminateDeadCode(),
)

GRAPH_PIPELINES: dict[int, tuple[Pass, ...]] = {
    0: (FoldBatchNorm(), FoldConstants(), EliminateDeadCode(), OutlineRemaining()),  # batch_norm has no kernel
    1: (WidenHalves(), *CLEAN, FoldBatchNorm(), *CLEAN, FuseEpilogue(), OutlineRemaining()),
    2: (*SIMPLIFY, *CACHE, *FUSE),
    3: (*SIMPLIFY, *ALGORITHMS, *CHANNELS, *CACHE, *FUSE),
}


def graph_pipeline(opt_level: int = 3, disable: Iterable[str] = ()) -> tuple[Pass, ...]:
    """The passes of the graph level without those named in `disable`. Raises UserError for a name that is no pass.

    `outline-remaining` cannot be left out: the lowering needs it.
    """
    without = {pass_named(name) for name in disable} - {OutlineRemaining}
    return tuple(each for each in GRAPH_PIPELINES[opt_level] if type(each) not in without)
