"""Load and run compiled models: needs numpy and the C library, nothing of the compiler."""

from dlc.runtime.session import CompiledModel, load
from dlc.runtime.spec import TensorSpec

__all__ = ["CompiledModel", "TensorSpec", "load"]
