"""`precache image pieces`: write the digests of a file's pieces, to be uploaded beside the image."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from precache.cli.command import Command
from precache.cli.errors import UsageError
from precache.core.relays import PIECE_BYTES
from precache.imagecache.verification.content_digest import ContentHash
from precache.wiring.commands.options import given_path

_DIGEST_BYTES = 32


class ImagePieces(Command):
    """Write the SHA-256 of each piece of 64 KiB of an image file to a new file.

    Upload the new file as an image of its own, and set the property precache_pieces of the image to the id of that one.
    A host that has an older version of the image then requests only the pieces that differ. This is for images that
    hosts keep as they are: raw ones, and all where force_raw_images is off. The embedded image service needs no such
    file.

    Example:
      precache image pieces debian-12.raw debian-12.pieces
      openstack image create --disk-format raw --container-format bare --file debian-12.pieces debian-12.pieces
      openstack image set --property precache_pieces=ID debian-12
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("image", metavar="FILE", type=given_path, help="the file that was or will be uploaded")
        parser.add_argument("digests", metavar="DIGESTS", type=given_path, help="the file to write; must not exist")

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        written = _write_digests(parsed_args.image, parsed_args.digests)
        cast(Any, self.app).stderr.write(
            f"{parsed_args.digests} has the digests of {written // _DIGEST_BYTES} pieces of {PIECE_BYTES >> 10} KiB.\n"
        )


def _write_digests(image: Path, digests: Path) -> int:
    """Return how many bytes were written. Raises UsageError."""
    with ExitStack() as undo:
        try:
            with digests.open("xb") as out:
                undo.callback(digests.unlink)
                with ContentHash(image, on_digests=out.write) as content:
                    content.digest()
                undo.pop_all()
                return out.tell()
        except OSError as error:
            raise UsageError(f"{error.filename or image}: {error.strerror or error}") from error
