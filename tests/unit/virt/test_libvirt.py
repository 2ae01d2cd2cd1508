"""What is special about libvirt hosts: Nova's images_type, and who owns the cache."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.images_memory import MemoryImages
from precache.core.cache_contents import ImageSize
from precache.core.cache_entries import Removal
from precache.core.errors import CacheUnusable, ImageNotCached
from precache.core.images import Image, ImageId
from precache.core.jobs import Outcome, Phase
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.pins import Pin
from precache.core.sizes import NOTHING, DiskAmount
from precache.fetch.fetcher import Fetcher
from precache.fetch.rate_limits import RateLimit, RateLimits
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.space.disk_usage import disk_size
from precache.imagecache.staging import EntryFetcher, Fetched, Staging
from precache.ports.domain_disks import DiskFile
from precache.ports.progress import Watcher
from precache.rules.expiry import ExpiryLimits
from precache.virt.libvirt import LibvirtDriver
from precache.virt.setup import Cleaning, HostSetup, LocalCache

OTHER = ImageId("70a599e0-31e7-49b7-b260-868f441e862b")
IMAGE = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")


class OneByte:
    """The port `EntryFetcher`; counts."""

    def __init__(self) -> None:
        self.fetched = 0

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        self.fetched += 1
        path = staging.path("raw")
        path.write_bytes(b"1")
        return Fetched(path, EntryRecord(image=order.image), decoded_by="qemu-img")


class DecodingWatch:
    """The ports `Watcher` and `DecodingWatcher`; stores what has decoded images."""

    def __init__(self) -> None:
        self.decoders: list[str] = []

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        """Ignore the progress."""

    def note_decoder(self, decoded_by: str) -> None:
        self.decoders.append(decoded_by)


class NoDomains:
    """The port `DomainDisks` of a libvirt without guests."""

    def files(self) -> list[DiskFile]:
        return []


def nobody(phase: Phase, bytes_done: int, bytes_total: int) -> None:
    """Watch nothing."""


def build(
    root: Path,
    fetcher: EntryFetcher,
    images_type: str = "default",
    cleaning: Cleaning | None = None,
    reserve: DiskAmount = NOTHING,
    host: str = "host1",
) -> LibvirtDriver:
    setup = HostSetup(
        host=host,
        local_cache=LocalCache(root, reserve=reserve),
        fetcher=fetcher,
        clock=MemoryClock(),
        options={"images_type": images_type},
        cleaning=cleaning,
    )
    return LibvirtDriver.build_with(setup, NoDomains())


@pytest.mark.parametrize("images_type", ["default", "qcow2", "raw", "flat", "lvm", "ploop"])
def test_an_image_goes_where_nova_looks_for_it(tmp_path: Path, images_type: str) -> None:
    driver = build(tmp_path, OneByte(), images_type)
    driver.start()

    driver.cache_image(ImageOrder(IMAGE), nobody)

    assert (tmp_path / "_base" / "f2d1a8250ed3d4b744a8250dab8f6840179d502a").read_bytes() == b"1"


@pytest.mark.parametrize("is_pinned", [False, True])
def test_the_record_of_an_entry_that_nova_has_removed_goes_at_the_next_pass(tmp_path: Path, is_pinned: bool) -> None:
    driver = build(tmp_path, OneByte())
    driver.start()
    driver.cache_image(ImageOrder(IMAGE), nobody)
    if is_pinned:
        driver.pin_image(IMAGE, Pin("job:1", None), lambda: None)
    entry = tmp_path / "_base" / "f2d1a8250ed3d4b744a8250dab8f6840179d502a"
    entry.unlink()

    missing = driver.touch_pinned()

    assert entry.with_name(f"{entry.name}.precache").exists() is is_pinned
    assert (tmp_path / "locks" / f"nova-{entry.name}").exists() is is_pinned
    assert list(missing) == ([IMAGE] if is_pinned else [])


def test_the_disks_of_an_entry_are_listed_once_they_were_looked_for(tmp_path: Path) -> None:
    driver = build(tmp_path, OneByte())
    driver.start()
    driver.cache_image(ImageOrder(IMAGE), nobody)

    before = driver.list_cache()
    driver.share_cache()
    after = driver.list_cache()

    assert [entry.disks for entry in (*before.entries, *after.entries)] == [None, 0]


def test_a_kernel_goes_where_nova_looks_for_it_as_it_is(tmp_path: Path) -> None:
    kernel = b"MZ" + bytes(508) + b"\x55\xaa" + os.urandom(5000)
    record = Image(id=IMAGE, name="kernel", status="active", disk_format="aki", size_bytes=len(kernel))
    fetcher = Fetcher(images=MemoryImages(images={IMAGE: (record, kernel)}), clock=MemoryClock())
    driver = build(tmp_path, fetcher)
    driver.start()

    driver.cache_image(ImageOrder(IMAGE, OrderOptions(as_is=True)), nobody)

    path = tmp_path / "_base" / "f2d1a8250ed3d4b744a8250dab8f6840179d502a"
    assert path.read_bytes() == kernel
    # A hole takes no space; no disk is used for the other image.
    held = driver.describe_cache([ImageSize(IMAGE), ImageSize(OTHER)]).held_bytes
    assert held == {IMAGE: path.stat().st_blocks * 512}


def test_a_description_counts_what_is_promised_to_other_images_and_the_reserve(tmp_path: Path) -> None:
    data, told = os.urandom(3 << 20), []
    record = Image(id=IMAGE, name="web", status="active", disk_format="raw", size_bytes=len(data))
    fetcher = Fetcher(images=MemoryImages(images={IMAGE: (record, data)}), clock=MemoryClock())
    driver = build(tmp_path, fetcher, reserve=DiskAmount(percent=2.5))
    driver.start()

    def watch(phase: Phase, bytes_done: int, bytes_total: int) -> None:
        told.extend(driver.describe_cache([ImageSize(image, 1000)]) for image in (OTHER, IMAGE))

    driver.cache_image(ImageOrder(IMAGE), watch)

    of_other, of_the_image_itself = max(told[::2], key=lambda each: each.promised_bytes), told[1::2]
    assert of_other.promised_bytes == len(data)
    assert {each.promised_bytes for each in of_the_image_itself} == {0}
    assert {each.reserve_bytes for each in told} == {disk_size(tmp_path).total_bytes // 40}


@pytest.mark.parametrize(("images_type", "reason"), [("rbd", "Ceph"), ("vault", "not known")])
def test_a_host_that_does_not_boot_from_the_cache_is_unsupported_and_fetches_nothing(
    tmp_path: Path, images_type: str, reason: str
) -> None:
    fetcher = OneByte()
    driver = build(tmp_path, fetcher, images_type)
    driver.start()

    with pytest.raises(NotImplementedError, match=reason):
        driver.cache_image(ImageOrder(IMAGE), nobody)

    assert fetcher.fetched == 0
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    fetcher = OneByte()
    driver = build(tmp_path, fetcher)
    driver.start()

    driver.cache_image(ImageOrder(IMAGE), nobody)
    driver.cache_image(ImageOrder(IMAGE), nobody)

    assert fetcher.fetched == 1


def test_what_has_decoded_an_image_is_told_once_and_not_when_the_image_is_there(tmp_path: Path) -> None:
    driver, watch = build(tmp_path, OneByte()), DecodingWatch()
    driver.start()

    for _ in range(2):
        driver.cache_image(ImageOrder(IMAGE), watch)

    assert watch.decoders == ["qemu-img"]


def test_a_cache_that_another_owns_is_not_cleaned(tmp_path: Path) -> None:
    driver = build(tmp_path, OneByte(), cleaning=None)
    driver.start()
    driver.cache_image(ImageOrder(IMAGE), nobody)

    driver.clean_cache()

    assert driver.cache_image(ImageOrder(IMAGE), nobody) is False


def test_a_cache_that_precache_owns_is_cleaned(tmp_path: Path) -> None:
    now = timedelta()
    driver = build(tmp_path, OneByte(), cleaning=Cleaning(ExpiryLimits(original=now, resized=now)))
    driver.start()
    driver.cache_image(ImageOrder(IMAGE), nobody)

    driver.share_cache()
    driver.clean_cache()  # the first pass removes nothing
    driver.clean_cache()

    assert driver.cache_image(ImageOrder(IMAGE), nobody) is True


def test_a_cache_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "_base").write_text("in the way")

    with pytest.raises(CacheUnusable, match="_base"):
        build(tmp_path, OneByte()).start()


def test_the_rate_limit_of_a_job_as_it_is_now_applies_to_a_verification(tmp_path: Path) -> None:
    clock, rates, file = MemoryClock(), RateLimits(), tmp_path / "_base" / "f2d1a8250ed3d4b744a8250dab8f6840179d502a"
    setup = HostSetup(host="h", local_cache=LocalCache(tmp_path), fetcher=OneByte(), clock=clock, rates=rates)
    driver = LibvirtDriver.build_with(setup, NoDomains())
    driver.start()
    file.write_bytes(b"1" * (10 << 20))
    began, order = clock.now(), ImageOrder(IMAGE, OrderOptions(rate_limit_bytes_per_s=1 << 20))

    by_order = driver.verify_image(order, nobody)
    took = clock.now() - began
    with rates.applied(IMAGE, RateLimit(lambda: None)):
        by_job = driver.verify_image(order, nobody)

    assert (by_order.outcome, by_job.outcome) == (Outcome.UNVERIFIABLE, Outcome.INTACT)
    assert timedelta(seconds=9) <= took <= timedelta(seconds=11)
    assert clock.now() - began == took


def test_a_corrupt_copy_makes_room_for_an_image(tmp_path: Path) -> None:
    class Large(OneByte):
        def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
            assert staging.make_room is not None
            assert staging.make_room(1) > 0
            return super().fetch(order, staging, watch)

    driver = build(tmp_path, Large())
    driver.start()
    corrupt = tmp_path / "_base" / f"{'0' * 40}.corrupt-20260101T000000Z"
    corrupt.write_bytes(b"1" * 4096)

    assert driver.cache_image(ImageOrder(IMAGE), nobody) is True
    assert not corrupt.exists()


def test_an_entry_that_its_record_contradicts_is_fetched_again_and_not_pinned(tmp_path: Path) -> None:
    fetcher = OneByte()
    driver = build(tmp_path, fetcher)
    driver.start()
    driver.cache_image(ImageOrder(IMAGE), nobody)
    entry = tmp_path / "_base" / "f2d1a8250ed3d4b744a8250dab8f6840179d502a"
    record = EntryRecord(image=IMAGE, digest="tree-sha256:" + "0" * 64, size_bytes=2_000_000)
    LocalCache(tmp_path).open(MemoryClock()).records.write(record)

    with pytest.raises(ImageNotCached):
        driver.pin_image(IMAGE, Pin("job:1"), lambda: None)
    entry.symlink_to("/etc/passwd")
    LocalCache(tmp_path).open(MemoryClock()).records.write(record)

    assert driver.cache_image(ImageOrder(IMAGE), nobody) is True
    assert (fetcher.fetched, entry.is_symlink(), entry.read_bytes()) == (2, False, b"1")


def test_a_start_tells_again_what_was_moved_aside_and_whose_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = build(tmp_path, OneByte())
    driver.start()
    driver.cache_image(ImageOrder(IMAGE), nobody)
    entry = tmp_path / "_base" / "f2d1a8250ed3d4b744a8250dab8f6840179d502a"
    moved = entry.rename(entry.with_name(f"{entry.name}.corrupt-20260101T000000Z"))  # and then the process died

    local_cache, clock = LocalCache(tmp_path), MemoryClock()
    setup = HostSetup(host="host1", local_cache=local_cache, fetcher=OneByte(), clock=clock)
    LibvirtDriver.build_with(setup, NoDomains()).start()

    (removal,) = local_cache.open(clock).removals.recent()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert removal == Removal(entry.name, IMAGE, at, f"corrupt; it was moved to {moved}")
    assert str(moved) in caplog.text


@pytest.mark.parametrize("is_known", [True, False])
def test_of_the_hosts_that_share_a_cache_one_restores_what_is_gone_and_each_does_if_sharers_are_unknown(
    tmp_path: Path, is_known: bool
) -> None:
    hosts = [build(tmp_path, OneByte(), host=name) for name in ("host1", "host2")]
    for driver in hosts:
        driver.start()
        driver.share_cache()
    hosts[1].cache_image(ImageOrder(IMAGE), nobody)
    hosts[1].pin_image(IMAGE, Pin("job:1"), lambda: None)
    (tmp_path / "_base" / "f2d1a8250ed3d4b744a8250dab8f6840179d502a").unlink()
    if not is_known:
        shutil.rmtree(tmp_path / "_base" / ".precache-sharers")

    assert [list(driver.touch_pinned()) for driver in hosts] == [[IMAGE], [] if is_known else [IMAGE]]
