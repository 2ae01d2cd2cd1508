"""A pinned image outlives Nova's image cache manager on a host with a short minimum age; unpinned it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.libvirtd import LibvirtHost
from tests.lab.nova import Surroundings
from tests.lab.nova_compute import NovaCompute
from tests.nova.cache_entry import entry_name, entry_path
from tests.nova.conftest import CELL
from tests.nova.site import Site, told
from tests.nova.waiting import wait_until
from tools.build_image import kept_image

pytestmark = [pytest.mark.external, pytest.mark.nova]

HOST = "cmp3"
MINIMUM_AGE_S = 15
PASS_INTERVAL_S = 5
END_OF_PASS = "Verification complete"
REMOVAL = "Removing base, swap or ephemeral file: "


@pytest.fixture
def compute(site: Site, surroundings: Surroundings, site_directory: Path) -> Iterator[NovaCompute]:
    """A third host, on which Nova removes an image that was unused for a few seconds."""
    libvirt = LibvirtHost(name=HOST, directory=site_directory / "host3")
    (site_directory / "host3").mkdir()
    compute = NovaCompute(
        host=HOST,
        directory=site_directory / HOST,
        surroundings=surroundings,
        cache_pass_interval_s=PASS_INTERVAL_S,
        libvirt=libvirt,
        minimum_age_s=MINIMUM_AGE_S,
    )
    try:
        with told("a host with a short minimum age"):
            libvirt.start()
            compute.start()
            wait_until(lambda: HOST in site.nova.hosts_up(), "Nova to have the host")
            age = {"remove_unused_original_minimum_age_seconds": MINIMUM_AGE_S}
            cache = {"owner": "nova", "manager_interval": 1, **age}
            own = {"DEFAULT": {"instances_path": compute.instances_path}, "image_cache": cache}
            site.deployment.start_compute(HOST, CELL, own)
            wait_until(lambda: HOST in site.precache.hosts_up(), "Precache to have the host")
        yield compute
    finally:
        if site.deployment.is_running(HOST):
            site.deployment.stop_one(HOST)
        compute.stop()
        libvirt.stop()


def test_a_pin_outlives_two_of_novas_passes_and_unpinned_the_image_goes(site: Site, compute: NovaCompute) -> None:
    pinned, other = (
        site.cloud.glance.upload_file(kept_image(), disk_format="qcow2", visibility="public") for _ in range(2)
    )
    images = [{"image": pinned, "keep_for_s": 3600}, {"image": other}]
    cached = site.precache.run_job(images=images, target={"hosts": [HOST]})
    with told("expiry passes of Nova over a pinned image"):
        wait_until(lambda: removed_by_nova(compute, other), "Nova to remove the image that is not pinned")
        before = compute.log.count(END_OF_PASS)
        wait_until(lambda: compute.log.count(END_OF_PASS) >= before + 2, "two further passes")
    stays = entry_path(compute.instances_path, pinned).is_file() and not removed_by_nova(compute, pinned)

    unpinned = site.precache.run_job(operation="unpin", images=[{"image": pinned}], target={"hosts": [HOST]})
    with told("Nova to remove the image that was unpinned"):
        wait_until(lambda: removed_by_nova(compute, pinned), "Nova to remove the image that was unpinned")

    assert cached == {(HOST, pinned): "cached", (HOST, other): "cached"}
    assert stays
    assert unpinned == {(HOST, pinned): "unpinned"}
    assert not entry_path(compute.instances_path, pinned).exists()


def removed_by_nova(compute: NovaCompute, image: str) -> bool:
    return any(REMOVAL in line and entry_name(image) in line for line in compute.log.splitlines())
