"""Analytic choice of register tiles: how many rows (broadcast operands) and vectors (loaded operands) a tile has.

A tile of r rows and v vectors keeps r * v accumulators in registers and needs, per step of the reduction, r * v
multiply-adds, v vector loads and r broadcasts. Its cost per step is the larger of what the FMA ports and the load ports
take, and never less than the latency of an FMA over the accumulators that hide it.
"""

from __future__ import annotations

from functools import cache
from math import gcd

from dlc.ir.expr import Dim
from dlc.passes.loop.split import even_parts, parts_of_unknown
from dlc.record import record
from dlc.target import Target

BETTER_ROWS = 0.999  # a tile of more rows must be predicted to take this share of the time of one of fewer,
BETTER_VECTORS = 0.995  # and one of more vectors this share: measured where both were predicted alike
LONE_VECTOR = 1.4  # measured: multiply-adds that each load their other operand do not keep both load ports busy
L2_CYCLES = 0.5  # per vector of weights that comes from the second-level cache
# Cycles that a load takes from the tile, whatever else goes on, per broadcast and per vector:
NEAR = (0.0, 0.0)  # all is in the first level of the cache;
PANELS = (0.06, 0.15)  # panels come from the second level, and the rows lie far apart;
WEIGHTS = (0.0, L2_CYCLES)  # a convolution's weights come from the second level
MEETING_CYCLES = 600  # what each member of a team adds to a meeting and to fetching what the others have written
MOST_MEMBERS = 64
WORTH_MEETING = 0.9  # a team must be predicted to take this share of the time of one thread
PANEL_VECTORS = 4  # more columns than that spill: the code generator loads them all before it uses the first
MOST_ROWS = 30
MANY_ROWS = 840  # stands for a number that is not known
MULTIPLES = (1, 2, 3, 4, 6, 8, 16)  # and these times what an unknown number is a multiple of

Loads = tuple[float, float]


@record
class Multiple:
    """An extent of which no more is known than what divides it."""

    divisor: int


Extent = int | Multiple
Parts = tuple[tuple[int, float], ...]  # rows of a tile, and how many such tiles
UNKNOWN = Multiple(1)


def extent_of(dim: Dim) -> Extent:
    """What is known of a size."""
    return dim if isinstance(dim, int) else Multiple(gcd(*(number for _, number in dim.terms)))


@record
class Tile:
    """A choice and what it is predicted to cost, in cycles per step of the reduction over the whole plane."""

    rows: int
    vectors: int
    cost: float


def tile_cycles(rows: int, vectors: int, target: Target, extra: Loads = NEAR) -> float:
    """Cycles of one step of the reduction for one tile; `extra`: of each broadcast and vector, as they lie."""
    facts = target.facts
    arithmetic = rows * vectors / facts.fma_ports * (1 if facts.has_fma else 2)
    from_memory = facts.has_broadcast_operand or vectors > 1
    loads = (rows + vectors) / facts.load_ports if from_memory else (2 * rows + vectors) / facts.load_ports
    latency = facts.fma_latency if rows * vectors else 0
    loads *= LONE_VECTOR if vectors == 1 else 1.05
    return facts.passes * (max(arithmetic, loads, latency / facts.passes) + 0.25 + rows * extra[0] + vectors * extra[1])


class StepCosts(dict[tuple[int, int], float]):
    """`tile_cycles` by rows and vectors, as far as it has been asked for."""

    def __init__(self, target: Target, extra: Loads) -> None:
        super().__init__()
        self._which = target, extra

    def __missing__(self, tile: tuple[int, int]) -> float:
        self[tile] = cost = tile_cycles(*tile, *self._which)
        return cost


step_costs = cache(StepCosts)


def most_rows(vectors: int, target: Target) -> int:
    """How many rows of a tile fit the registers: accumulators, loaded vectors and a broadcast."""
    facts = target.facts
    spare = 1 if facts.has_fma else 2  # without FMA the product needs a register of its own
    if facts.has_lane_operand:
        spare = 4  # elements come in vectors of four, and the code generator holds several
    return min(MOST_ROWS, (facts.vector_registers - spare) // vectors - 1)


def rows_in_l1(stride: int | None, target: Target) -> int:
    """How many rows of which one starts every `stride` bytes (None: not known) the first level of the cache holds.

    Rows a multiple of a way's size apart share a set, which holds as many of them as it has ways: 13 rows of 1024
    floats fetch each line again for each of its elements (a product of 128 x 1024 by 1024 x 256: 83 % of the peak, and
    98 % with 8 rows; Zen 4).
    """
    way = target.facts.l1_way_bytes
    if not stride or not way:
        return MOST_ROWS
    return min(MOST_ROWS, way // gcd(way, stride) * (target.facts.l1_bytes // way))


@cache
def best_tile(
    extent: Extent, blocks: int, target: Target, extra: Loads = NEAR, most: int = MOST_ROWS
) -> Tile:  # fmt: skip
    """The cheapest tile of at most `most` rows for a plane of `extent` rows by `blocks` vectors.

    `extra`: PANELS of a matrix product, whose vectors come from panels that the first level of the cache does not hold.
    """
    best = Tile(1, 1, float("inf"))
    for highest in tiles_by_vectors(extent, blocks, target, extra, most):
        if highest.cost < best.cost * BETTER_VECTORS:
            best = highest
    return best


@cache
def tiles_by_vectors(
    extent: Extent, blocks: int, target: Target, extra: Loads = NEAR, most: int = MOST_ROWS
) -> tuple[Tile, ...]:
    """The cheapest tile for each number of vectors."""
    most_vectors = PANEL_VECTORS if extra is PANELS else 8
    costs = step_costs(target, extra)
    found = []
    parts = [_cut_into(extent, rows) for rows in range(1, _bounded(extent, most) + 1)]
    for vectors in range(1, min(blocks, most_vectors) + 1):
        highest = Tile(1, 1, float("inf"))
        for rows, part in enumerate(parts[: max(0, most_rows(vectors, target))], 1):
            cost = _plane_cost(part, blocks, vectors, costs)
            if cost < highest.cost * BETTER_ROWS:
                highest = Tile(rows, vectors, cost)
        found.append(highest)
    return tuple(found)


def _bounded(extent: Extent, most: int) -> int:
    return min(most, max(1, extent)) if isinstance(extent, int) else most


def _cut_into(extent: Extent, rows: int) -> Parts:
    """The tiles of at most `rows` rows that `extent` is divided into: on the average, where it is not known."""
    if isinstance(extent, Multiple) and extent.divisor > 1:
        found: dict[int, float] = {}
        for total in (extent.divisor * times for times in MULTIPLES):
            for size, count in parts_of_unknown(total, rows):
                found[size] = found.get(size, 0.0) + count / total
        return tuple(found.items())
    total = extent if isinstance(extent, int) and extent else MANY_ROWS
    larger, count = even_parts(total, rows)
    return (larger, count), (larger - 1, -(-total // rows) - count)


def _plane_cost(parts: Parts, blocks: int, vectors: int, costs: StepCosts) -> float:
    total = 0.0
    for wide, panels in ((vectors, blocks // vectors), (blocks % vectors, 1)):
        if wide and panels:
            total += panels * sum(count * costs[rows, wide] for rows, count in parts if count)
    return total


@cache
def best_rows(
    extent: Extent, vectors: int, target: Target, extra: Loads = NEAR, most: int = MOST_ROWS
) -> int:  # fmt: skip
    """The cheapest number of rows, at most `most`, for a tile whose number of vectors is given."""
    best, rows = float("inf"), 1
    costs = step_costs(target, extra)
    for candidate in range(1, _bounded(extent, min(most, most_rows(vectors, target))) + 1):
        cost = _plane_cost(_cut_into(extent, candidate), vectors, vectors, costs)
        if cost < best * BETTER_ROWS:
            best, rows = cost, candidate
    return rows


@record
class ImageTile:
    """A tile of an image: `lines` rows of the image by `columns`, for so many vectors; `cost` as in `Tile`."""

    lines: int
    columns: int
    vectors: int
    cost: float


@cache
def best_image_tile(lines: int | None, columns: int | None, blocks: int, target: Target) -> ImageTile:
    """The cheapest tile for an image of `lines` by `columns`: part of one line or, where these are short, several."""
    line = best_tile(UNKNOWN if columns is None else columns, blocks, target, WEIGHTS)
    if lines is None or columns is None:
        return ImageTile(1, line.rows, line.vectors, line.cost)
    lines, columns = max(1, lines), max(1, columns)  # of an empty image any tile will do
    cost = _image_cost(lines, 1, columns, line.rows, blocks, line.vectors, target)
    best = ImageTile(1, line.rows, line.vectors, cost)
    for several in range(2, min(lines, MOST_ROWS // max(1, columns)) + 1):
        for vectors in range(1, min(blocks, 8) + 1):
            if several * columns > most_rows(vectors, target):
                continue
            cost = _image_cost(lines, several, columns, columns, blocks, vectors, target)
            if cost < best.cost * 0.98:
                best = ImageTile(several, columns, vectors, cost)
    return best


@cache
def image_tiles(lines: int, columns: int, blocks: int, target: Target) -> tuple[ImageTile, ...]:
    """What `best_image_tile` chooses from, the cheapest first."""
    lines, columns = max(1, lines), max(1, columns)
    found = []
    for tile in tiles_by_vectors(columns, blocks, target, WEIGHTS):
        cost = _image_cost(lines, 1, columns, tile.rows, blocks, tile.vectors, target)
        found.append(ImageTile(1, tile.rows, tile.vectors, cost))
    for several in range(2, min(lines, MOST_ROWS // max(1, columns)) + 1):
        for vectors in range(1, min(blocks, 8) + 1):
            if several * columns <= most_rows(vectors, target):
                cost = _image_cost(lines, several, columns, columns, blocks, vectors, target)
                found.append(ImageTile(several, columns, vectors, cost))
    return tuple(sorted(found, key=lambda tile: tile.cost))


def _image_cost(lines: int, several: int, columns: int, width: int, blocks: int, vectors: int, target: Target) -> float:
    """Cycles per step over an image in tiles of `several` lines by `width` columns. What is loaded comes from L2."""
    total = 0.0
    for loaded, panels in ((vectors, blocks // vectors), (blocks % vectors, 1 if blocks % vectors else 0)):
        for high, down in _parts(lines, several):
            for wide, across in _parts(columns, width):
                cycles = tile_cycles(high * wide, loaded, target, WEIGHTS)
                total += panels * down * across * cycles
    return total


def _parts(extent: int, limit: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(size, how many) of the larger and of the smaller parts that `extent` is cut into."""
    larger, count = even_parts(extent, limit)
    return (larger, count), (larger - 1, -(-extent // limit) - count)


def depthwise_columns(extent: int | None, stride: int, target: Target) -> int:
    """Columns of a depthwise tile: accumulators enough to hide the FMA's latency, registers left for what is loaded.

    With a stride, neighbouring windows share less, and more loaded vectors are alive at once. These are the largest
    that keep the inner loop off the stack (tests/codegen/test_emit_tiles.py).
    """
    facts = target.facts
    if facts.vector_registers <= 16:
        most = (5 if stride == 1 else 4) if facts.has_fma else (3 if stride == 1 else 2)
    else:
        most = 14 if stride == 1 else 9
    return most if extent is None else even_parts(max(1, extent), most)[0]


def best_team(weights: int, rows: int, meetings: int, target: Target) -> int:
    """How many threads should share a step that multiplies all `weights` once with each of so many rows; 1: none."""
    facts = target.facts
    vectors = weights * 32 / facts.vector_bits
    alone = vectors * facts.passes * (2 * L2_CYCLES + rows / facts.fma_ports * (1 if facts.has_fma else 2))
    costs = {n: alone / n + n * meetings * MEETING_CYCLES for n in range(2, MOST_MEMBERS + 1)}
    best = min(costs, key=lambda n: costs[n])
    return best if costs[best] < WORTH_MEETING * alone else 1
