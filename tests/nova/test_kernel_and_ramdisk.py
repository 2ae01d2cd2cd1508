"""A boot of an image that names a kernel and a ramdisk: Nova reads all three from what Precache has cached."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.nova.cache_entry import entry_path
from tests.nova.instances import wait_for_guest
from tests.nova.site import Site, told
from tools.build_image import PARTITION_START, Disk, kept_image

pytestmark = [pytest.mark.external, pytest.mark.nova]


@dataclass(frozen=True, slots=True)
class Parts:
    """The ids of the images, and the files of kernel and ramdisk. outcomes: by image."""

    image: str
    kernel: str
    ramdisk: str
    files: dict[str, Path]
    outcomes: dict[str, str]


@pytest.fixture(scope="module")
def parts(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Return the images, after one request of Nova's for the first of them."""
    directory, disk, glance = tmp_path_factory.mktemp("parts"), kept_image(Disk()), site.cloud.glance
    raw = directory / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, raw], check=True)
    ids: dict[str, str] = {}
    for name, disk_format in (("vmlinuz", "aki"), ("initrd.img", "ari")):
        inside = f"dump /boot/{name} {directory / name}"
        # Debian has debugfs only on root's PATH, and these tests need root.
        subprocess.run(["debugfs", "-R", inside, f"{raw}?offset={PARTITION_START}"], check=True, capture_output=True)
        ids[name] = glance.upload_file(
            directory / name, name=name, disk_format=disk_format, container_format=disk_format, visibility="public"
        )
    kernel, ramdisk = ids["vmlinuz"], ids["initrd.img"]
    named = {"kernel_id": kernel, "ramdisk_id": ramdisk}
    image = glance.upload_file(disk, name="three", disk_format="qcow2", visibility="public", **named)
    with told("an image with a kernel and a ramdisk, cached by Precache"):
        outcomes = site.precache.precache(site.aggregate, image)
    files = {kernel: directory / "vmlinuz", ramdisk: directory / "initrd.img"}
    return Parts(image, kernel, ramdisk, files, {image: outcome for (_, image), outcome in outcomes.items()})


def test_kernel_and_ramdisk_are_cached_as_they_are(parts: Parts, site: Site) -> None:
    assert parts.outcomes == dict.fromkeys((parts.image, parts.kernel, parts.ramdisk), "cached")
    for image, file in parts.files.items():
        assert entry_path(site.compute.instances_path, image).read_bytes() == file.read_bytes()


def test_a_guest_boots_from_the_three_entries_without_a_request_for_data(parts: Parts, site: Site) -> None:
    with told("a boot from it"):
        boot = site.nova.boot(parts.image, site.compute)
        wait_for_guest(site.compute, boot.instance)

    requests = {image: site.cloud.glance.data_requests(image) for image in parts.outcomes}
    site.nova.delete(boot.instance)
    assert requests == dict.fromkeys(parts.outcomes, 1)  # ours
