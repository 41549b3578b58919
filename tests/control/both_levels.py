"""A model at the graph and at the loop level, each read back from its own text."""

from __future__ import annotations

import onnx

from dlc.driver.pipeline import Options, lowered_module
from dlc.frontends.load import load_model
from dlc.ir.core import Module
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from dlc.ir.verify import verify
from dlc.target import Target


def both_levels(proto: onnx.ModelProto) -> tuple[Module, Module]:
    """As imported, and as lowered for an AVX2 machine; the text of both reads back as the same."""
    imported = load_model(proto)
    assert verify(imported) == []
    lowered = lowered_module(proto, Options(Target.parse("x86-64-v3")), verify=True).module
    for module in (imported, lowered):
        text = print_module(module)
        assert print_module(parse_module(text, pool=module.pool)) == text
    return imported, lowered
