"""The digest of an entry's content, `<algorithm>:<hexadecimal>`.

`tree-sha256` is the SHA-256 over the SHA-256 of each piece of 64 KiB, in order; the last piece is hashed with its own
length. The digest of a piece of zeros is a constant, so a hole costs nearly nothing. The other algorithms are those of
image services. A file has the same digest whatever of it is a hole, and no hole is read.

The file is read past the page cache: guests need that memory, and what is to be checked is the disk.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path

TREE_SHA256 = "tree-sha256"

PIECE_BYTES = 64 << 10
"""A multiple of every file system's block. A part of the algorithm: with another size every record would be wrong."""

_READ_BYTES = 1 << 20  # enough for the full speed of a disk without read-ahead
_BLOCK_BYTES = 4096  # of a direct read: a multiple of the block of every disk
_ZERO_PIECE = bytes(PIECE_BYTES)
_ZERO_PIECE_DIGEST = hashlib.sha256(_ZERO_PIECE).digest()
_PIECES_OF_HOLE, _FEWER_PIECES = 1 << 14, 1 << 4  # between two calls of the watcher: at most some 10 ms
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_HOLES = frozenset({errno.EINVAL, errno.EOPNOTSUPP})

ReadWatcher = Callable[[int, int], None]
"""Called every few milliseconds with two numbers of bytes: how many from the start are hashed, and how many were read.

It may sleep, to limit the rate. What it raises ends the work."""


OnDigests = Callable[[bytes], object]
"""Called with the digests of the next pieces, of 32 bytes each, in order. What it raises ends the work."""


ReadAt = Callable[[int, list[memoryview], int], int]
"""os.preadv, or a replacement in tests."""


def _watch_nothing(hashed_bytes: int, read_bytes: int) -> None:
    """Let the work go on."""


def _keep_nothing(digests: bytes) -> None:
    """Need only the digest of the whole."""


def content_digest(path: Path, watch: ReadWatcher = _watch_nothing, *, algorithm: str = TREE_SHA256) -> str:
    """Return the digest of the file's content, such as `tree-sha256:...`.

    algorithm: `tree-sha256`, or a name of hashlib; ValueError for any other.
    The caller ensures that the file is not written meanwhile. Raises OSError; FileExistsError if it is not a file;
    what `watch` raises.
    """
    with ContentHash(path, watch, algorithm=algorithm) as content:
        return content.digest()


class ContentHash:
    """The digest of a file that is complete, or becomes complete part by part. Used by one thread.

    A context manager, which closes the file.
    """

    def __init__(
        self,
        path: Path,
        watch: ReadWatcher = _watch_nothing,
        *,
        algorithm: str = TREE_SHA256,
        read_at: ReadAt = os.preadv,
        on_digests: OnDigests = _keep_nothing,
    ) -> None:
        """Open the file. on_digests: called only with `tree-sha256`.

        Raises OSError; FileExistsError if it is not a file; ValueError for an unknown algorithm.
        """
        self._algorithm = algorithm
        self._is_tree = algorithm == TREE_SHA256
        self._hash = hashlib.sha256() if self._is_tree else hashlib.new(algorithm, usedforsecurity=False)
        self._path = path
        self._read_at = read_at
        self._watch, self._on_digests = watch, on_digests
        self._fd, self._is_direct = open_past_page_cache(path)
        self._buffer = memoryview(mmap.mmap(-1, _READ_BYTES))  # aligned, as direct reads require
        self._hashed_bytes = self._read_bytes = 0

    def __enter__(self) -> ContentHash:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def advance(self, end: int) -> None:
        """Hash all whole pieces before the byte `end`, which are written and do not change any more."""
        end = min(end, os.fstat(self._fd).st_size)
        end -= end % PIECE_BYTES
        while self._hashed_bytes < end:
            start, stop = self._next_data(end)
            self._skip(start)
            self._read(stop)

    def digest(self) -> str:
        """Hash what is left, and return the digest of the whole file."""
        size = os.fstat(self._fd).st_size
        self.advance(size)  # the last piece may be shorter
        if self._hashed_bytes < size:
            self._read(size)
        if os.fstat(self._fd).st_size != size:
            raise self._changed()  # beyond the new end there seems to be a hole
        return f"{self._algorithm}:{self._hash.hexdigest()}"

    @property
    def size_bytes(self) -> int:
        """Return the size of the file. Raises OSError."""
        return os.fstat(self._fd).st_size

    def is_at(self, path: Path) -> bool:
        """Return whether this file, and no other, has the path now. Raises OSError."""
        return os.path.samestat(path.lstat(), os.fstat(self._fd))

    def _next_data(self, end: int) -> tuple[int, int]:
        """Return the start and the end of the next pieces that are not all a hole; `end` twice if there are none."""
        try:
            data = os.lseek(self._fd, self._hashed_bytes, os.SEEK_DATA)
            hole = os.lseek(self._fd, data, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return end, end
            if error.errno not in _NO_HOLES:
                raise
            return self._hashed_bytes, end  # this file system does not know where holes are
        return min(data - data % PIECE_BYTES, end), min(_round_up(hole, PIECE_BYTES), end)

    def _skip(self, end: int) -> None:
        """Hash the hole up to `end`, a multiple of the piece, without reading it."""
        while self._hashed_bytes < end:
            count = min((end - self._hashed_bytes) // PIECE_BYTES, _PIECES_OF_HOLE if self._is_tree else _FEWER_PIECES)
            if self._is_tree:
                self._add_digests(_ZERO_PIECE_DIGEST * count)
            else:
                self._hash.update(_ZERO_PIECE * count)
            self._hashed_bytes += count * PIECE_BYTES
            self._watch(self._hashed_bytes, self._read_bytes)

    def _read(self, end: int) -> None:
        while self._hashed_bytes < end:
            count = min(_READ_BYTES, end - self._hashed_bytes)
            self._fill(count)
            self._update(self._buffer[:count])
            self._hashed_bytes += count
            self._read_bytes += count
            self._watch(self._hashed_bytes, self._read_bytes)

    def _update(self, content: memoryview) -> None:
        if not self._is_tree:
            self._hash.update(content)
            return
        pieces = range(0, len(content), PIECE_BYTES)
        self._add_digests(b"".join(hashlib.sha256(content[at : at + PIECE_BYTES]).digest() for at in pieces))

    def _add_digests(self, digests: bytes) -> None:
        self._hash.update(digests)
        self._on_digests(digests)

    def _fill(self, count: int) -> None:
        """Read the next `count` bytes into the buffer. Raises OSError if there are fewer."""
        filled = 0
        while filled < count:
            # A direct read has whole blocks; at the end of the file it returns less.
            view = self._buffer[filled : _round_up(count, _BLOCK_BYTES)]
            got = self._read_some(self._hashed_bytes + filled, view)
            if not got:
                raise self._changed()
            filled += got

    def _read_some(self, offset: int, view: memoryview) -> int:
        try:
            got = self._read_at(self._fd, [view], offset)
        except OSError as error:
            # Some file systems accept the flag at open() and refuse the read.
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            self._use_page_cache()
            got = self._read_at(self._fd, [view], offset)
        if not self._is_direct:
            os.posix_fadvise(self._fd, offset, got, os.POSIX_FADV_DONTNEED)
        return got

    def _changed(self) -> OSError:
        return OSError(None, "its size changed while it was read", str(self._path))

    def _use_page_cache(self) -> None:
        self._is_direct = False
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~os.O_DIRECT)


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def open_past_page_cache(path: Path) -> tuple[int, bool]:
    """Return a descriptor for reading, and whether it reads past the page cache.

    Raises OSError; FileExistsError if it is not a file.
    """
    try:
        fd, is_direct = os.open(path, _READ_FLAGS | os.O_DIRECT), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fd, is_direct = os.open(path, _READ_FLAGS), False
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileExistsError(None, "it is not a file", str(path))
    return fd, is_direct
