"""Hashes files in a thread of its own, always the one with the fewest bytes left. Thread-safe.

So a file that is put in while a large one is being hashed does not wait for it. Knows nothing of images.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress

from precache.background.observer import observed
from precache.background.threads import call_in_thread
from precache.imageserver.directory_scan import ImageFile
from precache.imageserver.file_facts import FileChanged, FileReading
from precache.imageserver.records import FileFacts

_NAME = "image-library"


class HashQueue:
    """The files to be hashed.

    on_hashed: called in the thread with each file and its facts, before the file leaves the queue.
    on_failed: called likewise with a file that cannot be read or has changed; it leaves the queue, too.
    """

    def __init__(
        self,
        *,
        on_hashed: Callable[[ImageFile, FileFacts], None],
        on_failed: Callable[[ImageFile, OSError | FileChanged], None],
    ) -> None:
        self._on_hashed, self._on_failed = on_hashed, on_failed
        # In their order: the last file has the fewest bytes left and is the one that is being hashed.
        self._files: dict[ImageFile, None] = {}
        self._readings: dict[ImageFile, FileReading] = {}
        self._changed = threading.Condition()
        self._thread: Future[None] | None = None
        self._is_closed = False

    def replace(self, files: Collection[ImageFile]) -> None:
        """Hash these files, and no longer the others. What has been read of a file that stays is kept.

        Raises what has ended the thread, if that was an error in this program; the next call starts a thread again.
        """
        with self._changed:
            if self._thread is not None and self._thread.done():
                ended, self._thread = self._thread, None
                ended.result()
            if self._is_closed:
                return
            if self._files.keys() != set(files):
                self._files = dict.fromkeys(sorted(files, key=self._bytes_left, reverse=True))
                self._changed.notify_all()
            if self._files and self._thread is None:
                self._thread = call_in_thread(self._hash_files, name=_NAME)

    def wait(self, files: Collection[ImageFile], timeout_s: float) -> None:
        """Wait until none of these files is in the queue, at most for `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not any(file in self._files for file in files), timeout_s)

    def close(self) -> None:
        """Stop after the current block."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.exception()

    def _bytes_left(self, file: ImageFile) -> int:
        reading = self._readings.get(file)
        return file.fingerprint.size_bytes if reading is None else reading.bytes_left

    def _hash_files(self) -> None:
        try:
            while (file := self._next_file()) is not None:
                self._hash_block(file)
        finally:
            with self._changed:
                self._close_readings(self._readings.keys())

    def _next_file(self) -> ImageFile | None:
        """Return the file whose next block is to be read; None if the queue is closed."""
        with self._changed:
            self._close_readings(self._readings.keys() - self._files.keys())
            self._changed.wait_for(lambda: self._is_closed or self._files)
            return None if self._is_closed else next(reversed(self._files))

    def _hash_block(self, file: ImageFile) -> None:
        try:
            facts = self._reading(file).read_block()
        except (OSError, FileChanged) as error:
            self._on_failed(file, error)
        else:
            if facts is None:
                return
            with observed(_NAME):
                self._on_hashed(file, facts)
        with self._changed:
            with suppress(KeyError):
                del self._files[file]
            self._changed.notify_all()

    def _reading(self, file: ImageFile) -> FileReading:
        if file not in self._readings:
            reading = FileReading(file)
            with self._changed:
                self._readings[file] = reading
        return self._readings[file]

    def _close_readings(self, files: Collection[ImageFile]) -> None:
        for file in tuple(files):
            self._readings.pop(file).close()
