"""An image from its first block on: its head decides whether it is decoded while it arrives, or gets a file.

The head is inspected before a reader of its format sees it. Nothing is fetched twice for the choice: the first block
goes on to what was chosen. Of one that a pause has cut nothing is decided: it is kept in a file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from precache.background.task_group import TaskGroup
from precache.core.images import Image
from precache.fetch.attempt import Attempt
from precache.fetch.blocks import BLOCK_BYTES, Block
from precache.fetch.decoded_stream import DecodedStream, read_head
from precache.fetch.decoding.placements import NotStreamable
from precache.fetch.download_file import DownloadFile
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.growing_file import Abandoned
from precache.fetch.inspect import HEAD_CHUNK_BYTES, inspect
from precache.fetch.sparse_file import SparseFile, WriteAt
from precache.fetch.stream_choice import READERS, decoder_name, stand_in_for_end
from precache.sandbox import Sandbox

_log = logging.getLogger(__name__)

_NOT_RECOGNISED = "its beginning does not show its format"


class ArrivingImage:
    """The port `BlockSink` for one attempt. A context manager: it closes the files, and never removes them."""

    def __init__(
        self, attempt: Attempt, *, group: TaskGroup, rules: FetchRules, write_at: WriteAt, sandbox: Sandbox
    ) -> None:
        """group: gets the threads of the decoding, and so their failures.

        Raises OSError: an image that gets a file in any case has it at once. If its decoding goes on, raises as
        `DecodedStream`.
        """
        self._attempt, self._group, self._rules = attempt, group, rules
        self._write_at, self._sandbox = write_at, sandbox
        self._why_qemu_img = attempt.why_qemu_img
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._file = None if self._why_qemu_img is None else self._open_file()
        self._chosen: DownloadFile | DecodedStream | None = self._file
        self._kept_head: SparseFile | None = None
        if attempt.resumed is not None:
            self._chosen = self._open_decoding(read_head(attempt.side), attempt.kept_bytes)
            attempt.resumed.is_used = True
        elif self._file is None and attempt.kept_bytes:
            # It was paused in its first block, so nothing was chosen. That block is fed as if it arrived now.
            self._kept_head = SparseFile(
                attempt.download, direct=False, write_at=write_at, kept_bytes=attempt.kept_bytes
            )

    @property
    def decoded_by(self) -> str:
        """Return what decodes the image; empty if it is kept as it is, or nothing was chosen yet."""
        if self._attempt.target is None or self._chosen is None:
            return ""
        return decoder_name(self._why_qemu_img)

    @property
    def kept_file(self) -> SparseFile | None:
        """Return the file that has what was kept of an earlier fetch."""
        if self._kept_head is not None:
            return self._kept_head
        return self._file.file if self._file is not None and self._attempt.kept_bytes else None

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes from the start are in the file of the download."""
        return self._attempt.kept_bytes if self._file is None else self._file.kept_bytes

    @property
    def arrived_bytes(self) -> int:
        return 0 if self._chosen is None else self._chosen.arrived_bytes

    def start(self) -> None:
        """Start what decodes the image, if that is known before its first block: one may arrive meanwhile."""
        if self._attempt.why_qemu_img is not None and self._file is not None:
            self._file.start()

    def append(self, block: Block, *, is_written: bool = False) -> None:
        """Take the next block. Raises as `inspect`, `DecodedStream`, and for a file as `SparseFile`."""
        if self._chosen is None:
            self._choose(bytes(block.view[: block.length]))
        self._sink.append(block, is_written=is_written)

    def finish(self) -> None:
        self._sink.finish()

    def abandon(self) -> None:
        with self._lock:
            self._is_abandoned = True
            chosen = self._chosen
        if chosen is not None:
            chosen.abandon()

    @property
    def is_decoding(self) -> bool:
        """Return whether the image is decoded while it arrives; then there is no download."""
        return isinstance(self._chosen, DecodedStream)

    def interrupt(self) -> None:
        """Make the present `append` or `finish` of a decoding end soon. Those of a download always do."""
        if isinstance(self._chosen, DecodedStream):
            self._chosen.interrupt()

    def settle(self) -> bool:
        """Return whether a decoding can go on later from what is on the disk; see `DecodedStream.settle`."""
        return isinstance(self._chosen, DecodedStream) and self._chosen.settle()

    def complete(self) -> None:
        """Check the length of the result, and write it to the disk. The threads have ended.

        Raises UnusableImage, OSError.
        """
        self._sink.complete()

    def close(self) -> None:
        for part in (self._chosen, self._kept_head):
            if part is not None:
                part.close()

    def __enter__(self) -> ArrivingImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _sink(self) -> DownloadFile | DecodedStream:
        assert self._chosen is not None  # noqa: S101  an image without any block is refused by its stream
        return self._chosen

    def _choose(self, head: bytes) -> None:
        if len(head) < BLOCK_BYTES and len(head) != self._attempt.record.size_bytes:
            # What comes next is not there, so an inspector may miss what it would refuse; and no other block follows.
            self._file = self._open_file()
            self._go_on_with(self._file)
            return
        try:
            self._go_on_with(self._open_stream(head))
        except NotStreamable as reason:
            _log.info("Image %s is decoded by qemu-img: %s", self._attempt.record.id, reason)
            self._why_qemu_img = reason.reason
            self._attempt.space.admit_download()
            self._check_abandoned()
            self._file = self._open_file()
            self._go_on_with(self._file)
            self._file.start()

    def _go_on_with(self, chosen: DownloadFile | DecodedStream) -> None:
        with self._lock:
            self._chosen = chosen
        self._check_abandoned()

    def _check_abandoned(self) -> None:
        if self._is_abandoned:
            raise Abandoned

    def _open_stream(self, head: bytes) -> DecodedStream:
        record = self._attempt.record
        inspect(record, _chunks(record, head), deep=self._rules.deep_inspection)
        self._check_abandoned()
        return self._open_decoding(head)

    def _open_decoding(self, head: bytes, fed_bytes: int = 0) -> DecodedStream:
        record, target = self._attempt.record, self._attempt.target
        assert target is not None and record.size_bytes is not None  # noqa: S101, PT018  as of `why_qemu_img`
        return DecodedStream(
            self._attempt,
            target=target,
            head=head,
            size_bytes=record.size_bytes,
            make_reader=READERS[record.disk_format or ""],
            group=self._group,
            write_at=self._write_at,
            fed_bytes=fed_bytes,
        )

    def _open_file(self) -> DownloadFile:
        return DownloadFile(
            self._attempt, group=self._group, rules=self._rules, write_at=self._write_at, sandbox=self._sandbox
        )


def _chunks(record: Image, head: bytes) -> Iterator[bytes]:
    """Return the head in pieces, and what may stand for the end. Raises NotStreamable if more is asked for."""
    for start in range(0, len(head), HEAD_CHUNK_BYTES):
        yield head[start : start + HEAD_CHUNK_BYTES]
    if len(head) == record.size_bytes:
        return
    end = stand_in_for_end(record.disk_format, head)
    if end is None:
        raise NotStreamable(_NOT_RECOGNISED)
    yield end
