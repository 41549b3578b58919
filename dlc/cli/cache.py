"""`dlc cache`: what the cache of compiled models holds, where, and how much it may hold."""

from __future__ import annotations

import click

from dlc.cli.files import byte_text
from dlc.cli.options import echo_json, json_option
from dlc.driver.cache import Cache


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove all compiled models. Programs that use one keep it.")
@json_option
def cache_command(clear: bool, as_json: bool) -> None:
    """Show the cache of compiled models, or empty it.

    DLC_CACHE_DIR says where it is, DLC_CACHE_SIZE how much it may hold (10G by default): what was used longest ago
    goes first.
    """
    cache = Cache.default()
    removed = cache.clear() if clear else []
    left = cache.entries()
    facts: dict[str, object] = {
        "folder": str(cache.folder), "entries": len(left), "bytes": sum(each.bytes for each in left),
        "limit": cache.limit,
    }  # fmt: skip
    freed = sum(each.bytes for each in removed)
    if as_json:
        echo_json({**facts, "removed": len(removed), "freed": freed} if clear else facts)
    elif clear:
        print(f"removed {len(removed)} compiled model{'' if len(removed) == 1 else 's'}, {byte_text(freed)}, "
              f"from {cache.folder}")  # fmt: skip
    else:
        from dlc.cli.tables import show_facts

        held = byte_text(sum(each.bytes for each in left))
        show_facts([
            ("folder", str(cache.folder)), ("entries", str(len(left))), ("size", held),
            ("limit", byte_text(cache.limit)),
        ])  # fmt: skip
