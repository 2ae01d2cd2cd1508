"""`precache host show`: a host and its cache, as the host last reported it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliff.columns import FormattableColumn

from precache.cli.cache_columns import CACHE_FIELDS, ENTRY_FIELDS, NameOrId
from precache.cli.client import JsonObject
from precache.cli.columns import Field, Fields, Text, cells, human_seconds, least_needed_first, plain
from precache.cli.command import Columns, ShowCommand
from precache.cli.commands.host import HOST_FIELDS
from precache.cli.formatters import Table

_IMAGE_FIELDS: Fields = {
    "image": Field(Text, left_out=8),
    "name": Field(Text),
    "status": Field(plain, left_out=12),
    "entry": Field(Text, left_out=1),
    **ENTRY_FIELDS,
}
_IMAGES = "images"
_LISTS = ("alarms", "removals")


class HostShow(ShowCommand):
    """Show a host, and the header of its image cache, as the host last reported it: space, alarms and last removals.

    With --images also the images in it: in a table as a second one. `status` is that in the image service.

    Example:
      precache host show cmp-7 --images
    """

    columns = (*HOST_FIELDS, *CACHE_FIELDS, _IMAGES)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("host", help="name of the compute host")
        parser.add_argument("--images", action="store_true", help="also show the images in the cache")

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return self.columns if parsed_args.images else self.columns[:-1]

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        host = self.service.hosts.get(parsed_args.host)
        cache = host.get("cache")
        self._say_how_old(host, cache)
        lists = {name: (cache or {}).get(name) or [] for name in _LISTS}
        values = cells(HOST_FIELDS, host) | cells(CACHE_FIELDS, (cache or {}) | lists)
        if parsed_args.images:
            values[_IMAGES] = self.service.hosts.images(parsed_args.host)
        return list(values), list(values.values())

    def _say_how_old(self, host: JsonObject, cache: Mapping[str, Any] | None) -> None:
        if cache is None:
            self.print_message(f"precache: {host.get('name')} has not reported its image cache")
        elif host.get("state") != "up":
            age = human_seconds(cache.get("report_age_s") or 0)
            self.print_message(f"precache: {host.get('name')} is down; it reported its image cache {age} ago")

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Any]) -> int:
        """Write the host. In a table the images follow as a second table, and what would be empty is left out."""
        values = dict(zip(column_names, data, strict=True))
        if parsed_args.formatter != "table":
            return super().produce_output(parsed_args, column_names, list(values.values()))
        images, asked = values.pop(_IMAGES, []), self.asked_columns(parsed_args)
        if not asked:
            values = {name: value for name, value in values.items() if name not in CACHE_FIELDS or _is_set(value)}
        if asked != [_IMAGES]:
            super().produce_output(parsed_args, list(values), list(values.values()))
        if images and (not asked or _IMAGES in asked):
            self._write_images(parsed_args, images)
        return 0

    def _write_images(self, parsed_args: argparse.Namespace, images: Sequence[JsonObject]) -> None:
        table = Table()
        table.least_needed = least_needed_first(_IMAGE_FIELDS)
        rows = [list((cells(_IMAGE_FIELDS, image) | {"name": NameOrId(image)}).values()) for image in images]
        without_choice = argparse.Namespace(**{**vars(parsed_args), "columns": []})
        table.emit_list(list(_IMAGE_FIELDS), rows, self.app.stdout, without_choice)


def _is_set(cell: Any) -> bool:
    return bool(cell.human_readable() if isinstance(cell, FormattableColumn) else cell)
