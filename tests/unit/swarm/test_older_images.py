"""Hosts of a swarm that hold an older version of an image receive only what differs."""

from __future__ import annotations

import errno
import random
import shutil
from pathlib import Path

import pytest

from precache.core.bytes_from import BytesFrom
from precache.core.errors import Stopped
from precache.core.images import Image, parse_image_id
from precache.core.orders import OrderOptions
from precache.core.relays import PIECE_BYTES
from precache.core.stopping import StopReason
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.space.disk_usage import DiskSize
from precache.imagecache.space.space_ledger import SpaceLedger
from precache.imagecache.staging import Staging
from tests.relay_hosts import BY_SWARM, EVERYTHING, HOLE_BYTES, Site, some_content
from tests.swarm_files import digests_of
from tests.unit.fetch.world import IMAGE, record_of
from tests.waiting import wait_until

DIGESTS = parse_image_id("00000000-0000-0000-0000-0000000000d1")
OLD = parse_image_id("00000000-0000-0000-0000-00000000001d")
PIECES = 64
BEFORE = some_content(PIECES * PIECE_BYTES)
CHANGED = (1, 2, 20, 60)


def changed(before: bytes, *indexes: int) -> bytes:
    content = bytearray(before)
    for index in indexes:
        content[index * PIECE_BYTES : (index + 1) * PIECE_BYTES] = random.Random(index).randbytes(PIECE_BYTES)
    return bytes(content)


def piece_of(content: bytes, index: int) -> bytes:
    return content[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]


AFTER = changed(BEFORE, *CHANGED) + random.Random(0).randbytes(5000)
MOVED = len(CHANGED) * PIECE_BYTES + 5000


def refuse(_source: int, _target: int) -> None:
    raise OSError(errno.EOPNOTSUPP, "no reflinks here")


def as_with_reflinks(source: int, target: int) -> None:
    with open(f"/proc/self/fd/{source}", "rb") as old, open(target, "wb", closefd=False) as file:
        shutil.copyfileobj(old, file)


both_ways = pytest.mark.parametrize("clone", [refuse, as_with_reflinks], ids=["copy", "clone"])


@pytest.fixture
def clone():
    return refuse


@pytest.fixture
def site(tmp_path, clone):
    with Site(tmp_path, record_of(AFTER), AFTER, clone=clone) as site:
        yield site


def host_with_old(site: Site, name: str, content: bytes = BEFORE, *, image_name: str = "debian-12", **parts):
    host = site.host(name, **parts)
    path = host.entry(OLD)
    record = EntryRecord(image=OLD, image_name=image_name, format="raw")
    host.cache.records.describe(record, Staging(path.parent, path.name))
    path.write_bytes(content)
    return host


def chain(site: Site, *hosts, options: OrderOptions = BY_SWARM):
    """Begin on the seeder `one`, then on these hosts while the image service still sends; return all futures."""
    site.images.until = 1 << 20
    futures = [site.host("one").cache_image(IMAGE)]
    wait_until(lambda: site.images.streams)
    for host in hosts:
        futures.append(host.cache_image(IMAGE, options))
        wait_until(lambda host=host: host.done_bytes > 1 << 19)
    return futures


@both_ways
def test_only_pieces_that_differ_move_between_hosts(site, tmp_path):
    two, three = host_with_old(site, "two"), host_with_old(site, "three")
    futures = chain(site, two, three)
    site.images.until = EVERYTHING

    paths = [future.result(30) for future in futures]

    assert all(path.read_bytes() == AFTER for path in paths)
    expected = BytesFrom(hosts=MOVED, cache=len(AFTER) - MOVED - HOLE_BYTES)
    assert [host.fetched.bytes_from for host in (two, three)] == [expected] * 2
    assert all(host.entry(OLD).read_bytes() == BEFORE for host in (two, three))
    assert not two.cache.served.why_kept(two.entry(OLD).name)
    assert two.left() == sorted(["", "precache"] * 2)
    opened = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert sorted(str(path) for path in opened if path.is_relative_to(tmp_path)) == sorted(map(str, paths))


def test_a_host_behind_one_with_a_base_needs_none(site):
    two, three = host_with_old(site, "two"), site.host("three")
    futures = chain(site, two, three)
    site.images.until = EVERYTHING

    paths = [future.result(30) for future in futures]

    assert all(path.read_bytes() == AFTER for path in paths)
    assert three.fetched.bytes_from == BytesFrom(hosts=len(AFTER) - HOLE_BYTES)


@both_ways
def test_a_base_of_another_size_changes_nothing_but_the_bytes_that_move(site):
    two = host_with_old(site, "two", BEFORE + BEFORE)
    futures = chain(site, two)
    site.images.until = EVERYTHING

    assert [future.result(30).read_bytes() for future in futures] == [AFTER] * 2
    assert two.fetched.bytes_from.hosts == MOVED
    assert two.entry(OLD).read_bytes() == BEFORE + BEFORE


@pytest.mark.parametrize("are_right", [True, False], ids=["right digests", "wrong digests"])
def test_the_seeder_requests_only_what_differs_too_and_wrong_digests_change_no_byte(tmp_path, are_right):
    # By wrong ones the seeder takes two old pieces, which it announces before the whole proves to be wrong.
    digests = digests_of(AFTER if are_right else AFTER.replace(piece_of(AFTER, 1), piece_of(BEFORE, 1)))
    others = {DIGESTS: (Image(DIGESTS, "digests", "active", "raw", len(digests)), digests)}
    with Site(tmp_path, record_of(AFTER, pieces=DIGESTS), AFTER, other_images=others) as site:
        one, two = host_with_old(site, "one"), host_with_old(site, "two")
        futures = [one.cache_image(IMAGE)]
        wait_until(lambda: site.planner.is_known("one"))
        futures.append(two.cache_image(IMAGE))

        assert [future.result(30).read_bytes() for future in futures] == [AFTER] * 2

    moved = MOVED + len(digests)
    if are_right:
        assert one.fetched.bytes_from == BytesFrom(image_service=moved, cache=len(AFTER) - MOVED - HOLE_BYTES)
        assert two.fetched.bytes_from == BytesFrom(hosts=MOVED, cache=len(AFTER) - MOVED - HOLE_BYTES)
    else:
        assert one.fetched.bytes_from.image_service == moved - PIECE_BYTES + len(AFTER)


def test_a_base_that_is_removed_meanwhile_is_used_to_the_end(site):
    two = host_with_old(site, "two")
    futures = chain(site, two)
    two.entry(OLD).unlink()
    site.images.until = EVERYTHING

    assert futures[1].result(30).read_bytes() == AFTER
    assert two.fetched.bytes_from.hosts == MOVED


@both_ways
def test_a_base_in_use_is_not_removed_and_is_given_up_if_the_disk_is_full(site):
    two = host_with_old(site, "two")

    def disk_size(_directory):  # as if the older image could be removed to make room
        free_bytes = len(AFTER) - 1 if two.cache.served.why_kept(two.entry(OLD).name) else 1 << 40
        return DiskSize(free_bytes, free_bytes)

    two.cache.ledger = SpaceLedger(directory=two.cache.directory, clock=two.clock, disk_size=disk_size)
    futures = chain(site, two)
    site.images.until = EVERYTHING

    assert [future.result(30).read_bytes() for future in futures] == [AFTER] * 2
    assert two.fetched.bytes_from == BytesFrom(hosts=len(AFTER) - HOLE_BYTES)
    assert not two.cache.served.why_kept(two.entry(OLD).name)


def test_the_order_names_the_base(site):
    two = host_with_old(site, "two", image_name="another")
    futures = chain(site, two, options=OrderOptions(by_swarm=True, base=OLD))
    site.images.until = EVERYTHING

    assert futures[1].result(30).read_bytes() == AFTER
    assert two.fetched.bytes_from.hosts == MOVED


@both_ways
def test_what_was_copied_is_kept_over_a_stop(site):
    two = host_with_old(site, "two")
    futures = chain(site, two)
    two.stop_task(StopReason.PAUSED, keeps_data=True)
    with pytest.raises(Stopped):
        futures[1].result(30)
    two.entry(OLD).unlink()

    again = two.cache_image(IMAGE)
    site.images.until = EVERYTHING

    assert again.result(30).read_bytes() == AFTER
    assert futures[0].result(30).read_bytes() == AFTER
    assert two.fetched.bytes_from.hosts <= len(AFTER) - HOLE_BYTES - (1 << 19)
