"""The views of what the caches of hosts hold: their order, pages and filters."""

import pytest

from precache.core.cache_entries import EntryState, Verification
from precache.core.cache_inventory import EntryFilter, ImageFilter
from tests.contract.cache_values import PIN, beat, entry, entry_of, full, image

ENTRIES = {
    1: {"pins": (PIN,), "disks": 0, "verification": Verification.INTACT},
    2: {"disks": 2, "verification": Verification.CORRUPT},
    3: {"disks": None, "verification": Verification.UNVERIFIABLE},
    4: {"state": EntryState.MISSING, "pins": (PIN,)},
}
EVERYTHING = [entry(number, **fields) for number, fields in ENTRIES.items()]


@pytest.fixture(autouse=True)
def reported(stores):
    """Two hosts, of which one holds one image; and a host that has not reported."""
    beat(stores, "cmp-1", "Cmp-2", "cmp-3")
    stores.cache_reports.store_reports([full(*EVERYTHING), full(entry(1), host="Cmp-2")])


def by_pages(read, key):
    """Return all items, read one by one."""
    found = read(limit=1)
    while page := read(limit=1, marker=key(found[-1])):
        found += page
    return found


def test_the_entries_of_a_host_are_listed_by_pages_in_order(stores):
    found = by_pages(lambda **page: stores.caches.list_entries("cmp-1", **page), lambda each: each.entry)

    assert found == sorted(EVERYTHING, key=lambda each: each.entry)
    assert stores.caches.list_entries("cmp-3") == stores.caches.list_entries("nowhere") == []


def test_the_hosts_of_an_image_are_listed_by_pages_in_order(stores):
    found = by_pages(lambda **page: stores.caches.list_hosts(entry_of(1), **page), lambda each: each.host)

    assert [(each.host, each.cell, each.entry.image) for each in found] == [
        ("Cmp-2", "cell1", image(1)),
        ("cmp-1", "cell1", image(1)),
    ]
    assert stores.caches.list_hosts(entry_of(99)) == []


def test_images_are_listed_by_pages_in_order(stores):
    found = by_pages(stores.caches.list_images, lambda each: each.entry)

    assert [each.entry for each in found] == sorted(map(entry_of, ENTRIES))
    assert {each.entry: each for each in found} == stores.caches.find_images(list(map(entry_of, ENTRIES)))


def test_a_marker_need_not_exist(stores):
    assert len(stores.caches.list_images(marker="0" * 40)) == 4
    assert stores.caches.list_images(marker="f" * 40) == []
    assert [each.host for each in stores.caches.list_hosts(entry_of(1), marker="D")] == ["cmp-1"]


@pytest.mark.parametrize(
    ("only", "numbers"),
    [
        (EntryFilter(state=EntryState.PRESENT), [1, 2, 3]),
        (EntryFilter(state=EntryState.MISSING), [4]),
        (EntryFilter(is_pinned=True), [1, 4]),
        (EntryFilter(is_pinned=False), [2, 3]),
        (EntryFilter(verification=Verification.CORRUPT), [2]),
        (EntryFilter(is_unused=True), [1]),
        (EntryFilter(is_unused=False), [2, 3, 4]),
        (EntryFilter(state=EntryState.PRESENT, is_pinned=True, is_unused=True), [1]),
    ],
    ids=str,
)
def test_entries_of_a_host_can_be_filtered(stores, only, numbers):
    found = stores.caches.list_entries("cmp-1", only=only)

    assert {each.entry for each in found} == set(map(entry_of, numbers))
    if only.is_pinned:
        assert [each.host for each in stores.caches.list_hosts(entry_of(1), only=only)] == ["cmp-1"]


@pytest.mark.parametrize(
    ("only", "numbers"),
    [
        (ImageFilter(state=EntryState.PRESENT), [1, 2, 3]),
        (ImageFilter(state=EntryState.MISSING), [4]),
        (ImageFilter(is_pinned=True), [1, 4]),
        (ImageFilter(is_pinned=False), [2, 3]),
        (ImageFilter(verification=Verification.CORRUPT), [2]),
        (ImageFilter(verification=Verification.UNVERIFIED), [1]),  # on the other host
        (ImageFilter(verification=Verification.INTACT), [1]),
        (ImageFilter(is_unused=True), [4]),
        (ImageFilter(is_unused=False), [1, 2, 3]),
        (ImageFilter(name="image-2"), [2]),
        (ImageFilter(name="IMAGE-2"), []),
        (ImageFilter(statuses=frozenset({None})), [1, 2, 3, 4]),
        (ImageFilter(statuses=frozenset({"gone"})), []),
        (ImageFilter(is_pinned=True, state=EntryState.PRESENT), [1]),
    ],
    ids=str,
)
def test_images_can_be_filtered(stores, only, numbers):
    found = stores.caches.list_images(only=only)

    assert {each.entry for each in found} == set(map(entry_of, numbers))
    assert all(only.admits(each) for each in found)
