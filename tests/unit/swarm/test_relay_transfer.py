"""An image passes through three hosts of a site: once over the uplink, and to each host over the one before."""

from __future__ import annotations

import subprocess
import time
from dataclasses import replace

import pytest

from precache.core.bytes_from import BytesFrom
from precache.core.errors import Stopped
from precache.core.orders import OrderOptions
from precache.core.relays import ReportKind
from precache.core.stopping import StopReason
from precache.imagecache.records.entry_record import FROM_HOSTS, FROM_IMAGE_SERVICE
from precache.imagecache.verification.content_digest import content_digest
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


def test_a_new_assignment_takes_effect_at_once_and_no_piece_comes_twice(site):
    (_, _, three), futures = site.begin_chain("one", "two", "three")

    site.planner.change("three", parent="one")
    wait_until(lambda: site.hosts["one"].server.serving(site.planner.relay.id).hosts == ("three", "two"))
    site.finish(*futures)

    assert three.fetched.bytes_from.hosts <= SIZE - HOLE_BYTES
    assert ReportKind.LOST_PARENT not in site.planner.kinds("three")


def test_the_task_learns_its_parent_and_from_where_its_bytes_came_and_waits_for_them_without_loss(site):
    hosts, futures = site.begin_chain("one", "two", "three")
    time.sleep(0.5)  # in which the image service sends nothing
    site.images.until = EVERYTHING
    site.finish(*futures)

    seeder, _, third = hosts
    assert [host.sources[-1][0] for host in hosts] == ["", "one", "two"]
    assert seeder.sources[-1][1] == seeder.fetched.bytes_from == BytesFrom(image_service=SIZE)
    assert third.sources[-1][1] == third.fetched.bytes_from
    assert third.fetched.bytes_from.hosts == SIZE - HOLE_BYTES
    parts = [of.hosts for _, of in third.sources]
    assert parts == sorted(parts)
    assert [sum(host.waits) > 0.4 for host in hosts] == [False, True, True]


def test_nothing_is_published_before_a_conductor_has_signed_the_root(site):
    hosts, futures = site.begin_chain("one", "two")
    site.planner.is_down = True

    site.images.until = EVERYTHING
    wait_until(lambda: hosts[1].done_bytes == SIZE)
    assert [host.entry(IMAGE).exists() for host in hosts] == [False, False]

    site.planner.is_down = False
    site.finish(*futures)


def test_the_limit_of_the_task_holds_for_pieces_from_other_hosts(site):
    site.finish(site.host("one").cache_image(IMAGE))
    two = site.host("two")

    began = time.monotonic()
    site.finish(two.cache_image(IMAGE, replace(BY_SWARM, rate_limit_bytes_per_s=SIZE)))

    assert time.monotonic() - began > 0.5  # the first second's share is free
    assert site.images.sent_bytes == SIZE


def test_a_job_without_a_swarm_fetches_from_the_image_service(site):
    path = site.host("one").cache_image(IMAGE, OrderOptions()).result(30)

    assert path.read_bytes() == DATA
    assert site.planner.reports == []


def make_qcow2(directory):
    """Return a path with the disk, and the bytes of a qcow2 of it."""
    disk, image = directory / "disk.raw", directory / "disk.qcow2"
    disk.write_bytes(DATA + bytes(-len(DATA) % 4096))
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", str(disk), str(image)]
    subprocess.run(command, check=True, capture_output=True)
    return disk, image.read_bytes()


def test_a_seeder_of_a_converted_image_that_is_paused_goes_on_and_announces_all_of_it_again(tmp_path):
    disk, data = make_qcow2(tmp_path)
    with Site(tmp_path, record_of(data, "qcow2"), data) as site:
        site.images.until = len(data) // 2
        one = site.host("one")
        future = one.cache_image(IMAGE)
        wait_until(lambda: one.done_bytes == site.images.until)
        one.stop_task(StopReason.PAUSED, keeps_data=True)
        with pytest.raises(Stopped):
            future.result(30)
        assert one.left() == ["data", "data", "record"]  # one is the side file

        site.images.until += 2 << 20
        again = one.cache_image(IMAGE)
        wait_until(lambda: site.images.streams == 2)
        two = site.host("two")
        futures = [again, two.cache_image(IMAGE)]
        wait_until(lambda: two.done_bytes > 0)
        site.images.until = EVERYTHING
        paths = [future.result(30) for future in futures]

        assert two.fetched.bytes_from.hosts
        assert all(path.read_bytes() == disk.read_bytes() for path in paths)
        assert site.images.sent_bytes == len(data)


def test_a_converted_image_is_converted_once_and_every_host_has_the_disk(tmp_path):
    disk, data = make_qcow2(tmp_path)
    with Site(tmp_path, record_of(data, "qcow2"), data) as site:
        site.images.until = len(data) * 9 // 10
        hosts = [site.host(name) for name in ("one", "two", "three")]
        futures = [host.cache_image(IMAGE) for host in hosts]
        wait_until(lambda: min(host.done_bytes for host in hosts[1:]) > 0)
        site.images.until = EVERYTHING

        paths = [future.result(30) for future in futures]

        assert all(path.read_bytes() == disk.read_bytes() for path in paths)
        assert site.images.sent_bytes == len(data)
        assert sorted(host.fetched.decoded_by for host in hosts) == ["", "", "stream"]
        records = [host.cache.records.read(path.name) for host, path in zip(hosts, paths, strict=True)]
        assert {(record.format, record.digest) for record in records} == {("raw", content_digest(paths[0]))}
        assert max(path.stat().st_blocks * 512 for path in paths) < SIZE - HOLE_BYTES // 2


def test_with_two_attestations_two_hosts_fetch_before_a_third_one_publishes(tmp_path):
    with Site(tmp_path, record_of(DATA), DATA, attestations=2) as site:
        site.images.until = 1 << 20
        hosts = [site.host(name) for name in ("one", "two", "three")]
        futures = [host.cache_image(IMAGE) for host in hosts]
        wait_until(lambda: site.images.streams == 2)

        site.finish(*futures)

        assert site.images.sent_bytes == 2 * SIZE
        assert sorted(bool(host.fetched.bytes_from.hosts) for host in hosts) == [False, False, True]


@pytest.mark.parametrize("serves_on", [True, False])
def test_a_host_without_another_one_that_attests_publishes_what_it_has_fetched(tmp_path, serves_on):
    passed_s = [0.0]
    with Site(tmp_path, record_of(DATA), DATA, attestations=2) as site:
        one = site.host("one", monotonic=lambda: time.monotonic() + passed_s[0])
        future = one.cache_image(IMAGE)
        wait_until(lambda: ReportKind.COMPLETE in site.planner.kinds("one"))
        assert not future.done()

        passed_s[0] = 61.0
        site.finish(future)
        if not serves_on:
            passed_s[0] = 1000.0
            one.fetcher.served.check()
            wait_until(lambda: ReportKind.LEFT in site.planner.kinds("one"))

        for name in ("two", "three"):  # one after another, as with parallelism_per_site = 1
            site.finish(site.host(name).cache_image(IMAGE))
        assert site.images.streams == 2


def test_a_host_serves_on_after_it_has_published_and_the_entry_stays_meanwhile(site):
    passed_s = [0.0]
    one = site.host("one", monotonic=lambda: time.monotonic() + passed_s[0])
    site.finish(one.cache_image(IMAGE))
    entry = one.entry(IMAGE).name

    site.finish(site.host("two").cache_image(IMAGE))
    wait_until(lambda: ReportKind.COMPLETE in site.planner.kinds("two"))
    passed_s[0] = 200.0
    one.fetcher.served.check()
    assert one.cache.served.why_kept(entry)

    passed_s[0] = 301.0
    one.fetcher.served.check()
    assert not one.cache.served.why_kept(entry)
    wait_until(lambda: ReportKind.LEFT in site.planner.kinds("one"))
    site.finish(site.host("three").cache_image(IMAGE))
    assert site.images.streams == 1
