"""`dlc profile`: time per kernel, and its share of what this machine can do at best, measured in turns with it."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from dlc.cli.feeds import gather_feeds, read_inputs
from dlc.cli.files import byte_text, seconds_text
from dlc.cli.options import (
    Compilation,
    compilation_options,
    echo_json,
    input_options,
    json_option,
    model_argument,
    open_model,
    parse_dims,
)
from dlc.runtime.profile import Call, Profiler

if TYPE_CHECKING:
    from dlc.cli.peaks import Peaks

TURN = 0.02  # seconds of kernels after which the probes run for a moment: machines drift
DIRECT = "GFLOP/s of winograd and strassen kernels: those of the plain algorithm; of the peak: what they multiply"
CACHED = "bytes: all that a kernel may read and write; beyond 100 % of the bandwidth they come from caches"
LEVELS = {"l2": "L2", "l3": "L3", "memory": "memory"}
NO_COMPILER = "shares of the machine's peaks are missing: they take the compiler, which is not installed here"


@dataclass
class Row:
    """All calls of one kernel with equal work; seconds and shares are medians over the runs."""

    kernel: str
    nodes: list[str]
    operations: int
    bytes: int
    performed: int
    seconds: float = 0.0
    fma_share: float | None = None
    bandwidth_share: float | None = None

    @property
    def calls(self) -> int:
        return len(self.nodes)


@click.command("profile")
@model_argument
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True, help="To measure.")
@input_options
@json_option
@compilation_options
def profile_command(
    model: Path, seconds: float, inputs: tuple[str, ...], archive: Path | None, seed: int, dims: tuple[str, ...],
    as_json: bool, compilation: Compilation,
) -> None:  # fmt: skip
    """Time per kernel of MODEL, a model file or a compiled library, on one thread. Inputs not given are random."""
    given = read_inputs(inputs, archive)
    compiled = open_model(model, compilation, 1)
    profiler = Profiler(compiled, gather_feeds(compiled, given, True, parse_dims(dims), seed))
    peaks = open_peaks()
    rows = measured(profiler, peaks, seconds)
    best = peaks.medians() if peaks is not None else {}
    schedules = compiled.metadata.extra.get("schedules")
    chosen = {name: schedule_text(each) for name, each in schedules.items()} if isinstance(schedules, dict) else {}
    total = sum(row.seconds for row in rows)
    if as_json:
        echo_json({"seconds": total, "peaks": best, "kernels": [record_of(row, total, chosen) for row in rows]})
        return
    show(rows, total, chosen, best)


def open_peaks() -> Peaks | None:
    """The probes, where the compiler that makes them is installed."""
    if importlib.util.find_spec("llvmlite") is None:
        return None
    from dlc.cli.peaks import Peaks

    return Peaks()


def measured(profiler: Profiler, peaks: Peaks | None, seconds: float) -> list[Row]:
    """Runs until the time is up. Each kernel's time is set against the probes' rates of the moment."""
    times: list[np.ndarray] = []
    fma: list[np.ndarray] = []
    read: list[np.ndarray] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        turns = Turns(peaks.measure if peaks is not None else None)
        times.append(profiler.run(turns if peaks is not None else None) / 1e9)
        if peaks is not None:
            rates = np.array(turns.rates[1 : len(times[-1]) + 1])  # those that held when a call ended
            fma.append(rates[:, 0])
            read.append(rates[:, 1])
    rows = rows_of(profiler.calls)
    members: dict[tuple[str, int, int], list[int]] = {}
    for number, call in enumerate(profiler.calls):
        members.setdefault((call.kernel, call.operations, call.bytes), []).append(number)
    for row, numbers in zip(rows, members.values(), strict=True):
        own = np.array([run[numbers].sum() for run in times])
        row.seconds = float(np.median(own))
        if peaks is not None:
            best = np.array([run[numbers].mean() for run in fma]), np.array([run[numbers].mean() for run in read])
            row.fma_share = float(np.median(row.calls * row.performed / own / best[0]))
            row.bandwidth_share = float(np.median(row.calls * row.bytes / own / best[1]))
    return sorted(rows, key=lambda row: -row.seconds)


class Turns:
    """Called between kernels: runs the probes if a while has passed since they last did, and keeps their rates."""

    def __init__(self, probe: Callable[[], tuple[float, ...]] | None) -> None:
        self.probe = probe
        self.last = 0.0
        self.rates: list[tuple[float, ...]] = []

    def __call__(self) -> None:
        if self.probe is None:
            return
        if not self.rates or time.perf_counter() - self.last > TURN:
            self.rates.append(self.probe())
            self.last = time.perf_counter()
        else:
            self.rates.append(self.rates[-1])


def rows_of(calls: list[Call]) -> list[Row]:
    """One row for the calls of a kernel that have the same to do, in program order."""
    rows: dict[tuple[str, int, int], Row] = {}
    for call in calls:
        key = call.kernel, call.operations, call.bytes
        rows.setdefault(key, Row(call.kernel, [], call.operations, call.bytes, call.performed)).nodes.append(call.node)
    return list(rows.values())


def schedule_text(attributes: dict[str, object]) -> str:
    """The schedule with the parameters that were chosen and their predicted cost."""
    rest = [f"{name}={value}" for name, value in attributes.items() if name != "schedule"]
    return " ".join([str(attributes.get("schedule", "")), *rest]).strip()


def record_of(row: Row, total: float, chosen: dict[str, str]) -> dict[str, object]:
    return {
        "kernel": row.kernel, "nodes": row.nodes, "calls": row.calls, "seconds": row.seconds,
        "share": row.seconds / total if total else 0.0, "operations": row.calls * row.operations,
        "performed": row.calls * row.performed,
        "bytes": row.calls * row.bytes, "fma_share": row.fma_share, "bandwidth_share": row.bandwidth_share,
        "schedule": chosen.get(row.kernel, ""),
    }  # fmt: skip


def show(rows: list[Row], total: float, chosen: dict[str, str], best: dict[str, float]) -> None:
    from dlc.cli.tables import show_table

    rates = (">GFLOP/s", ">of FMA peak", ">bytes", ">of memory bandwidth")
    columns = ("kernel", ">calls", ">time", ">share", *rates, "schedule")
    cells = [
        (row.kernel, str(row.calls), seconds_text(row.seconds), share_text(row.seconds / total if total else 0.0),
         f"{row.calls * row.operations / row.seconds / 1e9:.1f}" if row.seconds and row.operations else "",
         share_text(row.fma_share if row.operations else None), byte_text(row.calls * row.bytes),
         share_text(row.bandwidth_share), chosen.get(row.kernel, ""))
        for row in rows
    ]  # fmt: skip
    show_table(columns, cells, f"{seconds_text(total)} in {sum(row.calls for row in rows)} kernels, one thread")
    if any(row.performed < row.operations for row in rows):
        click.echo(DIRECT)
    click.echo(CACHED if best else NO_COMPILER)
    if best:
        speeds = [f"{best[name] / 1e9:.0f} GB/s from {label}" for name, label in LEVELS.items() if best.get(name)]
        click.echo(f"peaks of one core: {best['operations'] / 1e9:.0f} GFLOP/s, {', '.join(speeds)}")


def share_text(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
