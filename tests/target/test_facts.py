"""What schedules are told about a machine."""

import pytest

from dlc.target import ALL_TARGETS, CacheSizes, Dot, Facts, KnownTarget, Target


def facts(text: str) -> Facts:
    return Target.parse(text).facts


def test_vectors_grow_with_the_level() -> None:
    levels = ("x86-64", "x86-64-v3", "x86-64-v4", "aarch64")
    shapes = {text: (facts(text).vector_bits, facts(text).vector_registers) for text in levels}
    assert shapes == {"x86-64": (128, 16), "x86-64-v3": (256, 16), "x86-64-v4": (512, 32), "aarch64": (128, 32)}
    assert facts("x86-64-v4").lanes(32) == 16
    assert facts("x86-64-v4").lanes(8) == 64
    assert facts("aarch64").lanes(16) == 8


def test_arithmetic_follows_the_features() -> None:
    assert not facts("x86-64-v2").has_fma
    assert not facts("x86-64-v3-fma").has_fma
    assert facts("x86-64-v3").has_fma
    assert facts("aarch64").has_fma
    assert facts("x86-64-v4").has_masked_ops
    assert facts("x86-64-v4").has_broadcast_operand
    assert not facts("x86-64-v3").has_masked_ops
    assert facts("aarch64").has_lane_operand


def test_dots_follow_the_features() -> None:
    assert facts("x86-64-v4").dot("u8", "i8") is None
    assert facts("x86-64-v4+avx512vnni").dot("u8", "i8") == Dot("u8", "i8", "i32", 4, 512, "avx512vnni")
    assert facts("x86-64-v3+avxvnni").dot("u8", "i8") == Dot("u8", "i8", "i32", 4, 256, "avxvnni")
    assert facts("x86-64-v3").dot("i16", "i16") == Dot("i16", "i16", "i32", 2, 256, "avx2")
    assert facts("x86-64-v4+avx512bf16").dot("bf16", "bf16") == Dot("bf16", "bf16", "f32", 2, 512, "avx512bf16")
    assert facts("aarch64").dots == ()
    assert facts("aarch64+dotprod").dot("i8", "i8") == Dot("i8", "i8", "i32", 4, 128, "dotprod")


def test_caches_come_from_the_target_or_the_table() -> None:
    assert facts("x86-64-v4").caches == CacheSizes(32 << 10, 1 << 20, 16 << 20)
    own = facts("x86-64-v4@l1=48K,l2=2M,l3=30M")
    assert (own.l1_bytes, own.l2_bytes, own.l3_bytes) == (48 << 10, 2 << 20, 30 << 20)


def test_narrow_datapaths_take_several_passes() -> None:
    assert facts("x86-64-v4").passes == 1
    assert facts("x86-64-v4@datapath=256").passes == 2
    assert facts("x86-64-v3@datapath=128").passes == 2
    assert facts("x86-64-v3@datapath=256").passes == 1


@pytest.mark.parametrize("known", ALL_TARGETS, ids=lambda known: str(known.target))
def test_facts_are_complete(known: KnownTarget) -> None:
    found = known.target.facts
    assert 0 < found.l1_bytes < found.l2_bytes
    assert found.vector_bits % 128 == 0
    assert found.fma_ports * found.fma_latency < found.vector_registers
    assert all(known.target.has(dot.feature) and dot.vector_bits <= found.vector_bits for dot in found.dots)
