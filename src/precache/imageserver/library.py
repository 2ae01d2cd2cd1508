"""The images of a directory, updated when files change. Thread-safe.

A file becomes an image when it has not changed for a moment and has been read once. When its size, time of change or
inode differ, that image is gone, and the file is a new image with a new id. Copy large files under another name
(`.part`) or a hidden one and rename them, as rsync does, so that no incomplete file is read.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from precache.imageserver.directory_scan import ImageFile, ImagesUnreadable, SkippedFile, scan_directory
from precache.imageserver.facts_index import FactsIndex
from precache.imageserver.file_facts import FileChanged
from precache.imageserver.hash_queue import HashQueue
from precache.imageserver.records import FileFacts, Fingerprint, LibraryImage

_log = logging.getLogger(__name__)

SETTLE = timedelta(seconds=2)  # a running copy changes the file's time at least this often
PATIENCE = timedelta(seconds=10)  # below the timeouts of usual clients, enough for some GiB


class ImageLibrary:
    """Lists the images; a separate thread reads new files.

    index_path: file of the hashes, outside the directory of images.
    overrides: by file name, fields of the Glance record, such as {"status": "queued"}; with a status before `active`
        the image is shown without data, size and hash.
    settle: how long a file must not have changed. patience: how long requests wait for a new file to be read, from
        when it was found; later ones are answered without it.
    """

    def __init__(
        self,
        *,
        images_dir: Path,
        index_path: Path,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        settle: timedelta = SETTLE,
        patience: timedelta = PATIENCE,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._dir, self._index, self._overrides = images_dir, FactsIndex(index_path), overrides or {}
        self._settle_s, self._patience_s, self._now = settle.total_seconds(), patience.total_seconds(), now
        self._images: dict[str, LibraryImage] = {}
        self._unread: frozenset[ImageFile] = frozenset()
        self._unread_since: dict[str, float] = {}  # by file name, on the monotonic clock
        self._failed: set[ImageFile] = set()
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._hashing = HashQueue(on_hashed=self._add, on_failed=self._pass_over)

    def images(self) -> list[LibraryImage]:
        """Read the directory again and return all images. Raises ImagesUnreadable."""
        self._catch_up()
        return list(self._images.values())

    @property
    def unread_count(self) -> int:
        """Number of files that are not images yet because they are being read or written, as of the last scan."""
        return len(self._unread - self._failed)

    def find(self, image_id: str) -> LibraryImage | None:
        """Return the image if its file is there and unchanged. Raises ImagesUnreadable."""
        known = self._images.get(image_id)
        if known is None or not _is_intact(known):
            self._catch_up()
            known = self._images.get(image_id)
        return known

    def open(self, image: LibraryImage) -> BinaryIO | None:
        """Open the image's data, unbuffered; None if the file is no longer the one that was hashed."""
        try:
            data = image.path.open("rb", buffering=0)
        except OSError as exc:
            self._log_once(image.file_name, exc.strerror or str(exc))
            return None
        if Fingerprint.of(os.fstat(data.fileno())) == image.fingerprint:
            return data
        data.close()
        return None

    def close(self) -> None:
        """Stop reading new files; known images stay readable."""
        self._stop.set()
        self._hashing.close()

    def _catch_up(self) -> None:
        """Scan the directory and wait for a limited time until new files are read.

        Waits once for files that are being written, then leaves them to the next request.
        """
        for last in (False, True):
            with self._lock:
                unread = self._publish()
                quiet = [file for file in unread if self._is_quiet(file)]
                self._hashing.replace(quiet)
                time_left_s = {file: self._time_left_s(file) for file in unread}
            new = [file for file in quiet if time_left_s[file] > 0]
            if new:
                self._hashing.wait(new, max(time_left_s[file] for file in new))
            written = [time_left_s[file] for file in unread if file not in quiet]
            settling_s = min(self._settle_s, max(written, default=0))
            if last or settling_s <= 0 or self._stop.wait(settling_s):
                return

    def _time_left_s(self, file: ImageFile) -> float:
        """Return for how long requests still wait for the file."""
        return self._unread_since[file.name] + self._patience_s - time.monotonic()

    def _publish(self) -> list[ImageFile]:
        """Publish the images whose facts are known, and return the files that have not been read."""
        files = self._survey()
        known = [(file, self._index.get(file.name, file.fingerprint)) for file in files]
        self._index.keep_only({(file.name, file.fingerprint) for file in files})
        images = [self._image(file, facts) for file, facts in known if facts is not None]
        self._images = {image.id: image for image in images}
        unread = [file for file, facts in known if facts is None]
        # By name: a file that is being written has another fingerprint at each request.
        since = self._unread_since
        self._unread_since = {file.name: since.get(file.name, time.monotonic()) for file in unread}
        self._failed.intersection_update(unread)
        self._unread = frozenset(unread)
        return unread

    def _survey(self) -> list[ImageFile]:
        found = list(scan_directory(self._dir))
        for one in found:
            if isinstance(one, SkippedFile):
                self._log_once(one.name, one.reason)
        return [one for one in found if isinstance(one, ImageFile)]

    def _image(self, file: ImageFile, facts: FileFacts) -> LibraryImage:
        return LibraryImage(file.name, file.path, file.fingerprint, facts, self._overrides.get(file.name, {}))

    def _is_quiet(self, file: ImageFile) -> bool:
        # A time in the future, from an archive or another machine's clock, does not mean that the file is being
        # written.
        return abs(self._now() - file.fingerprint.mtime_ns / 1e9) >= self._settle_s

    def _add(self, file: ImageFile, facts: FileFacts) -> None:
        with self._lock:
            self._index.put(file.name, file.fingerprint, facts)
            with suppress(ImagesUnreadable):  # a request raises it
                self._publish()

    def _pass_over(self, file: ImageFile, error: OSError | FileChanged) -> None:
        if isinstance(error, FileChanged):
            _log.info(
                "image file %r changed while it was read; the next request reads it again if it exists", file.name
            )
            return
        with self._lock:
            self._failed.add(file)
            self._log_once(file.name, error.strerror or str(error))

    def _log_once(self, name: str, reason: str) -> None:
        if (name, reason) not in self._said:
            self._said.add((name, reason))
            _log.warning("image file %r is not served: %s", name, reason)


def _is_intact(image: LibraryImage) -> bool:
    try:
        return Fingerprint.of(image.path.stat()) == image.fingerprint
    except OSError:
        return False
