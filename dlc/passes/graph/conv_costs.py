"""What small convolutions are predicted to cost, directly and by Winograd, in cycles of one core.

The numbers are those of the register tile (dlc/passes/lower/tiles.py), of the transforms' instructions, and of what has
to come from beyond the second-level cache. Sizes that are not known count as `TYPICAL`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from dlc.ir.dialects.graph_nn import Conv
from dlc.ir.dialects.graph_winograd import places
from dlc.ir.dialects.shape_rules import per_axis, tensor
from dlc.ir.expr import Dim
from dlc.ir.typical import IMAGES
from dlc.ir.winograd import TILES, patch_size
from dlc.passes.lower.tiles import PANEL_VECTORS, PANELS, best_rows, best_tile, rows_in_l1, step_costs
from dlc.record import record
from dlc.target import Target

TYPICAL = 56  # rows and columns of an image whose size is not known
TRANSFORMS = (3.0, 2.6)  # cycles to transform one tile of one vector of channels, per place: input, output
WEIGHTS = 1.6  # cycles to transform one vector of weights to the end, per place
NUMBERS = (1, 2, 8)  # of images, where that is not known
FEW_REGISTERS = 1.4  # with 16 of them, the transforms go through the stack
FROM_MEMORY = 4.0  # bytes a cycle, prefetched: weights are read once per inference
FROM_L3 = 6.5
FROM_L2 = 40.0
WRITTEN = 32.0  # bytes a cycle, to memory that other kernels have used since
WOVEN = 3.0  # bytes a cycle, of an image whose neighbours become channels
TILE_START = 30  # cycles in which a register tile fills and empties
HANDED_OVER = 3500  # cycles in which a kernel more is handed to the threads and waited for: a microsecond
SHARE_OF_L2 = 0.6  # what of it can be counted on
SHARE_OF_L3 = 0.25  # of a whole socket's, mostly
MOST_TILES = 128  # in a part
AS_GOOD = 1.03  # smaller parts, which threads share better, may cost so much more
THREADS = (2, 4)  # how well these share the parts counts for
SHARE_WEIGHT = 0.3  # as much


@record
class ConvSize:
    """Images, rows and columns of the result, channels of x and of the result."""

    images: int
    rows: int
    columns: int
    inputs: int
    outputs: int
    window: int = 3
    stride: int = 1
    known: bool = True  # how many images there are

    def of(self, images: int) -> ConvSize:
        return replace(self, images=images, known=True)

    @property
    def tiles(self) -> tuple[int, ...]:
        """Those that Winograd's algorithm has for this window and stride."""
        return TILES.get((self.window, self.stride), ())

    def places(self, tile: int) -> int:
        return places(tile, self.window, self.stride)


@record
class WinogradPlan:
    """Tiles of tile x tile outputs, `part` of them at a time or (0) all in three steps, and the predicted cycles.

    `cycles` are those of one thread; `weighted`, by which plans are compared, counts also how evenly threads can share
    the work. With a `panel`, weights are kept half transformed, and so many columns at a time done when they are read.
    """

    tile: int
    part: int
    cycles: float
    weighted: float
    panel: int = 0


def known(dim: Dim, otherwise: int = TYPICAL) -> int:
    return dim if isinstance(dim, int) else otherwise


def dense_size(op: Conv) -> ConvSize | None:
    """The size of a convolution for whose window and stride Winograd's algorithm has tiles; None for others."""
    x, w, y = tensor(op.x), tensor(op.w), tensor(op.result)
    window, sides = w.shape[2], y.shape[2:]
    strides = {per_axis(op.strides, n) for n in range(len(sides))}
    dense = op.groups == 1 and all(n == 1 for n in op.dilations)
    if not dense or len(sides) != 2 or w.shape[3] != window or len(strides) != 1 or not isinstance(window, int):
        return None
    sizes = known(x.shape[0], IMAGES), known(sides[0]), known(sides[1]), known(w.shape[1]), known(w.shape[0])
    size = ConvSize(*sizes, window, strides.pop(), isinstance(x.shape[0], int))
    return size if size.tiles and all(sizes) else None


def blocks(channels: int, target: Target) -> int:
    return -(-channels // target.facts.lanes(32))


def direct_cycles(size: ConvSize, target: Target) -> float:
    """A direct convolution, channels blocked, with a register tile along the rows of the image."""
    vectors = blocks(size.outputs, target)
    tile = best_tile(size.columns, vectors, target)
    arithmetic = size.images * size.rows * size.inputs * size.window**2 * tile.cost
    return max(arithmetic, size.window**2 * size.inputs * size.outputs * 4 / FROM_MEMORY)


def predicted(size: ConvSize, target: Target) -> dict[str, float]:
    """Cycles of each algorithm."""
    found = {"direct": direct_cycles(size, target)}
    for tile in size.tiles:
        plan = winograd_plan(size, tile, target)
        parts = f"{plan.part} tiles at a time" if plan.part else "in three steps"
        found[f"Winograd {tile} x {tile}, {parts}"] = plan.cycles
    return found


def moved_cycles(image: tuple[int, ...], target: Target) -> float:
    """Making channels of the phases of an image (N, C, H, W): what is written has a vector of channels."""
    images, _, rows, columns = image
    return images * rows * columns / 4 * target.facts.vector_bits / 8 / WOVEN


def product_cycles(rows: int, vectors: int, inputs: int, target: Target) -> float:
    """The product for one place of `rows` tiles by `vectors` vectors of results."""
    tile = best_tile(rows, vectors, target)
    return tile.cost * inputs + TILE_START * -(-rows // tile.rows) * -(-vectors // tile.vectors)


def winograd_cycles(size: ConvSize, tile: int, part: int, target: Target) -> float:
    """Winograd's algorithm on parts of `part` tiles."""
    first, following = (part_cycles(size, tile, part, target, rate) for rate in (FROM_MEMORY, FROM_L3))
    return first + (part_count(size, tile, part) - 1) * following


def tile_total(size: ConvSize, tile: int) -> int:
    return -(-size.rows // tile) * -(-size.columns // tile)


def part_count(size: ConvSize, tile: int, part: int) -> int:
    return -(-tile_total(size, tile) // part) * size.images


def part_cycles(size: ConvSize, tile: int, part: int, target: Target, rate: float) -> float:
    """Transforms and products of `part` tiles; weights that L2 cannot hold come at `rate` bytes a cycle."""
    facts, vectors_out = target.facts, blocks(size.outputs, target)
    transforms = transform_cycles(size, tile, part, target)
    room = facts.l2_bytes * SHARE_OF_L2
    weights = size.places(tile) * size.inputs * vectors_out * target.facts.lanes(32) * 4
    streamed = weights / (rate if weights > room else FROM_L2)
    products = size.places(tile) * product_cycles(part, vectors_out, size.inputs, target)
    return transforms + max(products, streamed) + spill_cycles(size, tile, part, target)


def spill_cycles(size: ConvSize, tile: int, part: int, target: Target) -> float:
    """Writing and reading of transformed tiles and products that the second level of the cache does not hold."""
    scratch = scratch_bytes(size, tile, part, target)
    beyond = FROM_L3 if scratch < target.facts.l3_bytes * SHARE_OF_L3 else FROM_MEMORY
    return 2 * scratch / beyond if scratch > target.facts.l2_bytes * SHARE_OF_L2 else 0.0


def transform_cycles(size: ConvSize, tile: int, part: int, target: Target) -> float:
    """Those of `part` tiles, of images and of results."""
    facts = target.facts
    slower = facts.passes * (FEW_REGISTERS if facts.vector_registers <= 16 else 1.0)
    taken, given = (cycles * size.places(tile) * slower for cycles in TRANSFORMS)
    return part * (blocks(size.inputs, target) * taken + blocks(size.outputs, target) * given)


def scratch_bytes(size: ConvSize, tile: int, part: int, target: Target) -> int:
    """What the transformed tiles and their products take."""
    vectors = blocks(size.inputs, target) + blocks(size.outputs, target)
    return size.places(tile) * vectors * target.facts.lanes(32) * 4 * part


def sharing(chunks: int) -> float:
    """How much longer threads take that share so many equal chunks than if they could be cut at will."""
    return sum(-(-chunks // n) * n / chunks for n in THREADS) / len(THREADS)


@cache
def winograd_plan(size: ConvSize, tile: int, target: Target) -> WinogradPlan:
    """The number of tiles at a time that costs least, or the smallest that costs hardly more."""
    tiles = tile_total(size, tile)
    plans = []
    for part in range(1, min(tiles, MOST_TILES) + 1):
        if -(-tiles // -(-tiles // part)) == part:  # no smaller part makes as few of them
            cycles = winograd_cycles(size, tile, part, target)
            unevenness = sharing(part_count(size, tile, part)) - 1
            plans.append(WinogradPlan(tile, part, cycles, cycles * (1 + SHARE_WEIGHT * unevenness)))
    least = min(plan.weighted for plan in plans)
    best = next(plan for plan in plans if plan.weighted <= AS_GOOD * least)
    whole = whole_cycles(size, tile, target)
    return WinogradPlan(tile, 0, whole, whole) if whole < best.weighted else best


def whole_cycles(size: ConvSize, tile: int, target: Target) -> float:
    """All tiles at once, in three kernels."""
    count = tile_total(size, tile) * size.images
    return part_cycles(size, tile, count, target, FROM_MEMORY) + three_kernels(size, tile, target)


def three_kernels(size: ConvSize, tile: int, target: Target) -> float:
    """What it takes that transformed tiles and products go from kernel to kernel."""
    count = tile_total(size, tile) * size.images
    return scratch_bytes(size, tile, count, target) / WRITTEN + 2 * HANDED_OVER


def halved_panels(size: ConvSize, tile: int, target: Target) -> list[int]:
    """The numbers of columns that weights half transformed may be taken at a time."""
    lanes = target.facts.lanes(32)
    row = patch_size(tile, size.window, size.stride) * size.inputs * 4
    return [
        n * lanes
        for n in range(1, PANEL_VECTORS + 1)
        if size.outputs % (n * lanes) == 0 and n * lanes * row <= target.facts.l2_bytes * SHARE_OF_L2
    ]


def halved_cycles(size: ConvSize, tile: int, panel: int, target: Target) -> float:
    """All tiles at once, by weights of which only the rows are transformed."""
    count, places = tile_total(size, tile) * size.images, size.places(tile)
    vectors, lanes = size.outputs // target.facts.lanes(32), target.facts.lanes(32)
    taps = patch_size(tile, size.window, size.stride) * size.window
    streamed = taps * size.inputs * size.outputs * 4 / FROM_MEMORY
    weights = WEIGHTS * target.facts.passes * places * size.inputs * vectors
    rows = best_rows(count, panel // lanes, target, PANELS, rows_in_l1(4 * size.inputs, target))
    step = step_costs(target, PANELS)[rows, panel // lanes]
    products = places * vectors * lanes // panel * -(-count // rows) * (step * size.inputs + TILE_START)
    moved = transform_cycles(size, tile, count, target) + spill_cycles(size, tile, count, target)
    return moved + max(products + weights, streamed) + three_kernels(size, tile, target)


def plans_for_any_number(size: ConvSize, tile: int, target: Target) -> list[WinogradPlan]:
    """What may be done where the number of images is not known; `weighted` is how far from the best it is at worst.

    The worst of `NUMBERS` of images counts. Weights half transformed are for this: those of F(4 x 4), which many images
    want, take twice as long to come from memory as those of F(2 x 2), or these.
    """
    best = {n: min(winograd_plan(size.of(n), each, target).cycles for each in size.tiles) for n in NUMBERS}
    usual = winograd_plan(size, tile, target)

    def cycles(of: ConvSize, part: int, panel: int) -> float:
        if panel:
            return halved_cycles(of, tile, panel, target)
        return winograd_cycles(of, tile, part, target) if part else whole_cycles(of, tile, target)

    def planned(part: int, panel: int) -> WinogradPlan:
        at_worst = max(cycles(size.of(n), part, panel) / best[n] for n in NUMBERS)
        return WinogradPlan(tile, part, cycles(size, part, panel), at_worst, panel)

    ways = [(0, 0), *([(usual.part, 0)] if usual.part else []), *((0, n) for n in halved_panels(size, tile, target))]
    return [planned(*way) for way in ways]
