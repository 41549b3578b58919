"""The targets that `dlc targets` lists and that the instruction-set tests walk through."""

from dlc.record import record
from dlc.target.target import Target


@record
class KnownTarget:
    """A target with the machines it stands for."""

    target: Target
    machines: str


ALL_TARGETS: tuple[KnownTarget, ...] = tuple(
    KnownTarget(Target.parse(name), machines)
    for name, machines in (
        ("x86-64", "every 64-bit x86: SSE2"),
        ("x86-64-v2", "x86 since about 2009: SSE4.2"),
        ("x86-64-v3", "x86 since about 2013: AVX2 and FMA"),
        ("x86-64-v3+avxvnni", "recent x86 without AVX-512: int8 dot products on 256 bits"),
        ("x86-64-v4", "x86 servers since about 2017: AVX-512"),
        ("x86-64-v4+avx512vnni", "AVX-512 with int8 dot products"),
        ("x86-64-v4+avx512bf16+avx512vnni", "AVX-512 with int8 and bfloat16 dot products"),
        ("aarch64", "every 64-bit ARM: NEON"),
        ("aarch64+dotprod", "ARM since about 2018: int8 dot products"),
        ("aarch64+bf16+dotprod+fullfp16+i8mm", "ARM since about 2021: int8 and bfloat16 matrix instructions, float16"),
    )
)
