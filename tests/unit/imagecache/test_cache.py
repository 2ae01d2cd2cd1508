"""A name in the cache means complete content, made once, used from now on; failures leave nothing."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.clock_system import SystemClock
from precache.core.errors import CacheUnusable, DigestMismatch, ImageNotCached, NotEnoughSpace, Stopped
from precache.imagecache.cache import ImageCache
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.staging import Fetched, Staging
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.conftest import ENTRY, IMAGE, RECORD

FILLER = f"""
def produce(staging):
    say("filling")
    path = staging.path("download")
    path.write_text("half")
    staging.path("raw").write_text("more")
    say("written")
    hear()
    return Fetched(path, EntryRecord(image=ImageId("{IMAGE}")))
say(cache.ensure(ImageId("{IMAGE}"), produce))
"""

SECOND_FILLER = f"""
def produce(staging):
    say("a second download")
    raise SystemExit
def wait():
    say("waiting")
    hear()
say(cache.ensure(ImageId("{IMAGE}"), produce, wait))
"""


def write(content: bytes) -> Callable[[Staging], Fetched]:
    def produce(staging: Staging) -> Fetched:
        path = staging.path("download")
        path.write_bytes(content)
        return Fetched(path, EntryRecord(image=IMAGE))

    return produce


def fail_with(error: BaseException) -> Callable[[Staging], Fetched]:
    def produce(staging: Staging) -> Fetched:
        staging.path("download").write_bytes(b"half")
        staging.path("raw").write_bytes(b"a quarter")
        raise error

    return produce


def never(staging: Staging) -> Fetched:
    raise AssertionError("the entry was there, yet somebody fetched it")


def names(cache: ImageCache) -> list[str]:
    return sorted(path.name for path in cache.directory.iterdir())


def test_an_absent_entry_is_made_under_its_name_and_nothing_else_stays(cache: ImageCache) -> None:
    def produce(staging: Staging) -> Fetched:
        download, entry = staging.path("download"), staging.path("raw")
        download.write_bytes(b"compressed")
        entry.write_bytes(b"content")
        return Fetched(entry, EntryRecord(image=IMAGE))

    made = cache.ensure(IMAGE, produce)

    assert made
    assert names(cache) == [ENTRY, RECORD]
    assert cache.path_of(IMAGE).read_bytes() == b"content"


def test_a_present_entry_is_touched_and_not_made_again(cache: ImageCache, clock: MemoryClock) -> None:
    cache.ensure(IMAGE, write(b"content"))
    clock.advance(timedelta(days=2))

    made = cache.ensure(IMAGE, never)

    assert not made
    assert cache.path_of(IMAGE).stat().st_mtime == clock.now().timestamp()


def test_expiry_counts_from_the_publication_even_if_the_data_is_old(cache: ImageCache, clock: MemoryClock) -> None:
    def produce(staging: Staging) -> Fetched:
        fetched = write(b"content")(staging)
        os.utime(fetched.entry, (0, 0))
        return fetched

    cache.ensure(IMAGE, produce)

    assert cache.path_of(IMAGE).stat().st_mtime == clock.now().timestamp()


def test_an_entry_is_readable_for_qemu_however_the_temporary_file_was_made(cache: ImageCache) -> None:
    def produce(staging: Staging) -> Fetched:
        fetched = write(b"content")(staging)
        fetched.entry.chmod(0o600)
        return fetched

    cache.ensure(IMAGE, produce)

    assert cache.path_of(IMAGE).stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_entries_and_directories_to_the_owner_of_the_directory_above(tmp_path: Path) -> None:
    os.chown(tmp_path, 42436, 107)
    cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=MemoryClock())

    cache.start()
    cache.ensure(IMAGE, write(b"content"))

    for path in (cache.directory, cache.locks.directory, cache.path_of(IMAGE)):
        assert (path.stat().st_uid, path.stat().st_gid) == (42436, 107), path


@pytest.mark.parametrize(
    "error", [DigestMismatch(IMAGE, "sha512:1", "sha512:2"), Stopped("It"), KeyboardInterrupt(), ValueError("a bug")]
)
def test_a_failure_passes_on_and_leaves_no_file(cache: ImageCache, error: BaseException) -> None:
    with pytest.raises(type(error)):
        cache.ensure(IMAGE, fail_with(error))

    assert names(cache) == []


def test_a_failed_entry_can_be_made_afterwards(cache: ImageCache) -> None:
    with pytest.raises(ValueError, match="a bug"):
        cache.ensure(IMAGE, fail_with(ValueError("a bug")))

    assert cache.ensure(IMAGE, write(b"content"))


def test_a_disk_that_runs_full_is_reported_with_image_place_and_advice(cache: ImageCache) -> None:
    with pytest.raises(NotEnoughSpace) as caught:
        cache.ensure(IMAGE, fail_with(OSError(errno.ENOSPC, "No space left on device")))

    assert names(cache) == []
    assert IMAGE in str(caught.value)
    assert str(cache.directory) in str(caught.value)
    assert "free some space" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EROFS, "mount it for writing"),
        (errno.EACCES, "run the compute as the owner"),
        (errno.EIO, "check it before anything else"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_an_error_of_the_disk_says_what_to_do(cache: ImageCache, number: int, advice: str) -> None:
    with pytest.raises(CacheUnusable, match=advice):
        cache.ensure(IMAGE, fail_with(OSError(number, os.strerror(number), "some file")))


def test_a_missing_cache_directory_is_reported(cache: ImageCache) -> None:
    cache.directory.rmdir()

    with pytest.raises(CacheUnusable, match="does not exist; create or mount it"):
        cache.ensure(IMAGE, write(b"content"))


def test_a_file_in_the_place_of_the_cache_directory_is_reported_at_start(tmp_path: Path) -> None:
    (tmp_path / "_base").write_text("not a directory")
    cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=MemoryClock())

    with pytest.raises(CacheUnusable, match="in the way"):
        cache.start()


def test_a_directory_in_the_place_of_an_entry_is_reported(cache: ImageCache) -> None:
    cache.path_of(IMAGE).mkdir()

    with pytest.raises(CacheUnusable, match="move it elsewhere"):
        cache.ensure(IMAGE, never)


def test_an_empty_entry_is_filled_again(cache: ImageCache) -> None:
    cache.path_of(IMAGE).touch()

    assert cache.ensure(IMAGE, write(b"content"))
    assert cache.path_of(IMAGE).read_bytes() == b"content"


@pytest.mark.parametrize("kind", ["pipe", "device", "link to nothing"])
def test_what_no_guest_can_boot_from_in_the_place_of_an_entry_is_replaced(cache: ImageCache, kind: str) -> None:
    path = cache.path_of(IMAGE)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to nothing":
        path.symlink_to(path.with_name("nothing"))
    elif os.geteuid() == 0:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    else:
        pytest.skip("only root can make devices")

    assert cache.ensure(IMAGE, write(b"content"))
    assert (path.is_symlink(), path.read_bytes()) == (False, b"content")


def test_an_entry_that_is_a_symbolic_link_counts_as_present_with_a_warning(
    cache: ImageCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"content")
    os.utime(target, (7, 7))
    cache.path_of(IMAGE).symlink_to(target)

    assert not cache.ensure(IMAGE, never)
    assert f"The entry {cache.path_of(IMAGE)} is a symbolic link: the expiry of its target" in caplog.text
    assert target.stat().st_mtime == 7


def test_two_processes_that_ask_at_once_make_the_entry_once(cache: ImageCache, tmp_path: Path) -> None:
    with another_process(tmp_path, FILLER) as first:
        assert [first.hear(), first.hear()] == ["filling", "written"]
        with another_process(tmp_path, SECOND_FILLER) as second:
            assert second.hear() == "waiting"

            first.say("go on")
            assert first.hear() == "True"
            second.say("go on")
            answer = second.hear()

    assert answer == "False"
    assert names(cache) == [ENTRY, RECORD]


def test_many_threads_that_ask_at_once_make_the_entry_once(tmp_path: Path) -> None:
    cache = ImageCache(directory=tmp_path / "_base", locks_directory=tmp_path / "locks", clock=SystemClock())
    cache.start()
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(cache.ensure(IMAGE, write(b"content")))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [False] * 7 + [True]


def test_what_a_killed_filler_left_is_gone_after_the_next_start(cache: ImageCache, tmp_path: Path) -> None:
    with another_process(tmp_path, FILLER) as filler:
        assert [filler.hear(), filler.hear()] == ["filling", "written"]
        filler.kill()
    left = names(cache)

    cache.start()

    assert len(left) == 3
    assert names(cache) == []


def test_a_start_leaves_the_files_of_a_live_filler_alone(cache: ImageCache, tmp_path: Path) -> None:
    with another_process(tmp_path, FILLER) as filler:
        assert [filler.hear(), filler.hear()] == ["filling", "written"]

        cache.start()
        filler.say("go on")

        assert filler.hear() == "True"
    assert names(cache) == [ENTRY, RECORD]


def test_a_start_removes_no_foreign_files(cache: ImageCache) -> None:
    foreign = [ENTRY, f"{ENTRY}.part", f"{ENTRY}.converted", f"{ENTRY}_20", "swap_512", "notes.precache-1"]
    for name in foreign:
        (cache.directory / name).write_text("foreign")

    cache.start()

    assert names(cache) == sorted(foreign)


def test_an_entry_in_use_has_its_lock_held(cache: ImageCache) -> None:
    cache.ensure(IMAGE, write(b"content"))

    def consume(path: Path) -> bool:
        with cache.locks.hold_if_free(path.name) as is_held:
            return is_held

    assert cache.use(IMAGE, consume) is False


def test_an_absent_entry_cannot_be_used(cache: ImageCache) -> None:
    with pytest.raises(ImageNotCached, match=IMAGE):
        cache.use(IMAGE, lambda path: path)
