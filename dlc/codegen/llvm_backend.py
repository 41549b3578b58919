"""LLVM IR text to machine code: the only module that talks to llvmlite.

LLVM's IR passes stay off unless asked for: our loops are vectors and register tiles already, and the pipeline
doubles the compile time without a gain.
"""

from __future__ import annotations

import re
from functools import lru_cache

from llvmlite import binding

from dlc.errors import InternalError

PARSE_PLACE = re.compile(r"<string>:(\d+):(\d+): error: (.*)")


def compile_object(
    text: str, triple: str, cpu: str, features: str, opt: int = 2, *, passes: bool = False
) -> bytes:
    """The relocatable ELF object of an LLVM module."""
    machine = target_machine(triple, cpu, features, opt)
    module = optimized_module(text, machine, triple, passes=passes)
    return bytes(machine.emit_object(module))


def emit_assembly(
    text: str, triple: str, cpu: str, features: str, opt: int = 2, *, passes: bool = False
) -> str:
    """The assembly of an LLVM module, as `compile_object` would encode it."""
    machine = target_machine(triple, cpu, features, opt)
    module = optimized_module(text, machine, triple, passes=passes)
    return str(machine.emit_assembly(module))


@lru_cache(maxsize=1)
def initialize() -> None:
    """Register every back end with LLVM, once a process."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()


@lru_cache(maxsize=4)
def target_machine(triple: str, cpu: str, features: str, opt: int) -> binding.TargetMachine:
    """A target machine for position-independent code that our linker can place anywhere."""
    initialize()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError as error:
        raise InternalError(f"LLVM has no back end for the triple {triple!r}") from error
    return target.create_target_machine(
        cpu=cpu, features=features, opt=opt, reloc="pic", codemodel="default"
    )


@lru_cache(maxsize=4)
def data_layout(machine: binding.TargetMachine) -> str:
    return str(machine.target_data)


def optimized_module(
    text: str, machine: binding.TargetMachine, triple: str, *, passes: bool
) -> binding.ModuleRef:
    """The parsed and verified module, run through LLVM's O2 pipeline if `passes` says so."""
    module = parsed_module(text)
    module.triple = triple
    module.data_layout = data_layout(machine)
    if not passes:
        return module
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False
    options.slp_vectorization = False
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def parsed_module(text: str) -> binding.ModuleRef:
    """Parse and verify; LLVM's complaint comes back as an InternalError with the IR line it is about."""
    try:
        module = binding.parse_assembly(text)
    except RuntimeError as error:
        raise InternalError(parse_message(text, str(error))) from error
    try:
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"LLVM's verifier refuses the generated IR: {str(error).strip()}") from error
    return module


def parse_message(text: str, complaint: str) -> str:
    """One sentence for a parse error: line, reason and the offending text."""
    place = PARSE_PLACE.search(complaint)
    if place is None:
        return f"LLVM cannot parse the generated IR: {complaint.strip()}"
    number = int(place.group(1))
    lines = text.splitlines()
    line = lines[number - 1].strip() if number <= len(lines) else ""
    return f"LLVM cannot parse line {number} of the generated IR ({place.group(3)}): {line}"
