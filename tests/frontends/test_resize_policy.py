"""Resize that keeps the aspect ratio: one scale for all axes that are named, in the coordinates too."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import dlc
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from tests.tolerances import assert_close

X = np.random.default_rng(8).uniform(-3, 3, (1, 2, 7, 5)).astype(np.float32)
WAYS = {  # what agrees with ONNX's text: the reference takes a fraction of an element for the resized length of some
    "half_pixel": "reference", "asymmetric": "reference", "half_pixel_symmetric": "reference",
    "pytorch_half_pixel": "onnxruntime", "align_corners": "onnxruntime", "tf_half_pixel_for_nn": "onnxruntime",
    "tf_crop_and_resize": "onnxruntime",
}  # fmt: skip
SIZES = ((9, 9), (4, 3), (7, 4), (1, 3), (7, 5), (13, 2))


def model_of(sizes: tuple[int, ...], axes: tuple[int, ...], **attributes: object) -> onnx.ModelProto:
    rank = 2 * len(axes)
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "roi", "", "sizes"], ["y"], "it", axes=axes, **attributes)], "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [
            numpy_helper.from_array(np.array(sizes, np.int64), "sizes"),
            numpy_helper.from_array(np.linspace(-0.1, 0.9, rank).astype(np.float32), "roi"),
        ],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def expected(model: onnx.ModelProto, who: str) -> np.ndarray:
    if who == "reference":
        return np.asarray(ReferenceEvaluator(model).run(None, {"x": X})[0])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": X})[0])


PLAIN = [(mode, way, 0) for mode in ("nearest", "linear", "cubic") for way in WAYS]
FILTERED = [(mode, way, 1) for mode, way, _ in PLAIN if mode != "nearest" and not way.startswith("tf_")]


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize(("mode", "way", "antialias"), PLAIN + FILTERED)
def test_one_scale_for_all_axes(mode: str, way: str, antialias: int, policy: str) -> None:
    for axes in ((2, 3), (3, 2)):
        for sizes in SIZES:
            attributes = {"mode": mode, "coordinate_transformation_mode": way, "keep_aspect_ratio_policy": policy}
            if mode == "cubic" and way == "asymmetric" and not antialias:
                attributes["exclude_outside"] = 1
            model = model_of(sizes if axes[0] == 2 else sizes[::-1], axes, antialias=antialias, **attributes)
            (found,) = evaluate(load_model(model), {"x": X})
            if way == "tf_crop_and_resize" and found.shape == X.shape:
                continue  # ONNX Runtime returns x, whatever is cropped
            assert_close(found, expected(model, WAYS[way]), "op", name=f"{sizes}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_compiled_code_takes_the_same_scale(mode: str, way: str) -> None:
    for policy, sizes in (("not_larger", (4, 3)), ("not_smaller", (7, 4))):
        attributes = {"mode": mode, "coordinate_transformation_mode": way, "keep_aspect_ratio_policy": policy}
        model = model_of(sizes, (2, 3), antialias=int(mode != "nearest" and way == "half_pixel"), **attributes)
        (wanted,) = evaluate(load_model(model), {"x": X})
        assert_close(dlc.compile(model, cache=False).run({"x": X})["y"], wanted, "op", name=f"{sizes}")


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_halves_are_rounded_up_and_nothing_stays_nothing(policy: str) -> None:
    model = model_of((10, 6), (2, 3), keep_aspect_ratio_policy=policy)  # 7 to 10, 5 to 6
    assert evaluate(load_model(model), {"x": X})[0].shape == ((1, 2, 8, 6) if policy == "not_larger" else (1, 2, 10, 7))
    model = model_of((0, 5), (2, 3), keep_aspect_ratio_policy=policy)
    assert evaluate(load_model(model), {"x": X})[0].shape == ((1, 2, 0, 0) if policy == "not_larger" else X.shape)
