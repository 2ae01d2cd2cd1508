"""What is kept of an image whose pieces come from other hosts: it outlives the process that writes them."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from precache.imagecache.staging import Staging
from tests.unit.imagecache.test_kept_downloads import World, image

FORM, SIZE = "raw", 1 << 20
PIECE = os.urandom(1 << 16)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def entry_of(world: World) -> str:
    return world.cache.path_of(image().id).name


def write_pieces(path: Path) -> None:
    """Write the third piece of a file that has sixteen."""
    with path.open("xb") as file:
        file.truncate(SIZE)
        file.seek(2 * len(PIECE))
        file.write(PIECE)


def begin(world: World) -> Path:
    """Begin to receive pieces, as a process that is killed then."""
    path = Staging(world.cache.directory, entry_of(world)).path("pieces")
    write_pieces(path)
    assert world.kept.keep_pieces(image().id, FORM, path, SIZE)
    return path


def test_pieces_outlive_a_kill_and_the_next_attempt_writes_to_the_same_file(world):
    begin(world)
    world.cache.start()  # of the next process, which removes what the dead one has left

    again = Staging(world.cache.directory, entry_of(world)).path("pieces")
    size = world.kept.take_pieces(image().id, FORM, again)

    assert size == SIZE
    assert world.kept.bytes_of(image().id) == len(PIECE)
    assert world.kept.size_of(image().id) == SIZE
    assert again.read_bytes()[2 * len(PIECE) :][: len(PIECE)] == PIECE
    assert world.kept.keep_pieces(image().id, FORM, again, SIZE)
    world.cache.start()
    assert [name.partition("kept-")[2] for name in world.left()] == ["data", "record"]


def test_pieces_of_another_form_or_image_are_not_used(world, tmp_path):
    begin(world)

    assert world.kept.take_pieces(image().id, "as-is", tmp_path / "x") == 0
    assert world.kept.take_pieces(image(2).id, FORM, tmp_path / "x") == 0


def test_a_download_from_the_image_service_does_not_use_pieces_and_leaves_them(world, tmp_path):
    begin(world)

    assert world.kept.take(image(size_bytes=SIZE), tmp_path / "x") == 0
    assert world.kept.bytes_of(image().id) == len(PIECE)


def test_a_download_that_is_paused_takes_the_place_of_pieces_and_the_reverse(world):
    path = begin(world)

    assert world.keep(image()) == 10
    assert world.kept.bytes_of(image().id) == 10
    assert world.kept.keep_pieces(image().id, FORM, path, SIZE)
    assert world.kept.bytes_of(image().id) == len(PIECE)


def test_pieces_that_no_job_wants_go_an_hour_after_the_last_one_was_written(world):
    path = begin(world)
    path.unlink()
    data = next(world.cache.directory.glob("*-kept-data"))
    written_at = (world.clock.now() + timedelta(hours=5)).timestamp()
    os.utime(data, (written_at, written_at))

    world.clock.advance(timedelta(hours=5, minutes=59))
    world.kept.clean()
    assert world.kept.bytes_of(image().id)

    world.clock.advance(timedelta(minutes=2))
    world.kept.clean()
    assert world.left() == []


def test_pieces_stay_as_long_as_a_paused_job_wants_them(world):
    begin(world).unlink()
    world.kept.claim(image().id, "job")

    world.kept.remove_of_job("another")
    assert world.kept.bytes_of(image().id)

    world.kept.remove_of_job("job")
    assert world.left() == []


def test_a_download_that_takes_the_place_of_pieces_stays_for_the_jobs_that_paused_the_pieces(world):
    begin(world).unlink()
    world.kept.claim(image().id, "paused")

    assert world.keep(image(), job="another")
    world.kept.remove_of_job("another")

    assert world.kept.bytes_of(image().id) == 10


@pytest.mark.parametrize("limits", [{"images": 0}, {"total_bytes": SIZE - 1}])
def test_what_may_not_be_kept_is_not(tmp_path, limits):
    world = World(tmp_path, **limits)
    path = world.cache.directory / "pieces"
    write_pieces(path)

    assert not world.kept.keep_pieces(image().id, FORM, path, SIZE)
    assert world.left() == ["pieces"]


def test_a_release_that_does_not_know_pieces_removes_them_in_place_of_their_use(world):
    begin(world).unlink()
    record = next(world.cache.directory.glob("*-kept-record"))
    record.write_bytes(record.read_bytes().replace(b', "form": "raw"', b""))  # as that release reads it

    assert world.kept.take(image(size_bytes=SIZE), world.cache.directory / "x") == 0
    assert world.left() == []


def test_pieces_that_arrive_take_no_room_from_a_download_that_a_job_has_paused(tmp_path):
    world = World(tmp_path, images=1)
    world.keep(image(2))
    world.clock.advance(timedelta(minutes=1))
    with world.cache.locks.hold(entry_of(world), lambda: None):
        begin(world)
        world.kept.clean()
    assert world.kept.bytes_of(image(2).id)

    world.kept.clean()  # by now they have been received, or their host waits for another attempt

    assert not world.kept.bytes_of(image().id)
    assert world.kept.bytes_of(image(2).id)
