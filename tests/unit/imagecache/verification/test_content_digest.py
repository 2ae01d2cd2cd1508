"""The digest of an entry is of its bytes alone, whatever of the file is a hole, and reads no hole."""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import itertools
import mmap
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precache.imagecache.verification.content_digest import PIECE_BYTES, ContentHash, content_digest

RUNS = st.lists(
    st.tuples(st.sampled_from([b"\0", b"x", b"yz"]), st.sampled_from([1, 511, 4096, 65536, 65537, 1 << 20])),
    min_size=0,
    max_size=8,
).map(lambda runs: b"".join((bytes_ * count)[:count] for bytes_, count in runs))


def expected_of(content: bytes) -> str:
    pieces = [content[start : start + 65536] for start in range(0, len(content), 65536)]
    return "tree-sha256:" + hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).hexdigest()


def write_sparse(path: Path, content: bytes, grain: int) -> None:
    """Write the content, with a hole in the place of each zero grain."""
    with path.open("wb") as file:
        file.truncate(len(content))
        for start in range(0, len(content), grain):
            if any(content[start : start + grain]):
                os.pwrite(file.fileno(), content[start : start + grain], start)


@given(content=RUNS)
@settings(max_examples=60, deadline=None)
def test_the_digest_is_the_same_whatever_is_a_hole(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.mktemp("digest")
    (directory / "whole").write_bytes(content)
    write_sparse(directory / "fine", content, 4096)
    write_sparse(directory / "coarse", content, 1 << 18)

    found = {content_digest(directory / name) for name in ("whole", "fine", "coarse")}

    assert found == {expected_of(content)}
    for algorithm in ("sha512", "md5"):
        found = {content_digest(directory / name, algorithm=algorithm) for name in ("whole", "coarse")}
        assert found == {f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"}


def test_one_changed_byte_or_one_more_zero_gives_another_digest(tmp_path: Path) -> None:
    content = bytes(3 * PIECE_BYTES)
    changed = content[:100_000] + b"\1" + content[100_001:]

    found = []
    for each in (content, changed, content + b"\0", content[:-1]):
        (tmp_path / "file").write_bytes(each)
        found.append(content_digest(tmp_path / "file"))

    assert len(set(found)) == 4


def test_a_hole_is_not_read_and_the_watcher_sees_all_of_it(tmp_path: Path) -> None:
    size = 5 << 30
    seen: list[tuple[int, int]] = []
    with (tmp_path / "file").open("wb") as file:
        file.truncate(size)
        os.pwrite(file.fileno(), b"x", 3 << 30)

    content_digest(tmp_path / "file", lambda hashed, read: seen.append((hashed, read)))

    assert seen[-1] == (size, PIECE_BYTES)
    assert max(later[0] - earlier[0] for earlier, later in itertools.pairwise(seen)) <= 1 << 30


def test_what_the_watcher_raises_ends_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(3 << 20))
    seen: list[int] = []

    def stop(hashed: int, read: int) -> None:
        seen.append(hashed)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        content_digest(tmp_path / "file", stop)
    assert seen == [1 << 20]


def test_a_file_that_grows_part_by_part_has_the_digest_of_the_whole(tmp_path: Path) -> None:
    content = os.urandom(200_000) + bytes(300_000) + os.urandom(1_500_001)
    path = tmp_path / "file"
    with path.open("wb") as file, ContentHash(path) as growing:
        file.truncate(len(content))
        for start in range(0, len(content), 500_000):
            os.pwrite(file.fileno(), content[start : start + 500_000], start)
            growing.advance(start + 500_000)
        found = growing.digest()

    assert found == expected_of(content)


@pytest.mark.parametrize("content", [os.urandom(3 << 20), os.urandom(1 << 20) + bytes(2 << 20)])
def test_a_file_that_becomes_shorter_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    write_sparse(path, content, 1 << 20)

    with pytest.raises(OSError, match="size changed"):
        content_digest(path, lambda hashed, read: os.truncate(path, 1 << 20))


def test_the_reading_leaves_nothing_in_the_page_cache(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(4 << 20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    if in_page_cache(path):
        pytest.skip("this file system keeps its files in memory")

    content_digest(path)

    assert in_page_cache(path) == 0


def test_a_file_system_without_direct_reads_is_read_through_the_page_cache(tmp_path: Path) -> None:
    content = os.urandom(1_000_001)
    (tmp_path / "file").write_bytes(content)

    def read_at(fd: int, views: list[memoryview], offset: int) -> int:
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return os.preadv(fd, [views[0][:100_000]], offset)

    with ContentHash(tmp_path / "file", read_at=read_at) as hashed:
        found = hashed.digest()

    assert found == expected_of(content)


def test_an_unknown_algorithm_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")

    with pytest.raises(ValueError, match="crc32"):
        content_digest(tmp_path / "file", algorithm="crc32")


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "device"])
def test_anything_but_a_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "entry"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        (tmp_path / "file").write_bytes(b"x")
        path.symlink_to(tmp_path / "file")
    else:
        path = Path("/dev/zero")

    with pytest.raises(OSError, match=r"not a file|symbolic links"):
        content_digest(path)


def in_page_cache(path: Path) -> int:
    """Return how many pages of the file the kernel has in memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        pages = (ctypes.c_ubyte * (-(-len(mapped) // mmap.PAGESIZE)))()
        address = ctypes.addressof(anchor := ctypes.c_char.from_buffer(mapped))
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(mapped)), pages) == 0
        del anchor
    return sum(page & 1 for page in pages)
