"""`dlc check`: every unsupported operator, attribute or type of a model at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlc.cli.failures import MISTAKE
from dlc.cli.options import echo_json, json_option, model_argument, parse_input_shape, shape_option
from dlc.cli.tables import show_table
from dlc.frontends.load import check

if TYPE_CHECKING:
    from dlc.frontends.coverage import Coverage


@click.command("check")
@model_argument
@shape_option
@json_option
def check_command(model: Path, input_shapes: tuple[str, ...], as_json: bool) -> None:
    """List what of MODEL dlc cannot compile, node by node, and why; exit code 1 if there is any."""
    found = check(model, input_shapes=dict(map(parse_input_shape, input_shapes)) or None)
    if as_json:
        refused = [{"operator": each.op_type, "node": each.node, "reason": each.reason} for each in found.unsupported]
        echo_json({"supported": found.supported, "operators": dict(found.operators), "unsupported": refused})
    else:
        show(found)
    if not found.supported:
        raise click.exceptions.Exit(MISTAKE)


def show(found: Coverage) -> None:
    refused: dict[str, int] = {}
    for each in found.unsupported:
        refused[each.op_type] = refused.get(each.op_type, 0) + 1
    show_table(
        ("operator", ">count", ">unsupported"),
        [(name, str(count), str(refused.get(name, "") or "")) for name, count in found.operators.items()],
    )
    print()
    for line in found.lines():
        print(line)
