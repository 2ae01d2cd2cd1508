"""The threads that put windows of the disk together and write them: several, because expanding takes the most time."""

from __future__ import annotations

import threading
from collections import deque

from precache.background.task_group import TaskGroup
from precache.fetch.blocks import Block
from precache.fetch.decoding.inflaters import Inflater, new_inflater
from precache.fetch.decoding.placements import Compression, Inflate, PlaceSpilled
from precache.fetch.decoding.result_file import ResultFile
from precache.fetch.decoding.side_file import SideFile
from precache.fetch.decoding.windows import Piece, PlaceCopy, Window, length_of
from precache.fetch.growing_file import Abandoned

_MOST_WAITING_BYTES = 4 << 20
"""So much of the disk waits for a thread, at most. It holds no more compressed data than that."""


class WindowWriters:
    """Writes windows to the result. They are given by one thread; the threads are started when the first one comes."""

    def __init__(
        self, *, file: ResultFile, side: SideFile, compression: Compression, group: TaskGroup, threads: int
    ) -> None:
        self._file, self._side, self._compression = file, side, compression
        self._group, self._threads = group, threads
        self._is_started = False
        self._waiting: deque[Window] = deque()
        self._busy: set[int] = set()
        """The disk offsets of the windows that are not written yet."""
        self._changed = threading.Condition()
        self._is_ended = self._is_abandoned = False
        self._failure: BaseException | None = None

    def write(self, window: Window) -> None:
        """Write the window soon; wait while too many wait. Raises Abandoned, and what a thread has failed with."""
        self._start()
        with self._changed:
            self._changed.wait_for(lambda: self._has_room_for(window) or self._is_stopped)
            self.check()
            self._waiting.append(window)
            self._busy.add(window.first_offset)
            self._changed.notify_all()

    def wait(self) -> None:
        """Return when all windows are written. Raises as `write`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy or self._is_stopped)
            self.check()

    def first_offset(self, end: int) -> int:
        """Return the smallest disk offset of the windows that are not written yet, at most `end`."""
        with self._changed:
            return min([end, *self._busy])

    def end(self) -> None:
        """End the threads when all windows are written."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """End the threads, and every wait, now."""
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()

    def check(self) -> None:
        """Raise Abandoned if that is so, and what a thread has failed with. Called often: it takes no lock."""
        if self._failure is not None:
            raise self._failure
        if self._is_abandoned:
            raise Abandoned

    def _has_room_for(self, window: Window) -> bool:
        return sum(each.span_bytes for each in (window, *self._waiting)) <= _MOST_WAITING_BYTES

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            for _ in range(self._threads):
                self._group.start("decoder", self._run)

    def _run(self) -> None:
        inflate, block = new_inflater(self._compression), Block()
        try:
            while window := self._take():
                if window.span_bytes > len(block.view):
                    block = Block(window.span_bytes)
                self._write(window, block, inflate)
                with self._changed:
                    self._busy.remove(window.first_offset)
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify_all()
            raise

    def _take(self) -> Window | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ended or self._is_stopped)
            self.check()
            if not self._waiting:
                return None
            window = self._waiting.popleft()
            self._changed.notify_all()
            return window

    def _write(self, window: Window, block: Block, inflate: Inflater) -> None:
        for pieces in _runs(window):
            start = pieces[0].disk_offset - window.start
            end = start
            for piece in pieces:
                self._fill(block.view[end : end + length_of(piece)], piece, inflate)
                end += length_of(piece)
            if window.start + end == self._file.disk_bytes:
                block.length = end
                end = block.pad()
            self._file.write(block, start, end, window.start + start)

    def _fill(self, view: memoryview, piece: Piece, inflate: Inflater) -> None:
        if isinstance(piece, PlaceCopy):
            view[:] = piece.data
        elif isinstance(piece, PlaceSpilled):
            self._side.read_into(view, piece.file_offset)
        else:
            data = piece.data if isinstance(piece, Inflate) else self._side.read(piece.file_offset, piece.length)
            view[:] = memoryview(inflate(data, piece.cluster_bytes))[: piece.disk_bytes]

    @property
    def _is_stopped(self) -> bool:
        return self._is_abandoned or self._failure is not None


def _runs(window: Window) -> list[list[Piece]]:
    """Return the pieces by their place, those that touch each other together."""
    runs: list[list[Piece]] = []
    end = -1
    for piece in sorted(window.pieces, key=lambda piece: piece.disk_offset):
        if piece.disk_offset != end:
            runs.append([])
        runs[-1].append(piece)
        end = piece.disk_offset + length_of(piece)
    return runs
