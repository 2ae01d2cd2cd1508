"""An image passes through three hosts of a site, and whatever goes wrong the others get it."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace

import pytest

from precache.core.errors import NotEnoughSpace, RelayFailed, Stopped
from precache.core.orders import OrderOptions
from precache.core.relays import ReportKind
from precache.core.stopping import StopReason
from precache.imagecache.records.entry_record import FROM_HOSTS, FROM_IMAGE_SERVICE
from precache.imagecache.space.disk_usage import DiskSize
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.imagecache.verification.content_digest import content_digest
from precache.swarm.relay_file import RelayFile
from tests.relay_hosts import BY_SWARM, EVERYTHING, HOLE_BYTES, Site, some_content
from tests.unit.fetch.world import IMAGE, record_of
from tests.waiting import wait_until

SIZE = (6 << 20) + 4711
DATA = some_content(SIZE)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, record_of(DATA), DATA) as site:
        yield site


def test_an_image_crosses_the_uplink_once_and_each_host_records_where_it_came_from(site):
    site.images.until = 1 << 20
    hosts = [site.host(name) for name in ("one", "two", "three")]
    futures = [host.cache_image(IMAGE) for host in hosts]
    wait_until(lambda: hosts[2].done_bytes > 1 << 19)  # while the image service still sends
    site.images.until = EVERYTHING

    paths = [future.result(30) for future in futures]

    assert all(path.read_bytes() == DATA for path in paths)
    assert site.images.sent_bytes == SIZE
    digest = content_digest(paths[0])
    records = [host.cache.records.read(path.name) for host, path in zip(hosts, paths, strict=True)]
    assert [record.digest for record in records] == [digest] * 3
    assert sorted(record.source for record in records) == sorted([FROM_IMAGE_SERVICE, FROM_HOSTS, FROM_HOSTS])
    assert {record.source_digest for record in records} == {str(record_of(DATA).digest)}
    assert [host.left() for host in hosts] == [["", "precache"]] * 3


def begin_chain(site, *names, until=2 << 20, **parts):
    """Begin on these hosts, the first of which is the seeder, each behind the one before; return them with futures.

    All of them have received most of what the image service has sent so far.
    """
    site.images.until = until
    hosts, futures = [], []
    for name in names:
        host = site.host(name, **parts)
        hosts.append(host)
        futures.append(host.cache_image(IMAGE))
        wait_until(lambda host=host: host.done_bytes > until - (1 << 20))
    assert [site.planner.parent_of(name) for name in names] == ["", *names[:-1]]
    return hosts, futures


def finish(site, *futures):
    site.images.until = EVERYTHING
    for future in futures:
        assert future.result(30).read_bytes() == DATA


def test_a_host_whose_parent_dies_goes_to_its_grandparent_by_itself(site):
    (_, two, three), futures = begin_chain(site, "one", "two", "three")
    site.planner.is_down = True  # no conductor helps

    two.server.stop()
    two.stop_task(StopReason.CANCELLED, keeps_data=False)
    site.images.until = 4 << 20
    wait_until(lambda: three.done_bytes > 3 << 20)
    site.planner.is_down = False

    finish(site, futures[0], futures[2])
    assert site.images.sent_bytes == SIZE
    wait_until(lambda: site.planner.parent_of("three") == "one")
    with pytest.raises(Stopped):
        futures[1].result(30)
    wait_until(lambda: ReportKind.LEFT in site.planner.kinds("two"))


def test_if_the_seeder_dies_another_host_fetches_the_rest_and_every_piece_stays_valid(site):
    (one, two, three), futures = begin_chain(site, "one", "two", "three")
    one.server.stop()
    one.stop_task(StopReason.SHUTDOWN, keeps_data=False)
    wait_until(lambda: site.images.streams == 2)
    finish(site, *futures[1:])

    assert [host.fetched.bytes_from.image_service for host in (two, three)] == [SIZE, 0]
    assert three.fetched.bytes_from.hosts == SIZE - HOLE_BYTES  # no piece came twice


def test_a_new_assignment_takes_effect_at_once_and_no_piece_comes_twice(site):
    (_, _, three), futures = begin_chain(site, "one", "two", "three")

    site.planner.change("three", parent="one")
    wait_until(lambda: site.hosts["one"].server.serving(site.planner.relay.id).hosts == ("three", "two"))
    finish(site, *futures)

    assert three.fetched.bytes_from.hosts <= SIZE - HOLE_BYTES
    assert site.planner.kinds("three") == [ReportKind.COMPLETE]


class WrongFile(RelayFile):
    """Sends a wrong second piece, as a host with a broken disk."""

    def read_into(self, index, buffer):
        length = super().read_into(index, buffer)
        if index == 1:
            buffer[0] ^= 1
        return length


def test_a_host_that_sends_a_wrong_piece_is_named_and_the_piece_comes_from_elsewhere(site):
    site.images.until = 1 << 20
    futures = [site.host("one").cache_image(IMAGE)]
    wait_until(lambda: site.images.streams)
    futures.append(site.host("two", open_file=WrongFile).cache_image(IMAGE))
    wait_until(lambda: site.hosts["two"].done_bytes > 1 << 19)
    futures.append(site.host("three").cache_image(IMAGE))
    wait_until(lambda: ReportKind.WRONG_PIECE in site.planner.kinds("three"))

    finish(site, *futures)

    assert {report.parent for report in site.planner.reports if report.kind is ReportKind.WRONG_PIECE} == {"two"}
    assert site.planner.parent_of("three") == "one"


class FullDisk(RelayFile):
    """Is full after a megabyte."""

    def add_piece(self, index, data):
        if self.have_bytes > 1 << 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().add_piece(index, data)


def test_a_full_disk_ends_one_host_in_numbers_and_leaves_nothing_there(site):
    _, futures = begin_chain(site, "one", "two")
    three = site.host("three", open_file=FullDisk)

    with pytest.raises(NotEnoughSpace, match=r"became full after 1\.\d MiB"):
        three.cache_image(IMAGE).result(30)

    assert three.left() == []
    finish(site, *futures)


def test_a_host_without_space_for_the_whole_file_receives_nothing(site):
    _, futures = begin_chain(site, "one")
    two = site.host("two")
    two.cache.ledger = SpaceLedger(
        directory=two.cache.directory, clock=two.clock, disk_size=lambda _directory: DiskSize(SIZE - 1, SIZE - 1)
    )

    with pytest.raises(NotEnoughSpace, match=r"needs 6\.0 MiB, 6\.0 MiB free"):
        two.cache_image(IMAGE).result(30)

    assert two.left() == []
    finish(site, *futures)


@pytest.mark.parametrize(
    ("reason", "keeps_data", "kept"),
    [
        (StopReason.PAUSED, True, True),
        (StopReason.SHUTDOWN, False, True),
        (StopReason.CANCELLED, False, False),
    ],
)
def test_what_a_stopped_host_had_is_kept_unless_the_task_was_cancelled(site, reason, keeps_data, kept):
    (_, _, three), futures = begin_chain(site, "one", "two", "three")
    had = three.done_bytes

    began = time.monotonic()
    three.stop_task(reason, keeps_data=keeps_data)
    with pytest.raises(Stopped):
        futures[2].result(30)

    assert time.monotonic() - began < 2
    assert three.left() == (["data", "record"] if kept else [])
    again = three.cache_image(IMAGE)
    finish(site, *futures[:2], again)
    assert three.fetched.bytes_from.hosts <= SIZE - HOLE_BYTES - (had - (1 << 20) if kept else 0)
    assert three.left() == ["", "precache"]


def test_a_relay_that_has_failed_ends_every_host_and_nothing_is_published(site):
    hosts, futures = begin_chain(site, "one", "two", "three")

    site.planner.fail("one found a, but two found b")

    for future in futures:
        with pytest.raises(RelayFailed, match="one found a, but two found b"):
            future.result(30)
    assert [host.left() for host in hosts] == [[], [], []]


def test_nothing_is_published_before_a_conductor_has_signed_the_root(site):
    hosts, futures = begin_chain(site, "one", "two")
    site.planner.is_down = True

    site.images.until = EVERYTHING
    wait_until(lambda: hosts[1].done_bytes == SIZE)
    assert [host.entry(IMAGE).exists() for host in hosts] == [False, False]

    site.planner.is_down = False
    finish(site, *futures)


def test_conductors_that_are_down_delay_a_join_and_nothing_else(site):
    site.planner.is_down = True
    one = site.host("one")
    future = one.cache_image(IMAGE)
    time.sleep(0.3)
    assert site.images.streams == 0
    site.planner.is_down = False

    finish(site, future)


def test_the_limit_of_the_task_holds_for_pieces_from_other_hosts(site):
    finish(site, site.host("one").cache_image(IMAGE))
    two = site.host("two")

    began = time.monotonic()
    finish(site, two.cache_image(IMAGE, replace(BY_SWARM, rate_limit_bytes_per_s=SIZE // 2)))

    assert time.monotonic() - began > 1
    assert site.images.sent_bytes == SIZE


def test_a_job_without_a_swarm_fetches_from_the_image_service(site):
    path = site.host("one").cache_image(IMAGE, OrderOptions()).result(30)

    assert path.read_bytes() == DATA
    assert site.planner.reports == []
