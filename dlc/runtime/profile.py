"""Time per kernel of a compiled model: its library writes down when each kernel begins and ends."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping

import numpy as np

from dlc.errors import UserError
from dlc.record import record
from dlc.runtime.dims import Values, compile_expr
from dlc.runtime.session import CompiledModel

Probe = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@record
class Call:
    """One call of a kernel in a run: which node it computes, and how much it has to do for the profiled shapes.

    `operations` are those of the plain algorithm; `performed` those of the one that was chosen.
    """

    kernel: str
    node: str
    operations: int
    bytes: int
    performed: int


class Profiler:
    """Runs a model on one set of inputs and tells how long each kernel took. Raises UserError for older libraries."""

    def __init__(self, model: CompiledModel, feeds: Mapping[str, object]) -> None:
        self.model = model
        self.feeds = feeds
        extra = model.metadata.extra
        rows = extra.get("calls")
        library = model.artifact.library
        try:
            self.switch = library.function("dlc_profile", ctypes.c_int32, *[ctypes.c_void_p] * 4)
        except OSError:
            rows = None
        if not isinstance(rows, list):
            raise UserError(f"{model.artifact.path} was compiled by a dlc that could not profile yet",
                            hint="compile the model again")  # fmt: skip
        model.run(feeds)  # the first run touches all memory, and tells the sizes of the named dimensions
        with model.state() as state:
            dims = state.dims
            slots = model.metadata.slots
        general = extra.get("general_calls")
        if isinstance(general, list) and not same_sizes(extra.get("pairs"), slots, dims):
            rows = general
        self.stamps = np.zeros((len(rows) + 1, 2), np.int64)
        self.calls = [
            Call(kernel, node, *(compile_expr(size, slots)(dims) for size in (plain, size, *(own or [plain]))))
            for kernel, node, plain, size, *own in rows  # older libraries know the plain algorithm's operations alone
        ]

    def run(self, probe: Callable[[], None] | None = None) -> np.ndarray:
        """Nanoseconds of each call in one run; `probe` is called between the kernels, outside of their time."""
        calls_probe = Probe((lambda _: probe()) if probe is not None else 0)
        with self.model.state() as state:
            self.switch(state.arguments[0], self.stamps.ctypes.data, ctypes.cast(calls_probe, ctypes.c_void_p), None)
        try:
            self.model.run(self.feeds)
        finally:
            with self.model.state() as state:
                self.switch(state.arguments[0], None, None, None)
        return self.stamps[1:, 0] - self.stamps[:-1, 1]


def same_sizes(pairs: object, slots: Mapping[str, int], dims: Values) -> bool:
    """Whether all sizes that may broadcast are equal, so that the first of a model's two bodies runs."""
    return isinstance(pairs, list) and all(
        len({compile_expr(side, slots)(dims) for side in pair}) == 1 for pair in pairs
    )
