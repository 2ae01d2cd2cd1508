"""`precache host clean`: remove unused images from the cache of one host."""

from __future__ import annotations

import argparse

from precache.cli.cache_columns import NameOrId
from precache.cli.columns import Bytes, Field, Fields, Text, Timestamp, cells, least_needed_first, plain
from precache.cli.command import Columns, ListCommand
from precache.core.cache_cleaning import MOST_KEEP_DAYS
from precache.core.sizes import human_bytes
from precache.core.text import number_of

_FIELDS: Fields = {
    "name": Field(Text),
    "image": Field(Text, left_out=3),
    "entry": Field(Text, left_out=1),
    "action": Field(plain),
    "bytes": Field(Bytes),
    "last_used": Field(Timestamp, left_out=2),
    "reason": Field(Text),
}


class HostClean(ListCommand):
    """Remove unused images from the cache of a host now, and list what was removed and why the rest stays.

    Without options it removes what the host's [image_cache] policy would remove now. What a disk uses, what is pinned,
    and what is being fetched, copied or booted stays in every case. If nova-compute owns the cache, only --dry-run is
    possible.

    Example:
      precache host clean cmp-7 --dry-run
      precache host clean cmp-7 --keep-days 7
    """

    columns = tuple(_FIELDS)
    least_needed = least_needed_first(_FIELDS)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("host", help="name of the compute host")
        parser.add_argument("--dry-run", action="store_true", help="remove nothing; list what would be removed")
        chosen = parser.add_mutually_exclusive_group()
        chosen.add_argument("--all", action="store_true", help="all unused images, whatever their age")
        chosen.add_argument(
            "--keep-days",
            metavar="N",
            type=_days,
            help="all unused images except those used within so many days",
        )

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        cleaning = self.service.hosts.clean(
            parsed_args.host,
            is_dry_run=parsed_args.dry_run,
            everything=parsed_args.all,
            keep_days=parsed_args.keep_days,
        )
        removed, kept = cleaning.get("removed") or [], cleaning.get("kept") or []
        done, size = ("would be removed" if parsed_args.dry_run else "removed"), human_bytes(cleaning.get("bytes"))
        images = number_of(len(removed), "image")
        self.print_message(f"precache: {images} {done} from {parsed_args.host}, {size}; {len(kept)} kept")
        entries = [{**entry, "action": done} for entry in removed] + [{**entry, "action": "kept"} for entry in kept]
        return self.columns, [list((cells(_FIELDS, entry) | {"name": NameOrId(entry)}).values()) for entry in entries]


def _days(text: str) -> int:
    """Return a number of days, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) > MOST_KEEP_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of days from 0 to {MOST_KEEP_DAYS}")
    return int(text)
