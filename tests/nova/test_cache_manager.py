"""Nova's image cache manager goes through a cache that we fill: it alone removes, and counts from our touch."""

from __future__ import annotations

import pytest

from tests.nova.cache_entry import age, entry_name, entry_path
from tests.nova.site import Site, told
from tests.nova.waiting import wait_until
from tools.build_image import kept_image

pytestmark = [pytest.mark.external, pytest.mark.nova]

TWO_DAYS_S = 2 * 24 * 3600.0  # Nova keeps an unused image for one
END_OF_PASS = "Verification complete"
REMOVAL = "Removing base, swap or ephemeral file: "


def test_nova_keeps_touched_entries_and_removes_old_ones(site: Site) -> None:
    instances_path = site.compute.instances_path
    fresh, touched, aged = (
        site.cloud.glance.upload_file(kept_image(), disk_format="qcow2", visibility="public") for _ in range(3)
    )
    site.precache.precache(site.aggregate, fresh, touched, aged)
    with told("passes of Nova's image cache manager"):
        wait_for_passes(site, 1)  # so that the next one is not amidst what follows
        age(instances_path, touched, TWO_DAYS_S)
        renewal = site.precache.precache(site.aggregate, touched)
        age(instances_path, aged, TWO_DAYS_S)
        wait_until(lambda: not entry_path(instances_path, aged).exists(), "Nova to remove what has aged")
        wait_for_passes(site, 1)

    assert renewal == {(site.compute.host, touched): "existing"}
    assert removed_by_nova(site, aged), "the entry has gone, but Nova did not remove it"
    for image in (fresh, touched):
        assert entry_path(instances_path, image).is_file()
        assert not removed_by_nova(site, image)


def wait_for_passes(site: Site, number: int) -> None:
    """Wait until Nova's image cache manager has ended so many further passes."""
    before = site.compute.log.count(END_OF_PASS)
    wait_until(lambda: site.compute.log.count(END_OF_PASS) >= before + number, "a pass of Nova's image cache manager")


def removed_by_nova(site: Site, image: str) -> bool:
    lines = site.compute.log.splitlines()
    return any(REMOVAL in line and entry_name(image) in line for line in lines)
