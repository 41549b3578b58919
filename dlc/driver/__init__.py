"""The rooms in order: model file → graph level → loop level → machine code → shared library → loaded model."""

from dlc.driver.compile import Options, compile_model

compile = compile_model

__all__ = ["Options", "compile", "compile_model"]
