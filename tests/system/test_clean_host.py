"""An operator cleans the cache of a host, and the host evicts by its policy: what is used or pinned stays."""

from __future__ import annotations

import subprocess

import pytest

from tests.system.conftest import random_raw
from tests.system.operating import entry, ids
from tests.waiting import wait_until

pytestmark = pytest.mark.system

HOST = "cmp-1"
IMAGES = ("web", "pinned", "used")
EVICTING = {
    "OS_IMAGE_CACHE__OWNER": "precache",
    "OS_IMAGE_CACHE__POLICY": "lru",
    "OS_IMAGE_CACHE__EVICT_ABOVE_USED": "1KiB",
    "OS_IMAGE_CACHE__MANAGER_INTERVAL": "1",
}


def actions(service, *options: str) -> dict[str, str]:
    """Return what a cleaning does with each image, by name."""
    names = {image: name for name, image in ids(service).items()}
    listed = service.run("host", "clean", HOST, *options)
    return {names[row["image"]]: row["action"] for row in listed}


def test_only_what_no_disk_needs_goes_on_request_and_by_the_policy(new_service, images):
    for name in IMAGES:
        random_raw(images / f"{name}.raw", 1)
    service = new_service(f"cell1:{HOST}")
    service.start({"OS_IMAGE_CACHE__OWNER": "precache"})
    paths = {name: entry(service, HOST, image) for name, image in ids(service).items()}
    for name in IMAGES:
        service.run("job", "create", "--image", name, "--host", HOST, "--wait")
    service.run("job", "create", "--image", "pinned", "--host", HOST, "--keep-for", "1d", "--wait")
    disk = paths["used"].parent.parent / "instance-1" / "disk"
    disk.parent.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", paths["used"], "-F", "raw", disk], check=True)

    tried = actions(service, "--all", "--dry-run")
    left_by_a_try = [name for name in IMAGES if paths[name].exists()]
    done = actions(service, "--all")

    assert tried == {"web": "would be removed", "pinned": "kept", "used": "kept"}
    assert left_by_a_try == list(IMAGES)
    assert done == {"web": "removed", "pinned": "kept", "used": "kept"}
    assert [name for name in IMAGES if paths[name].exists()] == ["pinned", "used"]

    service.stop()
    service.start(EVICTING)
    service.run("job", "create", "--image", "web", "--host", HOST, "--wait")
    wait_until(lambda: "more than evict_above_used = 1.0 KiB: least recently used" in service.log)

    assert [name for name in IMAGES if paths[name].exists()] == ["pinned", "used"]
