"""What the image service has of the cached images: how it is stored, and that reports of hosts leave it as it is."""

from datetime import timedelta

import pytest

from precache.core.cache_inventory import ImageFilter
from precache.core.image_list import ImageFinding, ServiceStatus
from tests.contract.cache_values import beat, change, entry, entry_of, full, image
from tests.contract.job_values import NOW


@pytest.fixture(autouse=True)
def reported(stores):
    """One host with two images that have records, and one that has none."""
    beat(stores, "cmp-1")
    stores.cache_reports.store_reports([full(1, 2, entry(3, image=None, image_name=""))])


def found(stores, number):
    return stores.caches.find_images([entry_of(number)])[entry_of(number)]


def test_no_status_is_known_before_the_image_service_was_asked(stores):
    assert {(each.status, each.status_at) for each in stores.image_statuses.list_images()} == {(None, None)}
    assert len(stores.caches.list_images(only=ImageFilter(statuses=frozenset({None})))) == 3


def test_a_finding_is_stored_with_the_time_and_fills_in_id_and_name(stores):
    stores.image_statuses.note_statuses(
        [
            ImageFinding(entry_of(1), ServiceStatus.ACTIVE, image(1), "renamed"),
            ImageFinding(entry_of(2), ServiceStatus.GONE),
            ImageFinding(entry_of(3), ServiceStatus.DEACTIVATED, image(3), "image-3"),
            ImageFinding(entry_of(9), ServiceStatus.ACTIVE, image(9), "in no cache"),
        ]
    )

    assert (found(stores, 1).status, found(stores, 1).name) == ("active", "renamed")
    assert (found(stores, 2).status, found(stores, 2).image, found(stores, 2).name) == ("gone", image(2), "image-2")
    assert (found(stores, 3).status, found(stores, 3).image) == ("deactivated", image(3))
    assert found(stores, 1).status_at == stores.clock.now()
    assert len(stores.caches.list_images()) == 3
    gone = stores.caches.list_images(only=ImageFilter(statuses=frozenset({"gone"})))
    assert [each.entry for each in gone] == [entry_of(2)]
    assert stores.caches.list_images(only=ImageFilter(name="renamed"))[0].image == image(1)


def test_a_repeated_finding_renews_the_time_and_a_new_one_replaces_it(stores):
    stores.image_statuses.note_statuses([ImageFinding(entry_of(number), ServiceStatus.ACTIVE) for number in (1, 2)])
    stores.clock.set(NOW + timedelta(minutes=10))

    stores.image_statuses.note_statuses(
        [ImageFinding(entry_of(1), ServiceStatus.ACTIVE), ImageFinding(entry_of(2), ServiceStatus.DEACTIVATED)]
    )

    assert {found(stores, number).status_at for number in (1, 2)} == {stores.clock.now()}
    assert [found(stores, number).status for number in (1, 2)] == ["active", "deactivated"]


def test_reports_of_hosts_leave_the_status_and_an_image_that_no_host_holds_has_none(stores):
    stores.image_statuses.note_statuses([ImageFinding(entry_of(number), ServiceStatus.GONE) for number in (1, 2)])

    stores.cache_reports.store_reports([change(entry(1, allocated_bytes=99), gone=(2,))])

    assert (found(stores, 1).status, found(stores, 1).numbers.bytes) == ("gone", 99)
    stores.cache_reports.store_reports([full(1, 2, sequence=3)])
    assert found(stores, 2).status is None
