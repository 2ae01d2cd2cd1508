"""`precache image list`: the images of the image service, or those in the caches of the hosts."""

from __future__ import annotations

import argparse

from precache.cli.cache_columns import NameOrId
from precache.cli.columns import Bytes, Field, Fields, Text, Timestamp, cells, least_needed_first, plain
from precache.cli.command import Columns, ListCommand
from precache.cli.errors import UsageError

_FIELDS: Fields = {
    "id": Field(plain),
    "name": Field(Text),
    "status": Field(plain, left_out=2),
    "disk_format": Field(Text, left_out=3),
    "size": Field(Bytes, left_out=4),
    "virtual_size": Field(Bytes, left_out=1),
}
_CACHED_FIELDS: Fields = {
    "image": Field(Text, left_out=9),
    "name": Field(Text),
    "hosts": Field(plain),
    "bytes": Field(Bytes, left_out=10),
    "missing": Field(plain),
    "status": Field(plain),
    "pinned": Field(plain, left_out=12),
    "unused": Field(plain, left_out=11),
    "corrupt": Field(plain, left_out=13),
    "intact": Field(plain, left_out=8),
    "unverified": Field(plain, left_out=7),
    "unverifiable": Field(plain, left_out=6),
    "status_at": Field(Timestamp, left_out=5),
    "entry": Field(Text, left_out=0),
}
_STATUSES = ("active", "deactivated", "gone", "unknown")


class ImageList(ListCommand):
    """List the images of the image service, or with --cached those in the caches of the hosts.

    With --cached: `hosts` hold the image, on `missing` hosts it is pinned but gone from the cache, and `bytes` is the
    space on all disks, as the hosts last reported it. `status` is that in the image service: `gone` if the image is no
    longer there.

    Example:
      precache image list
      precache image list --cached --status gone --status deactivated
    """

    columns = tuple(dict.fromkeys((*_FIELDS, *_CACHED_FIELDS)))
    least_needed = least_needed_first(_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--cached", action="store_true", help="list the images in the caches of the hosts")
        parser.add_argument(
            "--status",
            action="append",
            choices=_STATUSES,
            help="with --cached: only images with this status in the image service; may be given several times",
        )
        parser.add_argument(
            "--missing", action="store_true", help="with --cached: only images that are missing on a host"
        )
        parser.add_argument(
            "--pinned", action="store_true", help="with --cached: only images that are pinned on a host"
        )
        parser.add_argument("--unused", action="store_true", help="with --cached: only images that no disk uses")

    def columns_of(self, parsed_args: argparse.Namespace) -> tuple[str, ...]:
        return tuple(_CACHED_FIELDS if parsed_args.cached else _FIELDS)

    def run(self, parsed_args: argparse.Namespace) -> int:
        chosen = [name for name in ("status", "missing", "pinned", "unused") if getattr(parsed_args, name)]
        if chosen and not parsed_args.cached:
            raise UsageError(f"--{chosen[0]} is about the caches of the hosts; add --cached")
        if parsed_args.cached:
            self.table.least_needed = least_needed_first(_CACHED_FIELDS)
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        if parsed_args.cached:
            return self._cached(parsed_args)
        images, unread = self.service.images.every_and_unread()
        if unread:
            files = "1 file is" if unread == 1 else f"{unread} files are"
            self.print_message(f"precache: {files} still being read; an image appears in the list after that")
        return tuple(_FIELDS), [list(cells(_FIELDS, image).values()) for image in images]

    def _cached(self, parsed_args: argparse.Namespace) -> Columns:
        found = self.service.cached_images.every(
            status=parsed_args.status,
            state="missing" if parsed_args.missing else None,
            pinned="true" if parsed_args.pinned else None,
            unused="true" if parsed_args.unused else None,
        )
        by_name = sorted(found, key=lambda image: (str(image.get("name") or "~"), str(image.get("entry"))))
        return tuple(_CACHED_FIELDS), [
            list((cells(_CACHED_FIELDS, image) | {"name": NameOrId(image)}).values()) for image in by_name
        ]
