"""silero_vad: a streaming model wholly inside nested branches, over recorded speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dlc
from dlc.errors import UserError

CONTEXT, STEP = 64, 512


def streamed(model: dlc.CompiledModel, shared: Path, rate: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each window, and the last state."""
    audio = np.load(shared / "models/data/silero_vad.npz")["audio"]
    state, before = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
    found = []
    for start in range(0, len(audio) - STEP + 1, STEP):
        window = audio[start : start + STEP]
        feeds: dict[str, object] = {"input": np.concatenate([before, window])[None], "state": state}
        if rate is not None:
            feeds["sr"] = np.array(rate)
        result = model.run(feeds)
        found.append(result["output"].item())
        state, before = result["stateN"], window[-CONTEXT:]
    return np.array(found), state


@pytest.mark.parametrize("how", ["as it is", "fixed shapes", "a known rate"])
def test_the_recorded_speech(how: str, shared: Path) -> None:
    fixed = {"input": (1, CONTEXT + STEP), "state": (2, 1, 128)} if how == "fixed shapes" else None
    values = {"sr": 16000} if how == "a known rate" else None
    model = dlc.compile(shared / "models/silero_vad.onnx", threads=1, input_shapes=fixed, input_values=values)
    assert ("sr" in [spec.name for spec in model.inputs]) == (values is None)
    wanted = np.load(shared / "models/data/silero_vad.npz")
    found, state = streamed(model, shared, 16000 if values is None else None)
    assert len(found) == 250
    np.testing.assert_allclose(found, wanted["probabilities"], atol=1e-4)
    np.testing.assert_allclose(state, wanted["final_state"], atol=1e-4)


def test_a_rate_for_which_there_are_too_many_samples(shared: Path) -> None:
    """The other branch takes half as many samples a window: an error in that branch, and the model goes on."""
    model = dlc.compile(shared / "models/silero_vad.onnx", threads=1)
    with pytest.raises(UserError, match="sizes decide the rank"):
        streamed(model, shared, 8000)
    assert len(streamed(model, shared, 16000)[0]) == 250
