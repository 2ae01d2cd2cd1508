"""The main job with real parts: one request, many hosts, real files, and boots that no longer download."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.cache_files import files_of
from tests.system.conftest import qcow2, random_raw
from tests.system.operating import aggregate, cache_of, data_requests, entry, ids, outcomes
from tests.waiting import wait_until
from tools.boot_disk import boot
from tools.build_image import GREETING, Disk, kept_image
from tools.local_service import LocalService

pytestmark = pytest.mark.system

HOSTS = "cell1:cmp-1,cell1:cmp-2,cell2:cmp-3,cell2:cmp-4:uncached,cell2:cmp-5"
PARTLY_FAILED = 4
HOUR_S = 3600


def test_one_request_fills_every_cache_that_can_be_filled_and_boots_no_longer_download(new_service, images, tmp_path):
    qcow2(images / "web.qcow2", 24, hole_mib=40)
    random_raw(images / "db.raw", 16, hole_mib=16)
    service = new_service(HOSTS)
    service.start({"OS_IMAGE_CACHE__PRECACHE_CONCURRENCY": "2"})
    web, db = (ids(service)[name] for name in ("web", "db"))
    aggregate(service, "cmp-1", "cmp-2", "cmp-3", "cmp-4", "cmp-5")
    service.quietly("host", "set", "cmp-5", "--down")

    job = service.run("aggregate", "cache", "image", "agg", "web", db, "--wait", accepts=(PARTLY_FAILED,))

    assert job["state"] == "partly_failed"
    expected = {(host, image): "cached" for host in ("cmp-1", "cmp-2", "cmp-3") for image in (web, db)}
    expected |= {("cmp-4", image): "unsupported" for image in (web, db)}
    expected |= {("cmp-5", image): "skipped" for image in (web, db)}
    assert outcomes(service, job["id"]) == expected
    assert data_requests(service) == 6
    for host in ("cmp-1", "cmp-2", "cmp-3"):
        assert [file.name for file in files_of(cache_of(service, host))] == sorted(
            f"{entry(service, host, image).name}{suffix}" for image in (web, db) for suffix in ("", ".precache")
        )
        compared = ["qemu-img", "compare", "-f", "raw", "-F", "qcow2"]
        subprocess.run([*compared, entry(service, host, web), images / "web.qcow2"], check=True)
        assert entry(service, host, db).read_bytes() == (images / "db.raw").read_bytes()
        assert entry(service, host, web).stat().st_blocks * 512 < 30 * 1024**2  # the hole takes no room

    again_resets_the_expiry_and_moves_nothing(service, web, db)
    disks_come_from_the_cache(service, web, tmp_path)


def again_resets_the_expiry_and_moves_nothing(service: LocalService, web: str, db: str) -> None:
    entries = [entry(service, host, image) for host in ("cmp-1", "cmp-2", "cmp-3") for image in (web, db)]
    for file in entries:
        os.utime(file, (time.time() - HOUR_S,) * 2)

    job = service.run("aggregate", "cache", "image", "agg", "web", "db", "--wait", accepts=(PARTLY_FAILED,))

    tasks = service.get(f"/v1/jobs/{job['id']}/tasks")["tasks"]
    asked = [task for task in tasks if task["host"] in ("cmp-1", "cmp-2", "cmp-3")]
    assert {task["outcome"] for task in asked} == {"existing"}
    assert {task["bytes_done"] for task in asked} == {0}
    assert data_requests(service) == 6
    assert all(time.time() - file.stat().st_mtime < HOUR_S / 2 for file in entries)


def disks_come_from_the_cache(service: LocalService, web: str, tmp_path: Path) -> None:
    for host, requests in (("cmp-1", 0), ("cmp-2", 0), ("cmp-3", 0), ("cmp-5", 1)):
        before = data_requests(service)
        disk = tmp_path / f"{host}.qcow2"
        instances = cache_of(service, host).parent

        service.run("disk", "create", "--image", web, "--path", str(disk), "--instances-path", str(instances))

        info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", disk]))
        assert info["full-backing-filename"] == str(entry(service, host, web))
        assert info["backing-filename-format"] == "raw"
        assert data_requests(service) - before == requests


def test_a_disk_over_a_precached_image_boots(new_service, images, tmp_path):
    image = kept_image(Disk(), say=lambda line: None)
    os.link(image, images / "guest.qcow2")
    service = new_service()
    service.start({})
    aggregate(service, "cmp-1")
    service.run("aggregate", "cache", "image", "agg", "guest", "--wait")
    disk = tmp_path / "guest-disk.qcow2"
    instances = cache_of(service, "cmp-1").parent
    service.run(
        "disk", "create", "--image", ids(service)["guest"], "--path", str(disk), "--size", "1",
        "--instances-path", str(instances),
    )  # fmt: skip

    assert GREETING in boot(disk).line


def test_formats_are_kept_where_the_host_wants_no_raw_images(new_service, images):
    qcow2(images / "web.qcow2", 4)
    service = new_service()
    service.start({"OS_DEFAULT__FORCE_RAW_IMAGES": "False"})
    aggregate(service, "cmp-1")

    service.run("aggregate", "cache", "image", "agg", "web", "--wait")

    assert entry(service, "cmp-1", ids(service)["web"]).read_bytes() == (images / "web.qcow2").read_bytes()


def test_a_host_whose_disks_live_in_ceph_downloads_nothing(new_service, images):
    random_raw(images / "web.raw", 4)
    service = new_service()
    service.start({"OS_LIBVIRT__IMAGES_TYPE": "rbd"})
    aggregate(service, "cmp-1")

    job = service.run("aggregate", "cache", "image", "agg", "web", "--wait", accepts=(5,))

    (task,) = service.get(f"/v1/jobs/{job['id']}/tasks")["tasks"]
    assert task["outcome"] == "unsupported"
    assert "rbd" in task["reason"]
    assert data_requests(service) == 0


def test_what_was_precached_expires_by_the_same_rules_as_what_a_boot_cached(new_service, images, tmp_path):
    for name in ("kept", "booted", "unused"):
        random_raw(images / f"{name}.raw", len(name))
    service = new_service()
    environment = {
        "OS_IMAGE_CACHE__MANAGER_INTERVAL": "1",
        "OS_IMAGE_CACHE__REMOVE_UNUSED_ORIGINAL_MINIMUM_AGE_SECONDS": "600",
    }
    service.start(environment)
    aggregate(service, "cmp-1")
    known = ids(service)
    instances = cache_of(service, "cmp-1").parent
    service.run("aggregate", "cache", "image", "agg", "kept", "unused", "--wait")
    disk = instances / "instance-1"
    disk.mkdir()
    service.run(
        "disk", "create", "--image", known["booted"], "--path", str(disk / "disk"), "--instances-path", str(instances)
    )
    service.stop()
    # As if the service was first started now: what it remembers of ages counts more than an mtime that is set back.
    (cache_of(service, "cmp-1") / ".precache-cleaner").unlink()
    long_ago = time.time() - 700
    for name in ("booted", "unused"):
        os.utime(entry(service, "cmp-1", known[name]), (long_ago, long_ago))
    service.start(environment)

    wait_until(lambda: not entry(service, "cmp-1", known["unused"]).exists())

    assert entry(service, "cmp-1", known["kept"]).exists()  # not old enough
    wait_until(lambda: entry(service, "cmp-1", known["booted"]).stat().st_mtime > long_ago + 1)  # in use
