"""A boot from an image that Precache cached, beside a boot that has to download it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.nova.cache_entry import EntryFacts, entry_facts, entry_path
from tests.nova.figures import Figures
from tests.nova.instances import Boot, wait_for_guest
from tests.nova.site import Site, told
from tools.build_image import Disk, kept_image

pytestmark = [pytest.mark.external, pytest.mark.nova]

IMAGE = Disk(size_mib=448, payload_mib=320)  # the demonstration has the same
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Boots:
    """One image, first booted by Nova alone, then cached by us and booted again.

    cold_downloads, ours, warm_downloads: requests for its data in each of the three steps.
    """

    image: str
    cold: Boot
    cold_downloads: int
    novas_entry: EntryFacts
    our_downloads: int
    outcomes: dict[tuple[str, str], str]
    our_entry: EntryFacts
    warm: Boot
    warm_downloads: int


@pytest.fixture(scope="module")
def boots(site: Site, figures: Figures) -> Iterator[Boots]:
    instances_path, glance = site.compute.instances_path, site.cloud.glance
    file = kept_image(IMAGE)
    image = glance.upload_file(file, disk_format="qcow2", visibility="public")
    with told("a boot that downloads"):
        cold = site.nova.boot(image, site.compute)
    cold_downloads = glance.data_requests(image)
    novas_entry = entry_facts(instances_path, image)
    site.nova.delete(cold.instance)
    entry_path(instances_path, image).unlink()
    with told("the same image, cached by Precache"):
        outcomes = site.precache.precache(site.aggregate, image)
    our_downloads = glance.data_requests(image) - cold_downloads
    our_entry = entry_facts(instances_path, image)
    with told("a boot from it"):
        warm = site.nova.boot(image, site.compute)
    warm_downloads = glance.data_requests(image) - cold_downloads - our_downloads
    figures.note("image_mib", "image, MiB to download", file.stat().st_size // MIB)
    figures.note("cold_spawn_s", "spawn when the image has to be downloaded, s", cold.spawn_s)
    figures.note("cached_spawn_s", "spawn when Precache has cached it, s", warm.spawn_s)
    figures.note("cold_active_s", "from request to ACTIVE when it has to be downloaded, s", cold.active_s)
    figures.note("cached_active_s", "from request to ACTIVE when it is cached, s", warm.active_s)
    figures.note("cold_data_requests", "data requests to Glance of the boot that downloads", cold_downloads)
    figures.note("cached_data_requests", "data requests to Glance of the boot from the cache", warm_downloads)
    yield Boots(image, cold, cold_downloads, novas_entry, our_downloads, outcomes, our_entry, warm, warm_downloads)
    site.nova.delete(warm.instance)


def test_boot_without_precache_downloads_the_image_once(boots: Boots) -> None:
    assert boots.cold_downloads == 1


def test_image_that_precache_cached_boots_without_a_request_for_data(boots: Boots, site: Site) -> None:
    assert boots.outcomes == {(site.compute.host, boots.image): "cached"}
    assert (boots.our_downloads, boots.warm_downloads) == (1, 0)


def test_our_entry_is_byte_for_byte_the_one_that_nova_makes(boots: Boots) -> None:
    assert boots.our_entry == boots.novas_entry


def test_guest_comes_up_from_our_entry(boots: Boots, site: Site) -> None:
    with told("its guest comes up"):
        wait_for_guest(site.compute, boots.warm.instance)

    assert entry_path(site.compute.instances_path, boots.image).is_file()
