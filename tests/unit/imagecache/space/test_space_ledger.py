"""What fetches have promised to write to a disk, over threads, processes and directories."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import CacheUnusable
from precache.core.free_space import FreeSpace
from precache.core.sizes import DiskAmount
from precache.imagecache.space.disk_usage import DiskSize, allocated_by
from precache.imagecache.space.ledger_disk import LEDGER_LOCK
from precache.imagecache.space.space_ledger import MakeRoom, Promise, SpaceLedger
from precache.imagecache.staging import Staging
from tests.unit.imagecache.another_process import another_process

BLOCK = 1 << 16
CAPACITY = 100 * BLOCK
RESERVE = 10 * BLOCK


class SmallDisk:
    """A directory that counts as a disk: what its files occupy is not free."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.ledger = SpaceLedger(
            directory=directory, clock=MemoryClock(), reserve=DiskAmount(RESERVE), disk_size=self._size
        )

    def used(self) -> int:
        return sum(allocated_by(path) for path in self._data())

    def _data(self) -> list[Path]:
        return [path for path in self.directory.iterdir() if path.name.endswith(("-download", "-raw", ".entry"))]

    def _size(self, _directory: Path) -> DiskSize:
        return DiskSize(CAPACITY, CAPACITY - self.used())


def fill(path: Path, blocks: int) -> None:
    """Make the file so long; its blocks are on the disk when this returns."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        if blocks:
            os.posix_fallocate(fd, 0, blocks * BLOCK)
    finally:
        os.close(fd)


class Fetch:
    """One that promises first, and then writes."""

    def __init__(self, disk: SmallDisk, number: int, make_room: MakeRoom | None = None) -> None:
        self.disk, self.staging = disk, Staging(disk.directory, f"{number:040x}")
        self._stack = ExitStack()
        self.promise: Promise = self._stack.enter_context(
            disk.ledger.promise(self.staging.entry, self.staging.token, make_room)
        )

    def begin(self, download: int, result: int = 0) -> FreeSpace | None:
        return self.promise.set({"download": download * BLOCK, "raw": result * BLOCK})

    def write(self, kind: str, blocks: int) -> None:
        """Make the file so long."""
        fill(self.staging.path(kind), blocks)

    def end(self) -> None:
        self._stack.close()

    def kill(self) -> None:
        """Release what the kernel releases when the process is killed; every file stays."""
        file = self.promise._file
        fd, file._fd = file._fd, None
        if fd is not None:
            os.close(fd)


@pytest.fixture
def disk(tmp_path: Path) -> SmallDisk:
    return SmallDisk(tmp_path / "_base")


def promised(disk: SmallDisk) -> tuple[float, int]:
    space = disk.ledger.free_space()
    return space.promised_bytes / BLOCK, space.promised_images


def test_two_images_that_fit_alone_are_not_both_admitted(disk: SmallDisk) -> None:
    one, other = Fetch(disk, 1), Fetch(disk, 2)

    assert one.begin(30, 20) is None
    assert other.begin(41) == FreeSpace(CAPACITY, 50 * BLOCK, 1, RESERVE)
    assert promised(disk) == (50, 1)
    one.end()
    assert other.begin(41) is None


def test_what_has_been_written_counts_no_more_for_each_file_alone(disk: SmallDisk) -> None:
    fetch = Fetch(disk, 1)
    fetch.begin(30, 20)

    fetch.write("download", 12)
    assert promised(disk) == (38, 1)
    fetch.write("download", 35)  # longer than the image service said
    assert promised(disk) == (20, 1)
    fetch.write("raw", 20)
    assert promised(disk) == (0, 0)


def test_a_file_that_is_there_at_first_is_not_taken_for_what_was_promised(disk: SmallDisk) -> None:
    fetch = Fetch(disk, 1)
    fetch.write("download", 12)

    fetch.begin(30)
    assert promised(disk) == (30, 1)
    fetch.staging.path("download").unlink()
    assert promised(disk) == (42, 1)


def test_a_refused_growth_leaves_the_promise_as_it_was(disk: SmallDisk) -> None:
    one, other = Fetch(disk, 1), Fetch(disk, 2)
    one.begin(30)
    other.begin(40)

    assert one.begin(30, 21) == FreeSpace(CAPACITY, 40 * BLOCK, 1, RESERVE)
    assert promised(disk) == (70, 2)
    assert one.begin(30, 20) is None
    assert promised(disk) == (90, 2)


def test_room_is_made_for_one_image_at_a_time(disk: SmallDisk) -> None:
    """Of two at once, one would promise itself the room that was made for the other, which would then be refused."""
    entries = [disk.directory / f"{number}.entry" for number in range(4)]
    for path in entries:
        fill(path, 20)
    both_make_room = threading.Barrier(2, timeout=0.2)

    def make_room(missing_bytes: int) -> int:
        with suppress(threading.BrokenBarrierError):
            both_make_room.wait()
        count = -(-missing_bytes // (20 * BLOCK))
        for _ in range(count):
            entries.pop().unlink()
        return count * 20 * BLOCK

    fetches = [Fetch(disk, number, make_room) for number in range(2)]
    refusals: list[FreeSpace | None] = []
    threads = [
        threading.Thread(target=lambda fetch: refusals.append(fetch.begin(30)), args=(each,)) for each in fetches
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refusals == [None, None]
    assert len(entries) == 1
    assert promised(disk) == (60, 2)


def test_images_of_other_directories_on_the_same_disk_count(disk: SmallDisk, tmp_path: Path) -> None:
    other = SmallDisk(tmp_path / "other" / "_base")
    fetch = Fetch(other, 1)
    fetch.begin(30)

    assert promised(disk) == (30, 1)
    shutil.rmtree(other.directory)
    assert promised(disk) == (0, 0)


def test_an_image_does_not_count_for_itself(disk: SmallDisk) -> None:
    fetch = Fetch(disk, 1)
    fetch.begin(30)

    assert disk.ledger.free_space(without={fetch.staging.entry}).promised_bytes == 0


def test_another_process_sees_a_promise_which_ends_when_the_process_is_killed(disk: SmallDisk) -> None:
    program = """
        with cache.ledger.promise("e" * 40, "token") as promise:
            promise.set({"download": 30 << 16})
            say("promised")
            hear()
    """
    with another_process(disk.directory.parent, program) as other:
        assert other.hear() == "promised"
        assert promised(disk) == (30, 1)
        assert Fetch(disk, 1).begin(61) is not None
        other.kill()

    assert promised(disk) == (0, 0)
    assert [path.name for path in disk.directory.iterdir()] == [
        Staging(disk.directory, "e" * 40, "token").path("promise").name
    ]


def test_promises_of_two_processes_are_made_one_after_the_other(disk: SmallDisk) -> None:
    program = """
        with cache.ledger.disk.exclusively():
            say("alone")
            hear()
        say("done")
    """
    fetch = Fetch(disk, 1)
    with another_process(disk.directory.parent, program) as other:
        assert other.hear() == "alone"
        with pytest.raises(CacheUnusable, match=f"another process has held .*{LEDGER_LOCK} for 10 s"):
            fetch.begin(1)
        other.say("go on")
        assert other.hear() == "done"

    assert fetch.begin(1) is None
    assert not (disk.directory / LEDGER_LOCK).exists()


def test_the_space_of_a_cache_counts_each_file_once_and_no_holes(disk: SmallDisk) -> None:
    fetch = Fetch(disk, 1)
    fetch.write("download", 12)
    os.link(fetch.staging.path("download"), disk.directory / f"{fetch.staging.entry}.precache-kept-data")
    with (disk.directory / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    fetch.begin(30)

    space = disk.ledger.cache_space()

    own_files = 2 * BLOCK  # the promise is a small file
    assert 12 * BLOCK <= space.used_bytes < 12 * BLOCK + own_files
    assert (space.total_bytes, space.free_bytes) == (CAPACITY, CAPACITY - 12 * BLOCK)
    assert (space.promised_bytes, space.reserve_bytes) == (30 * BLOCK, RESERVE)


def test_a_lock_that_a_killed_process_left_does_not_matter(disk: SmallDisk) -> None:
    (disk.directory / LEDGER_LOCK).touch()

    assert Fetch(disk, 1).begin(1) is None
    assert not (disk.directory / LEDGER_LOCK).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"files": {"raw": 7}}',
        b'{"files": {"raw": ["x", 1]}}',
        b'{"files": {"raw": [Infinity, 1]}}',
        b"\xff" * 600,
    ],
)
def test_a_file_that_is_no_promise_counts_as_none(disk: SmallDisk, content: bytes) -> None:
    fetch = Fetch(disk, 1)
    fetch.begin(30)
    fetch.staging.path("promise").write_bytes(content)

    assert promised(disk) == (0, 0)


class LedgerMachine(RuleBasedStateMachine):
    """Fetches begin, write, grow, end and are killed in any order."""

    fetches = Bundle("fetches")

    def __init__(self) -> None:
        super().__init__()
        self.disk = SmallDisk(Path(tempfile.mkdtemp(prefix="ledger-")) / "_base")
        self.left: dict[Fetch, dict[str, int]] = {}
        self.written: dict[Fetch, dict[str, int]] = {}
        self.number = 0

    def teardown(self) -> None:
        for fetch in self.left:
            fetch.end()
        shutil.rmtree(self.disk.directory.parent)

    @rule(target=fetches, download=st.integers(0, 60), result=st.integers(0, 60))
    def begin(self, download: int, result: int) -> Fetch:
        self.number += 1
        fetch = Fetch(self.disk, self.number)
        self.left[fetch], self.written[fetch] = {"download": 0, "raw": 0}, {"download": 0, "raw": 0}
        self.promise(fetch, download, result)
        return fetch

    @rule(fetch=fetches, download=st.integers(0, 60), result=st.integers(0, 60))
    def promise(self, fetch: Fetch, download: int, result: int) -> None:
        needed, own = download + result, sum(self.left[fetch].values())
        others = sum(sum(left.values()) for left in self.left.values()) - own
        free = CAPACITY // BLOCK - self.disk.used() // BLOCK

        refused = fetch.begin(download, result)

        assert (refused is None) == (needed <= own or needed + others + RESERVE // BLOCK <= free)
        if refused is None:
            self.left[fetch] = {"download": download, "raw": result}

    @rule(fetch=fetches, kind=st.sampled_from(["download", "raw"]), blocks=st.integers(0, 60))
    def write(self, fetch: Fetch, kind: str, blocks: int) -> None:
        blocks = min(blocks, self.left[fetch][kind])
        self.left[fetch][kind] -= blocks
        self.written[fetch][kind] += blocks
        fetch.write(kind, self.written[fetch][kind])

    @rule(fetch=consumes(fetches), publishes=st.booleans())
    def end(self, fetch: Fetch, publishes: bool) -> None:
        fetch.end()
        if publishes and fetch.staging.path("raw").exists():
            fetch.staging.path("raw").rename(self.disk.directory / f"{fetch.staging.entry}.entry")
        fetch.staging.discard()
        del self.left[fetch]

    @rule(fetch=consumes(fetches))
    def kill(self, fetch: Fetch) -> None:
        fetch.kill()
        del self.left[fetch]

    @invariant()
    def the_sum_is_right(self) -> None:
        sums = [sum(left.values()) for left in self.left.values()]
        assert promised(self.disk) == (sum(sums), len([count for count in sums if count]))

    @invariant()
    def nothing_is_promised_that_is_not_there(self) -> None:
        assert sum(sum(left.values()) for left in self.left.values()) * BLOCK <= CAPACITY - RESERVE - self.disk.used()


LedgerMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase


def test_threads_never_fill_the_disk_beyond_the_reserve(disk: SmallDisk) -> None:
    """Fetches of twice the disk, which end and free their space; whoever does not fit is refused and tries again."""
    most, refusals, guard, all_began = [0], [0], threading.Lock(), threading.Barrier(8, timeout=20)

    def run(number: int) -> None:
        chance = random.Random(number)
        for turn in range(8):
            fetch = Fetch(disk, 100 * number + turn)
            download, result = chance.randint(1, 25), chance.randint(0, 25)
            is_admitted = fetch.begin(download, result) is None
            if turn == 0:
                all_began.wait()
            if is_admitted:
                for kind, blocks in (("download", download), ("raw", result)):
                    fetch.write(kind, blocks // 2)
                    fetch.write(kind, blocks)
                with guard:
                    most[0] = max(most[0], disk.used())
            else:
                with guard:
                    refusals[0] += 1
            fetch.end()
            fetch.staging.discard()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 0 < most[0] <= CAPACITY - RESERVE
    assert refusals[0] > 0
    assert promised(disk) == (0, 0)
    assert list(disk.directory.iterdir()) == []
