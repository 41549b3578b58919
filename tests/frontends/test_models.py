"""The real models: they import, verify, and give what ONNX Runtime gave."""

from pathlib import Path

import numpy as np
import pytest

from dlc.frontends.load import check, load_model
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.verify import verify
from tests.tolerances import assert_close

MODELS = {
    "mnist": ("mnist", "network"),
    "ultraface_rfb_320": ("ultraface_rfb_320", "network"),
    "yunet_n_320": ("yunet_n_320", "network"),
    "yunet_n_dynamic": ("yunet_n_dynamic_256x448", "network"),
    "micro_kws_m_static_fp32": ("micro_kws_m_static_fp32", "network"),
    "micro_kws_m_qdq": ("micro_kws_m_qdq", "network"),
    "micro_kws_m_static_qoperator": ("micro_kws_m_static_qoperator", "network"),
}


@pytest.mark.models
@pytest.mark.parametrize("name", MODELS)
def test_model_agrees_with_its_recorded_outputs(shared: Path, name: str) -> None:
    data, kind = MODELS[name]
    module = load_model(shared / "models" / f"{name}.onnx")
    assert verify(module) == []
    arrays = dict(np.load(shared / "models" / "data" / f"{data}.npz"))
    found = evaluate(module, {key[3:]: array for key, array in arrays.items() if key.startswith("in:")})
    names = module.main.attrs["outputs"]
    assert isinstance(names, tuple)
    for output, got in zip(names, found, strict=True):
        assert_close(got, arrays[f"out:{output}"], kind, name=str(output))


@pytest.mark.models
def test_voice_activity_suggests_its_rate(shared: Path) -> None:
    report = check(shared / "models" / "silero_vad.onnx")
    assert report.supported
    assert report.deciding == {"sr": "If_0"}
    assert "--input-value sr=" in "".join(report.lines())
