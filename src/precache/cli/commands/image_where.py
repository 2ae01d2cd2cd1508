"""`precache image where`: the hosts whose caches hold an image, as they last reported it."""

from __future__ import annotations

import argparse

from precache.cli.cache_columns import ENTRY_FIELDS, Age
from precache.cli.client import JsonObject
from precache.cli.columns import Field, Fields, Text, Timestamp, cells, least_needed_first, plain
from precache.cli.command import Columns, ListCommand
from precache.cli.printable import printable

_FIELDS: Fields = {
    "host": Field(Text),
    "cell": Field(Text, left_out=8),
    "host_state": Field(plain),
    "report_age_s": Field(Age, left_out=12),
    "reported_at": Field(Timestamp, left_out=1),
    **ENTRY_FIELDS,
}
_NOT_ACTIVE = {
    "gone": "is no longer in the image service",
    "deactivated": "is deactivated in the image service",
}


class ImageWhere(ListCommand):
    """List the hosts whose caches hold an image, or should hold it, as they last reported it.

    The image is named by its id, by its name, or by the name of its entry in the caches (40 hex digits). It need not be
    in the image service any more. `host_state` is down for a host whose report may be old.

    Example:
      precache image where debian-12
      precache image where 70a599e0-31e7-49b7-b260-868f441e862b --state missing -f value -c host
    """

    columns = tuple(_FIELDS)
    least_needed = least_needed_first(_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("image", help="id, name, or name of the entry")
        parser.add_argument("--cell", metavar="CELL", help="only hosts of this cell")
        parser.add_argument("--host-state", choices=["up", "down"], help="only hosts in this state")
        parser.add_argument(
            "--state", choices=["present", "missing"], help="only hosts that hold it, or where it is pinned but gone"
        )

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        images = self.service.cached_images
        image, hosts = images.hosts(
            images.find(parsed_args.image),
            cell=parsed_args.cell,
            host_state=parsed_args.host_state,
            state=parsed_args.state,
        )
        self._warn(image)
        return self.columns, [list(cells(_FIELDS, host).values()) for host in hosts]

    def _warn(self, image: JsonObject) -> None:
        meaning = _NOT_ACTIVE.get(str(image.get("status")))
        if meaning is not None:
            name = printable(str(image.get("name") or image.get("image") or image.get("entry")))
            self.print_message(f"precache: {name} {meaning}")
