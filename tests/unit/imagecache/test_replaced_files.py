"""A user who may write to the directory replaces names in it while root works there: no other file is changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from precache.core.errors import CacheUnusable, DiskRefused, DiskUnreadable
from precache.imagecache.cache import ImageCache
from precache.imagecache.disks.overlay import Base, create_overlay, inspect_base
from precache.imagecache.entry_lock import EntryLocks
from precache.imagecache.publish import publish
from precache.imagecache.qemu_img import QemuImg
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.staging import Fetched, Staging
from tests.unit.imagecache.conftest import ENTRY, IMAGE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOVA = 65534


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("root:x")
    path.chmod(0o600)
    return path


@pytest.fixture
def novas(tmp_path: Path) -> Path:
    path = tmp_path / "novas"
    path.mkdir()
    if os.geteuid() == 0:
        os.chown(path, NOVA, NOVA)
    return path


def traces(path: Path) -> tuple[object, ...]:
    found = path.stat()
    return path.read_bytes(), found.st_mode, found.st_uid, found.st_mtime_ns


@pytest.mark.parametrize("replace", [os.symlink, os.link])
def test_publish_changes_no_file_that_was_put_in_the_place_of_the_temporary_one(
    novas: Path, secret: Path, replace: Callable[[Path, Path], None]
) -> None:
    temporary = Staging(novas, ENTRY).path("raw")
    replace(secret, temporary)
    before = traces(secret)

    with pytest.raises(FileExistsError, match="another process replaced this file"):
        publish(temporary, novas / ENTRY, NOW)

    assert traces(secret) == before
    assert not (novas / ENTRY).exists()


def test_publish_is_not_blocked_by_a_pipe(novas: Path) -> None:
    temporary = Staging(novas, ENTRY).path("raw")
    os.mkfifo(temporary)

    with pytest.raises(FileExistsError):
        publish(temporary, novas / ENTRY, NOW)


def test_an_entry_that_was_replaced_while_it_was_fetched_is_an_error_of_the_cache(
    cache: ImageCache, secret: Path
) -> None:
    before = traces(secret)

    def produce(staging: Staging) -> Fetched:
        staging.path("raw").symlink_to(secret)
        return Fetched(staging.path("raw"), EntryRecord(image=IMAGE))

    with pytest.raises(CacheUnusable, match="another process replaced this file"):
        cache.ensure(IMAGE, produce)
    assert traces(secret) == before


@pytest.mark.parametrize("name", [f"nova-{ENTRY}"])
def test_a_lock_file_that_is_a_link_is_refused_and_its_target_unchanged(
    cache: ImageCache, secret: Path, name: str
) -> None:
    (cache.locks.directory / name).symlink_to(secret)
    before = traces(secret)

    with pytest.raises(CacheUnusable, match="symbolic link"), cache.locks.hold_if_free(ENTRY):
        pass

    assert traces(secret) == before


def test_a_lock_file_that_links_to_nothing_makes_no_file_elsewhere(cache: ImageCache, tmp_path: Path) -> None:
    (cache.locks.directory / f"nova-{ENTRY}").symlink_to(tmp_path / "new")

    with pytest.raises(CacheUnusable), cache.locks.hold_if_free(ENTRY):
        pass

    assert not (tmp_path / "new").exists()


def test_an_overlay_is_written_through_its_descriptor_whatever_becomes_of_its_name(
    novas: Path, secret: Path, tmp_path: Path
) -> None:
    before = traces(secret)

    class ReplacedJustBefore(QemuImg):
        def run(self, command: Sequence[str], **needs: Any) -> str:
            (draft,) = novas.iterdir()
            draft.unlink()
            draft.symlink_to(secret)
            return super().run(command, **needs)

    with pytest.raises(DiskRefused):
        create_overlay(Base(tmp_path / ENTRY, "raw", 1 << 20), novas / "vm.qcow2", 1 << 20, ReplacedJustBefore())

    assert traces(secret) == before
    assert list(novas.iterdir()) == []


def test_no_disk_is_made_on_an_entry_that_is_a_link(novas: Path, secret: Path) -> None:
    (novas / ENTRY).symlink_to(secret)

    with pytest.raises(DiskUnreadable, match="is a symbolic link"):
        inspect_base(novas / ENTRY, force_raw=True)


def test_orphans_are_removed_only_if_their_own_lock_is_free(cache: ImageCache, clock: object) -> None:
    """Nova's cleaner removes the entry's lock file, so two processes can believe that they hold it."""
    staging = Staging(cache.directory, ENTRY)
    with staging.alive():
        staging.path("download").write_bytes(b"half")

        cache.start()

        assert staging.path("download").exists()
    cache.start()
    assert not any(path.name.startswith(ENTRY) for path in cache.directory.iterdir())


def test_a_filling_whose_lock_file_was_removed_before_it_was_locked_takes_another(
    cache: ImageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = Staging(cache.directory, ENTRY)
    flock, calls = fcntl.flock, []

    def removed_before(fd: int, operation: int) -> None:
        if not calls:
            staging.path("lock").unlink()
        calls.append(fd)
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)

    with staging.alive():
        assert staging.path("lock").exists()
    assert len(calls) == 2


def test_locks_are_still_those_that_exclude_each_other(cache: ImageCache, clock: object) -> None:
    again = EntryLocks(directory=cache.locks.directory, clock=cache.locks._clock)

    with cache.locks.hold_if_free(ENTRY) as first, again.hold_if_free(ENTRY) as second:
        assert (first, second) == (True, False)
