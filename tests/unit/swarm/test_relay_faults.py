"""Whatever goes wrong with one host of a relay, the others get the image, and no host publishes a wrong one."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time

import pytest

from precache.adapters.images_memory import ImageFaults
from precache.core.errors import NotEnoughSpace, RelayFailed, RelayRefused, Stopped, Unavailable
from precache.core.relays import ReportKind, Source
from precache.core.stopping import StopReason
from precache.imagecache.space.disk_usage import DiskSize
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.swarm.host_trust import HostTrust
from precache.swarm.relay_file import RelayFile
from tests.relay_hosts import EVERYTHING, HOLE_BYTES, Site, some_content
from tests.swarm_hosts import CELL, SITE
from tests.unit.fetch.world import IMAGE, record_of
from tests.waiting import wait_until

SIZE = (6 << 20) + 4711
DATA = some_content(SIZE)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, record_of(DATA), DATA) as site:
        yield site


def test_a_host_whose_parent_dies_goes_to_its_grandparent_by_itself(site):
    (_, two, three), futures = site.begin_chain("one", "two", "three")
    site.planner.is_down = True  # no conductor helps

    two.server.stop()
    two.stop_task(StopReason.CANCELLED, keeps_data=False)
    site.images.until = 4 << 20
    wait_until(lambda: three.done_bytes > 3 << 20)
    site.planner.is_down = False

    site.finish(futures[0], futures[2])
    assert site.images.sent_bytes == SIZE
    wait_until(lambda: site.planner.parent_of("three") == "one")
    with pytest.raises(Stopped):
        futures[1].result(30)


def test_if_the_seeder_dies_another_host_fetches_the_rest_and_every_piece_stays_valid(site):
    (one, two, three), futures = site.begin_chain("one", "two", "three")
    one.server.stop()
    one.stop_task(StopReason.SHUTDOWN, keeps_data=False)
    wait_until(lambda: site.images.streams == 2)
    site.finish(*futures[1:])

    seeder, child = sorted((two, three), key=lambda host: -host.fetched.bytes_from.image_service)
    assert [host.fetched.bytes_from.image_service for host in (seeder, child)] == [SIZE, 0]
    assert child.fetched.bytes_from.hosts == SIZE - HOLE_BYTES  # no piece came twice


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

    site.finish(*futures)

    assert {report.parent for report in site.planner.reports if report.kind is ReportKind.WRONG_PIECE} == {"two"}
    assert site.planner.parent_of("three") == "one"


class FullDisk(RelayFile):
    """Is full after a megabyte."""

    def add_piece(self, index, data):
        if self.have_bytes > 1 << 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().add_piece(index, data)


def test_a_full_disk_ends_one_host_in_numbers_and_leaves_nothing_there(site):
    _, futures = site.begin_chain("one", "two")
    three = site.host("three", open_file=FullDisk)

    with pytest.raises(NotEnoughSpace, match=r"became full after 1\.\d MiB"):
        three.cache_image(IMAGE).result(30)

    assert three.left() == []
    site.finish(*futures)


def test_a_host_without_space_for_the_whole_file_receives_nothing(site):
    _, futures = site.begin_chain("one")
    two = site.host("two")
    two.cache.ledger = SpaceLedger(
        directory=two.cache.directory, clock=two.clock, disk_size=lambda _directory: DiskSize(SIZE - 1, SIZE - 1)
    )

    with pytest.raises(NotEnoughSpace, match=r"needs 6\.0 MiB, 6\.0 MiB free"):
        two.cache_image(IMAGE).result(30)

    assert two.left() == []
    site.finish(*futures)


@pytest.mark.parametrize(
    ("reason", "keeps_data", "kept"),
    [
        (StopReason.PAUSED, True, True),
        (StopReason.SHUTDOWN, False, True),
        (StopReason.CANCELLED, False, False),
    ],
)
def test_what_a_stopped_host_had_is_kept_unless_the_task_was_cancelled(site, reason, keeps_data, kept):
    (_, _, three), futures = site.begin_chain("one", "two", "three")
    had = three.done_bytes

    began = time.monotonic()
    three.stop_task(reason, keeps_data=keeps_data)
    with pytest.raises(Stopped):
        futures[2].result(30)

    assert time.monotonic() - began < 2
    assert three.left() == (["data", "record"] if kept else [])
    again = three.cache_image(IMAGE)
    site.finish(*futures[:2], again)
    assert three.fetched.bytes_from.hosts <= SIZE - HOLE_BYTES - (had - (1 << 20) if kept else 0)
    assert three.left() == ["", "precache"]


@pytest.mark.parametrize(("reason", "kept"), [(StopReason.SHUTDOWN, True), (StopReason.CANCELLED, False)])
def test_what_a_stopped_seeder_had_is_kept_as_after_a_kill_unless_the_task_was_cancelled(site, reason, kept):
    (one,), futures = site.begin_chain("one")
    had = one.done_bytes

    one.stop_task(reason, keeps_data=False)
    with pytest.raises(Stopped):
        futures[0].result(30)

    assert one.left() == (["data", "record"] if kept else [])
    site.finish(site.host("two").cache_image(IMAGE))
    site.finish(one.cache_image(IMAGE))
    assert one.fetched.bytes_from.hosts <= SIZE - HOLE_BYTES - (had - (1 << 20) if kept else 0)


@pytest.mark.parametrize("down_after", [0, 2 << 20])
def test_pieces_from_other_hosts_stay_if_the_image_service_then_fails(site, down_after):
    (one, two), futures = site.begin_chain("one", "two", until=4 << 20)
    had = two.done_bytes
    site.images.down_after = down_after
    one.server.stop()
    one.stop_task(StopReason.SHUTDOWN, keeps_data=False)

    with pytest.raises(Unavailable):
        futures[1].result(30)

    assert two.left() == ["data", "record"]
    site.images.down_after = None
    site.finish(site.host("three").cache_image(IMAGE))
    site.finish(two.cache_image(IMAGE))
    assert two.fetched.bytes_from.hosts <= SIZE - HOLE_BYTES - had + (1 << 20)


def test_a_relay_that_has_failed_ends_every_host_and_nothing_is_published(site):
    hosts, futures = site.begin_chain("one", "two", "three")

    site.planner.fail("one found a, but two found b")

    for future in futures:
        with pytest.raises(RelayFailed, match="one found a, but two found b"):
            future.result(30)
    assert [host.left() for host in hosts] == [[], [], []]


def test_conductors_that_are_down_delay_a_join_and_nothing_else(site):
    site.planner.is_down = True
    future = site.host("one", share=lambda: -0.4).cache_image(IMAGE)
    wait_until(lambda: site.planner.refusals)
    assert site.images.streams == 0
    site.planner.is_down = False

    site.finish(future)


class LapsingTrust(HostTrust):
    """Has no certificate at times; counts how often that was noticed."""

    is_over = False
    refusals = 0

    def client_context(self):
        if self.is_over:
            self.refusals += 1
            raise RelayRefused(self.host, "its certificate ended")
        return super().client_context()


def test_a_certificate_that_ends_twice_is_waited_for_twice(site):
    passed_s = [0.0]
    trust = LapsingTrust(host="two", cell=CELL, clock=site.swarm.clock)
    trust.install(site.swarm.authority.certify("two", CELL, SITE, trust.signing_request()))
    (one,), futures = site.begin_chain("one")
    two = site.host("two", trust=trust, monotonic=lambda: time.monotonic() + passed_s[0])
    futures.append(two.cache_image(IMAGE))

    for until in (3 << 20, 5 << 20):
        noticed, trust.is_over = trust.refusals, True
        one.server._offers.cut(lambda _connection: True)
        wait_until(lambda noticed=noticed: trust.refusals > noticed or futures[1].done())
        trust.is_over = False
        site.images.until = until
        wait_until(lambda until=until: two.done_bytes > until - (1 << 20) or futures[1].done())  # it receives again
        passed_s[0] += 400.0

    site.finish(*futures)


def test_a_slow_look_up_of_its_own_address_delays_no_stop(site):
    asked, answered = threading.Event(), threading.Event()

    def address() -> str:
        asked.set()
        answered.wait(30)
        return ""

    two = site.host("two", address=address)
    future = two.cache_image(IMAGE)
    asked.wait(30)
    two.stop_task(StopReason.CANCELLED, keeps_data=False)

    with pytest.raises(Stopped):
        future.result(5)
    answered.set()


def test_a_damaged_download_that_was_passed_on_is_replaced_on_every_host(tmp_path):
    with Site(tmp_path, record_of(DATA), DATA, faults=ImageFaults(damaged_reads=1)) as site:
        hosts, futures = site.begin_chain("one", "two", "three")

        site.finish(*futures)

        assert site.images.sent_bytes == 2 * SIZE
        assert not any(report.kind is ReportKind.WRONG_PIECE for report in site.planner.reports)
        assert hosts[2].fetched.bytes_from.hosts <= SIZE - HOLE_BYTES + (1 << 20)


def test_a_damaged_image_is_fetched_by_two_hosts_and_no_more(tmp_path):
    with Site(tmp_path, record_of(DATA), DATA, faults=ImageFaults(damaged_reads=100)) as site:
        _, futures = site.begin_chain("one", "two", "three", "four")
        site.images.until = EVERYTHING

        errors = [future.exception(30) for future in futures]

        assert sorted(type(error).__name__ for error in errors) == [
            "DigestMismatch", "DigestMismatch", "RelayFailed", "RelayFailed",
        ]  # fmt: skip
        assert all("fetched it, and found: " in str(error) for error in errors if isinstance(error, RelayFailed))
        assert site.images.sent_bytes <= 2 * 2 * SIZE


@pytest.mark.parametrize("name", ["one", "three"])
def test_a_host_that_was_killed_goes_on_with_the_pieces_that_it_had_also_the_seeder(site, tmp_path, name):
    _, futures = site.begin_chain("one", "two", "three")
    had = site.hosts[name].done_bytes
    # The files as a kill leaves them: with both names of the data, and without the locks of the process.
    subprocess.run(["cp", "-a", str(tmp_path / name), str(tmp_path / "again")], check=True)

    again = site.host("again")
    assert again.left() == ["data", "record"]
    future = again.cache_image(IMAGE)
    site.finish(*futures, future)

    assert again.fetched.bytes_from.hosts <= SIZE - HOLE_BYTES - had + (1 << 20)
    assert again.fetched.bytes_from.image_service == 0
    assert again.left() == ["", "precache"]


def test_an_entry_that_another_program_removes_is_served_no_more(site):
    one = site.host("one")
    site.finish(one.cache_image(IMAGE))
    one.fetcher.served.check()

    one.entry(IMAGE).unlink()
    one.fetcher.served.check()

    assert not one.cache.served.why_kept(one.entry(IMAGE).name)
    wait_until(lambda: ReportKind.LEFT in site.planner.kinds("one"))
    site.finish(one.cache_image(IMAGE))


def test_what_a_seeder_fetched_before_it_was_replaced_is_counted(site):
    (one, two), futures = site.begin_chain("one", "two")
    fetch = {"source": Source.IMAGE_SERVICE, "parent": ""}

    for streams, seeder, child in ((2, "two", "one"), (3, "one", "two")):
        site.planner.change(seeder, **fetch)
        site.planner.change(child, source=Source.HOST, parent=seeder)
        wait_until(lambda streams=streams: site.images.streams == streams)
        wait_until(lambda seeder=seeder: site.hosts[seeder].sources[-1][1].image_service > 1 << 20)
    site.finish(*futures)

    assert one.fetched.bytes_from.image_service + two.fetched.bytes_from.image_service == site.images.sent_bytes


def test_a_seeder_that_is_paused_leaves_its_turn_to_another_and_comes_back_as_a_child(site):
    (one, two), futures = site.begin_chain("one", "two")

    one.stop_task(StopReason.PAUSED, keeps_data=True)
    with pytest.raises(Stopped):
        futures[0].result(30)
    assert one.left() == ["data", "record"]
    wait_until(lambda: site.images.streams == 2)
    again = one.cache_image(IMAGE)
    wait_until(lambda: site.planner.parent_of("one") == "two")
    site.finish(futures[1], again)

    assert one.fetched.bytes_from.hosts
    assert [host.left() for host in (one, two)] == [["", "precache"]] * 2
