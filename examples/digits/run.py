"""Compile digits.onnx and let it read 200 real handwritten digits that it has not been trained on."""

import argparse
import time
from pathlib import Path

import numpy as np

import dlc

HERE = Path(__file__).resolve().parent
SHOWN = 12
REPEATS = 50


def main() -> None:
    arguments = parse_arguments()
    samples = np.load(HERE / "samples.npz")
    images, labels = samples["images"], samples["labels"]

    start = time.perf_counter()
    module = dlc.compile(HERE / "digits.onnx", target=arguments.target, cache=not arguments.no_cache)
    compile_seconds = time.perf_counter() - start

    scores = module.run({"image": images})["scores"]
    predictions = scores.argmax(axis=1)
    start = time.perf_counter()
    for _ in range(REPEATS):
        module.run({"image": images})
    image_seconds = (time.perf_counter() - start) / (REPEATS * len(images))

    print_predictions(predictions, labels)
    right = int((predictions == labels).sum())
    print(f"\naccuracy      {right} of {len(labels)} ({right / len(labels):.1%})")
    print(f"compile time  {compile_seconds:.2f} s")
    print(f"run time      {image_seconds * 1e6:.2f} us an image, in batches of {len(images)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="host", help="the machine to compile for (default: this one)")
    parser.add_argument("--no-cache", action="store_true", help="compile even if this model has been compiled before")
    return parser.parse_args()


def print_predictions(predictions: np.ndarray, labels: np.ndarray) -> None:
    print(f"{'sample':>6}  {'prediction':>10}  {'label':>5}")
    for index, (prediction, label) in enumerate(zip(predictions[:SHOWN], labels[:SHOWN], strict=True)):
        print(f"{index:>6}  {prediction:>10}  {label:>5}  {'' if prediction == label else 'wrong'}".rstrip())


if __name__ == "__main__":
    main()
