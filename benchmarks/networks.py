#!/usr/bin/env python3
"""dlc against ONNX Runtime and OpenVINO on the same ONNX files.

    python benchmarks/networks.py [--threads 1] [--seconds 6] [--against onnxruntime,openvino] MODEL.onnx …

A round's ratio is the best peer's fastest run over dlc's; the model's ratio is the median over rounds (above 1: dlc is
ahead). Also printed: seconds to compile with an empty cache, peak memory of each process, and how far the outputs are
apart (of the largest value). Dimensions that the model leaves open are 1, or given with --dim seq=128.
"""

from __future__ import annotations

import argparse
import os

from turns import Contestant, contest, error, geometric_mean, ratio


def compare(path: str, peers: list[str], threads: int, seconds: float, dims: dict[str, int]) -> float:
    scores = contest(path, [Contestant(name, name, threads) for name in ("dlc", *peers)], seconds, dims)
    found = ratio(scores, "dlc", peers)
    text = "  ".join(f"{name} {score.ms:8.3f} ms ({score.peak_mb:4.0f} MB)" for name, score in scores.items())
    text += f"  compiled in {scores['dlc'].first:.1f} s  error {error(scores, 'dlc', peers[0]):.1e}"
    print(f"{os.path.basename(path):28s} ratio {found:5.2f}  {text}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--against", default="onnxruntime,openvino")
    parser.add_argument("--dim", action="append", default=[])
    arguments = parser.parse_args()
    dims = {name: int(size) for name, _, size in (text.partition("=") for text in arguments.dim)}
    peers = arguments.against.split(",")
    ratios = [compare(m, peers, arguments.threads, arguments.seconds, dims) for m in arguments.models]
    print(f"geometric mean {geometric_mean(ratios):.3f}, worst {min(ratios):.3f}")


if __name__ == "__main__":
    main()
