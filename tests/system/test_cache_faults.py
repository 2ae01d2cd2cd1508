"""Failures of a host's disk: the host reports what is wrong and what to do, and other hosts are not affected.

Small or failing disks are tmpfs in a mount namespace of the service; they end with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cache_files import files_of
from tests.lab.slow_images import slow_images
from tests.system.conftest import qcow2, qemu_img, random_raw, settled, vdi
from tests.system.operating import (
    aggregate,
    cache_of,
    data_requests,
    ended,
    entry,
    ids,
    litter,
    outcomes,
    request,
    state,
    tasks,
    wait_until,
)
from tests.system.slow_qemu_img import SlowQemuImg
from tools.local_service import LocalService

pytestmark = pytest.mark.system

IN_NAMESPACE = 'mount -t tmpfs -o "$1" small "$2" && shift 2 && exec "$@"'


@pytest.fixture
def namespace() -> list[str]:
    """Return the words in front of a command that lets it mount in private."""
    for words in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
        ):
            return words
    pytest.skip("mounting in a private namespace is not allowed here")


@pytest.fixture
def new_service_on_small_disk(new_service, namespace, tmp_path):
    """Return a function that makes a service with a disk of so many MiB, by default for host cmp-1 alone."""

    def make(hosts: str, size_mib: int, disk_of: str = "hosts/cmp-1/instances") -> LocalService:
        disk = tmp_path / "state" / disk_of
        disk.mkdir(parents=True)
        return new_service(hosts, [*namespace, "sh", "-c", IN_NAMESPACE, "sh", f"size={size_mib}M", str(disk)])

    return make


def disk_of(service: LocalService, host: str = "cmp-1") -> Path:
    """Return the host's instances directory as the service sees it."""
    return Path(f"/proc/{service.pid}/root{cache_of(service, host).parent}")


def mount_read_only(service: LocalService, host: str = "cmp-1") -> None:
    enter = ["nsenter", "--target", str(service.pid), "--mount", "--user", "--preserve-credentials"]
    if os.geteuid() == 0:
        enter = enter[:-2]
    subprocess.run([*enter, "mount", "-o", "remount,ro", cache_of(service, host).parent], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    filler = disk / "instance-of-another"
    with filler.open("wb", buffering=0) as out:
        free = os.statvfs(disk)
        os.posix_fallocate(out.fileno(), 0, free.f_bavail * free.f_frsize)
    return filler


def contents_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files_of(directory)}


def left_behind(service: LocalService) -> list[Path]:
    return [*files_of(disk_of(service) / "_base"), *map(Path, litter(service))]


def test_a_cache_that_is_gone_or_read_only_is_reported_and_the_other_hosts_are_filled(
    new_service_on_small_disk, images
):
    random_raw(images / "web.raw", 4)
    service = new_service_on_small_disk("cell1:cmp-1,cell1:cmp-2,cell1:cmp-3,cell2:cmp-4", 16)
    service.start({})
    web = ids(service)["web"]
    mount_read_only(service, "cmp-1")
    shutil.rmtree(cache_of(service, "cmp-2"))
    shutil.rmtree(cache_of(service, "cmp-3").parent)

    job = request(service, aggregate(service, "cmp-1", "cmp-2", "cmp-3", "cmp-4"), web)

    assert ended(service, job) == "partly_failed"
    found = tasks(service, job)
    assert {host: task["outcome"] for host, task in found.items()} == {
        "cmp-1": "error", "cmp-2": "error", "cmp-3": "error", "cmp-4": "cached",
    }  # fmt: skip
    assert "read-only; mount it for writing" in found["cmp-1"]["reason"]
    for host in ("cmp-2", "cmp-3"):
        assert str(cache_of(service, host).parent) in found[host]["reason"]
        assert "does not exist; create or mount it" in found[host]["reason"]
    assert data_requests(service) == 1
    assert entry(service, "cmp-4", web).exists()


def test_what_does_not_fit_is_refused_before_any_of_its_data_is_asked_for(new_service_on_small_disk, images):
    random_raw(images / "web.raw", 8)
    qemu_img("create", "-f", "qcow2", images / "huge.qcow2", "1P")
    settled(images / "huge.qcow2")
    service = new_service_on_small_disk("cell1:cmp-1,cell1:cmp-2", 4)
    service.start({})
    web, huge = (ids(service)[name] for name in ("web", "huge"))

    job = request(service, aggregate(service, "cmp-1", "cmp-2"), huge, web)

    assert ended(service, job) == "partly_failed"
    assert outcomes(service, job) == {
        ("cmp-1", huge): "error", ("cmp-2", huge): "error", ("cmp-1", web): "error", ("cmp-2", web): "cached",
    }  # fmt: skip
    reasons = {(task["host"], task["image"]): task["reason"] for task in service.get(f"/v1/jobs/{job}/tasks")["tasks"]}
    for host in ("cmp-1", "cmp-2"):
        assert "needs 1.0 PiB" in reasons[host, huge]
        assert str(cache_of(service, host)) in reasons[host, huge]
    assert "needs 8.0 MiB, 4.0 MiB free; free some space in" in reasons["cmp-1", web]
    assert service.get("/image/requests")["data_requests"] == {web: 1}
    assert left_behind(service) == []


def test_two_hosts_on_one_disk_never_begin_what_does_not_fit_together(new_service_on_small_disk, images, tmp_path):
    vdi(images / "web.vdi", 4)
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        # One image needs 8 MiB while it is fetched, then 4 MiB, and 5% are reserved.
        service = new_service_on_small_disk("cell1:cmp-1,cell1:cmp-2", 14, "hosts")
        service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url, "OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": "2"})
        job = request(service, aggregate(service, "cmp-1", "cmp-2"), ids(service)["web"])
        wait_until(lambda: "error" in outcomes(service, job).values())
        requests_then = slow.data_requests
        slow.release()

        assert ended(service, job) == "partly_failed"
        [reason] = [task["reason"] for task in tasks(service, job).values() if task["outcome"] == "error"]
        assert "of it promised to 1 other image" in reason
        assert requests_then == 1
        service.run("job", "retry", job)
        assert ended(service, job) == "succeeded"


def test_a_disk_that_fills_up_loses_neither_entries_nor_paused_downloads(new_service_on_small_disk, images, tmp_path):
    for name, size_mib in (("old", 1), ("paused", 3), ("web", 8)):
        random_raw(images / f"{name}.raw", size_mib)
    with slow_images(images, tmp_path / "slow-index.json", sends_freely=1) as slow:
        service = new_service_on_small_disk("cell1:cmp-1", 24)
        service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url})
        image, number = ids(service), aggregate(service, "cmp-1")
        assert ended(service, request(service, number, image["old"])) == "succeeded"
        paused = request(service, number, image["paused"])
        wait_until(lambda: tasks(service, paused)["cmp-1"]["bytes_done"])
        service.run("job", "pause", paused)
        wait_until(lambda: state(service, paused) == "paused")
        before = contents_of(disk_of(service) / "_base")
        job = request(service, number, image["web"])
        wait_until(lambda: tasks(service, job)["cmp-1"]["bytes_done"])
        filler = fill(disk_of(service))
        slow.release()

        assert ended(service, job) == "failed"
        assert "free some space" in tasks(service, job)["cmp-1"]["reason"]
        assert len(before) == 4  # an entry and a kept download, each with its record
        assert contents_of(disk_of(service) / "_base") == before

        filler.unlink()
        service.run("job", "resume", paused)
        assert ended(service, paused) == "succeeded"
        assert ended(service, request(service, number, image["web"])) == "succeeded"
        assert len(left_behind(service)) == 6  # three entries, each with its record


@pytest.mark.parametrize("make_image", [random_raw, qcow2])
def test_a_disk_that_fills_up_during_a_download_is_reported_with_numbers_and_leaves_nothing(
    new_service_on_small_disk, images, tmp_path, make_image
):
    make_image(images / f"web.{'raw' if make_image is random_raw else 'qcow2'}", 8)
    with slow_images(images, tmp_path / "slow-index.json") as slow:
        service = new_service_on_small_disk("cell1:cmp-1,cell1:cmp-2", 16)
        service.start({"OS_GLANCE__ENDPOINT_OVERRIDE": slow.url})
        web, number = ids(service)["web"], aggregate(service, "cmp-1", "cmp-2")
        job = request(service, number, web)
        wait_until(lambda: tasks(service, job)["cmp-1"]["bytes_done"])
        filler = fill(disk_of(service))
        slow.release()

        assert ended(service, job) == "partly_failed"
        found = tasks(service, job)
        assert (found["cmp-1"]["outcome"], found["cmp-2"]["outcome"]) == ("error", "cached")
        assert "needs 8.0 MiB, " in found["cmp-1"]["reason"]
        assert f"free; free some space in {cache_of(service, 'cmp-1')}" in found["cmp-1"]["reason"]
        wait_until(lambda: left_behind(service) == [])  # the other host may still hash what it has decoded

        filler.unlink()
        assert ended(service, request(service, number, web)) == "succeeded"


def test_a_disk_that_fills_up_during_a_conversion_is_reported_with_numbers_and_leaves_nothing(
    new_service_on_small_disk, images, tmp_path
):
    vdi(images / "web.vdi", 4)
    slow = SlowQemuImg(tmp_path)
    service = new_service_on_small_disk("cell1:cmp-1", 16)
    service.start(slow.environment)
    job = request(service, aggregate(service, "cmp-1"), ids(service)["web"])
    wait_until(lambda: slow.has_begun and tasks(service, job)["cmp-1"]["phase"] == "converting")
    fill(disk_of(service))
    slow.release()

    assert ended(service, job) == "failed"
    reason = tasks(service, job)["cmp-1"]["reason"]
    assert "needs " in reason
    assert f"free; free some space in {cache_of(service, 'cmp-1')}" in reason
    assert left_behind(service) == []
