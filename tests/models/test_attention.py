"""Attention as exporters write it, against ONNX Runtime: caches of any length, heads that share keys, causal masks."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import dlc
from dlc.driver.pipeline import Options, lowered_module
from dlc.ir.dialects import run
from dlc.target import Target
from tests.support.onnx_models import expected, model, node
from tests.tolerances import assert_close

HEADS, SHARED, CHANNELS = 6, 2, 8
Feeds = dict[str, np.ndarray]


def repeated(name: str) -> tuple[list[onnx.NodeProto], str]:
    """Each head of (1, SHARED, keys, CHANNELS) as often as query heads share it; `times` gives the shape in between."""
    nodes = [
        node("Unsqueeze", [name, "two"], [f"{name}_single"]),
        node("Shape", [name], [f"{name}_shape"]),
        node("Gather", [f"{name}_shape", "two"], [f"{name}_keys"], axis=0),
        node("Concat", ["front", f"{name}_keys", "channels"], [f"{name}_wide"], axis=0),
        node("Expand", [f"{name}_single", f"{name}_wide"], [f"{name}_each"]),
        node("Concat", ["all", f"{name}_keys", "channels"], [f"{name}_flat"], axis=0),
        node("Reshape", [f"{name}_each", f"{name}_flat"], [f"{name}_all"]),
    ]
    return nodes, f"{name}_all"


def step(queries: int | str, masked: bool) -> onnx.ModelProto:
    """New keys and values behind a cache, which is returned, and the queries' attention to all of it."""
    constants = {
        "two": np.array([2], np.int64), "front": np.array([1, SHARED, HEADS // SHARED], np.int64),
        "all": np.array([1, HEADS], np.int64), "channels": np.array([CHANNELS], np.int64),
        "scale": np.array(CHANNELS**0.5, np.float32),
    }  # fmt: skip
    inputs = {"q": ("f32", (1, queries, HEADS, CHANNELS))}
    inputs |= dict.fromkeys(("k", "v"), ("f32", (1, queries, SHARED, CHANNELS)))
    inputs |= {f"past_{name}": ("f32", (1, SHARED, "past", CHANNELS)) for name in ("k", "v")}
    nodes = [node("Transpose", [name], [f"{name}_heads"], perm=[0, 2, 1, 3]) for name in ("q", "k", "v")]
    for name in ("k", "v"):
        nodes.append(node("Concat", [f"past_{name}", f"{name}_heads"], [f"new_{name}"], axis=2))
        made, _ = repeated(f"new_{name}")
        nodes += made
    nodes += [
        node("Transpose", ["new_k_all"], ["turned"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q_heads", "turned"], ["products"]),
        node("Div", ["products", "scale"], ["scaled" if masked else "scores"]),
    ]
    if masked:
        inputs["mask"] = ("f32", (1, 1, queries, "total"))
        nodes.append(node("Add", ["scaled", "mask"], ["scores"]))
    nodes += [
        node("Softmax", ["scores"], ["weights"], axis=-1),
        node("MatMul", ["weights", "new_v_all"], ["heads"]),
        node("Transpose", ["heads"], ["y"], perm=[0, 2, 1, 3]),
    ]
    return model(nodes, inputs, dict.fromkeys(("y", "new_k", "new_v"), "f32"), constants)


def feeds(queries: int, past: int, masked: bool) -> Feeds:
    rng = np.random.default_rng(past)
    shapes = {"q": (1, queries, HEADS, CHANNELS)} | dict.fromkeys(("k", "v"), (1, queries, SHARED, CHANNELS))
    shapes |= {f"past_{name}": (1, SHARED, past, CHANNELS) for name in ("k", "v")}
    made = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    if masked:  # a query sees the cache and what came up to it
        seen = np.arange(past + queries) <= past + np.arange(queries)[:, None]
        made["mask"] = np.where(seen, 0, np.finfo(np.float32).min).astype(np.float32)[None, None]
    return made


def check(proto: onnx.ModelProto, *cases: Feeds, target: str = "host") -> dlc.CompiledModel:
    ready = dlc.compile(proto, cache=False, target=target, threads=2)
    for case in cases:
        for found, wanted in zip(ready.run(case).values(), expected(proto, case), strict=True):
            assert_close(found, wanted, "network")
    return ready


@pytest.mark.parametrize("target", ["host", pytest.param("x86-64-v2", marks=pytest.mark.isa("x86-64-v2"))])
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
def test_one_query_and_a_cache(masked: bool, target: str) -> None:
    check(step(1, masked), *(feeds(1, past, masked) for past in (0, 1, 7, 128, 1531)), target=target)


@pytest.mark.parametrize("queries", [2, 19, "queries"])
def test_several_queries_and_a_cache(queries: int | str) -> None:
    counts = (queries,) if isinstance(queries, int) else (1, 5, 67, 130)
    check(step(queries, True), *(feeds(count, past, True) for count in counts for past in (0, 3, 301)))


def test_nothing_is_repeated_or_turned_in_memory() -> None:
    for queries in (1, 19, "queries"):
        module = lowered_module(step(queries, True), Options(Target.parse("x86-64-v4"))).module
        assert len(module.bodies) == 2  # the mask's last axis has a name of its own: it may be 1
        kernels = {op.kernel.rsplit("_", 1)[0] for op in module.main.block.ops if isinstance(op, run.Call)}
        assert sorted(kernels) == ["attention", "concat"]
