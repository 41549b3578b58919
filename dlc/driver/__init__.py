"""The rooms in order: model file → graph level → loop level → machine code → shared library → loaded model."""

from dlc.driver.compile import compile_model
from dlc.driver.pipeline import Options

compile = compile_model

__all__ = ["Options", "compile", "compile_model"]
