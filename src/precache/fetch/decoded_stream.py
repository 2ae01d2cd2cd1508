"""An image that is decoded while it arrives: no file has its own bytes, and nothing of it is written twice."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from precache.background.task_group import TaskGroup
from precache.core.errors import ConversionFailed, PrecacheError, UnusableImage
from precache.fetch.attempt import Attempt
from precache.fetch.blocks import Block
from precache.fetch.conversion import TOO_LARGE, TRUNCATED
from precache.fetch.decoding.placements import LEAST_HEAD_BYTES, NotStreamable, ReadSpilled, StreamReader, Truncated
from precache.fetch.decoding.stream_decoder import StreamDecoder
from precache.fetch.growing_file import Abandoned
from precache.fetch.result_check import check_converted, check_length
from precache.fetch.sparse_file import WriteAt, flush
from precache.fetch.stream_choice import MakeReader

_log = logging.getLogger(__name__)


_NO_TIME = "a part of it could not be written in time"


def read_head(side: Path) -> bytes:
    """Return the start of an image whose decoding was paused. Raises OSError."""
    fd = os.open(side, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        return file.read(LEAST_HEAD_BYTES)


class DecodedStream:
    """The port `BlockSink` for one attempt, from the first block. It has the checks that follow a conversion, too."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        target: Path,
        head: bytes,
        size_bytes: int,
        make_reader: MakeReader,
        group: TaskGroup,
        write_at: WriteAt,
        fed_bytes: int = 0,
    ) -> None:
        """head: the first bytes of the image. size_bytes: of the whole image. fed_bytes: as of `StreamDecoder`.

        Raises NotStreamable before there is any file; UnusableImage, NotEnoughSpace, OSError.
        """
        self._attempt, self._target = attempt, target
        self._size, self._head, self._make_reader = size_bytes, head[:LEAST_HEAD_BYTES], make_reader
        self._decoder = self._open(head, group, write_at, fed_bytes)
        try:
            attempt.space.admit_streamed(self._decoder.disk_bytes)
        except BaseException:
            self._decoder.close()
            raise

    @property
    def arrived_bytes(self) -> int:
        return self._decoder.arrived_bytes

    def append(self, block: Block, *, is_written: bool = False) -> None:
        self._decoder.append(block, is_written=is_written)

    def finish(self) -> None:
        """Write what is left, and check the result; the image was verified.

        Raises ConversionFailed, UnsafeImage, and as `StreamDecoder.finish`.
        """
        record = self._attempt.record
        try:
            self._decoder.finish()
        except Truncated as error:
            raise ConversionFailed(record.id, TRUNCATED.format(self._size)) from error
        check_converted(record, self._target)
        self._decoder.announce_complete()

    def abandon(self) -> None:
        self._decoder.abandon()

    def interrupt(self) -> None:
        """Make the present `append` or `finish` end soon, before it is done."""
        self._decoder.interrupt()

    def settle(self) -> bool:
        """Write to the disk all that is needed to go on after `arrived_bytes`; return whether that is possible.

        Nothing appends any more.
        """
        try:
            if not self._decoder.is_settled:
                self._decoder.settle(self._head)
        except (Abandoned, NotStreamable, OSError, PrecacheError) as error:
            _log.warning(
                "What was decoded of image %s is not kept: %s", self._attempt.record.id, str(error) or _NO_TIME
            )
            return False
        return True

    def complete(self) -> None:
        """Check the length of the result, and write it to the disk. Raises UnusableImage, OSError."""
        check_length(self._attempt.record, self._target, self._decoder.disk_bytes)
        flush(self._target)

    def close(self) -> None:
        self._decoder.close()

    def _open(self, head: bytes, group: TaskGroup, write_at: WriteAt, fed_bytes: int) -> StreamDecoder:
        attempt, disk_bytes = self._attempt, 0

        def make_reader(read_spilled: ReadSpilled) -> StreamReader:
            nonlocal disk_bytes
            reader = self._make_reader(head, self._size, read_spilled)
            disk_bytes = reader.disk_bytes
            return reader

        try:
            return StreamDecoder(
                make_reader=make_reader,
                target=self._target,
                side=attempt.side,
                group=group,
                admit_spilled=attempt.space.admit_spilled,
                final_parts=attempt.final_parts,
                write_at=write_at,
                fed_bytes=fed_bytes,
            )
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            reason = TOO_LARGE.format(disk_bytes, self._target.parent)
            raise UnusableImage(attempt.record.id, reason) from error
