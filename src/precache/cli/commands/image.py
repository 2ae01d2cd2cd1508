"""`precache image list`: the images of the image service."""

from __future__ import annotations

import argparse

from precache.cli.columns import Bytes, Text
from precache.cli.command import Columns, ListCommand


class ImageList(ListCommand):
    """List the images of the image service.

    Example:
      precache image list
    """

    columns = ("id", "name", "status", "disk_format", "size", "virtual_size")
    least_needed = ("virtual_size", "status", "disk_format", "size")

    def take_action(self, parsed_args: argparse.Namespace) -> Columns:
        rows = [
            (
                image.get("id"),
                Text(image.get("name")),
                image.get("status"),
                Text(image.get("disk_format")),
                Bytes(image.get("size")),
                Bytes(image.get("virtual_size")),
            )
            for image in self.service.images.every()
        ]
        return self.columns, rows
