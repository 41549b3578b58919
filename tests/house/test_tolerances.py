"""The tolerances reject what is wrong and say where."""

import ml_dtypes
import numpy as np
import pytest

from tests.tolerances import assert_close


def test_equal_arrays_are_close_for_every_type() -> None:
    for dtype in (np.float32, np.float16, np.float64, np.int64, np.uint8, np.bool_, np.complex64, ml_dtypes.bfloat16):
        assert_close(np.ones((2, 3), dtype), np.ones((2, 3), dtype), "exact")
    assert_close(np.array(["a"], object), np.array(["a"], object), "exact")
    assert_close(np.zeros((0, 3)), np.zeros((0, 3)), "exact")
    assert_close(np.ones(3, ml_dtypes.int4), np.ones(3, ml_dtypes.int4), "exact")


def test_error_is_measured_against_the_largest_element() -> None:
    want = np.array([1000.0, 0.001], np.float32)
    assert_close(want + np.float32(0.05), want, "network")
    with pytest.raises(AssertionError, match=r"2 of 2 elements.*worst at \(1,\).*allowed 0\.1"):
        assert_close(want + np.array([0.2, 0.3], np.float32), want, "network")


def test_special_values_must_agree() -> None:
    want = np.array([np.nan, np.inf, 1.0], np.float32)
    assert_close(want.copy(), want, "network")
    for wrong in ([0.0, np.inf, 1.0], [np.nan, -np.inf, 1.0], [np.nan, 3e38, 1.0], [np.nan, np.inf, np.nan]):
        with pytest.raises(AssertionError, match="misplaced"):
            assert_close(np.array(wrong, np.float32), want, "network")


def test_type_and_shape_must_agree() -> None:
    with pytest.raises(AssertionError, match="expected dtype float32, got float64"):
        assert_close(np.ones(2), np.ones(2, np.float32))
    with pytest.raises(AssertionError, match=r"expected shape \(2,\), got \(2, 1\)"):
        assert_close(np.ones((2, 1)), np.ones(2))


def test_integers_differ_by_steps() -> None:
    want = np.array([2**63 - 1, 5], np.int64)
    assert_close(want - 1, want, "quantized")
    with pytest.raises(AssertionError, match="1 of 2"):
        assert_close(want - np.array([2, 0]), want, "quantized")
    with pytest.raises(AssertionError):
        assert_close(want - np.array([1, 0]), want, "exact")
    with pytest.raises(AssertionError, match=r"first at \(1,\)"):
        assert_close(np.array([True, True]), np.array([True, False]))
