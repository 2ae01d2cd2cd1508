"""Reports of caches: what is stored of them, in which order, and that the kept numbers equal the entries."""

import random
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.core.cache_entries import Alarm, AlarmKind, EntryState, Removal, Verification
from precache.core.cache_inventory import CacheNumbers
from precache.core.errors import PrecacheError
from precache.core.pins import Pin
from tests.contract.cache_values import PIN, SPACE, beat, change, entry, entry_of, full, held, image
from tests.contract.job_values import NOW, since

HOUR = timedelta(hours=1)


def store(stores, *reports):
    return stores.cache_reports.store_reports(reports)


def test_a_full_report_is_read_as_it_was_sent(stores):
    beat(stores, "cmp-1")
    stores.clock.set(NOW + HOUR)
    known = entry(
        1,
        format="raw",
        digest="tree-sha256:" + "a" * 64,
        source="image service",
        source_digest="sha512:" + "b" * 128,
        requested_by="admin",
        cached_at=NOW - HOUR,
        verified_at=NOW,
        verification=Verification.INTACT,
        pins=(PIN,),
        disks=3,
    )
    unknown = entry(2, image=None, image_name="", verification=Verification.UNVERIFIABLE, last_used=None)
    removals = (
        Removal(entry_of(3), image(3), NOW, "not used for a day", 5),
        Removal(f"{entry_of(3)}_10", None, NOW, "a resized copy of the same", 5),
        Removal("swap_256", None, NOW, "a blank disk", 5),
    )
    alarms = (
        Alarm(AlarmKind.NOT_TOUCHED, entry_of(1), image(1), "could not be touched", NOW),
        Alarm(AlarmKind.SILENT_SHARER, "cmp-9", None, "was not seen for a day", NOW),
    )
    sent = full(
        known, unknown, cache_id="id", owner="precache", policy="lru", unlisted=4, removals=removals, alarms=alarms
    )

    assert store(stores, sent) == frozenset()

    stores.clock.set(NOW + 3 * HOUR)
    assert stores.caches.list_entries("cmp-1") == sorted((known, unknown), key=lambda each: each.entry)
    cache = stores.caches.find_caches(["cmp-1", "nowhere"])["cmp-1"]
    assert (cache.host, cache.reported_at, cache.age) == ("cmp-1", NOW + HOUR, 2 * HOUR)
    assert (cache.space, cache.cache_id, cache.owner, cache.policy) == (SPACE, "id", "precache", "lru")
    assert (cache.removals, cache.alarms, cache.unlisted) == (removals, alarms, 4)
    assert cache.numbers == CacheNumbers(present=2, bytes=120, pinned=1, intact=1, unverifiable=1)


def test_a_host_that_caches_nothing_says_why(stores):
    beat(stores, "cmp-1")

    store(stores, full(space=None, unsupported="images_type is rbd"))

    cache = stores.caches.find_caches(["cmp-1"])["cmp-1"]
    assert (cache.unsupported, cache.space) == ("images_type is rbd", None)
    assert stores.caches.list_entries("cmp-1") == []


def test_reports_of_unknown_hosts_are_not_stored_and_are_returned(stores):
    beat(stores, "cmp-1")

    assert store(stores, full(1), full(1, host="cmp-2")) == {"cmp-2"}

    beat(stores, "cmp-2")
    assert stores.caches.find_caches(["cmp-2"]) == {}
    assert held(stores) == [1]


def test_changes_are_added_to_the_full_report(stores):
    beat(stores, "cmp-1")
    store(stores, full(1, 2))

    store(stores, change(3, entry(2, disks=1), gone=[1]))

    assert held(stores) == [2, 3]
    assert {each.disks for each in stores.caches.list_entries("cmp-1")} == {None, 1}


def test_a_lost_change_is_in_the_next_one(stores):
    beat(stores, "cmp-1")
    store(stores, full(1, 2), change(3, 4, sequence=3, gone=[1]))

    store(stores, change(3, sequence=2))

    assert held(stores) == [2, 3, 4]


def test_what_came_and_went_between_two_changes_is_gone(stores):
    beat(stores, "cmp-1")
    store(stores, full(1), change(2), change(3, sequence=3, gone=[2]))

    assert held(stores) == [1, 3]


@pytest.mark.parametrize(
    ("late", "left"),
    [
        (full(9, sequence=4), [1, 2]),
        (full(9, sequence=5), [1, 2]),
        (change(9, base=5, sequence=5), [1, 2]),
        (change(9, base=4, sequence=7), [1, 2]),
        (change(9, base=6, sequence=7), [1, 2]),
        (change(9, base=5, sequence=7), [1, 2, 9]),
        (full(9, sequence=6), [9]),
        (change(9, boot="boot-2", base=5, sequence=7), [1, 2]),
        (full(9, boot="boot-2", sequence=1), [9]),
    ],
    ids=str,
)
def test_only_a_report_that_follows_the_stored_one_is_stored(stores, late, left):
    beat(stores, "cmp-1")
    store(stores, full(1, 2, sequence=5))

    store(stores, late)

    assert held(stores) == left


def test_a_late_report_from_before_a_restart_is_ignored(stores):
    beat(stores, "cmp-1")
    store(stores, full(1, sequence=50), full(2, boot="boot-2", sequence=3))

    store(stores, full(9, sequence=50), full(9, sequence=49), change(9, base=50, sequence=51))

    assert held(stores) == [2]


def test_a_restarted_host_is_heard_though_a_late_report_got_in_between(stores):
    beat(stores, "cmp-1")
    store(stores, full(1, sequence=50), full(2, boot="boot-2", sequence=3))
    store(stores, full(9, sequence=51))  # the stored one was not the last before the restart
    assert held(stores) == [9]

    store(stores, full(2, 3, boot="boot-2", sequence=4))

    assert held(stores) == [2, 3]


def test_an_image_is_known_everywhere_when_one_host_knows_it(stores):
    beat(stores, "cmp-1", "cmp-2")
    store(stores, full(entry(1, image=None, image_name="")))
    assert stores.caches.list_images()[0].image is None

    store(stores, full(1, host="cmp-2"))

    (found,) = stores.caches.list_images()
    assert (found.image, found.name, found.numbers.present) == (image(1), "image-1", 2)
    assert stores.caches.list_entries("cmp-1")[0].image_name == "image-1"


def test_the_numbers_of_an_image_follow_its_entries(stores):
    beat(stores, "cmp-1", "cmp-2", "cmp-3")
    gone = entry(1, state=EntryState.MISSING, pins=(PIN,), allocated_bytes=0, size_bytes=0)
    pinned = entry(1, pins=(PIN,), disks=0, verification=Verification.INTACT)
    store(stores, full(pinned), full(gone, host="cmp-2"), full(entry(1, disks=2), host="cmp-3"))
    numbers = stores.caches.find_images([entry_of(1), entry_of(2)])[entry_of(1)].numbers
    assert numbers == CacheNumbers(present=2, missing=1, bytes=120, pinned=2, unused=1, intact=1)

    store(stores, full(sequence=2), full(entry(1, verification=Verification.CORRUPT), host="cmp-3", sequence=2))

    assert stores.caches.list_images()[0].numbers == CacheNumbers(present=1, missing=1, bytes=60, pinned=1, corrupt=1)
    store(stores, full(host="cmp-2", sequence=2), full(host="cmp-3", sequence=3))
    assert stores.caches.list_images() == []


def test_a_deleted_host_leaves_nothing_behind(stores):
    beat(stores, "cmp-1", "cmp-2")
    store(stores, full(1, 2), full(2, host="cmp-2"))

    stores.host_removal.delete_host("cmp-1", since(stores, NOW + HOUR))

    assert [(each.entry, each.numbers.present) for each in stores.caches.list_images()] == [(entry_of(2), 1)]
    beat(stores, "cmp-1")
    assert stores.caches.find_caches(["cmp-1"]) == {}
    assert held(stores) == []


def test_a_deleted_cell_takes_the_caches_of_its_hosts_with_it(database_stores):
    stores = database_stores
    beat(stores, "cmp-1", "cmp-2")
    store(stores, full(1), full(2, host="cmp-2"))

    stores.cells.delete_cell("cell1", since(stores, NOW + HOUR))

    assert stores.caches.list_images() == []


def test_what_the_previous_release_leaves_of_a_deleted_host_is_removed_with_the_next_report(database_stores):
    stores = database_stores
    beat(stores, "cmp-1", "cmp-2")
    store(stores, full(1))
    with stores.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM hosts WHERE name = 'cmp-1'")

    store(stores, full(2, host="cmp-2"))

    assert [each.entry for each in stores.caches.list_images()] == [entry_of(2)]


def test_more_hosts_and_entries_than_one_transaction_takes_are_stored(stores):
    hosts = [f"cmp-{number}" for number in range(450)]
    beat(stores, *hosts)

    store(stores, *(full(1, host=host) for host in hosts))

    assert stores.caches.list_images()[0].numbers.present == 450


def test_entries_of_many_megabytes_are_stored(database_stores):
    stores = database_stores
    beat(stores, "cmp-1")
    pins = tuple(Pin(f'"{number:0200}"', NOW) for number in range(100))
    entries = [entry(number, pins=pins) for number in range(600)]

    store(stores, full(*entries))

    assert stores.caches.list_entries("cmp-1") == sorted(entries, key=lambda each: each.entry)


def test_more_names_than_one_statement_takes_are_removed(database_stores):
    stores = database_stores
    hosts = [f"cmp-{number}" for number in range(30)]
    beat(stores, *hosts)
    store(stores, *(full(1, 2, host=host) for host in hosts))

    # PostgreSQL takes 65,535 values in a statement, SQLite 250,000 at most.
    removed = change(gone=range(2, 9_000))
    store(stores, *(replace(removed, host=host) for host in hosts))

    assert [(each.entry, each.numbers.present) for each in stores.caches.list_images()] == [(entry_of(1), 30)]


ENTRIES = st.builds(
    entry,
    st.integers(1, 6),
    state=st.sampled_from(EntryState),
    disks=st.sampled_from([None, 0, 1]),
    verification=st.sampled_from(Verification),
    pins=st.sampled_from([(), (PIN,)]),
    allocated_bytes=st.integers(0, 3),
)
CONTENTS = st.lists(ENTRIES, max_size=6, unique_by=lambda each: each.entry)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_kept_numbers_equal_the_entries_after_any_course_of_reports(stores, data):
    """Two hosts report, in any order, with losses and repetitions; then both report everything."""
    hosts = ("cmp-1", "cmp-2")
    beat(stores, *hosts)
    for host in hosts:
        stores.host_removal.delete_host(host, since(stores, NOW + HOUR))
    beat(stores, *hosts)
    sent = []
    for host in hosts:
        base = 0
        for sequence in range(1, data.draw(st.integers(2, 6))):
            entries = data.draw(CONTENTS)
            base = sequence if base == 0 or data.draw(st.booleans()) else base
            names = {each.entry for each in entries}
            gone = [number for number in range(1, 7) if entry_of(number) not in names] if base != sequence else ()
            sent.append(change(*entries, host=host, base=base, sequence=sequence, gone=gone))
    mixed = data.draw(st.permutations(sent + sent[::2]))
    lost = data.draw(st.integers(0, len(mixed)))
    for start in range(lost, len(mixed), 3):
        store(stores, *mixed[start : start + 3])
    check_numbers(stores, hosts)

    last = {host: data.draw(CONTENTS) for host in hosts}
    store(stores, *(full(*entries, host=host, sequence=100) for host, entries in last.items()))

    for host, entries in last.items():
        assert stores.caches.list_entries(host) == sorted(entries, key=lambda each: each.entry)
    check_numbers(stores, hosts)


def check_numbers(stores, hosts):
    """Compare all kept numbers with the stored entries."""
    caches = stores.caches.find_caches(hosts)
    by_image = {}
    for host in hosts:
        entries = stores.caches.list_entries(host)
        if host in caches:
            assert caches[host].numbers == CacheNumbers.sum(entries)
        for each in entries:
            by_image.setdefault(each.entry, []).append(each)
    found = {each.entry: each.numbers for each in stores.caches.list_images()}
    assert found == {name: CacheNumbers.sum(entries) for name, entries in by_image.items()}


def test_two_conductors_that_store_reports_of_the_same_images_do_not_disturb_each_other(database_stores):
    """They store the same images in opposite orders, and a host is deleted at times."""
    stores, generator = database_stores, random.Random(7)
    hosts = [f"cmp-{number}" for number in range(12)]
    beat(stores, *hosts)
    errors = []

    def report(mine):
        try:
            for sequence in range(1, 16):
                numbers = generator.sample(range(1, 9), 5)
                store(stores, *(full(*numbers, host=host, sequence=sequence) for host in mine))
        except PrecacheError as error:
            errors.append(error)

    threads = [threading.Thread(target=report, args=(part,)) for part in (hosts[:6], hosts[5::-1], hosts[6:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    check_numbers(stores, hosts)
