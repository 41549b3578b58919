"""How far results may be from what was expected: the one place where the tests' tolerances stand."""

from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Tolerance:
    """The allowed error, as a multiple of the output type's machine epsilon or as a plain share.

    Measured against each expected element itself, or against the largest expected element: cancellation makes the small
    elements of a sum wrong by a share of the large ones.
    """

    epsilons: float = 0.0
    share: float = 0.0
    floor: float = 0.0  # what smaller elements may be wrong by
    of_largest: bool = False
    steps: int = 0  # integers: how many steps an element may be off
    why: str = ""

    def allowed(self, expected: NDArray[np.float64], epsilon: float, smallest: float) -> NDArray[np.float64]:
        """The absolute error allowed at each element."""
        magnitude = np.where(np.isfinite(expected), np.abs(expected), 0.0)
        if self.of_largest:
            magnitude = np.full_like(magnitude, magnitude.max(initial=0.0))
        return np.maximum((self.epsilons * epsilon + self.share) * magnitude + self.epsilons * smallest, self.floor)


TOLERANCES = {
    "exact": Tolerance(why="the same bits: data movement, comparisons, integer arithmetic"),
    "rounded": Tolerance(epsilons=1, why="one correctly rounded operation, perhaps fused with another"),
    "function": Tolerance(epsilons=4, why="exp, erf, tanh and their like: polynomial approximations"),
    "gelu": Tolerance(epsilons=4, floor=1e-8, why="what is left of x Φ(x) beyond -6 is one number"),
    "op": Tolerance(epsilons=32, of_largest=True, why="one op that sums: any order of summation"),
    "network": Tolerance(share=1e-4, of_largest=True, why="a whole float32 network"),
    "network-low": Tolerance(share=2e-2, of_largest=True, why="a whole network with float16 or bfloat16 inside"),
    "winograd": Tolerance(share=2e-5, of_largest=True, why="one convolution by Winograd F(4x4,3x3)"),
    "narrow": Tolerance(epsilons=1, of_largest=True, why="several steps in float16 or bfloat16: one unit of the type"),
    "printed": Tolerance(share=1e-3, why="expected numbers that somebody typed in with four digits"),
    "quantized": Tolerance(steps=1, why="integers after requantization: a tie may round either way"),
}


@dataclass(frozen=True)
class Ulps:
    """The allowed error of a function of numbers, in units of the last place of the exact result.

    What is lost by flushing denormals is always allowed.
    """

    f32: float
    f64: float
    floor: float = 0.0  # machine epsilons: an absolute error that is allowed too
    why: str = ""


_DEEP = "the last numbers before underflow lose a factor that is flushed"
FUNCTION_ULPS = {
    "exp": Ulps(1.25, 1.25), "log": Ulps(1, 1), "sigmoid": Ulps(2, 2), "tanh": Ulps(2, 3), "erf": Ulps(2, 2),
    "sin": Ulps(2, 3), "cos": Ulps(2, 3), "tan": Ulps(4, 4), "asin": Ulps(3, 3), "acos": Ulps(2, 2), "atan": Ulps(2, 2),
    "sinh": Ulps(2, 2), "cosh": Ulps(2, 2), "asinh": Ulps(3, 3), "acosh": Ulps(3, 3), "atanh": Ulps(3, 3),
    "sqrt": Ulps(0.5, 0.5), "reciprocal": Ulps(0.5, 0.5), "softsign": Ulps(2, 2), "softplus": Ulps(3, 3),
    "elu": Ulps(2, 2), "selu": Ulps(3, 3), "celu": Ulps(3, 3, floor=1e-28), "pow": Ulps(1, 8),
    "mish": Ulps(4, 4, floor=1e-28, why=_DEEP), "swish": Ulps(4, 4, floor=1e-28, why=_DEEP),
    "gelu": Ulps(8, 8, floor=0.5, why="the logarithm of Φ is rounded, as is the exponent of a small exponential"),
    "hard_sigmoid": Ulps(1, 1, floor=1, why="a difference of near numbers, as in the definition"),
    "hard_swish": Ulps(2, 2, floor=2, why="a difference of near numbers, as in the definition"),
}  # fmt: skip


def assert_within_ulps(actual: NDArray[np.floating], exact: NDArray[np.longdouble], function: str, name: str) -> float:
    """Fail unless `actual` is as near to `exact` as `FUNCTION_ULPS` says; returns the largest error in ulps."""
    allowed = FUNCTION_ULPS[function]
    facts = np.finfo(actual.dtype)
    with np.errstate(over="ignore"):
        expected = exact.astype(actual.dtype)
    special = special_values_differ(actual, expected)
    assert not special.any(), f"{name}: nan or infinity misplaced, {first_difference(special, actual, expected)}"
    finite = np.isfinite(expected)
    got, want = actual[finite].astype(np.longdouble), exact[finite]
    error = np.abs(got - want)
    unit = np.ldexp(np.longdouble(1), np.frexp(np.maximum(np.abs(want), facts.tiny))[1] - facts.nmant - 1)
    free = (error <= 2 * facts.tiny) | (error <= allowed.floor * facts.eps)
    ulps = np.where(free, 0, error / unit)
    worst = int(np.argmax(ulps)) if ulps.size else 0
    limit = allowed.f32 if actual.dtype == np.float32 else allowed.f64
    largest = float(ulps[worst]) if ulps.size else 0.0
    assert largest <= limit, f"{name}: {largest:.3g} ulp, allowed {limit}: got {got[worst]}, expected {want[worst]}"
    return largest


def assert_close(actual: ArrayLike, expected: ArrayLike, kind: str = "network", *, name: str = "output") -> None:
    """Fail with the worst element, the error there and what was allowed, unless `actual` is close enough for `kind`."""
    tolerance = TOLERANCES[kind]
    got, want = np.asarray(actual), np.asarray(expected)
    assert got.dtype == want.dtype, f"{name}: expected dtype {want.dtype}, got {got.dtype}"
    assert got.shape == want.shape, f"{name}: expected shape {want.shape}, got {got.shape}"
    if want.size == 0:
        return
    if not is_number(want.dtype):
        assert np.array_equal(got, want), f"{name}: {first_difference(got != want, got, want)}"
        return
    if np.issubdtype(want.dtype, np.complexfloating):
        assert_close(got.real, want.real, kind, name=f"{name}.real")
        assert_close(got.imag, want.imag, kind, name=f"{name}.imag")
        return
    assert_numbers_close(got, want, tolerance, kind, name)


def assert_numbers_close(
    got: NDArray[np.generic], want: NDArray[np.generic], tolerance: Tolerance, kind: str, name: str
) -> None:
    special = special_values_differ(got, want)
    assert not special.any(), f"{name}: nan or infinity misplaced, {first_difference(special, got, want)}"
    error, allowed = error_and_allowed(got, want, tolerance)
    wrong = ~(error <= allowed)
    if not wrong.any():
        return
    excess = np.where(wrong, error - allowed, -np.inf)
    worst = np.unravel_index(int(np.argmax(excess)), want.shape)
    raise AssertionError(
        f"{name}: {int(wrong.sum())} of {want.size} elements differ by more than '{kind}' allows ({tolerance.why}); "
        f"worst at {tuple(int(i) for i in worst)}: got {got[worst]}, expected {want[worst]}, "
        f"error {error[worst]:.3g}, allowed {allowed[worst]:.3g}"
    )


def error_and_allowed(
    got: NDArray[np.generic], want: NDArray[np.generic], tolerance: Tolerance
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if is_integer(want.dtype):
        # as Python integers: int64 and uint64 do not fit float64
        error = np.abs(got.astype(object) - want.astype(object)).astype(np.float64)
        return error, np.full(want.shape, float(tolerance.steps))
    finfo = ml_dtypes.finfo(want.dtype)  # type: ignore[no-untyped-call]
    want64 = want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.abs(got.astype(np.float64) - want64)
    error = np.where(np.isfinite(want64), error, 0.0)  # the special values have been compared before
    return error, tolerance.allowed(want64, float(finfo.eps), float(finfo.smallest_subnormal))


def special_values_differ(got: NDArray[np.generic], want: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where one is nan and the other not, or one infinite and the other not the same."""
    if is_integer(want.dtype):
        return np.zeros(want.shape, dtype=np.bool_)
    got64, want64 = got.astype(np.float64), want.astype(np.float64)
    infinite = np.isinf(got64) | np.isinf(want64)
    differ: NDArray[np.bool_] = (np.isnan(got64) != np.isnan(want64)) | (infinite & (got64 != want64))
    return differ & ~(np.isnan(got64) & np.isnan(want64))


def is_integer(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind in "iu" or dtype.name in ("int2", "int4", "uint2", "uint4")


def is_number(dtype: np.dtype[np.generic]) -> bool:
    return dtype.kind in "fciuV"  # V: the ml_dtypes types


def first_difference(where: NDArray[np.bool_], got: NDArray[np.generic], want: NDArray[np.generic]) -> str:
    index = tuple(int(i) for i in np.argwhere(where)[0]) if want.ndim else ()
    return f"first at {index}: got {got[index]!r}, expected {want[index]!r}"
