"""An image that is decoded while it arrives: what a reader of its format asks for is done, and nothing else is stored.

The blocks of the transfer are written straight to their place on the disk. What must be put together first is written
by threads of the group: see `windows`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from precache.background.task_group import TaskGroup
from precache.fetch.blocks import ALIGNMENT_BYTES, BLOCK_BYTES, Block
from precache.fetch.decoding.placements import Action, Place, ReadSpilled, Spill, StreamReader
from precache.fetch.decoding.result_file import ResultFile
from precache.fetch.decoding.side_file import SideFile
from precache.fetch.decoding.window_writers import WindowWriters
from precache.fetch.decoding.windows import OpenWindows, PlaceCopy
from precache.fetch.final_parts import FinalParts
from precache.fetch.growing_file import Abandoned
from precache.fetch.sparse_file import WriteAt

_LEAST_WRITE_BYTES = 64 << 10
"""Less than this is put together with what is beside it on the disk. To copy it costs less than a write."""

_ANNOUNCED_STEP_BYTES = 1 << 20


class StreamDecoder:
    """The port `BlockSink`. Also a context manager: it closes the files, and never removes them."""

    def __init__(
        self,
        *,
        make_reader: Callable[[ReadSpilled], StreamReader],
        target: Path,
        side: Path,
        group: TaskGroup,
        admit_spilled: Callable[[int], None],
        final_parts: FinalParts | None = None,
        write_at: WriteAt = os.pwrite,
        fed_bytes: int = 0,
        threads: int = 2,
    ) -> None:
        """make_reader: called with what reads the side file. target, side: the paths of the result and the side file.

        group: gets threads, and so their failures: NotStreamable, OSError. admit_spilled: as `admit` of SideFile.
        fed_bytes: if not 0, both files are there, after `settle`, and the first block begins at that byte.

        Raises what `make_reader` raises, before there is any file; OSError.
        """
        self._side = SideFile(side, write_at=write_at, admit=admit_spilled, is_kept=fed_bytes > 0)
        try:
            self._reader = make_reader(self._side.read)
            self._file = ResultFile(
                target,
                disk_bytes=self._reader.disk_bytes,
                unit_bytes=self._reader.unit_bytes,
                write_at=write_at,
                is_kept=fed_bytes > 0,
            )
        except BaseException:
            self._side.close()
            raise
        self._writers = WindowWriters(
            file=self._file, side=self._side, compression=self._reader.compression, group=group, threads=threads
        )
        self._windows = OpenWindows(self._writers.write, self._check)
        self._final_parts = final_parts
        self._announced = 0
        self._replayed_bytes = fed_bytes
        self._arrived = fed_bytes
        self._is_complete = self._is_settled = self._is_interrupted = self._has_failed_to_settle = False
        self._is_in_block = False
        self._held: Iterable[Spill] | None = None
        """What had to be kept when the block that is being decoded came, or the end; None between the blocks."""
        if final_parts is not None:
            final_parts.began(target, self.disk_bytes)

    @property
    def disk_bytes(self) -> int:
        """Return the size of the result."""
        return self._reader.disk_bytes

    @property
    def arrived_bytes(self) -> int:
        return self._arrived

    @property
    def written_bytes(self) -> int:
        """Return how many bytes were written to the result by this process, without the holes."""
        return self._file.written_bytes

    @property
    def spilled_bytes(self) -> int:
        """Return how much space the side file takes."""
        return self._side.spilled_bytes

    @property
    def is_complete(self) -> bool:
        return self._is_complete

    @property
    def is_settled(self) -> bool:
        """Return whether `settle` was the last thing that happened, and has succeeded."""
        return self._is_settled

    def append(self, block: Block, *, is_written: bool = False) -> None:  # noqa: ARG002  no block was kept
        """Decode the next block; then the caller may reuse it.

        Raises NotStreamable, OSError, Abandoned, and what `admit_spilled` raises.
        """
        self._begin()
        self._is_in_block = True
        self._execute(self._reader.feed(block.view[: block.length]), block)
        self._windows.end_block()
        self._arrived += block.length
        self._held = None
        self._is_in_block = False
        self._announce()

    def finish(self) -> None:
        """Write all that is left, and set the result to its exact length; the caller flushes it.

        Raises Truncated, and as `append`.
        """
        self._begin()
        self._execute(self._reader.finish(), None)
        self._write_open()
        self._writers.end()
        self._file.finish()
        self._is_complete = True

    def announce_complete(self) -> None:
        """Announce the whole result as final. The caller has checked it after `finish`."""
        if self._final_parts is not None:
            self._final_parts.is_final_up_to(self.disk_bytes)

    def interrupt(self) -> None:
        """Make the present `finish` end with Abandoned soon, and every later one, and every later `append`.

        For any thread. `finish` may place gigabytes of the side file; that is done again when the decoding goes on.
        """
        self._is_interrupted = True

    def settle(self, head: bytes = b"") -> None:
        """Return when all that has arrived is on the disk: in the result, or in the side file.

        Then these files and `arrived_bytes` are all that is needed to go on. For the thread that appends, or after its
        end, also by `interrupt`. head: the start of the image, which is kept in the side file for the next reader.
        Raises what `append` raises; Abandoned also if `append` has failed.
        """
        # A block that was decoded in part is not in the hash. If other bytes were sent in its place the next time, what
        # was written of the first ones would stay where the others have holes.
        if self._has_failed_to_settle or self._is_in_block:
            raise Abandoned
        if not self._is_complete:
            self._writers.check()
        self._has_failed_to_settle = True  # until it succeeds: what was held is iterated once
        if not self._replayed_bytes:  # else nothing has arrived since it was settled before
            if not self._is_complete:
                self._write_open()
            held, self._held = self._reader.held() if self._held is None else self._held, ()
            for spill in held:
                self._side.write(spill.file_offset, spill.data)
            if head:
                self._side.write(0, memoryview(head))
        self._side.flush()
        self._file.flush()
        self._is_settled, self._has_failed_to_settle = True, False

    def abandon(self) -> None:
        """End the threads, and make every present and later wait end with Abandoned. Harmless after `finish`."""
        self._writers.abandon()

    def close(self) -> None:
        """Close the files, after the threads have ended."""
        self._file.close()
        self._side.close()

    def __enter__(self) -> StreamDecoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        """Prepare for the next block, or for the end."""
        self._writers.check()
        self._is_settled = False
        self._replay()
        self._check_interrupt()
        self._held = self._reader.held()

    def _execute(self, actions: Iterable[Action], block: Block | None) -> None:
        for action in actions:
            self._check()
            if isinstance(action, Place):
                self._place(action, block)
            elif isinstance(action, Spill):
                self._side.write(action.file_offset, action.data)
            else:
                self._windows.add(action)

    def _place(self, place: Place, block: Block | None) -> None:
        disk_offset, data = place.disk_offset, place.data
        start = block.offset_of(data) if block is not None and len(data) >= _LEAST_WRITE_BYTES else None
        if block is not None and start is not None and self._file.can_write(start, disk_offset):
            whole = len(data) // ALIGNMENT_BYTES * ALIGNMENT_BYTES
            self._file.write(block, start, start + whole, disk_offset)
            disk_offset, data = disk_offset + whole, data[whole:]
        if data:
            self._windows.add(PlaceCopy(disk_offset, bytes(data)))

    def _check(self) -> None:
        """Raise what a thread has failed with; Abandoned if that is so, or in an interrupted `finish`.

        A block is decoded to its end if it is only interrupted.
        """
        self._writers.check()
        if not self._is_in_block:
            self._check_interrupt()

    def _check_interrupt(self) -> None:
        if self._is_interrupted:
            raise Abandoned

    def _write_open(self) -> None:
        self._windows.close_all()
        self._writers.wait()

    def _announce(self) -> None:
        if self._final_parts is None:
            return
        # If this block took long, the next attempt may have begun, with a file of which nothing is final.
        self._writers.check()
        end = min(self._reader.placed_up_to, self.disk_bytes - 1)
        end = self._writers.first_offset(self._windows.first_offset(end))
        if end >= self._announced + _ANNOUNCED_STEP_BYTES:
            self._announced = end
            self._final_parts.is_final_up_to(end)

    def _replay(self) -> None:
        """Bring the reader to where it was when the files were settled: what it asks for was done then."""
        block, fed = Block() if self._replayed_bytes else None, 0
        while block and fed < self._replayed_bytes:
            self._writers.check()
            self._check_interrupt()
            piece = block.view[: min(BLOCK_BYTES, self._replayed_bytes - fed)]
            self._side.read_into(piece, fed)
            for _ in self._reader.feed(piece):
                pass
            fed += len(piece)
        self._replayed_bytes = 0
