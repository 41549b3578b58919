"""What a machine can do: targets, their features and the facts that schedules ask for."""

from dlc.target.facts import CacheSizes, Dot, Facts
from dlc.target.known import ALL_TARGETS, KnownTarget
from dlc.target.target import Target, host_can_run

__all__ = ["ALL_TARGETS", "CacheSizes", "Dot", "Facts", "KnownTarget", "Target", "host_can_run"]
