"""What is kept of paused downloads: how long, how much, and for whom."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from precache.adapters.clock_memory import MemoryClock
from precache.core.images import Digest, Image, parse_image_id
from precache.imagecache.cache import ImageCache
from precache.imagecache.keep_limits import KeepLimits
from precache.imagecache.names import entry_name
from precache.rules.expiry import Shape, shape_of

DAY = timedelta(days=1)


def image(number: int = 1, size_bytes: int = 100, **changes) -> Image:
    digest = Digest.parse("md5", f"{number:032x}")
    image_id = parse_image_id(f"00000000-0000-0000-0000-{number:012}")
    facts = {"size_bytes": size_bytes, "digest": digest} | changes
    return Image(id=image_id, name="web", status="active", disk_format="raw", **facts)


class World:
    def __init__(self, directory: Path, **limits) -> None:
        self.clock = MemoryClock()
        self.cache = ImageCache(
            directory=directory / "_base",
            locks_directory=directory / "locks",
            clock=self.clock,
            keep_limits=KeepLimits(**limits),
        )
        self.cache.start()
        self.kept = self.cache.kept
        self.part = self.cache.directory / "part"

    def keep(self, kept: Image, received_bytes: int = 10, job: str | None = "job") -> int:
        self.part.write_bytes(bytes(20))
        return self.kept.keep(kept, self.part, received_bytes, job)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.cache.directory.iterdir())

    def numbers(self, *numbers: int) -> list[int]:
        """Return those of which something is kept."""
        return [number for number in numbers if self.kept.bytes_of(image(number).id)]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_the_data_that_was_received_is_given_back_once_it_fits(world):
    assert world.keep(image()) == world.kept.bytes_of(image().id) == 10
    assert not world.part.exists()

    assert world.kept.take(image(), world.part) == 10
    assert world.part.read_bytes() == bytes(10)


def test_nova_s_cleaner_and_the_start_of_a_compute_leave_it_alone(world):
    world.keep(image())

    world.cache.start()

    assert world.kept.bytes_of(image().id) == 10
    assert {shape_of(name) for name in world.left()} == {shape_of("anything.else")}
    assert shape_of("anything.else") is not Shape.IMAGE


@pytest.mark.parametrize(
    "changes",
    [{"size_bytes": 101}, {"digest": Digest.parse("md5", f"{7:032x}")}, {"digest": None}, {"size_bytes": None}],
)
def test_what_does_not_fit_the_image_any_more_is_removed(world, changes):
    world.keep(image())

    assert world.kept.take(image(**changes), world.part) == 0

    assert world.left() == []


@pytest.mark.parametrize("changes", [{"digest": None}, {"size_bytes": None}])
def test_nothing_is_kept_that_could_not_be_verified(world, changes):
    world.keep(image())

    assert world.keep(image(**changes)) == 0

    assert world.left() == ["part"]


def test_the_same_download_is_not_given_to_two_processes(world):
    world.keep(image())
    second = world.part.with_name("second")

    taken = world.kept.take(image(), world.part), world.kept.take(image(), second)

    assert taken == (10, 0)
    assert not second.exists()
    assert world.part.read_bytes() == bytes(10)


def test_it_is_removed_when_it_is_too_old(world):
    world.keep(image())
    world.clock.advance(7 * DAY - timedelta(seconds=1))
    world.kept.clean()
    assert world.kept.bytes_of(image().id) == 10

    world.clock.advance(timedelta(seconds=1))
    world.kept.clean()

    assert world.left() == []


@pytest.mark.parametrize(("limits", "left"), [({"images": 2}, [3, 4]), ({"total_bytes": 35}, [2, 3, 4])])
def test_the_oldest_are_removed_if_there_are_too_many(tmp_path, limits, left):
    world = World(tmp_path, **limits)
    for number in (1, 2, 3, 4):
        world.keep(image(number))
        world.clock.advance(DAY / 24)

    assert world.numbers(1, 2, 3, 4) == left


@pytest.mark.parametrize("limits", [{"images": 0}, {"total_bytes": 9}])
def test_what_is_too_much_alone_is_not_kept(tmp_path, limits):
    world = World(tmp_path, **limits)

    assert world.keep(image()) == 0

    assert world.left() == ["part"]


def test_it_is_removed_when_the_image_is_in_the_cache(world):
    world.keep(image())
    (world.cache.directory / entry_name(image().id)).write_bytes(b"by nova")

    world.kept.clean()

    assert world.left() == [entry_name(image().id)]


def test_an_image_that_nova_has_cached_needs_it_no_more(world):
    world.keep(image())
    (world.cache.directory / entry_name(image().id)).write_bytes(b"by nova")

    assert not world.cache.ensure(image().id, produce=lambda staging: pytest.fail("it is there"))

    assert world.left() == [entry_name(image().id)]


def test_it_is_not_removed_while_a_download_uses_it(world):
    world.keep(image())
    world.clock.advance(30 * DAY)

    with world.cache.locks.hold(entry_name(image().id), wait=lambda: None):
        world.kept.clean()
        world.kept.remove_of_job("job")

    assert world.kept.bytes_of(image().id) == 10


def test_a_cancelled_job_loses_only_what_no_other_job_has_paused(world):
    world.keep(image(1))
    world.keep(image(2), job="other")
    for job in ("job", "other"):
        world.keep(image(3), job=job)
    world.keep(image(4), job=None)

    world.kept.remove_of_job("job")
    assert world.numbers(1, 2, 3, 4) == [2, 3, 4]
    world.kept.remove_of_job("other")

    assert world.numbers(1, 2, 3, 4) == [4]


def test_a_job_that_is_cancelled_while_another_one_downloads_wants_it_no_more(world):
    world.keep(image(), job="one")
    with world.cache.locks.hold(entry_name(image().id), wait=lambda: None):
        world.kept.take(image(), world.part)
        world.kept.remove_of_job("one")
        assert world.kept.bytes_of(image().id) == 10
        world.kept.keep(image(), world.part, 12, "two")
        world.part.unlink()

    world.kept.remove_of_job("two")

    assert world.left() == []


def test_a_job_may_want_what_another_one_has_received(world):
    world.keep(image(), job="one")

    assert world.kept.claim(image().id, "two") == 10

    world.kept.remove_of_job("one")
    assert world.kept.bytes_of(image().id) == 10
    world.kept.remove_of_job("two")
    assert world.left() == []


@pytest.mark.parametrize("is_removed", [True, False])
def test_what_no_job_wants_is_removed_at_once_or_within_an_hour(world, is_removed):
    world.keep(image())
    world.clock.advance(2 * DAY)

    world.kept.release(image().id, "other", removes=is_removed)
    world.kept.release(image().id, "job", removes=is_removed)

    assert world.numbers(1) == ([] if is_removed else [1])
    world.clock.advance(timedelta(minutes=59))
    world.kept.clean()
    assert world.numbers(1) == ([] if is_removed else [1])
    world.clock.advance(timedelta(minutes=1))
    world.kept.clean()
    assert world.left() == []


def test_a_cancel_does_not_fail_because_the_lock_cannot_be_used(world, tmp_path):
    world.keep(image())
    (tmp_path / "locks").rename(tmp_path / "moved")
    (tmp_path / "locks").write_text("no directory")

    world.kept.remove_of_job("job")
    world.kept.clean()

    assert world.kept.bytes_of(image().id) == 10


RECORD = {
    "image": "i",
    "size_bytes": 9,
    "digest": "d",
    "received_bytes": 9,
    "kept_at": "2026-01-01T00:00:00+00:00",
    "jobs": [],
}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "{}", '{"image": 1}', "x" * 100_000),
        *(
            json.dumps(RECORD | change)
            for change in (
                {"received_bytes": 10},
                {"received_bytes": 0},
                {"received_bytes": "9"},
                {"kept_at": "soon"},
                {"kept_at": "2026-01-01"},
                {"jobs": 7},
            )
        ),
    ],
)
def test_a_record_that_cannot_be_read_counts_as_none_and_its_data_is_removed(world, text):
    world.keep(image())
    (record,) = (path for path in world.cache.directory.iterdir() if path.name.endswith("record"))
    record.write_text(text)
    assert world.kept.bytes_of(image().id) == 0

    world.kept.clean()

    assert world.left() == []


@pytest.mark.parametrize("kind", ["data", "record"])
def test_a_link_in_the_place_of_a_file_is_not_followed(world, tmp_path, kind):
    world.keep(image())
    (place,) = (path for path in world.cache.directory.iterdir() if path.name.endswith(kind))
    target = tmp_path / "target"
    target.write_bytes(place.read_bytes())
    before = target.read_bytes()
    place.unlink()
    place.symlink_to(target)

    assert world.kept.take(image(), world.part) == 0

    assert target.read_bytes() == before
    assert world.left() == []


def test_a_file_that_has_another_name_too_is_not_written_to(world, tmp_path):
    world.keep(image())
    (data,) = (path for path in world.cache.directory.iterdir() if path.name.endswith("data"))
    os.link(data, tmp_path / "a disk of a guest")

    assert world.kept.take(image(), world.part) == 0


def test_a_host_without_a_cache_directory_keeps_nothing(tmp_path):
    kept = ImageCache(
        directory=tmp_path / "none" / "_base", locks_directory=tmp_path / "none" / "locks", clock=MemoryClock()
    ).kept

    kept.clean()
    kept.remove_of_job("job")

    assert kept.bytes_of(image().id) == 0


def test_a_longer_download_replaces_what_was_kept(world):
    world.keep(image())
    world.kept.take(image(), world.part)
    with world.part.open("r+b") as file:
        file.write(b"x" * 30)

    assert world.kept.keep(image(), world.part, 25, "other") == 25

    assert world.kept.take(image(), world.part.with_name("again")) == 0  # its first name is still there
    world.part.unlink()


def test_of_the_same_download_the_jobs_that_paused_it_are_kept(world):
    world.keep(image(), job="one")
    world.keep(replace(image()), job="two")

    world.kept.remove_of_job("one")

    assert world.kept.bytes_of(image().id) == 10
