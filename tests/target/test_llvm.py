"""Our feature names and levels are LLVM's, and what we read of the host is what LLVM reads."""

import pytest

from dlc.target import Target
from dlc.target.features import FEATURES, LEVELS, Arch

binding = pytest.importorskip("llvmlite.binding")

SOURCE = "define i32 @zero() { ret i32 0 }"


@pytest.fixture(scope="module", autouse=True)
def every_back_end() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()


def assembly(target: Target) -> str:
    machine = binding.Target.from_triple(target.triple).create_target_machine(target.llvm_cpu, target.llvm_features)
    module = binding.parse_assembly(f'target triple = "{target.triple}"\n{SOURCE}')
    return str(machine.emit_assembly(module))


@pytest.mark.parametrize("arch", ["x86-64", "aarch64"])
def test_llvm_knows_every_feature(arch: Arch, capfd: pytest.CaptureFixture[str]) -> None:
    target = Target(arch, tuple(name for name, feature in FEATURES.items() if feature.arch == arch))
    assert "zero" in assembly(target)
    assert capfd.readouterr().err == ""  # LLVM prints what it does not know and carries on


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_llvm_knows_every_level(level: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert "zero" in assembly(Target.parse(level))
    assert capfd.readouterr().err == ""


def test_llvm_reads_the_same_host() -> None:
    host = Target.host()
    reported = binding.get_host_cpu_features()
    known = {name for name, feature in FEATURES.items() if feature.arch == host.arch and name in reported}
    assert {name for name in known if reported[name]} == known & set(host.features)
    assert len(known) > 5
