"""The port to which a transfer hands the blocks of an image."""

from __future__ import annotations

from typing import Protocol

from precache.fetch.blocks import Block


class BlockSink(Protocol):
    """Takes one image, block by block in the order of the file, and stores it in its own form.

    `append` and `finish` are called by one thread; `abandon` and the properties by any.
    """

    @property
    def arrived_bytes(self) -> int:
        """Return how many bytes from the image's start it has, those of an earlier fetch included."""
        ...

    def append(self, block: Block, *, is_written: bool = False) -> None:
        """Take the next block; then the caller may reuse it.

        is_written: the sink's file has the block from an earlier fetch. Raises OSError, Abandoned.
        """
        ...

    def finish(self) -> None:
        """Note that the image has arrived and was verified; store what is left. Raises as `append`."""
        ...

    def abandon(self) -> None:
        """Make every present and later wait end with Abandoned. Harmless after `finish`."""
        ...
