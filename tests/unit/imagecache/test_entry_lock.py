"""The lock must exclude nova-compute, other processes and other threads, and survive Nova's habit of unlinking it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import CacheUnusable, Stopped
from precache.imagecache.cache import ImageCache
from precache.imagecache.entry_lock import EntryLocks
from tests.unit.imagecache.another_process import another_process
from tests.unit.imagecache.conftest import ENTRY

HOLDER = f"""
with cache.locks.hold("{ENTRY}", lambda: None):
    say("held")
    hear()
say("free")
hear()
"""

ATTEMPT = f"""
with cache.locks.hold_if_free("{ENTRY}") as is_held:
    say(is_held)
"""

NOVA = """
import sys
from oslo_concurrency import lockutils
with lockutils.lock(sys.argv[2], lock_file_prefix="nova", external=True, lock_path=sys.argv[1], blocking=False):
    print("held", flush=True)
    sys.stdin.readline()
"""


def never() -> None:
    raise AssertionError("the lock was free, yet somebody waited for it")


def test_a_lock_held_by_another_process_cannot_be_had(cache: ImageCache, tmp_path: Path) -> None:
    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"

        with cache.locks.hold_if_free(ENTRY) as is_held:
            assert not is_held


def test_a_lock_is_free_again_once_its_holder_is_killed(cache: ImageCache, tmp_path: Path) -> None:
    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"
        holder.kill()

    with cache.locks.hold_if_free(ENTRY) as is_held:
        assert is_held


def test_a_waiter_gets_the_lock_when_the_other_process_lets_go(cache: ImageCache, tmp_path: Path) -> None:
    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"
        waits: list[str] = []

        def let_go() -> None:
            holder.say("let go")
            waits.append(holder.hear())

        with cache.locks.hold(ENTRY, let_go):
            assert waits == ["free"]


def test_nova_cannot_take_a_lock_that_precache_holds(cache: ImageCache) -> None:
    with cache.locks.hold(ENTRY, never):
        nova = subprocess.run(
            [sys.executable, "-c", NOVA, str(cache.locks.directory), ENTRY], capture_output=True, text=True, input="\n"
        )

    assert nova.stdout == ""
    assert "Failed to acquire the lock" in nova.stderr


def test_precache_cannot_take_a_lock_that_nova_holds(cache: ImageCache) -> None:
    command = [sys.executable, "-c", NOVA, str(cache.locks.directory), ENTRY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nova:
        try:
            assert nova.stdout is not None
            assert nova.stdout.readline() == "held\n"

            with cache.locks.hold_if_free(ENTRY) as is_held:
                assert not is_held
        finally:
            nova.kill()


def test_two_caches_of_one_process_exclude_each_other_on_one_directory(cache: ImageCache, tmp_path: Path) -> None:
    link = tmp_path / "the same locks by another path"
    link.symlink_to(cache.locks.directory)
    other = EntryLocks(directory=link, clock=MemoryClock())

    with cache.locks.hold(ENTRY, never), other.hold_if_free(ENTRY) as is_held:
        assert not is_held


def test_a_failed_attempt_in_one_thread_does_not_drop_the_lock_of_another(cache: ImageCache, tmp_path: Path) -> None:
    # Closing any descriptor of the file would give the process's record lock up.
    def try_in_thread() -> None:
        with cache.locks.hold_if_free(ENTRY):
            pass

    with cache.locks.hold(ENTRY, never):
        thread = threading.Thread(target=try_in_thread)
        thread.start()
        thread.join()

        with another_process(tmp_path, ATTEMPT) as other:
            assert other.hear() == "False"


def test_a_lock_file_unlinked_during_the_wait_does_not_count_as_the_lock(cache: ImageCache, tmp_path: Path) -> None:
    path = cache.locks.directory / f"nova-{ENTRY}"
    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"

        def unlink_as_novas_cleaner_does() -> None:
            path.unlink()

        with cache.locks.hold(ENTRY, unlink_as_novas_cleaner_does), another_process(tmp_path, ATTEMPT) as third:
            assert third.hear() == "False"


def test_a_lock_file_replaced_between_open_and_lock_is_locked_again(cache: ImageCache, tmp_path: Path) -> None:
    path = cache.locks.directory / f"nova-{ENTRY}"
    stale = path.open("a")

    class Replacing(EntryLocks):
        """Nova's cleaner removes the file just after our open, once."""

        opened = 0

        def _open(self, entry: str) -> int:
            fd = super()._open(entry)
            self.opened += 1
            if self.opened == 1:
                path.unlink()
            return fd

    locks = Replacing(directory=cache.locks.directory, clock=MemoryClock())
    with locks.hold(ENTRY, never):
        in_force = path.stat().st_ino

    assert locks.opened == 2
    assert in_force != os.fstat(stale.fileno()).st_ino
    stale.close()


def test_a_wait_can_be_broken_off(cache: ImageCache, tmp_path: Path) -> None:
    def stop() -> None:
        raise Stopped("The wait")

    with another_process(tmp_path, HOLDER) as holder:
        assert holder.hear() == "held"

        with pytest.raises(Stopped), cache.locks.hold(ENTRY, stop):
            pytest.fail("the lock was not free")


def test_an_error_under_the_lock_frees_it(cache: ImageCache) -> None:
    with pytest.raises(ValueError, match="inside"), cache.locks.hold(ENTRY, never):
        raise ValueError("inside")

    with cache.locks.hold_if_free(ENTRY) as is_held:
        assert is_held


def test_the_lock_file_has_the_name_and_the_mode_that_nova_gives_it(cache: ImageCache) -> None:
    with cache.locks.hold(ENTRY, never):
        names = [path.name for path in cache.locks.directory.iterdir()]
        mode = (cache.locks.directory / names[0]).stat().st_mode & 0o777

    assert names == [f"nova-{ENTRY}"]
    assert mode == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_gives_the_lock_file_to_the_owner_of_the_directory(cache: ImageCache) -> None:
    os.chown(cache.locks.directory, 42436, 42436)

    with cache.locks.hold(ENTRY, never):
        found = (cache.locks.directory / f"nova-{ENTRY}").stat()

    assert (found.st_uid, found.st_gid) == (42436, 42436)


def test_a_missing_lock_directory_is_named(tmp_path: Path) -> None:
    locks = EntryLocks(directory=tmp_path / "locks", clock=MemoryClock())

    with pytest.raises(CacheUnusable, match="does not exist"), locks.hold(ENTRY, never):
        pytest.fail("there is nothing to lock")


def test_the_lock_covers_the_whole_file_and_nothing_else_holds_it_afterwards(cache: ImageCache, tmp_path: Path) -> None:
    with cache.locks.hold(ENTRY, never):
        pass

    with (cache.locks.directory / f"nova-{ENTRY}").open("a") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
