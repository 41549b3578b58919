"""Targets read, print and describe themselves."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlc.errors import InternalError, UserError
from dlc.target import ALL_TARGETS, CacheSizes, Target, host_can_run
from dlc.target.features import FEATURES, LEVELS, level_features, with_implied


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("x86-64", "x86-64"),
        ("x86-64-v1", "x86-64"),
        (" x86-64-v3 ", "x86-64-v3"),
        ("x86-64-v4+avx512vnni", "x86-64-v4+avx512vnni"),
        ("x86-64-v4+avx512vnni+avx512bf16", "x86-64-v4+avx512bf16+avx512vnni"),
        ("x86-64-v4-avx512f", "x86-64-v3"),
        ("x86-64-v4-avx512cd", "x86-64-v3+avx512bw+avx512dq+avx512vl"),
        ("x86-64-v4+avx512vnni-avx512f", "x86-64-v3"),
        ("x86-64-v3+avx512vnni", "x86-64-v3+avx512vnni"),
        ("x86-64-v3+avx512f+avx512bw+avx512cd+avx512dq+avx512vl", "x86-64-v4"),
        ("x86-64-v2+sse4.2", "x86-64-v2"),
        ("aarch64+dotprod", "aarch64+dotprod"),
        ("arm64+fp16fml", "aarch64+fp16fml"),
        ("x86-64-v3@l1=32K,l2=256K,l3=8M", "x86-64-v3"),
        ("x86-64-v3@l1=49152,l2=2048K", "x86-64-v3@l1=48K,l2=2M,l3=0"),
        ("x86-64-v4@datapath=256", "x86-64-v4@datapath=256"),
        ("x86-64-v4@datapath=256,l1=48K,l2=2M", "x86-64-v4@l1=48K,l2=2M,l3=0,datapath=256"),
        ("x86-64-v3@datapath=256", "x86-64-v3"),
    ],
)
def test_text_is_canonical(text: str, canonical: str) -> None:
    assert str(Target.parse(text)) == canonical
    assert Target.parse(canonical) == Target.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x86-64-v9", "expected 'x86-64-v[234]'"),
        ("skylake", "target 'skylake' is unknown, expected 'host', 'x86-64'"),
        ("x86-64-v4+avx512vni", "unknown feature 'avx512vni', expected 'avx512vnni'"),
        ("aarch64+dotprd", "expected 'dotprod'"),
        ("aarch64+avx2", "'avx2' is a feature of x86-64, not of aarch64"),
        ("x86-64-v3-sse2", "'sse2' is part of every x86-64 machine"),
        ("x86-64-v3+", "expected \\+feature or -feature after the level"),
        ("x86-64-v3+AVX2", "expected \\+feature"),
        ("", "target '' is unknown"),
        ("x86-64-v3@", "expected cache sizes"),
        ("x86-64-v3@l1=32K", "expected cache sizes"),
        ("x86-64-v3@l1=32K,l2=many", "expected cache sizes"),
        ("x86-64-v3@l1=32K,l2=1M,l2=2M", "expected cache sizes"),
        ("x86-64-v4@datapath=", "or '@datapath=256', got '@datapath='"),
        ("x86-64-v4@datapath=256,datapath=128", "or '@datapath=256'"),
        ("x86-64-v4@datapath=96", "a datapath has '64', '128' or '256' bits, not '96'"),
    ],
)
def test_mistakes_say_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Target.parse(text)


def test_constructor_completes_and_checks() -> None:
    assert Target("x86-64", ("avx512vnni", "avx512vnni")) == Target.parse("x86-64+avx512vnni")
    assert Target("aarch64") == Target.parse("aarch64")
    with pytest.raises(UserError, match="unknown architecture 'riscv64'"):
        Target("riscv64")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="unknown feature"):
        Target("x86-64", ("avx3",))


@given(data=st.data(), level=st.sampled_from(sorted(LEVELS)), l1=st.integers(1, 1 << 40), l3=st.integers(0, 1 << 40))
def test_text_parses_back_to_the_same_target(data: st.DataObject, level: str, l1: int, l3: int) -> None:
    arch = LEVELS[level].arch
    names = sorted(feature.name for feature in FEATURES.values() if feature.arch == arch)
    extra = data.draw(st.lists(st.sampled_from(names)))
    caches = data.draw(st.sampled_from([None, CacheSizes(l1, 1 << 20, l3)]))
    datapath = data.draw(st.sampled_from([None, 64, 128, 256]))
    target = Target(arch, (*level_features(LEVELS[level]), *extra), caches, datapath)
    assert Target.parse(str(target)) == target
    assert pickle.loads(pickle.dumps(target)) == target
    assert str(Target.parse(str(target))) == str(target)


def test_tables_agree() -> None:
    for name, feature in FEATURES.items():
        assert name == feature.name
        assert bool(feature.cpuinfo) == (feature.arch == "x86-64")
        assert bool(feature.hwcap) == (feature.arch == "aarch64")
        assert all(FEATURES[implied].arch == feature.arch for implied in feature.implies)
    for level in LEVELS.values():
        assert all(FEATURES[name].arch == level.arch for name in with_implied(level.features))
    assert len({str(known.target) for known in ALL_TARGETS}) == len(ALL_TARGETS)


def test_what_llvm_is_told() -> None:
    target = Target.parse("x86-64-v4+avx512vnni+avx512bf16")
    assert target.triple == "x86_64-unknown-linux-gnu"
    assert target.machine == 62
    assert target.llvm_cpu == "x86-64-v4"
    assert target.llvm_features == "+avx512bf16,+avx512vnni"
    assert target.function_attributes["prefer-vector-width"] == "512"
    plain = Target.parse("x86-64-v3")
    assert (plain.llvm_cpu, plain.llvm_features, plain.function_attributes) == ("x86-64-v3", "", {})
    arm = Target.parse("aarch64+dotprod")
    assert (arm.triple, arm.machine) == ("aarch64-unknown-linux-gnu", 183)
    assert (arm.llvm_cpu, arm.llvm_features) == ("generic", "+dotprod")


def test_has_asks_for_known_features_only() -> None:
    target = Target.parse("x86-64-v3")
    assert target.has("avx2", "fma")
    assert not target.has("avx2", "avx512f")
    assert not target.has("dotprod")
    with pytest.raises(InternalError, match="'avx3'"):
        target.has("avx3")


def test_host_runs_itself_and_every_level_below() -> None:
    host = Target.host()
    assert host_can_run(host) == (True, ())
    assert host_can_run(Target(host.arch)) == (True, ())
    assert Target.parse(str(host)) == host
    foreign = Target("aarch64" if host.arch == "x86-64" else "x86-64")
    assert host_can_run(foreign) == (False, (foreign.arch,))


def test_host_takes_changes_too() -> None:
    host = Target.host()
    if not host.has("avx2"):
        pytest.skip("this host lacks avx2")
    smaller = Target.parse("host-avx2")
    assert not smaller.has("avx2")
    assert host_can_run(smaller) == (True, ())
