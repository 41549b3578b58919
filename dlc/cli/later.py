"""Commands that are named and not there yet."""

from __future__ import annotations

import click

from dlc.errors import UserError

ANYTHING = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command("verify", context_settings=ANYTHING)
def verify_command() -> None:
    """Compare a model's outputs with a reference (not there yet)."""
    raise UserError("dlc verify is not there yet", hint="dlc run --output file.npz writes the outputs for a comparison")
