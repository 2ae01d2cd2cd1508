"""The older image in a cache whose pieces are used again: found by the records, read, cloned, never changed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.images import ImageId, parse_image_id
from precache.imagecache.bases import Base, lineage_of, open_base
from precache.imagecache.names import entry_name
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.staging import Staging
from precache.imagecache.verification.content_digest import PIECE_BYTES

OLD, OLDER, NEW = (parse_image_id(f"00000000-0000-0000-0000-00000000000{digit}") for digit in "123")
CONTENT = os.urandom(PIECE_BYTES) + bytes(PIECE_BYTES) + os.urandom(1000)


@pytest.fixture
def records(tmp_path: Path) -> EntryRecords:
    return EntryRecords(directory=tmp_path, clock=MemoryClock())


def cache(directory: Path, records: EntryRecords, image: ImageId, **fields) -> Path:
    path = directory / entry_name(image)
    records.describe(
        EntryRecord(image=image, image_name="debian", format="raw", **fields), Staging(directory, path.name)
    )
    path.write_bytes(CONTENT)
    return path


def new(**fields) -> EntryRecord:
    return replace(EntryRecord(image=NEW, image_name="debian", format="raw"), **fields)


def test_the_base_is_found_by_its_record(tmp_path: Path, records: EntryRecords) -> None:
    cache(tmp_path, records, OLD, image_family="family")
    cache(tmp_path, records, OLDER)

    with open_base(tmp_path, records, lineage_of(new(image_name="", image_family="family"))) as base:
        assert base.image == OLD


def test_an_image_that_is_gone_is_no_base(tmp_path: Path, records: EntryRecords) -> None:
    cache(tmp_path, records, OLD)
    cache(tmp_path, records, OLDER).unlink()

    with open_base(tmp_path, records, lineage_of(new()), named=OLDER) as base:
        assert base.image == OLD


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_not_a_file_is_no_base(tmp_path: Path, records: EntryRecords, kind: str) -> None:
    path = cache(tmp_path, records, OLD)
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)

    assert open_base(tmp_path, records, lineage_of(new())) is None


def test_pieces_have_their_digests_and_content_after_the_entry_was_removed(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(CONTENT)
    with Base(OLD, tmp_path / "old") as base:
        base.hash(lambda: None)
        (tmp_path / "old").unlink()

        assert base.pieces == 3
        assert base.digest(0) == hashlib.sha256(CONTENT[:PIECE_BYTES]).digest()
        assert base.digest(1) == b""  # zeros
        assert base.digest(2) == hashlib.sha256(CONTENT[-1000:]).digest()
        assert base.digest(3) == b""
        assert base.read(0) + bytes(PIECE_BYTES) + base.read(2) == CONTENT
        base.forget(0)
        assert base.digest(0) == b""


def copy(source: int, target: int) -> None:
    with open(f"/proc/self/fd/{source}", "rb") as old, open(target, "wb", closefd=False) as file:
        shutil.copyfileobj(old, file)


def test_a_clone_has_the_content_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(CONTENT)
    with Base(OLD, tmp_path / "old") as base:
        assert base.clone_to(tmp_path / "new", copy)

    assert (tmp_path / "new").read_bytes() == CONTENT


def test_a_file_system_that_cannot_clone_leaves_no_file(tmp_path: Path) -> None:
    def refuse(_source: int, _target: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "")

    (tmp_path / "old").write_bytes(CONTENT)
    with Base(OLD, tmp_path / "old") as base:
        assert not base.clone_to(tmp_path / "new", refuse)

    assert not (tmp_path / "new").exists()


def test_the_kernel_clones_or_says_that_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(CONTENT)
    with Base(OLD, tmp_path / "old") as base:
        is_cloned = base.clone_to(tmp_path / "new")

    assert is_cloned == (tmp_path / "new").exists()
    if is_cloned:
        with (tmp_path / "new").open("r+b") as file:
            file.write(b"changed")
    assert (tmp_path / "old").read_bytes() == CONTENT
