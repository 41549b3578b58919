"""All passes by name, and pipelines as text: ``fold-constants,fold-batch-norm{most=16, exact=true}``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches

from dlc.errors import UserError
from dlc.passes.base import Pass
from dlc.passes.graph.choose_layout import ChooseLayout
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
from dlc.passes.lower.lower_graph import LowerGraph
from dlc.passes.lower.plan_memory import PlanMemory

ALL_PASSES: tuple[type[Pass], ...] = (
    ChooseLayout,
    EliminateCommonSubexpressions,
    EliminateDeadCode,
    FoldBatchNorm,
    FoldConstants,
    FoldPad,
    FoldScale,
    FuseElementwise,
    FuseEpilogue,
    FuseProducers,
    LowerGraph,
    MergeGroups,
    MoveStrides,
    NestConcats,
    OutlineRemaining,
    PhasesToChannels,
    PlanMemory,
    ReadHalves,
    RecognizeAttention,
    RecognizeRotary,
    RecognizeGelu,
    RecognizeLayerNorm,
    RecognizeSoftmax,
    RecognizeSwish,
    SelectChannels,
    SimplifyAlgebra,
    SimplifyShapes,
    SplitDepth,
    Strassen,
    WidenHalves,
    Winograd,
)

ITEM = re.compile(r"\s*([\w-]+)\s*(?:\{([^{}]*)\})?\s*(?:,|$)")
OPTION = re.compile(r"\s*(\w+)\s*=\s*([^,]*?)\s*(?:,|$)")


def pass_named(name: str) -> type[Pass]:
    """The pass of a name. Raises UserError naming those that are spelled alike."""
    for each in ALL_PASSES:
        if each.name == name:
            return each
    close = get_close_matches(name, [each.name for each in ALL_PASSES])
    hint = f"did you mean {' or '.join(close)}?" if close else "dlc opt --list-passes names all"
    raise UserError(f"there is no pass {name!r}", hint=hint)


def parse_pipeline(text: str) -> tuple[Pass, ...]:
    """Passes separated by commas, each with its options in braces."""
    return tuple(pass_with_options(name, options) for name, options in items(text, ITEM, "a pass"))


def items(text: str, form: re.Pattern[str], wanted: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        found = form.match(text, at)
        if found is None:
            raise UserError(f"expected {wanted} at column {at + 1} of {text!r}")
        yield found[1], found[2] or ""
        at = found.end()


def pass_with_options(name: str, options: str) -> Pass:
    kind = pass_named(name)
    known = {f.name: getattr(kind(), f.name) for f in fields(kind)}
    chosen: dict[str, object] = {}
    for option, text in items(options, OPTION, "an option like name=value"):
        if option not in known:
            listed = ", ".join(known) or "none"
            raise UserError(f"pass {name} has no option {option!r}, it has {listed}")
        chosen[option] = option_value(name, option, text, known[option])
    return kind(**chosen)


def option_value(name: str, option: str, text: str, default: object) -> object:
    """`text` as a value of the kind that the default has."""
    try:
        match default:
            case bool():
                return {"true": True, "false": False}[text]
            case int():
                return int(text)
            case float():
                return float(text)
            case tuple():
                return tuple(text.split())
    except (KeyError, ValueError):
        raise UserError(f"pass {name}: option {option} must be a {type(default).__name__}, got {text!r}") from None
    return text
