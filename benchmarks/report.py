#!/usr/bin/env python3
"""Every figure of docs/PERFORMANCE.md, side by side in one run.

    python benchmarks/report.py --models FOLDER [--only TABLE,TABLE] [--seconds 6] [--write FILE]

The tables are models, dense, steps, products, threads, memory and avx2. FOLDER holds ONNX files; the tables take those
that are there. `dense_*` and `conv_*` count as single operators, all others as networks; `steps` wants resnet50.onnx
and resnet50_v1.onnx, `products` bert_base.onnx, minilm_l6.onnx and vit_b_16.onnx. Tables go to stdout, or with --write
between the lines `<!-- report: NAME -->` and `<!-- end -->` of a Markdown file, each as soon as it is complete. A model
that an engine fails on is a row that says so. Run nothing else meanwhile. All of it takes about 20 minutes with
`--seconds 3` and 28 models.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from turns import Contestant, EngineFailed, Score, contest, error, geometric_mean, ratio

PEERS = ("onnxruntime", "openvino")
OPERATORS = ("dense_", "conv_")
FUSION = ("fuse-epilogue", "fuse-producers", "fuse-elementwise")
MANY_THREADS = min(2, os.cpu_count() or 1)

# Row → passes that are left out. All fold batch norm, which has no kernel of its own, and lay images out in blocks with
# halos, which convolutions rely on.
STEPS: dict[str, tuple[str, ...]] = {
    "batch norm folded, blocked layout": (*FUSION, "winograd", "move-strides"),
    "+ fusion": ("winograd", "move-strides"),
    "+ Winograd": ("move-strides",),
    "+ moved strides": (),
}

PRODUCTS: dict[str, tuple[str, ...]] = {
    "products in panels": (*FUSION, "recognize-attention", "strassen"),
    "+ fusion": ("recognize-attention", "strassen"),
    "+ attention": ("strassen",),
    "+ Strassen": (),
}


@dataclass(frozen=True)
class Setting:
    """What the tables are made from."""

    models: tuple[Path, ...]
    seconds: float
    dims: dict[str, int]

    def contest(self, path: Path, contestants: Sequence[Contestant]) -> dict[str, Score]:
        print(f"{path.stem}: {', '.join(who.label for who in contestants)}", file=sys.stderr, flush=True)
        return contest(str(path), contestants, self.seconds, self.dims)

    def networks(self) -> list[Path]:
        return [path for path in self.models if not path.stem.startswith(OPERATORS)]

    def named(self, *stems: str) -> list[Path]:
        return [path for path in self.models if path.stem in stems]


def models_table(setting: Setting) -> Iterator[str]:
    """Every model against both peers, at one thread and at two."""
    for threads in sorted({1, MANY_THREADS}):
        ratios: dict[bool, list[float]] = {False: [], True: []}
        yield from header(f"{threads} thread{'s' * (threads > 1)}", "ratio", "dlc ms", "ONNX Runtime ms", "OpenVINO ms",
                          "cold compile s", "error")  # fmt: skip
        for path in setting.models:
            try:
                scores = setting.contest(path, [Contestant(name, name, threads) for name in ("dlc", *PEERS)])
            except EngineFailed as problem:
                yield row(path.stem, f"failed: {problem}", "", "", "", "", "")
                continue
            found = ratio(scores, "dlc", PEERS)
            ratios[path.stem.startswith(OPERATORS)].append(found)
            times = [f"{scores[name].ms:.3g}" for name in ("dlc", *PEERS)]
            yield row(path.stem, f"{found:.2f}", *times, f"{scores['dlc'].first:.2f}",
                      f"{error(scores, 'dlc', PEERS[0]):.1e}")  # fmt: skip
        yield ""
        for is_operator, found_ratios in ratios.items():
            if found_ratios:
                kind = "Single operators" if is_operator else "Networks"
                yield f"{kind}: geometric mean {geometric_mean(found_ratios):.3f}, worst {min(found_ratios):.3f}."
        yield ""


def dense_table(setting: Setting) -> Iterator[str]:
    """Dense operators against OpenVINO alone."""
    counts = sorted({1, MANY_THREADS})
    yield from header("operator", *(f"ratio to OpenVINO, {n} thread{'s' * (n > 1)}" for n in counts))
    for path in setting.models:
        if path.stem.startswith("dense_"):
            cells = []
            for threads in counts:
                pair = [Contestant(name, name, threads) for name in ("dlc", "openvino")]
                cells.append(f"{ratio(setting.contest(path, pair), 'dlc', ['openvino']):.2f}")
            yield row(path.stem, *cells)


def steps_table(setting: Setting) -> Iterator[str]:
    """What each part of the compiler brings to convolutions."""
    yield from parts_table(setting, STEPS, "resnet50", "resnet50_v1")


def products_table(setting: Setting) -> Iterator[str]:
    """What each part of the compiler brings to products and attention."""
    yield from parts_table(setting, PRODUCTS, "bert_base", "minilm_l6", "vit_b_16")


def parts_table(setting: Setting, steps: dict[str, tuple[str, ...]], *models: str) -> Iterator[str]:
    """Passes left out, one fewer in each row, all in turns."""
    paths = setting.named(*models)
    yield from header("with", *(f"{path.stem} ms, times as fast as without" for path in paths))
    contestants = [Contestant(f"step{n}", "dlc", 1, disable) for n, disable in enumerate(steps.values())]
    scores = [setting.contest(path, contestants) for path in paths]
    for number, label in enumerate(steps):
        cells = []
        for each in scores:
            gain = ratio(each, f"step{number}", [f"step{number - 1}"]) if number else 1.0
            cells.append(f"{each[f'step{number}'].ms:.1f}, {gain:.2f}")
        yield row(label, *cells)


def threads_table(setting: Setting) -> Iterator[str]:
    """dlc on several threads over dlc on one."""
    yield from header("network", f"{MANY_THREADS} threads over 1", "same bits")
    for path in setting.networks():
        scores = setting.contest(path, [Contestant("one", "dlc"), Contestant("many", "dlc", MANY_THREADS)])
        same = all((a == b).all() for a, b in zip(scores["one"].outputs, scores["many"].outputs, strict=True))
        yield row(path.stem, f"{ratio(scores, 'many', ['one']):.2f}", "yes" if same else "NO")


def memory_table(setting: Setting) -> Iterator[str]:
    """Peak memory of a process that only loads and runs, and the time until its first result."""
    yield from header("network", "dlc library MB", "ONNX Runtime MB", "OpenVINO MB", "dlc first s", "ONNX Runtime s",
                      "OpenVINO s")  # fmt: skip
    for path in setting.networks():
        contestants = [Contestant("compiled", "dlc"), *(Contestant(name, name) for name in ("dlc-so", *PEERS))]
        scores = setting.contest(path, contestants)
        named = [scores[name] for name in ("dlc-so", *PEERS)]
        yield row(path.stem, *(f"{s.peak_mb:.0f}" for s in named), *(f"{s.first:.2f}" for s in named))


# OpenVINO computes with oneDNN and generators that ask it; ONNX Runtime's MLAS asks the processor and has no switch.
AVX2 = (("ONEDNN_MAX_CPU_ISA", "AVX2"),)
AVX2_MODELS = ("resnet50", "mobilenet_v2", "minilm_l6")


def avx2_table(setting: Setting) -> Iterator[str]:
    """dlc for x86-64-v3 against OpenVINO held to AVX2, with and without Winograd; ONNX Runtime uses what there is."""
    contestants = [
        Contestant("v3", "dlc", target="x86-64-v3"),
        Contestant("direct", "dlc", target="x86-64-v3", disable=("winograd",)),
        Contestant("openvino", "openvino", environment=AVX2),
        Contestant("onnxruntime", "onnxruntime"),
    ]
    yield from header("model", "ratio to OpenVINO held to AVX2", "ratio to ONNX Runtime, not held", "dlc ms",
                      "dlc without Winograd ms", "OpenVINO ms", "ONNX Runtime ms", "error")  # fmt: skip
    for path in setting.named(*AVX2_MODELS):
        scores = setting.contest(path, contestants)
        ratios = [f"{ratio(scores, 'v3', [peer]):.2f}" for peer in ("openvino", "onnxruntime")]
        times = [f"{scores[who.label].ms:.3g}" for who in contestants]
        yield row(path.stem, *ratios, *times, f"{error(scores, 'v3', 'onnxruntime'):.1e}")


TABLES: dict[str, Callable[[Setting], Iterable[str]]] = {
    "models": models_table, "dense": dense_table, "steps": steps_table, "products": products_table,
    "threads": threads_table, "memory": memory_table, "avx2": avx2_table,
}  # fmt: skip


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def header(*names: str) -> tuple[str, str]:
    return row(*names), f"|{'---|' * len(names)}"


def put(text: str, name: str, table: str) -> str:
    """The text of a Markdown file with the table of a name in its place."""
    place = re.compile(rf"(<!-- report: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    if not place.search(text):
        raise SystemExit(f"there are no lines '<!-- report: {name} -->' and '<!-- end -->' to write between")
    return place.sub(lambda found: f"{found[1]}{table}{found[2]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="a folder of ONNX files")
    parser.add_argument("--only", default=",".join(TABLES), help="tables to make")
    parser.add_argument("--seconds", type=float, default=6, help="measured time per model and table")
    parser.add_argument("--dim", action="append", default=["seq=128"], help="size of a named dimension")
    parser.add_argument("--write", type=Path, help="a Markdown file with places for the tables")
    arguments = parser.parse_args()
    paths = tuple(sorted(arguments.models.glob("*.onnx"), key=lambda p: (p.stem.startswith(OPERATORS), p.stem)))
    dims = {name: int(size) for name, _, size in (text.partition("=") for text in arguments.dim)}
    setting = Setting(paths, arguments.seconds, dims)
    for name in arguments.only.split(","):
        if name not in TABLES:
            parser.error(f"there is no table {name!r}, the tables are {', '.join(TABLES)}")
        table = "\n".join(TABLES[name](setting)).strip()
        if arguments.write:
            arguments.write.write_text(put(arguments.write.read_text(), name, table))
        else:
            print(f"\n## {name}\n\n{table}", flush=True)


if __name__ == "__main__":
    main()
