"""`dlc targets`: the machines that dlc compiles for, and which of them this one is."""

from __future__ import annotations

import click

from dlc.cli.options import echo_json, json_option
from dlc.errors import UserError
from dlc.target import ALL_TARGETS, Target, host_can_run


@click.command("targets")
@json_option
def targets_command(as_json: bool) -> None:
    """List the machines that dlc compiles for, and what `host` stands for here.

    Any other combination can be named: a level, then +feature or -feature, then cache sizes and the bits that
    vector units take at once, as in x86-64-v4+avx512vnni@l1=32K,l2=1M,datapath=256.
    """
    rows = [row_of(known.target, known.target.name, known.machines) for known in ALL_TARGETS]
    host = host_row()
    if as_json:
        echo_json({"host": host, "targets": rows})
        return
    from dlc.cli.tables import show_table

    show_table(
        ("target", "stands for", ">vector bits", "beyond the level", "runs here"),
        [cells(row) for row in ([host] if host else []) + rows],
    )


def row_of(target: Target, name: str, machines: str) -> dict[str, object]:
    runnable, missing = host_can_run(target)
    return {
        "name": name, "target": target.name, "machines": machines, "vector_bits": target.facts.vector_bits,
        "features": list(target.features), "extra": list(target.extra_features),
        "runs_here": runnable, "missing": list(missing),
    }  # fmt: skip


def host_row() -> dict[str, object] | None:
    """This machine; None if there is no code generator for it."""
    try:
        target = Target.host()
    except UserError:
        return None
    return row_of(target, "host", f"this machine: {target.name}")


def cells(row: dict[str, object]) -> tuple[str, str, str, str, str]:
    missing, extra = row["missing"], row["extra"]
    lacking = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "") if isinstance(missing, list) else ""
    beyond = ", ".join(extra) if isinstance(extra, list) else ""
    runs = "yes" if row["runs_here"] else f"no: lacks {lacking}"
    return str(row["name"]), str(row["machines"]), str(row["vector_bits"]), beyond, runs
