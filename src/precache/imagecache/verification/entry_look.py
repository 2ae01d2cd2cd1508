"""What an entry and its record look like at one moment, before the content is read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from precache.imagecache.disks.headers import LAYERED_FORMATS, format_of
from precache.imagecache.names import record_name
from precache.imagecache.records.entry_record import FROM_IMAGE_SERVICE, EntryRecord
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.verification.content_digest import TREE_SHA256

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory"}


@dataclass(frozen=True, slots=True)
class EntryLook:
    """An entry and its record, as they were under the lock.

    record_fault: why the file of the record cannot be used; empty if it can, or there is none.
    format: as the content says; empty for a raw disk.
    """

    path: Path
    found: os.stat_result
    record: EntryRecord | None
    record_fault: str
    format: str

    @property
    def size_bytes(self) -> int:
        return self.found.st_size

    @property
    def is_of_other_size(self) -> bool:
        return self.record is not None and self.record.size_bytes not in (None, self.size_bytes)

    @property
    def is_of_other_fetch(self) -> bool:
        """Return whether nova-compute has fetched the image since, and keeps it in another format than before."""
        if self.record is None or not self.record.format or not self.is_of_other_size:
            return False
        return self.format != (self.record.format if self.record.format in LAYERED_FORMATS else "")

    @property
    def digest(self) -> str:
        """Return the digest that the content must have; empty if none is known."""
        return "" if self.record is None or self.is_of_other_fetch else self.record.digest

    @property
    def is_not_hashed_yet(self) -> bool:
        """Return whether it was published without a digest, which is added later (`missing_digests`)."""
        record = self.record
        return (
            record is not None
            and record.source == FROM_IMAGE_SERVICE
            and not record.digest
            and not self.is_of_other_fetch
        )

    def is_same_file(self, other: EntryLook) -> bool:
        return os.path.samestat(self.found, other.found) and self.size_bytes == other.size_bytes

    def is_untouched_since(self, other: EntryLook) -> bool:
        """Return whether it was certainly not written: a boot changes its times, too."""
        return self.is_same_file(other) and self.found.st_ctime_ns == other.found.st_ctime_ns

    @property
    def fault(self) -> str:
        """Return what is wrong with the entry, if that is known without its content; else nothing."""
        if not stat.S_ISREG(self.found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(self.found.st_mode), "a device or a pipe")
            return f"{kind} is in its place" if self.record is not None else ""
        if self.size_bytes == 0:
            return "it is empty"
        if (self.digest or self.is_not_hashed_yet) and self.is_of_other_size and self.record is not None:
            return f"it has {self.size_bytes} bytes, and its record says {self.record.size_bytes}"
        return ""

    @property
    def why_unverifiable(self) -> str:
        """Return why the entry can neither be compared with its record nor adopted; empty if it can."""
        if self.record_fault:
            record = self.path.with_name(record_name(self.path.name))
            return f"its record {record} cannot be used: {self.record_fault}; remove that file, and verify it again"
        if not stat.S_ISREG(self.found.st_mode):
            return f"{self.path} is not a file, and has no record; move it elsewhere"
        algorithm = self.digest.partition(":")[0]
        if algorithm and algorithm != TREE_SHA256 and algorithm not in hashlib.algorithms_available:
            return f"its digest is of the algorithm {algorithm}, which this release does not know"
        return ""


def look_at(path: Path, records: EntryRecords) -> EntryLook | None:
    """Return the entry and its record; None if it is gone. The caller holds the entry's lock. Raises OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    record = records.read(path.name)
    fault = ""
    if record is None and os.path.lexists(path.with_name(record_name(path.name))):
        fault = records.fault_of(path.name) or "it could not be read"
    return EntryLook(path, found, record, fault, _format_of(path) if stat.S_ISREG(found.st_mode) else "")


@contextmanager
def inode_held(look: EntryLook) -> Iterator[bool]:
    """Hold the file open within the block, so that no other file gets its inode number and is taken for the same.

    Yield False if the name has another file already. Raises OSError, but not for a file that is gone.
    """
    try:
        fd = os.open(look.path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        yield os.path.samestat(os.fstat(fd), look.found)
    finally:
        os.close(fd)


def _format_of(path: Path) -> str:
    """Return the format with backing files that the content claims; empty for every other. Raises OSError."""
    fd = os.open(path, _READ_FLAGS)
    try:
        return format_of(fd) or ""
    finally:
        os.close(fd)
