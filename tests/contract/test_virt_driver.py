"""The contract of the port `VirtDriver`, for every driver that can cache."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_system import SystemClock
from precache.core.cache_cleaning import CleanRequest
from precache.core.cache_contents import CacheContents, ImageSize
from precache.core.cache_entries import EntryState, entry_name
from precache.core.errors import ImageNotCached, PrecacheError, Stopped, UnsafeImage
from precache.core.images import ImageId
from precache.core.jobs import Outcome, Phase
from precache.core.operation_result import OperationResult
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.core.stopping import StopReason
from precache.imagecache.kept_downloads import KeptDownloads
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.staging import Fetched, Staging
from precache.ports.progress import Watcher
from precache.ports.virt_driver import VirtDriver
from precache.rules.expiry import ExpiryLimits
from precache.virt.fake import FakeDriver
from precache.virt.libvirt import LibvirtDriver
from precache.virt.setup import Cleaning, HostSetup, LocalCache
from tests.contract.volume_driver import VolumeDriver

IMAGE = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")
OTHER = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")
BAD = ImageId("00000000-0000-4000-8000-000000000bad")
SIZE_BYTES = 4096

Driver = Callable[[timedelta], VirtDriver]


class SmallImages:
    """The port `EntryFetcher`: every image is a few zeros, except the bad one."""

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        watch(Phase.DOWNLOADING, 0, SIZE_BYTES)
        path = staging.path("download")
        path.write_bytes(bytes(SIZE_BYTES // 2))
        watch(Phase.DOWNLOADING, SIZE_BYTES // 2, SIZE_BYTES)
        if order.image == BAD:
            raise UnsafeImage(order.image, "Image does not pass safety check")
        path.write_bytes(bytes(SIZE_BYTES))
        watch(Phase.PUBLISHING, SIZE_BYTES, SIZE_BYTES)
        return Fetched(path, EntryRecord(image=order.image))

    def space_needed(self, images: Iterable[ImageSize], kept: KeptDownloads) -> int:
        return sum(image.size_bytes or 0 for image in images)

    def offer_cached(self, order: ImageOrder, entry: Path, record: EntryRecord | None) -> None:
        raise NotImplementedError


@dataclass
class Seen:
    """The port `Watcher`: stores the progress, and stops the transfer when `stop_at` bytes have arrived."""

    stop_at: int | None = None
    keeps_data: bool = False
    reports: list[tuple[Phase, int, int]] = field(default_factory=list)

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self.reports.append((phase, bytes_done, bytes_total))
        if self.stop_at is not None and bytes_done >= self.stop_at:
            raise Stopped("The transfer", StopReason.PAUSED, self.keeps_data)


@pytest.fixture(params=[LibvirtDriver, FakeDriver, VolumeDriver])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    """Build the driver of a host on which an unused image expires after the given time."""

    def build(limit: timedelta = timedelta(days=1)) -> VirtDriver:
        setup = HostSetup(
            host="host1",
            local_cache=LocalCache(tmp_path, minimum_age=limit),
            fetcher=SmallImages(),
            clock=SystemClock(),
            cleaning=Cleaning(ExpiryLimits(original=limit, resized=limit)),
            options={"size_bytes": str(SIZE_BYTES), "failing_images": BAD},
        )
        driver: VirtDriver = request.param.build(setup)
        driver.start()
        driver.share_cache()
        return driver

    return build


DAY = timedelta(days=1)


def test_an_image_is_fetched_the_first_time_and_found_the_second(driver: Driver) -> None:
    host = driver(DAY)

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is True
    assert host.cache_image(ImageOrder(IMAGE), Seen()) is False


def test_a_kernel_is_cached_like_any_image(driver: Driver) -> None:
    host, kernel = driver(DAY), ImageOrder(IMAGE, OrderOptions(as_is=True))

    assert host.cache_image(kernel, Seen()) is True
    assert host.cache_image(kernel, Seen()) is False
    assert host.cache_image(ImageOrder(IMAGE), Seen()) is False


def test_images_are_cached_independently(driver: Driver) -> None:
    host = driver(DAY)
    host.cache_image(ImageOrder(IMAGE), Seen())

    assert host.cache_image(ImageOrder(OTHER), Seen()) is True


def test_a_fetch_is_watched_up_to_its_last_byte(driver: Driver) -> None:
    seen = Seen()

    driver(DAY).cache_image(ImageOrder(IMAGE), seen)

    done = [bytes_done for _, bytes_done, _ in seen.reports]
    assert done == sorted(done)
    assert seen.reports[0] == (Phase.DOWNLOADING, 0, SIZE_BYTES)
    assert seen.reports[-1][1:] == (SIZE_BYTES, SIZE_BYTES)


def test_an_image_that_is_there_moves_no_byte(driver: Driver) -> None:
    host = driver(DAY)
    host.cache_image(ImageOrder(IMAGE), Seen())
    seen = Seen()

    host.cache_image(ImageOrder(IMAGE), seen)

    assert seen.reports == []


def test_a_failed_fetch_raises_one_of_our_errors_and_leaves_the_image_absent(driver: Driver) -> None:
    host = driver(DAY)

    for _ in range(2):
        with pytest.raises(PrecacheError, match=BAD):
            host.cache_image(ImageOrder(BAD), Seen())


@pytest.mark.parametrize("keeps_data", [False, True])
def test_a_stopped_fetch_leaves_the_image_absent(driver: Driver, keeps_data: bool) -> None:
    host = driver(DAY)

    with pytest.raises(Stopped):
        host.cache_image(ImageOrder(IMAGE), Seen(stop_at=SIZE_BYTES // 2, keeps_data=keeps_data))

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is True


def test_requests_at_once_for_one_image_fetch_it_once(driver: Driver) -> None:
    host = driver(DAY)
    fetched: list[bool] = []
    threads = [
        threading.Thread(target=lambda: fetched.append(host.cache_image(ImageOrder(IMAGE), Seen()))) for _ in range(6)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(fetched) == [False] * 5 + [True]


def test_a_request_that_waits_for_another_can_be_stopped(driver: Driver) -> None:
    host = driver(DAY)
    outcomes: list[str] = []

    def stop_while_waiting(phase: Phase, bytes_done: int, bytes_total: int) -> None:
        raise Stopped(f"The request, which was {phase},")

    def ask_too(phase: Phase, bytes_done: int, bytes_total: int) -> None:
        if bytes_done == 0:
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()

    def ask() -> None:
        try:
            host.cache_image(ImageOrder(IMAGE), stop_while_waiting)
        except Stopped as error:
            outcomes.append(str(error))

    assert host.cache_image(ImageOrder(IMAGE), ask_too) is True
    assert outcomes == ["The request, which was waiting, was stopped before it ended"]


def test_what_is_cached_is_listed_with_its_pins(driver: Driver) -> None:
    host, pin = driver(DAY), Pin("job:1", None)
    nothing = host.list_cache()
    for image in (IMAGE, OTHER):
        host.cache_image(ImageOrder(image), Seen())
    host.pin_image(OTHER, pin, lambda: None)

    listing = host.list_cache()

    assert nothing.entries == ()
    assert {(entry.entry, entry.image, entry.size_bytes, entry.state, entry.pins) for entry in listing.entries} == {
        (entry_name(IMAGE), IMAGE, SIZE_BYTES, EntryState.PRESENT, ()),
        (entry_name(OTHER), OTHER, SIZE_BYTES, EntryState.PRESENT, (pin,)),
    }
    assert listing.space.total_bytes > listing.space.free_bytes


def test_a_pass_over_the_cache_keeps_what_is_young(driver: Driver) -> None:
    host = driver(DAY)
    host.cache_image(ImageOrder(IMAGE), Seen())

    host.clean_cache()

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is False


def test_a_pass_over_the_cache_removes_what_is_old_and_unused(driver: Driver) -> None:
    host = driver(timedelta())
    host.cache_image(ImageOrder(IMAGE), Seen())
    host.clean_cache()  # the first pass after a start may only look

    host.clean_cache()

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is True


def never() -> None:
    raise AssertionError("nothing uses the image")


def pin(by: str = "job:1", hours: int | None = None) -> Pin:
    return Pin(by, None if hours is None else SystemClock().now() + timedelta(hours=hours))


@pytest.mark.parametrize("first", [pin(), pin(hours=1), pin("job:2", hours=-1)])
def test_a_pass_over_the_cache_keeps_what_is_pinned_while_any_pin_counts(driver: Driver, first: Pin) -> None:
    host = driver(timedelta())
    host.cache_image(ImageOrder(IMAGE), Seen())
    host.pin_image(IMAGE, first, never)
    host.pin_image(IMAGE, pin("job:3", hours=1), never)
    host.clean_cache()

    assert list(host.touch_pinned()) == []
    host.clean_cache()

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is False


def test_an_image_whose_pins_are_over_is_removed_as_all_others(driver: Driver) -> None:
    host = driver(timedelta())
    host.cache_image(ImageOrder(IMAGE), Seen())
    host.pin_image(IMAGE, pin(), never)
    host.pin_image(IMAGE, pin(hours=-1), never)  # by the same job
    host.touch_pinned()
    host.clean_cache()

    host.clean_cache()

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is True


def test_an_image_that_is_unpinned_is_removed_as_all_others(driver: Driver) -> None:
    host = driver(timedelta())
    host.cache_image(ImageOrder(IMAGE), Seen())
    for by in ("job:1", "job:2"):
        host.pin_image(IMAGE, pin(by), never)

    outcomes = [host.unpin_image(IMAGE, never).outcome for _ in range(2)]
    for _ in range(2):
        host.clean_cache()

    assert outcomes == [Outcome.UNPINNED, Outcome.ABSENT]
    assert host.cache_image(ImageOrder(IMAGE), Seen()) is True


def test_an_image_that_is_not_cached_cannot_be_pinned(driver: Driver) -> None:
    with pytest.raises(ImageNotCached):
        driver(DAY).pin_image(IMAGE, pin(), never)


def test_a_pass_over_an_empty_cache_is_harmless(driver: Driver) -> None:
    driver(DAY).clean_cache()


def test_a_second_start_keeps_the_cache(driver: Driver) -> None:
    host = driver(DAY)
    host.cache_image(ImageOrder(IMAGE), Seen())

    host.start()

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is False


def test_a_driver_has_a_name(driver: Driver) -> None:
    assert driver(DAY).name.isidentifier()


def test_an_image_is_verified_when_it_is_cached_and_absent_before(driver: Driver) -> None:
    host, seen = driver(DAY), Seen()
    before = host.verify_image(ImageOrder(IMAGE), seen)
    reports_before = list(seen.reports)
    host.cache_image(ImageOrder(IMAGE), Seen())

    result = host.verify_image(ImageOrder(IMAGE), seen)

    assert before == OperationResult(Outcome.ABSENT)
    assert reports_before == []
    assert result.outcome in (Outcome.INTACT, Outcome.UNVERIFIABLE)
    assert seen.reports[0] == (Phase.VERIFYING, 0, SIZE_BYTES)
    assert seen.reports[-1] == (Phase.VERIFYING, SIZE_BYTES, SIZE_BYTES)
    assert host.cache_image(ImageOrder(IMAGE), Seen()) is False


def test_a_verification_can_be_stopped_and_the_image_stays(driver: Driver) -> None:
    host = driver(DAY)
    host.cache_image(ImageOrder(IMAGE), Seen())

    with pytest.raises(Stopped):
        host.verify_image(ImageOrder(IMAGE), Seen(stop_at=0))

    assert host.cache_image(ImageOrder(IMAGE), Seen()) is False


def test_each_image_is_due_to_be_verified_once_within_the_interval(driver: Driver) -> None:
    host = driver(DAY)
    for image in (IMAGE, OTHER):
        host.cache_image(ImageOrder(image), Seen())

    due = [host.verify_due(DAY, lambda: 10**9, Seen()) for _ in range(3)]

    assert sorted(filter(None, due)) in ([], sorted([IMAGE, OTHER]))  # [] if the driver does not record what it caches
    assert due[-1] is None


def test_a_purged_image_is_fetched_again_by_the_next_request(driver: Driver) -> None:
    host = driver(DAY)
    for image in (IMAGE, OTHER):
        host.cache_image(ImageOrder(image), Seen())

    purged, absent = (host.purge_image(ImageOrder(IMAGE), Seen()).outcome for _ in range(2))

    assert (purged, absent) == (Outcome.PURGED, Outcome.ABSENT)
    assert described(host).held == {OTHER}
    assert host.cache_image(ImageOrder(IMAGE), Seen()) is True


def test_a_pinned_image_is_purged_only_if_the_order_says_so(driver: Driver) -> None:
    host = driver(DAY)
    host.cache_image(ImageOrder(IMAGE), Seen())
    host.pin_image(IMAGE, pin(), never)

    refused = host.purge_image(ImageOrder(IMAGE), Seen())
    held = described(host).held
    purged = host.purge_image(ImageOrder(IMAGE, OrderOptions(even_pinned=True)), Seen())

    assert refused.outcome is Outcome.ERROR
    assert "even_pinned" in refused.reason
    assert held == {IMAGE}
    assert purged.outcome is Outcome.PURGED


def test_a_purge_waits_for_a_fetch_and_can_be_stopped_meanwhile(driver: Driver) -> None:
    host = driver(DAY)
    phases: list[Phase] = []

    def stop(phase: Phase, bytes_done: int, bytes_total: int) -> None:
        phases.append(phase)
        raise Stopped("The purge")

    def purge() -> None:
        with pytest.raises(Stopped):
            host.purge_image(ImageOrder(IMAGE), stop)

    def purge_too(phase: Phase, bytes_done: int, bytes_total: int) -> None:
        if bytes_done == 0:
            thread = threading.Thread(target=purge)
            thread.start()
            thread.join()

    assert host.cache_image(ImageOrder(IMAGE), purge_too) is True
    assert phases == [Phase.WAITING]
    assert described(host).held == {IMAGE}


def described(host: VirtDriver) -> CacheContents:
    return host.describe_cache([ImageSize(IMAGE, SIZE_BYTES), ImageSize(OTHER, SIZE_BYTES)])


def test_an_image_is_described_as_held_once_it_is_cached(driver: Driver) -> None:
    host = driver(DAY)
    before = described(host)

    host.cache_image(ImageOrder(IMAGE), Seen())

    assert before.held == frozenset()
    after = described(host)
    assert after.held == {IMAGE}
    assert after.held_bytes in ({}, {IMAGE: SIZE_BYTES})  # not every driver knows it


def test_an_image_whose_fetch_failed_or_still_runs_is_not_described_as_held(driver: Driver) -> None:
    host = driver(DAY)
    during: list[CacheContents] = []
    with pytest.raises(PrecacheError):
        host.cache_image(ImageOrder(BAD), Seen())

    host.cache_image(ImageOrder(IMAGE), lambda *_: during.append(described(host)))

    assert host.describe_cache([ImageSize(BAD)]).held == frozenset()
    assert [contents.held for contents in during] == [frozenset()] * len(during) != []


def test_the_space_of_the_missing_images_is_described_if_the_driver_knows_it(driver: Driver) -> None:
    host = driver(DAY)
    host.cache_image(ImageOrder(OTHER), Seen())

    contents = described(host)

    assert contents.needed_bytes in (None, SIZE_BYTES)
    assert (contents.free_bytes is None) == (contents.needed_bytes is None)
    assert not contents.lacks_space


def test_a_description_restarts_no_expiry(driver: Driver) -> None:
    host = driver(timedelta())
    host.cache_image(ImageOrder(IMAGE), Seen())
    host.clean_cache()  # the first pass after a start may only look

    described(host)
    host.clean_cache()

    assert described(host).held == frozenset()


def test_a_host_names_the_same_cache_each_time(driver):
    host = driver()

    assert host.share_cache() == host.share_cache()


def test_on_request_what_is_unused_and_not_pinned_goes_and_a_dry_run_changes_nothing(driver: Driver) -> None:
    host = driver(DAY)
    for image in (IMAGE, OTHER):
        host.cache_image(ImageOrder(image), Seen())
    host.pin_image(OTHER, Pin("job:1"), lambda: None)

    by_policy = host.clean_now(CleanRequest())
    tried = host.clean_now(CleanRequest(is_dry_run=True, everything=True))
    held = described(host).held
    done = host.clean_now(CleanRequest(everything=True))

    assert [entry.image for entry in by_policy.removed] == []
    assert [entry.image for entry in tried.removed] == [entry.image for entry in done.removed] == [IMAGE]
    assert [entry.image for entry in done.kept] == [OTHER]
    assert held == {IMAGE, OTHER}
    assert described(host).held == {OTHER}
