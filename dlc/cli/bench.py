"""`dlc bench`: the latency of a model, alone or against other runtimes in alternating slices of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from dlc.cli.feeds import gather_feeds, read_inputs
from dlc.cli.files import is_library, seconds_text
from dlc.cli.options import (
    Compilation,
    compilation_options,
    echo_json,
    input_options,
    json_option,
    model_argument,
    open_model,
    parse_dims,
    threads_option,
)
from dlc.errors import UserError

SLICE = 0.2  # seconds: long against one inference, short against changes of the clock
REST = 0.02  # between slices, for spinning threads of the one before to go to sleep


@dataclass
class Contestant:
    """Something that runs the model, and how long each of its runs took."""

    name: str
    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)

    def run_for(self, duration: float) -> None:
        """One slice; its first run warms the caches up and does not count."""
        self.run()
        end = time.perf_counter() + duration
        while True:
            started = time.perf_counter()
            self.run()
            now = time.perf_counter()
            self.seconds.append(now - started)
            if now >= end:
                return

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


@click.command("bench")
@model_argument
@threads_option
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=3.0, show_default=True,
              help="To measure, for each runtime.")
@click.option("--against", default="", metavar="onnxruntime,openvino", help="Other runtimes to compare with.")
@input_options
@json_option
@compilation_options
def bench_command(
    model: Path, threads: int | None, seconds: float, against: str, inputs: tuple[str, ...], archive: Path | None,
    seed: int, dims: tuple[str, ...], as_json: bool, compilation: Compilation,
) -> None:  # fmt: skip
    """Measure the latency of MODEL, a model file or a compiled library. Inputs that are not given are random."""
    names = list(dict.fromkeys(name.strip() for name in against.split(",") if name.strip()))
    if names and is_library(model):
        raise UserError(f"{names[0]} cannot run the library {model}", hint="give the model file to compare runtimes")
    check_peers(names)
    given = read_inputs(inputs, archive)
    compiled = open_model(model, compilation, threads)
    feeds = gather_feeds(compiled, given, True, parse_dims(dims), seed)
    contestants = [Contestant("dlc", lambda: compiled.run(feeds))]
    contestants += [peer_contestant(name, model, feeds, compiled.threads) for name in names]
    measure(contestants, seconds)
    if as_json:
        echo_json({"threads": compiled.threads, "runtimes": [record_of(each, contestants[0]) for each in contestants]})
        return
    show(contestants, compiled.threads)


def check_peers(names: list[str]) -> None:
    if names:
        from dlc.cli.peers import check_peer

        for name in names:
            check_peer(name)


def peer_contestant(name: str, model: Path, feeds: dict[str, np.ndarray], threads: int) -> Contestant:
    from dlc.cli.peers import peer_runner

    return Contestant(name, peer_runner(name, model, feeds, threads))


def measure(contestants: list[Contestant], seconds: float) -> None:
    """Slices in turn, so that what slows the machine down for a while slows all of them."""
    for each in contestants:
        each.run_for(0)
        each.seconds.clear()
    duration = min(SLICE, seconds)
    for _ in range(max(1, round(seconds / duration))):
        for each in contestants:
            each.run_for(duration)
            time.sleep(REST if len(contestants) > 1 else 0)


def record_of(each: Contestant, first: Contestant) -> dict[str, object]:
    return {
        "name": each.name, "median": each.median, "min": min(each.seconds),
        "p90": float(np.quantile(each.seconds, 0.9)), "runs": len(each.seconds), "ratio": each.median / first.median,
    }  # fmt: skip


def show(contestants: list[Contestant], threads: int) -> None:
    from dlc.cli.tables import show_table

    rows = []
    for each in contestants:
        ratio = f"{each.median / contestants[0].median:.2f}x" if each is not contestants[0] else ""
        times = (each.median, min(each.seconds), float(np.quantile(each.seconds, 0.9)))
        rows.append((each.name, *map(seconds_text, times), str(len(each.seconds)), ratio))
    columns = ("runtime", ">median", ">min", ">90 %", ">runs", ">time / dlc")
    show_table(columns if len(rows) > 1 else columns[:-1], rows if len(rows) > 1 else [row[:-1] for row in rows],
               f"{threads} thread{'s' if threads > 1 else ''}")  # fmt: skip
