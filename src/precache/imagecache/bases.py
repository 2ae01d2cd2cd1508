"""The older image in a cache from which the pieces of a new one that agree are taken.

It is only read. An open file stays readable also if a cleaner removes the entry meanwhile, and each piece is compared
with its hash when it is used, so no lock is held.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from precache.core.images import ImageId
from precache.imagecache.names import entry_name
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.verification.content_digest import PIECE_BYTES, ContentHash, open_past_page_cache
from precache.rules.base_choice import Lineage, bases_of

_DIGEST_BYTES = 32
_ZERO_DIGEST = hashlib.sha256(bytes(PIECE_BYTES)).digest()
_READ_BYTES = 1 << 20  # pieces are mostly wanted in order
_NO_DIGEST = bytes(_DIGEST_BYTES)
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o666  # minus the umask, as with Nova's open()

_FICLONE = 0x40049409  # linux/fs.h; the module fcntl has it since Python 3.12
_CANNOT_CLONE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM})

CloneFile = Callable[[int, int], None]
"""Makes the second open file a clone of the first, or a replacement in tests. Raises OSError."""


def reflink(source: int, target: int) -> None:
    """Let both files have the same blocks, which the file system copies when one of them is written."""
    fcntl.ioctl(target, _FICLONE, source)


def open_base(directory: Path, records: EntryRecords, new: Lineage, named: ImageId | None = None) -> Base | None:
    """Return the best base of a new image, opened; None if the cache holds none.

    directory: the cache. named: the base that the order names, if any. A file that cannot be opened is no base.
    """
    for lineage in bases_of(new, _cached(records), named):
        try:
            return Base(lineage.image, directory / entry_name(lineage.image))
        except OSError:
            continue
    return None


class Base:
    """An entry that is open for reading, and the digests of its pieces. A context manager, which closes it.

    For one thread at a time.
    """

    def __init__(self, image: ImageId, path: Path) -> None:
        """Open the file. Raises OSError; FileExistsError if it is not a file."""
        self.image, self.path = image, path
        self.taken_bytes = 0
        """How much of it was used. Set by those who use it."""
        self._digests = bytearray()
        self._fd, self._is_direct = open_past_page_cache(path)
        self._buffer = memoryview(mmap.mmap(-1, _READ_BYTES))  # aligned, as direct reads require
        self._read_from = self._read_to = 0

    def __enter__(self) -> Base:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> bool:
        """Close the file, and return True; False if it was closed. Its digests stay."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        return fd >= 0

    @property
    def pieces(self) -> int:
        """Return how many of its pieces are hashed."""
        return len(self._digests) // _DIGEST_BYTES

    def hash(self, check: Callable[[], None]) -> None:
        """Read it past the page cache, and compute the digests of its pieces.

        check: called every few milliseconds; what it raises ends the work. Raises OSError.
        """
        self._digests.clear()
        with ContentHash(self.path, lambda _hashed, _read: check(), on_digests=self._digests.extend) as content:
            content.digest()

    def digest(self, index: int) -> bytes:
        """Return the digest of a piece; empty beyond the end, for a piece of zeros, and for one that is forgotten."""
        digest = bytes(self._digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES])
        return b"" if digest in (_ZERO_DIGEST, _NO_DIGEST) else digest

    def forget(self, index: int) -> None:
        """Use this piece no more: its content is not what it was."""
        self._digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES] = _NO_DIGEST

    def read(self, index: int) -> bytes:
        """Return the content of a piece, shorter at the end, past the page cache. Raises OSError."""
        start = index * PIECE_BYTES
        if not self._read_from <= start < self._read_to:
            first = start - start % _READ_BYTES
            self._read_from = self._read_to = 0  # nothing is there if the read fails
            length = self._fill(first)
            self._read_from, self._read_to = first, first + length
        place = start - self._read_from
        return bytes(self._buffer[place : min(place + PIECE_BYTES, self._read_to - self._read_from)])

    def _fill(self, offset: int) -> int:
        try:
            return os.preadv(self._fd, [self._buffer], offset)
        except OSError as error:
            # Some file systems accept the flag at open() and refuse the read.
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            self._is_direct = False
            fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)
            return os.preadv(self._fd, [self._buffer], offset)

    def read_if_same(self, index: int) -> bytes | None:
        """Return the content of a piece; None, and forget the piece, if it does not have its digest any more."""
        try:
            content = self.read(index)
        except OSError:
            content = b""
        if content and hashlib.sha256(content).digest() == self.digest(index):
            return content
        self.forget(index)
        return None

    def clone_to(self, target: Path, clone: CloneFile = reflink) -> bool:
        """Create the file `target` with the same blocks on the disk, which costs nothing; later writes to it are its
        own. Return False, and create nothing, if the file system cannot do that. Raises OSError.
        """
        fd = os.open(target, _NEW_FLAGS, _MODE)
        try:
            clone(self._fd, fd)
        except OSError as error:
            target.unlink()
            if error.errno in _CANNOT_CLONE:
                return False
            raise
        finally:
            os.close(fd)
        return True


def lineage_of(record: EntryRecord) -> Lineage:
    """Return what a record says of its entry as a base, or as a new image."""
    return Lineage(
        image=record.image,
        name=record.image_name,
        family=record.image_family,
        format=record.format,
        cached_at=record.cached_at,
        is_corrupt=bool(record.fault),
    )


def _cached(records: EntryRecords) -> Iterator[Lineage]:
    try:
        entries = list(records.entries())
    except OSError:
        return
    with records.reader() as read:
        for entry in entries:
            record = read(entry)
            if record is not None:
                yield lineage_of(record)
