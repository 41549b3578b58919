"""What a product of matrices is predicted to cost, plainly and by Strassen's algorithm, in cycles of one core."""

from __future__ import annotations

from dlc.ir.dialects.graph_strassen import PRODUCTS
from dlc.passes.graph.conv_costs import FROM_MEMORY, TILE_START
from dlc.passes.lower.tiles import PANEL_VECTORS, PANELS, best_rows, best_tile, rows_in_l1, tile_cycles
from dlc.record import record
from dlc.target import Target

DEEPEST = 2048  # per pass; of deeper products so much of a comes from beyond the cache that two threads gain nothing
MOST_TILES = 12  # of rows of a half at a time: their products for a panel stay in the second level of the cache
SHARE_OF_MEMORY = 0.5  # of its bandwidth for one core's weights, since cores share it
SUMS_IN_L2 = 20.0  # bytes a cycle that making the sums of a's quarters reads and writes
SUMS_IN_L3 = 9.0
OUTPUT = 12  # cycles to make a vector of each quarter of the result of the seven products' and to store it


@record
class StrassenPlan:
    """Tiles of `rows` rows of a half by `panel` columns, `part` of them at a time, and the predicted cycles."""

    rows: int
    panel: int
    part: int
    cycles: float


def matmul_cycles(rows: int, depth: int, columns: int, target: Target) -> float:
    """rows x depth by depth x columns, with its weights in panels."""
    tile = best_tile(rows, -(-columns // target.facts.lanes(32)), target, PANELS, rows_in_l1(4 * depth, target))
    starts = -(-rows // tile.rows) * -(-columns // (target.facts.lanes(32) * tile.vectors))
    return max(tile.cost * depth + TILE_START * starts, depth * columns * 4 / FROM_MEMORY)


def strassen_plan(rows: int, depth: int, columns: int, target: Target) -> StrassenPlan | None:
    """The cheapest tile whose vectors divide half the columns; None if there is none, or the depth does not suit."""
    lanes = target.facts.lanes(32)
    half = -(-rows // 2)
    deepest = DEEPEST * target.facts.passes
    if not rows or not depth or not columns or columns % (2 * lanes) or depth % 2 or depth > deepest:
        return None
    blocks = columns // (2 * lanes)
    plans = []
    for vectors in (n for n in range(1, PANEL_VECTORS + 1) if blocks % n == 0):
        height = best_rows(half, vectors, target, PANELS, rows_in_l1(2 * depth, target))
        tiles = -(-half // height)
        parts = -(-tiles // MOST_TILES)
        cycles = strassen_cycles(height, tiles, vectors, blocks // vectors, depth // 2, target)
        plans.append(StrassenPlan(height, vectors * lanes, -(-tiles // parts), cycles))
    return min(plans, key=lambda plan: plan.cycles, default=None)


def predicted_products(rows: int, depth: int, columns: int, target: Target) -> dict[str, float]:
    """Cycles of each algorithm."""
    found = {"plain": matmul_cycles(rows, depth, columns, target)}
    plan = strassen_plan(rows, depth, columns, target)
    if plan is not None:
        found[f"Strassen, {plan.part} tiles of {plan.rows} x {plan.panel} at a time"] = plan.cycles
    return found


def strassen_cycles(height: int, tiles: int, vectors: int, panels: int, depth: int, target: Target) -> float:
    """`tiles` tiles of a half's rows by `panels` panels of half the columns; `depth` is half of the whole one."""
    step = tile_cycles(height, vectors, target, PANELS)
    products = PRODUCTS * tiles * panels * (step * depth + TILE_START)
    weights = PRODUCTS * depth * panels * vectors * target.facts.lanes(32) * 4 / (FROM_MEMORY * SHARE_OF_MEMORY)
    outputs = OUTPUT * target.facts.passes * 4 * tiles * height * panels * vectors
    moved = (4 + PRODUCTS) * tiles * height * depth * 4
    inputs = moved / (SUMS_IN_L2 if moved < target.facts.l2_bytes else SUMS_IN_L3)
    return max(products, weights) + outputs + inputs
