"""What was received of paused downloads, and pieces that came from other hosts, kept beside the cache until they go on.

Its files are in `kept_download_files`; data without a record will be removed. Who changes a kept download holds the
lock of its entry; who removes one in passing takes the lock only if it is free. Only the jobs of a record change
without it, so that a job can be removed from the record while another job downloads.

The jobs of a record are those that want it: they were paused, and have not ended since. Without one it is removed.

A download that goes on writes to the same file under a second name. So after a kill the kept data is still there. Of
pieces from other hosts the second name is made when their file is: each is checked again when it is used. The files of
a decoding are moved in place of that, because nothing verifies them again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from precache.core.errors import CacheUnusable
from precache.core.images import Image, ImageId
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.keep_limits import KeepLimits
from precache.imagecache.kept_download_files import KeptDownloadFiles
from precache.imagecache.kept_record import DecodingState, KeptDecoding, KeptDownloadRecord
from precache.imagecache.names import entry_name
from precache.imagecache.os_errors import explain
from precache.imagecache.space.disk_usage import allocated_by
from precache.ports.clock import Clock

_log = logging.getLogger(__name__)

_MOST_JOBS = 100  # of one record; a later job finds the data all the same


class KeptDownloads:
    """The kept downloads of one cache directory, which may not exist. For any number of threads and processes."""

    def __init__(self, *, directory: Path, locks: EntryLocks, clock: Clock, limits: KeepLimits) -> None:
        self._directory = directory
        self._files = KeptDownloadFiles(directory)
        self._locks = locks
        self._clock = clock
        self._limits = limits
        self._changes = threading.RLock()  # held while a record is read and changed

    def bytes_of(self, image: ImageId) -> int:
        """Return how much of the image is kept."""
        record = self.record_of(image)
        return 0 if record is None else record.received_bytes

    def record_of(self, image: ImageId) -> KeptDownloadRecord | None:
        """Return what is kept of the image; None if nothing is."""
        entry = entry_name(image)
        record = self._files.read_record(entry)
        return record if self._files.has_data(entry) else None

    def bytes_of_pieces(self, image: ImageId, form: str) -> int:
        """Return how much of the image in this form is kept as pieces from other hosts."""
        record = self._files.read_record(entry_name(image))
        return record.received_bytes if record is not None and record.fits_pieces(image, form) else 0

    def size_of(self, image: ImageId) -> int:
        """Return the size of the whole image, if a part of it is kept; else 0."""
        record = self._files.read_record(entry_name(image))
        return 0 if record is None else record.size_bytes

    def take(self, image: Image, path: Path) -> int:
        """Make what is kept of the image the file at `path`, and return its bytes; 0 if nothing can be used.

        The file may be longer: what follows those bytes is to be overwritten. What does not fit the image any more is
        removed; pieces from other hosts stay. The caller holds the entry's lock.
        """
        entry = entry_name(image.id)
        record = self._files.read_record(entry)
        if record is not None and record.form:
            return 0
        try:
            if record is not None and record.fits(image) and self._files.link(entry, path, record.received_bytes):
                return record.received_bytes
        except OSError as error:
            _log.warning("What is kept of image %s cannot be used: %s", image.id, explain(error))
        path.unlink(missing_ok=True)
        self.remove(entry)
        return 0

    def keep(self, image: Image, path: Path, received_bytes: int, job_id: str | None) -> int:
        """Keep the first bytes of the file at `path`, and return their number; 0 if none are kept.

        Nothing is kept of an image without a size or a digest, with which the data could not be verified later.
        job_id: of the job that has paused it. The caller holds the entry's lock. A full disk, or another fault of the
        disk, loses this download only.
        """
        entry = entry_name(image.id)
        record = self._record(image, received_bytes, job_id)
        if record is None or received_bytes > self._limits.total_bytes:
            self.remove(entry)
            return 0
        return self._keep(image, record, lambda record: self._files.store(entry, path, record))

    def decoding_of(self, image: Image, decoder: str) -> DecodingState | None:
        """Return how far this decoder has decoded the image; None if nothing is kept that it can use.

        The files may have been changed meanwhile: `take_decoding` checks them.
        """
        record = self._files.read_record(entry_name(image.id))
        return record.decoding_state if record is not None and record.fits_decoding(image, decoder) else None

    def take_decoding(self, image: Image, decoder: str, result: Path, side: Path) -> DecodingState | None:
        """Move what this decoder has made of the image to these paths; return how far that is, None if nothing fits.

        The files are not linked as those of downloads, so they are lost if this process is killed. The record stays for
        the jobs that want it. What cannot be used is left to `take`, which removes it. The caller holds the entry's
        lock.
        """
        entry = entry_name(image.id)
        record = self._files.read_record(entry)
        if record is None or record.decoding is None or not record.fits_decoding(image, decoder):
            return None
        try:
            if self._files.move_decoding(entry, record.decoding, result, side):
                return record.decoding_state
            _log.warning("What is kept of image %s was changed meanwhile, and cannot be used", image.id)
        except OSError as error:
            _log.warning("What is kept of image %s cannot be used: %s", image.id, explain(error))
        for path in (result, side):
            path.unlink(missing_ok=True)
        return None

    def keep_decoding(self, image: Image, state: DecodingState, result: Path, side: Path, job_id: str | None) -> int:
        """Keep both files of a decoding, as `keep`, and return how many bytes of the image are in them.

        side: may not exist. Both are on the disk already; to wait for that here would delay others.
        """
        entry = entry_name(image.id)
        record = self._record(image, state.received_bytes, job_id)
        if record is None or allocated_by(result, side) > self._limits.total_bytes:
            self.remove(entry)
            return 0

        def store(record: KeptDownloadRecord) -> None:
            files = self._files.store_decoding(entry, result, side)
            decoding = KeptDecoding(
                digest=record.digest, decoder=state.decoder, hash_state=state.hash_state, result=files[0], side=files[1]
            )
            self._files.write_record(entry, replace(record, digest="", decoding=decoding))

        return self._keep(image, record, store)

    def _record(self, image: Image, received_bytes: int, job_id: str | None) -> KeptDownloadRecord | None:
        """Return the record of this part of the image; None if it may not be kept, or could not be verified later."""
        if received_bytes <= 0 or not self._limits.images or image.digest is None or image.size_bytes is None:
            return None
        return KeptDownloadRecord(
            image=image.id,
            size_bytes=image.size_bytes,
            digest=str(image.digest),
            received_bytes=received_bytes,
            kept_at=self._clock.now().isoformat(),
            jobs=(job_id,) if job_id else (),
        )

    def _keep(self, image: Image, record: KeptDownloadRecord, store: Callable[[KeptDownloadRecord], None]) -> int:
        entry = entry_name(image.id)
        try:
            with self._changes:
                earlier = self._files.read_record(entry)
                if earlier is not None and (earlier.is_of(image) or earlier.form):
                    record = replace(record, jobs=_joined(earlier.jobs, record.jobs))
                store(record)
        except OSError as error:
            _log.warning("What was received of image %s is not kept: %s", image.id, explain(error))
            with suppress(OSError):  # `clean` tries again
                self.remove(entry)
            return 0
        self._remove_most()
        return record.received_bytes

    def take_pieces(self, image: ImageId, form: str, path: Path) -> int:
        """Make the kept pieces of the image in this form the file at `path`, and return its size; 0 if there are none.

        Nothing says which pieces it has, and whether they are whole. The caller holds the entry's lock.
        """
        entry = entry_name(image)
        record = self._files.read_record(entry)
        if record is None or not record.fits_pieces(image, form):
            return 0
        try:
            if self._files.link(entry, path, 0) and path.lstat().st_size <= record.size_bytes:
                return record.size_bytes
        except OSError as error:
            _log.warning("The pieces that are kept of image %s cannot be used: %s", image, explain(error))
        path.unlink(missing_ok=True)
        self.remove(entry)
        return 0

    def keep_pieces(self, image: ImageId, form: str, path: Path, size_bytes: int) -> bool:
        """Keep the file at `path`, to which pieces of the image in this form are written, also if this process dies.

        It keeps its name. What else was kept of the image is removed. Return whether it is kept: it is not if nothing
        may be kept, or if the disk does not allow it. size_bytes: of the whole file. The caller holds the entry's lock.
        """
        entry = entry_name(image)
        if not 0 < size_bytes <= self._limits.total_bytes or not self._limits.images:
            return False
        record = KeptDownloadRecord(
            image=image,
            size_bytes=size_bytes,
            digest="",
            received_bytes=size_bytes,
            kept_at=self._clock.now().isoformat(),
            jobs=(),
            form=form,
        )
        try:
            with self._changes:
                earlier = self._files.read_record(entry)
                if earlier is not None:
                    record = replace(record, jobs=earlier.jobs)
                self._files.store_pieces(entry, path, record)
        except OSError as error:
            _log.warning("The pieces of image %s are not kept if this process ends: %s", image, explain(error))
            with suppress(OSError):  # `clean` tries again
                self.remove(entry)
            return False
        return True

    def claim(self, image: ImageId, job_id: str) -> int:
        """Note that the job wants what is kept of the image, until `release` or `remove_of_job`; return its bytes."""
        entry = entry_name(image)
        with self._changes, self._explained(entry):
            record = self._files.read_record(entry)
            if record is not None and job_id not in record.jobs:
                self._files.write_record(entry, replace(record, jobs=_joined(record.jobs, (job_id,))))
        return 0 if record is None else record.received_bytes

    def release(self, image: ImageId, job_id: str, *, removes: bool) -> None:
        """Note that the job no longer wants what is kept of the image.

        removes: remove it at once if no other job wants it and it is not in use; else `clean` removes it later.
        """
        entry = entry_name(image)
        if self._files.read_record(entry) is not None:
            self._release(entry, job_id, removes=removes)

    def remove_of_job(self, job_id: str) -> None:
        """Remove what only this job wants. What is in use now stays for the job that uses it."""
        for entry, record in self._files.records():
            if record is not None and job_id in record.jobs:
                self._release(entry, job_id, removes=True)

    def remove(self, entry: str) -> None:
        """Remove what is kept for the entry; harmless if there is nothing. The caller holds the entry's lock."""
        with self._changes:
            self._files.remove(entry)

    def clean(self) -> None:
        """Remove what is useless or too much, except what is in use."""
        for entry, record in self._files.records():
            if reason := self._why_useless(entry, record):
                self._remove_if_free(entry, reason)
        self._remove_most()

    def _why_useless(self, entry: str, record: KeptDownloadRecord | None) -> str:
        """Return why it can be removed; empty if it may be of use."""
        if record is None or not self._files.has_data(entry):
            return "it is left over"
        if (self._directory / entry).exists():
            return "the image is in the cache"
        return "it was not resumed in time" if self._limits.is_too_old(record, self._clock.now()) else ""

    def _remove_most(self) -> None:
        kept = [(entry, record) for entry, record in self._files.records() if record]
        for entry in self._limits.exceeding(kept):
            self._remove_if_free(entry, "there is more than [image_cache] paused_images or paused_bytes")

    def _remove_if_free(self, entry: str, reason: str) -> None:
        with self._held(entry) as is_held:
            if is_held:
                self.remove(entry)
                _log.info("Removed a paused download, %s: %s", self._files.data_path(entry), reason)

    def _release(self, entry: str, job_id: str, *, removes: bool) -> None:
        with self._held(entry) as is_held, self._changes:
            record = self._files.read_record(entry)
            if record is None:
                return
            jobs = tuple(job for job in record.jobs if job != job_id)
            if removes and is_held and not jobs:
                self.remove(entry)
                _log.info("Removed a paused download, %s: no other job has paused it", self._files.data_path(entry))
            elif jobs != record.jobs:
                kept_at = record.kept_at if jobs else self._clock.now().isoformat()
                self._files.write_record(entry, replace(record, jobs=jobs, kept_at=kept_at))

    @contextmanager
    def _held(self, entry: str) -> Iterator[bool]:
        """Hold the entry's lock if it is free. Faults of the disk are logged: the next pass tries again."""
        with self._explained(entry), ExitStack() as lock:
            is_held = False
            with self._explained(entry):
                is_held = lock.enter_context(self._locks.hold_if_free(entry))
            yield is_held

    @contextmanager
    def _explained(self, entry: str) -> Iterator[None]:
        try:
            yield
        except (CacheUnusable, OSError) as error:
            reason = explain(error) if isinstance(error, OSError) else error
            _log.warning("The paused download %s could not be changed: %s", self._files.data_path(entry), reason)


def _joined(jobs: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*jobs, *more]))[-_MOST_JOBS:]
