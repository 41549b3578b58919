"""What a schedule may ask about a machine: vector shape, registers, caches, dot instructions."""

from typing import Literal

from dlc.record import record
from dlc.target.features import Arch, best_level

Lane = Literal["u8", "i8", "i16", "bf16", "f16", "f32", "i32"]


@record
class CacheSizes:
    """Data cache sizes in bytes, as one core sees them; 0 where there is no such level."""

    l1: int
    l2: int
    l3: int


@record
class Dot:
    """An instruction that sums groups of narrow products: accumulator[i] += sum(j) left[i, j] * right[i, j]."""

    left: Lane
    right: Lane
    accumulator: Lane
    group: int
    vector_bits: int
    feature: str


@record
class Facts:
    """The numbers a schedule's analytic defaults are computed from."""

    vector_bits: int
    datapath_bits: int  # what of a vector the units take at once
    vector_registers: int
    has_fma: bool
    has_masked_ops: bool  # a predicated load, store or arithmetic op costs what the plain one costs
    has_broadcast_operand: bool  # an arithmetic op can read one scalar from memory into all lanes (AVX-512)
    has_lane_operand: bool  # an fma can take one lane of a register for all lanes (AArch64 fmla by element)
    fma_ports: int
    fma_latency: int  # fma_ports * fma_latency independent accumulators keep the ports busy
    load_ports: int
    caches: CacheSizes
    cache_line: int
    l1_way_bytes: int  # addresses so far apart share a set of the first level
    page_bytes: int
    dots: tuple[Dot, ...]  # widest group first

    @property
    def l1_bytes(self) -> int:
        return self.caches.l1

    @property
    def l2_bytes(self) -> int:
        return self.caches.l2

    @property
    def l3_bytes(self) -> int:
        return self.caches.l3

    @property
    def passes(self) -> int:
        """How often an instruction on a whole vector occupies a unit: counts of ports and latencies are of one pass."""
        return self.vector_bits // self.datapath_bits

    def lanes(self, bits: int) -> int:
        """How many elements of `bits` bits a vector register holds."""
        return self.vector_bits // bits

    def dot(self, left: Lane, right: Lane) -> Dot | None:
        """The best dot instruction for these operands, if the machine has one."""
        return next((dot for dot in self.dots if (dot.left, dot.right) == (left, right)), None)


@record
class VectorUnit:
    """The facts that come with the widest vector feature of a machine."""

    feature: str
    bits: int
    registers: int
    fma_ports: int
    fma_latency: int
    masked_ops: bool = False
    broadcast_operand: bool = False
    lane_operand: bool = False


# Widest first: the first whose feature the target has describes it. Where there is no fma, ports and latency are add's.
VECTOR_UNITS: dict[Arch, tuple[VectorUnit, ...]] = {
    "x86-64": (
        VectorUnit("avx512f", 512, 32, fma_ports=2, fma_latency=4, masked_ops=True, broadcast_operand=True),
        VectorUnit("avx", 256, 16, fma_ports=2, fma_latency=5),
        VectorUnit("sse2", 128, 16, fma_ports=1, fma_latency=5),
    ),
    "aarch64": (VectorUnit("neon", 128, 32, fma_ports=2, fma_latency=4, lane_operand=True),),
}

# Ordered by preference: for the same operands the first that the target has is used.
DOTS: dict[Arch, tuple[Dot, ...]] = {
    "x86-64": (
        Dot("u8", "i8", "i32", 4, 512, "avx512vnni"),
        Dot("i8", "i8", "i32", 4, 256, "avxvnniint8"),
        Dot("u8", "u8", "i32", 4, 256, "avxvnniint8"),
        Dot("u8", "i8", "i32", 4, 256, "avxvnni"),
        Dot("i16", "i16", "i32", 2, 512, "avx512vnni"),
        Dot("bf16", "bf16", "f32", 2, 512, "avx512bf16"),
        Dot("i16", "i16", "i32", 2, 512, "avx512bw"),
        Dot("i16", "i16", "i32", 2, 256, "avx2"),
        Dot("i16", "i16", "i32", 2, 128, "sse2"),
    ),
    "aarch64": (
        Dot("u8", "i8", "i32", 4, 128, "i8mm"),
        Dot("i8", "i8", "i32", 4, 128, "dotprod"),
        Dot("u8", "u8", "i32", 4, 128, "dotprod"),
        Dot("bf16", "bf16", "f32", 2, 128, "bf16"),
    ),
}

# Sizes that hold on the common machines of a level: a schedule that fits these fits nearly everywhere.
TYPICAL_CACHES: dict[str, CacheSizes] = {
    "x86-64": CacheSizes(32 << 10, 256 << 10, 4 << 20),
    "x86-64-v2": CacheSizes(32 << 10, 256 << 10, 8 << 20),
    "x86-64-v3": CacheSizes(32 << 10, 256 << 10, 8 << 20),
    "x86-64-v4": CacheSizes(32 << 10, 1 << 20, 16 << 20),
    "aarch64": CacheSizes(64 << 10, 512 << 10, 4 << 20),
}


def typical_caches(arch: Arch, features: frozenset[str]) -> CacheSizes:
    """The table's cache sizes for a machine with these features."""
    return TYPICAL_CACHES[best_level(arch, features).name]


def vector_unit(arch: Arch, features: frozenset[str]) -> VectorUnit:
    """The widest that a machine with these features has."""
    return next(unit for unit in VECTOR_UNITS[arch] if unit.feature in features)


def facts_of(arch: Arch, features: frozenset[str], caches: CacheSizes | None, datapath: int | None) -> Facts:
    """Everything the tables say about a machine; `caches` and `datapath` where its own are known."""
    unit = vector_unit(arch, features)
    caches = caches or typical_caches(arch, features)
    return Facts(
        vector_bits=unit.bits,
        datapath_bits=datapath or unit.bits,
        vector_registers=unit.registers,
        has_fma=arch == "aarch64" or "fma" in features,
        has_masked_ops=unit.masked_ops,
        has_broadcast_operand=unit.broadcast_operand,
        has_lane_operand=unit.lane_operand,
        fma_ports=unit.fma_ports,
        fma_latency=unit.fma_latency,
        load_ports=2,
        caches=caches,
        cache_line=64,
        l1_way_bytes=min(4096, caches.l1) if arch == "x86-64" else caches.l1 // 4,  # indexed within a page; 4 ways
        page_bytes=4096,
        dots=tuple(dot for dot in DOTS[arch] if dot.feature in features),
    )
