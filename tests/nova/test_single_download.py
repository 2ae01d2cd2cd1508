"""A boot and a pre-cache of one image at the same time: the second one waits, and finds the image cached."""

from __future__ import annotations

import pytest

from tests.nova.cache_entry import entry_name
from tests.nova.figures import Figures
from tests.nova.site import Site, told
from tests.nova.waiting import wait_until
from tools.build_image import kept_image

pytestmark = [pytest.mark.external, pytest.mark.nova]


@pytest.fixture
def image(site: Site) -> str:
    return site.cloud.glance.upload_file(kept_image(), disk_format="qcow2", visibility="public")


def test_boot_waits_for_a_precache_under_way(site: Site, figures: Figures, image: str) -> None:
    with told("a boot during a pre-cache"):
        with site.gate.shut() as slow:
            job = site.precache.request(site.aggregate, image)
            wait_until(lambda: slow.data_requests, "the pre-cache to ask for the data")
            instance = site.nova.request_boot(image, site.compute)
            wait_until(lambda: f'Acquiring lock "{entry_name(image)}"' in site.compute.log, "Nova to want the lock")
        outcomes = site.precache.outcomes(job)
        site.nova.wait_until_active(instance)

    downloads = site.cloud.glance.data_requests(image)
    figures.note("boot_during_precache_downloads", "downloads, boot during a pre-cache", downloads)
    assert outcomes == {(site.compute.host, image): "cached"}
    assert downloads == 1
    site.nova.delete(instance)


def test_precache_waits_for_a_boot_under_way(site: Site, figures: Figures, image: str) -> None:
    with told("a pre-cache during a boot"):
        with site.gate.shut() as slow:
            instance = site.nova.request_boot(image, site.compute)
            wait_until(lambda: slow.data_requests, "the boot to ask for the data")
            job = site.precache.request(site.aggregate, image)
            site.precache.wait_for_phase(job, "waiting")
        outcomes = site.precache.outcomes(job)
        site.nova.wait_until_active(instance)

    downloads = site.cloud.glance.data_requests(image)
    figures.note("precache_during_boot_downloads", "downloads, pre-cache during a boot", downloads)
    assert outcomes == {(site.compute.host, image): "existing"}
    assert downloads == 1
    site.nova.delete(instance)
