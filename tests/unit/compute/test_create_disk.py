"""Disks on cache entries: right backing, right size, nothing overwritten, nothing left over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.compute.create_disk import CreateDisk
from precache.core.errors import (
    CachingUnsupported,
    DiskExists,
    DiskRefused,
    DiskTooSmall,
    DiskUnreadable,
    ImageNotCached,
    UnsafeImage,
)
from precache.core.images import ImageId
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.staging import Fetched, Staging
from precache.ports.progress import Watcher
from precache.ports.virt_driver import VirtDriver
from precache.sandbox import landlock
from precache.virt.libvirt import LibvirtDriver
from precache.virt.setup import HostSetup, LocalCache
from precache.virt.uncached import UncachedDriver

IMAGE = ImageId("155d900f-4e14-4e4c-a73d-069cbf4541e6")
MIB = 1 << 20


class Images:
    """The port `EntryFetcher`: one image of 2 MiB in the given format."""

    def __init__(self, disk_format: str, *options: str) -> None:
        self._arguments = ["-f", disk_format, *options]
        self.fetched = 0

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        self.fetched += 1
        path = staging.path("result")
        command = ["qemu-img", "create", "-q", *self._arguments, str(path), str(2 * MIB)]
        subprocess.run(command, check=True, capture_output=True)
        return Fetched(path, EntryRecord(image=order.image))


class Host:
    def __init__(self, root: Path, images: Images, *, force_raw: bool = True) -> None:
        clock = MemoryClock()
        setup = HostSetup(host="host1", local_cache=LocalCache(root / "instances"), fetcher=images, clock=clock)
        self.cache = setup.local_cache.open(clock)
        self.driver: VirtDriver = LibvirtDriver.build(setup)
        self.driver.start()
        self.create_disk = CreateDisk(driver=self.driver, cache=self.cache, clock=clock, force_raw=force_raw)


def nobody(phase: Phase, bytes_done: int, bytes_total: int) -> None:
    """Watch nothing."""


def info(path: Path) -> dict[str, Any]:
    out = subprocess.run(["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True).stdout
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_disk_is_a_qcow2_overlay_on_the_cache_entry_with_its_format_written_down(tmp_path: Path) -> None:
    host = Host(tmp_path, Images("raw"))

    disk = host.create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    found = info(tmp_path / "vm.qcow2")
    assert found["format"] == "qcow2"
    assert found["backing-filename"] == str(host.cache.path_of(IMAGE))
    assert found["backing-filename-format"] == "raw"
    assert found["virtual-size"] == disk.size_bytes == 2 * MIB
    assert disk.fetched


def test_a_second_disk_fetches_nothing(tmp_path: Path) -> None:
    images = Images("raw")
    host = Host(tmp_path, images)

    host.create_disk(IMAGE, tmp_path / "vm1.qcow2", None, nobody)
    second = host.create_disk(IMAGE, tmp_path / "vm2.qcow2", None, nobody)

    assert images.fetched == 1
    assert not second.fetched


def test_a_disk_may_be_larger_than_its_image(tmp_path: Path) -> None:
    Host(tmp_path, Images("raw")).create_disk(IMAGE, tmp_path / "vm.qcow2", 1 << 30, nobody)

    assert info(tmp_path / "vm.qcow2")["virtual-size"] == 1 << 30


def test_a_disk_smaller_than_its_image_is_refused_with_both_sizes(tmp_path: Path) -> None:
    host = Host(tmp_path, Images("raw"))

    with pytest.raises(DiskTooSmall) as caught:
        host.create_disk(IMAGE, tmp_path / "vm.qcow2", MIB, nobody)

    assert (caught.value.asked_bytes, caught.value.virtual_size_bytes) == (MIB, 2 * MIB)
    assert [path.name for path in tmp_path.iterdir()] == ["instances"]


def test_an_existing_file_is_not_changed_and_nothing_is_fetched(tmp_path: Path) -> None:
    images = Images("raw")
    (tmp_path / "vm.qcow2").write_text("precious")

    with pytest.raises(DiskExists, match="left as it is"):
        Host(tmp_path, images).create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    assert (tmp_path / "vm.qcow2").read_text() == "precious"
    assert images.fetched == 0


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    class Meanwhile(Images):
        def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
            (tmp_path / "vm.qcow2").write_text("precious")
            return super().fetch(order, staging, watch)

    with pytest.raises(DiskExists):
        Host(tmp_path, Meanwhile("raw")).create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    assert (tmp_path / "vm.qcow2").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".precache-directory", "instances", "vm.qcow2"]


@pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
def test_the_tool_that_makes_a_disk_can_write_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host, tool = Host(tmp_path, Images("raw")), tmp_path / "bin" / "qemu-img"
    host.create_disk(IMAGE, tmp_path / "first.qcow2", None, nobody)
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho more > {tmp_path}/elsewhere\nexec {shutil.which("qemu-img")} "$@"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)

    host.create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    assert (tmp_path / "vm.qcow2").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_directory_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    images = Images("raw")

    with pytest.raises(DiskRefused, match="create it first"):
        Host(tmp_path, images).create_disk(IMAGE, tmp_path / "vms" / "vm.qcow2", None, nobody)

    assert images.fetched == 0


@pytest.mark.parametrize("place", ["instances/_base", "instances/_base/guests", "link"])
def test_a_disk_inside_the_cache_is_refused_before_anything_is_fetched(tmp_path: Path, place: str) -> None:
    images = Images("raw")
    host = Host(tmp_path, images)
    (host.cache.directory / "guests").mkdir()
    (tmp_path / "link").symlink_to(host.cache.directory)

    with pytest.raises(DiskRefused, match="_base is the image cache"):
        host.create_disk(IMAGE, tmp_path / place / "vm.qcow2", None, nobody)

    assert images.fetched == 0


def test_the_format_and_cluster_size_of_an_unconverted_image_are_kept(tmp_path: Path) -> None:
    host = Host(tmp_path, Images("qcow2", "-o", "cluster_size=8192"), force_raw=False)

    host.create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    found = info(tmp_path / "vm.qcow2")
    assert found["backing-filename-format"] == "qcow2"
    assert found["cluster-size"] == 8192
    assert found["virtual-size"] == 2 * MIB


def test_an_entry_cached_before_force_raw_images_was_switched_on_is_refused(tmp_path: Path) -> None:
    host = Host(tmp_path, Images("qcow2"), force_raw=True)

    with pytest.raises(DiskUnreadable, match="remove it, and it will be fetched again"):
        host.create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)


def test_an_entry_with_a_backing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(2 * MIB))
    images = Images("qcow2", "-b", str(tmp_path / "secret"), "-F", "raw")

    with pytest.raises(DiskUnreadable, match="has a backing file itself"):
        Host(tmp_path, images, force_raw=False).create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    assert not (tmp_path / "vm.qcow2").exists()


def test_a_failed_fetch_passes_on_and_leaves_no_disk(tmp_path: Path) -> None:
    class Unsafe(Images):
        def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
            raise UnsafeImage(order.image, "Image does not pass safety check")

    with pytest.raises(UnsafeImage):
        Host(tmp_path, Unsafe("raw")).create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    assert [path.name for path in tmp_path.iterdir()] == ["instances"]


def test_a_host_without_a_cache_says_why(tmp_path: Path) -> None:
    host = Host(tmp_path, Images("raw"))
    create_disk = CreateDisk(driver=UncachedDriver(), cache=host.cache, clock=MemoryClock(), force_raw=True)

    with pytest.raises(CachingUnsupported, match="keeps no image cache"):
        create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)


class Losing(UncachedDriver):
    """A driver whose entries are removed again, by somebody else, before they can be used."""

    def __init__(self, driver: VirtDriver, entry: Path, times: int) -> None:
        self._driver, self._entry, self._times = driver, entry, times

    def cache_image(self, order: ImageOrder, watch: Watcher) -> bool:
        fetched = self._driver.cache_image(order, watch)
        if self._times:
            self._times -= 1
            self._entry.unlink()
        return fetched


@pytest.mark.parametrize("times", [1, 2])
def test_an_entry_removed_between_the_two_steps_is_fetched_again(tmp_path: Path, times: int) -> None:
    host = Host(tmp_path, Images("raw"))
    losing = Losing(host.driver, host.cache.path_of(IMAGE), times)
    create_disk = CreateDisk(driver=losing, cache=host.cache, clock=MemoryClock(), force_raw=True)

    assert create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody).fetched


def test_an_entry_that_is_removed_every_time_ends_in_an_error(tmp_path: Path) -> None:
    host = Host(tmp_path, Images("raw"))
    losing = Losing(host.driver, host.cache.path_of(IMAGE), 100)
    create_disk = CreateDisk(driver=losing, cache=host.cache, clock=MemoryClock(), force_raw=True)

    with pytest.raises(ImageNotCached):
        create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)


def test_a_disk_anywhere_on_the_host_is_noted_beside_its_entry(tmp_path: Path) -> None:
    host = Host(tmp_path, Images("raw"))

    host.create_disk(IMAGE, tmp_path / "vm.qcow2", None, nobody)

    listed = (host.cache.directory / f"{host.cache.path_of(IMAGE).name}.overlays").read_text()
    assert json.loads(listed)["path"] == str(tmp_path / "vm.qcow2")
