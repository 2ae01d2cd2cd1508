"""Whether an image fits into the free space of a disk, and what the refusal says."""

import errno

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.adapters.clock_memory import MemoryClock
from precache.core.errors import NotEnoughSpace
from precache.core.free_space import FreeSpace
from precache.core.images import Image, ImageId
from precache.core.sizes import DiskAmount
from precache.fetch.space import SpaceCheck
from precache.imagecache.space.disk_usage import DiskSize
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.rules.space import FileSizes

IMAGE = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")
ENTRY = "e" * 40
MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def new_check(tmp_path):
    """Return a function that makes the check of one fetch."""

    def make(size_bytes, free_bytes, result_bytes=0, *, reserves_whole_disk=True, **parts):
        make_room = parts.pop("make_room", None)
        ledger = SpaceLedger(
            directory=tmp_path,
            clock=MemoryClock(),
            disk_size=lambda _: DiskSize(100 * GIB, free_bytes() if callable(free_bytes) else free_bytes),
            **parts,
        )
        return SpaceCheck(
            image=Image(id=IMAGE, name="", status="active", disk_format="raw", size_bytes=size_bytes),
            ledger=ledger,
            promise=stack.enter(ledger.promise(ENTRY, str(len(stack)), make_room)),
            sizes=FileSizes(size_bytes, result_bytes),
            reserves_whole_disk=reserves_whole_disk,
        )

    class Promises(list):
        def enter(self, promise):
            self.append(promise)
            return promise.__enter__()

    stack = Promises()
    yield make
    for promise in stack:
        promise.__exit__(None, None, None)


def test_download_and_result_exist_at_once(new_check):
    with pytest.raises(NotEnoughSpace):
        new_check(3, 6, 4).admit()

    new_check(3, 7, 4).admit()


def test_an_exact_fit_is_enough(new_check):
    new_check(10, 10).admit()


def test_without_a_reserve_for_the_disk_inside_only_the_download_must_fit(new_check):
    new_check(3, 3, 4, reserves_whole_disk=False).admit()


def test_what_has_arrived_already_needs_no_more_space(new_check):
    checked = new_check(10, 7)

    with pytest.raises(NotEnoughSpace):
        checked.admit_result(5, arrived_bytes=7)
    checked.admit_result(5, arrived_bytes=8)


def test_what_needs_nothing_more_fits_on_a_full_disk(new_check):
    new_check(10, 0, reserve=DiskAmount(percent=5)).admit(kept_bytes=10)


def test_a_promise_that_does_not_grow_is_not_refused(new_check):
    free = [10]
    checked = new_check(3, lambda: free[0], 7)
    checked.admit()
    free[0] = 5  # of which guests have taken a half since then

    checked.admit_result(7, arrived_bytes=0)
    with pytest.raises(NotEnoughSpace):
        checked.admit_result(8, arrived_bytes=0)


def test_what_does_not_fit_asks_once_for_room(new_check):
    free, asked = [2 * MIB], []

    def make_room(missing_bytes):
        asked.append(missing_bytes)
        free[0] += missing_bytes
        return missing_bytes

    parts = {"make_room": make_room, "reserve": DiskAmount(MIB)}
    new_check(4 * MIB, lambda: free[0], **parts).admit()
    assert asked == [3 * MIB]

    with pytest.raises(NotEnoughSpace):
        new_check(MIB, 0, make_room=lambda missing_bytes: 0).admit()


TENTH = GIB // 10

REFUSALS = [
    (
        124 * TENTH,
        FreeSpace(91 * TENTH),
        "needs 12.4 GiB, 9.1 GiB free; free some space in /c or move the cache to a larger disk",
    ),
    (
        124 * TENTH,
        FreeSpace(91 * TENTH, 2 * GIB, 2),
        "needs 12.4 GiB, 9.1 GiB free, 2.0 GiB of it promised to 2 other images; free",
    ),
    (GIB, FreeSpace(MIB, GIB, 1), "needs 1.0 GiB, 1.0 MiB free, 1.0 GiB promised to 1 other image; free"),
    (
        GIB,
        FreeSpace(4 * GIB, GIB, 1, 3 * GIB),
        "needs 1.0 GiB, 4.0 GiB free, 1.0 GiB of it promised to 1 other image, "
        "3.0 GiB of it reserved for guests ([image_cache] reserve_bytes); free",
    ),
    (
        GIB,
        FreeSpace(4 * GIB, 0, 0, 4 * GIB, "evict_below_free"),
        "needs 1.0 GiB, 4.0 GiB free, 4.0 GiB of it reserved ([image_cache] evict_below_free); free",
    ),
    # Without the reserve it would not fit either.
    (GIB, FreeSpace(MIB, 0, 0, GIB), "needs 1.0 GiB, 1.0 MiB free; free"),
]


@pytest.mark.parametrize(("needed_bytes", "space", "text"), REFUSALS)
def test_a_refusal_says_what_is_needed_and_why_the_free_space_is_too_little(needed_bytes, space, text):
    refusal = NotEnoughSpace(IMAGE, space, "/c", needed_bytes=needed_bytes)

    assert f"Image {IMAGE}: {text}" in str(refusal)
    assert (refusal.needed_bytes, refusal.free_bytes) == (needed_bytes, space.free_bytes)
    assert refusal.may_pass


def test_a_disk_that_became_full_is_described_without_the_own_promise(new_check):
    checked = new_check(10, 12)
    checked.admit()
    checked._promise.end()

    failure = checked.failure(OSError(errno.ENOSPC, "full"), written_bytes=4)

    assert failure.needed_bytes is None
    assert "became full after 4 B of it had been written (something else took its space); 12 B are free" in str(failure)


@given(needed=st.integers(1, 2**60), free=st.integers(0, 2**60), reserve=st.integers(0, 2**59))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_admits_more_than_is_free_beside_the_reserve(new_check, needed, free, reserve):
    checked = new_check(needed, free, reserve=DiskAmount(reserve))
    try:
        checked.admit()
    except NotEnoughSpace:
        assert needed + reserve > free
    else:
        assert needed + reserve <= free
        checked._promise.end()
