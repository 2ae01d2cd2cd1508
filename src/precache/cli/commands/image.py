"""`precache image list`: the images of the image service."""

from __future__ import annotations

import argparse

from precache.cli.columns import Bytes, Field, Fields, Text, cells, least_needed_first, plain
from precache.cli.command import Columns, ListCommand

_FIELDS: Fields = {
    "id": Field(plain),
    "name": Field(Text),
    "status": Field(plain, left_out=2),
    "disk_format": Field(Text, left_out=3),
    "size": Field(Bytes, left_out=4),
    "virtual_size": Field(Bytes, left_out=1),
}


class ImageList(ListCommand):
    """List the images of the image service.

    Example:
      precache image list
    """

    columns = tuple(_FIELDS)
    least_needed = least_needed_first(_FIELDS)

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        images, unread = self.service.images.every_and_unread()
        if unread:
            files = "1 file is" if unread == 1 else f"{unread} files are"
            self.print_message(f"precache: {files} still being read; an image appears in the list after that")
        return self.columns, [list(cells(_FIELDS, image).values()) for image in images]
