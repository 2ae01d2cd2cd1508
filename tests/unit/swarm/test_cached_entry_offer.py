"""A host that has an image in its cache already serves it to other hosts, if a conductor has signed what it is."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from precache.core.orders import ImageOrder, OrderOptions
from precache.core.relays import ReportKind
from precache.imagecache.verification.content_digest import ContentHash
from precache.swarm.cached_entry_offer import CachedEntryOffer
from tests.relay_hosts import BY_SWARM, HOLE_BYTES, Site, some_content
from tests.unit.fetch.world import IMAGE, record_of
from tests.waiting import wait_until

SIZE = (6 << 20) + 4711
DATA = some_content(SIZE)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path, record_of(DATA), DATA) as site:
        yield site


def keep_entry_alone(site, name, **parts):
    """Let a host cache the image, forget all else as by a restart, and return the new host."""
    one = site.host(name)
    site.finish(one.cache_image(IMAGE))
    one.close()
    wait_until(lambda: site.planner.kinds(name)[-1] is ReportKind.LEFT)
    return site.host(name, **parts)


def offer_cached(host):
    entry = host.entry(IMAGE)
    host.fetcher.offer_cached(ImageOrder(IMAGE, BY_SWARM), entry, host.cache.records.read(entry.name))


def test_a_host_that_holds_the_image_serves_it_to_late_hosts_and_reads_it_only_then(site):
    one = keep_entry_alone(site, "one")

    offer_cached(one)
    wait_until(lambda: site.planner.kinds("one")[-1] is ReportKind.COMPLETE)
    assert one.cache.served.why_kept(one.entry(IMAGE).name)
    two = site.host("two")
    site.finish(two.cache_image(IMAGE))

    assert (site.images.streams, two.fetched.bytes_from.hosts) == (1, SIZE - HOLE_BYTES)
    offer_cached(one)  # of another job: it is served already
    assert site.planner.kinds("one").count(ReportKind.COMPLETE) == 2


def test_a_cached_entry_that_is_not_what_was_signed_is_not_passed_on(site, caplog):
    one = keep_entry_alone(site, "one")
    with one.entry(IMAGE).open("r+b") as entry:
        entry.write(b"another byte")

    offer_cached(one)
    wait_until(lambda: site.planner.kinds("one")[-1] is ReportKind.COMPLETE)
    site.finish(site.host("two").cache_image(IMAGE))

    assert site.images.streams == 2
    assert "is not the file that the conductors have signed" in caplog.text
    wait_until(lambda: not one.cache.served.why_kept(one.entry(IMAGE).name))


def test_a_host_that_holds_an_image_which_nothing_attests_takes_no_turn(site):
    one = site.host("one")
    one.cache_image(IMAGE, OrderOptions()).result(30)

    offer_cached(one)
    wait_until(lambda: site.planner.kinds("one") == [ReportKind.LEFT])
    site.finish(site.host("two").cache_image(IMAGE))

    assert site.images.streams == 2


def fail(*_args, **_options):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_cached_entry_that_cannot_be_read_is_not_passed_on(site, monkeypatch, caplog):
    one = keep_entry_alone(site, "one")
    monkeypatch.setattr(ContentHash, "digest", fail)

    offer_cached(one)
    wait_until(lambda: site.planner.kinds("one")[-1] is ReportKind.COMPLETE)
    future = site.host("two").cache_image(IMAGE)
    wait_until(lambda: site.planner.kinds("one")[-1] is ReportKind.LEFT)

    monkeypatch.undo()
    site.finish(future)
    assert "cannot be read (the disk reports an input/output error" in caplog.text
    assert not one.cache.served.why_kept(one.entry(IMAGE).name)


def test_a_host_whose_entry_is_removed_while_it_joins_leaves_the_relay(site, monkeypatch):
    one = keep_entry_alone(site, "one")
    monkeypatch.setattr("precache.swarm.cached_entry_offer.EntryFile", fail)

    offer_cached(one)

    wait_until(lambda: site.planner.kinds("one")[-2:] == [ReportKind.LEFT, ReportKind.LEFT])


def test_a_host_that_two_jobs_ask_at_once_serves_one_file(site):
    one = keep_entry_alone(site, "one")
    entry, reporting = one.entry(IMAGE), count_of_threads("relay reports")

    for _job in range(2):
        record = one.cache.records.read(entry.name)
        one.fetcher._offer(CachedEntryOffer(host=one.fetcher._host, entry=entry, record=record, job_id=""), entry)

    wait_until(lambda: count_of_threads("relay reports") == reporting + 1)
    assert sum(opened == entry for opened in open_files()) == 1


def count_of_threads(name: str) -> int:
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


def open_files() -> list[Path]:
    return [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
