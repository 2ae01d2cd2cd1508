"""What is kept of an image that was decoded while it arrived: used again only by its decoder, and only unchanged."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from precache.core.images import Digest
from precache.imagecache.kept_record import DecodingState
from precache.imagecache.names import KEPT, parse_temporary
from precache.imagecache.staging import Staging
from precache.rules.expiry import Shape, shape_of
from tests.unit.imagecache.test_kept_downloads import World as DownloadsWorld
from tests.unit.imagecache.test_kept_downloads import image

RESULT, SIDE = os.urandom(1 << 16) + bytes(1 << 16), os.urandom(1 << 14)
DECODER = "qcow2 1"
STATE = DecodingState(decoder=DECODER, received_bytes=60, hash_state="sha512;1;2")


class World(DownloadsWorld):
    def __init__(self, directory: Path, **limits) -> None:
        super().__init__(directory, **limits)
        staging = Staging(self.cache.directory, self.cache.path_of(image().id).name)
        self.result, self.side = staging.path("raw"), staging.path("side")

    def keep_decoding(self, kept=None, *, job="job", side=SIDE, state=STATE):
        with self.result.open("r+b" if self.result.exists() else "xb") as file:  # with a hole
            file.truncate(len(RESULT))
            file.write(RESULT[: 1 << 16])
        if side:
            self.side.write_bytes(side)
        return self.kept.keep_decoding(kept or image(), state, self.result, self.side, job)

    def take(self, kept=None, decoder=DECODER):
        return self.kept.take_decoding(kept or image(), decoder, self.result, self.side)

    def place(self, end: str) -> Path:
        (found,) = (path for path in self.cache.directory.iterdir() if path.name.endswith(end))
        return found


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.parametrize("side", [SIDE, b""])
def test_the_files_and_the_state_are_given_back(world, side):
    assert world.keep_decoding(side=side) == world.kept.bytes_of(image().id) == STATE.received_bytes
    assert not world.result.exists()
    assert not world.side.exists()

    assert world.kept.decoding_of(image(), DECODER) == STATE
    assert world.take() == STATE
    assert world.result.read_bytes() == RESULT
    assert world.result.stat().st_nlink == 1
    assert world.side.exists() == bool(side)
    assert world.take() is None


def test_nova_s_cleaner_and_the_start_of_a_compute_leave_it_alone(world):
    world.keep_decoding()

    world.cache.start()

    assert {shape_of(name) for name in world.left()} == {shape_of("anything.else")} != {Shape.IMAGE}
    assert world.take()


OTHER = Digest.parse("md5", f"{7:032x}")


@pytest.mark.parametrize(
    ("changes", "decoder"),
    [({"size_bytes": 101}, DECODER), ({"digest": OTHER}, DECODER), ({"digest": None}, DECODER), ({}, "qcow2 2")],
)
def test_what_is_of_other_data_or_of_another_decoder_is_not_used(world, changes, decoder):
    world.keep_decoding()
    other = image(**changes)

    assert world.take(other, decoder) is None

    assert world.kept.take(other, world.part) == 0
    assert world.left() == []


def test_a_download_does_not_go_on_with_it_and_a_decoding_not_with_a_download(world):
    world.keep_decoding()
    assert world.kept.take(image(), world.part) == 0

    world.keep(image())
    assert world.take() is None
    assert world.kept.take(image(), world.part) == 10


def damage(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"damage")


def replace_by_copy(path: Path) -> None:
    """Make a copy with the same content and the same time of its last change take the place of the file."""
    copy = shutil.copy2(path, path.with_suffix(".copy"))
    Path(copy).rename(path)


CHANGES = {
    "result, first byte": ("kept-data", lambda path: damage(path, 0)),
    "result, in the hole": ("kept-data", lambda path: damage(path, 100_000)),
    "result, cut": ("kept-data", lambda path: os.truncate(path, 100)),
    "result, longer": ("kept-data", lambda path: os.truncate(path, 1 << 20)),
    "result, gone": ("kept-data", Path.unlink),
    "result, another file": ("kept-data", replace_by_copy),
    "result, another name too": ("kept-data", lambda path: os.link(path, path.with_suffix(".other"))),
    "side file, first byte": ("keptside-data", lambda path: damage(path, 0)),
    "side file, cut": ("keptside-data", lambda path: os.truncate(path, 100)),
    "side file, gone": ("keptside-data", Path.unlink),
    "side file, another file": ("keptside-data", replace_by_copy),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_since_then_is_not_used(world, change):
    end, apply = CHANGES[change]
    world.keep_decoding()
    path = world.place(end)
    before = path.stat()
    apply(path)
    if path.exists():
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert world.take() is None

    assert not world.result.exists()
    assert world.kept.take(image(), world.part) == 0
    assert [name for name in world.left() if "kept" in name and name.endswith(("-data", "-record"))] == []


def test_a_side_file_that_appears_later_is_not_used(world):
    world.keep_decoding(side=b"")
    data = world.place("kept-data")
    data.with_name(data.name.replace("kept", "keptside")).write_bytes(b"x")

    assert world.take() is None


@pytest.mark.parametrize("end", ["kept-data", "keptside-data", "kept-record"])
def test_a_link_in_the_place_of_a_file_is_not_followed(world, tmp_path, end):
    world.keep_decoding()
    target, place = tmp_path / "target", world.place(end)
    place.rename(target)
    before = target.read_bytes()
    place.symlink_to(target)

    assert world.take() is None

    assert target.read_bytes() == before


def test_result_that_other_hosts_received_parts_of_is_kept_as_any_other(world):
    with world.cache.locks.hold(world.cache.path_of(image().id).name, wait=lambda: None):
        world.result.touch()
        assert world.kept.keep_pieces(image().id, "raw", world.result, len(RESULT))

        assert world.keep_decoding()

    assert world.take()
    assert world.result.read_bytes() == RESULT


def test_after_a_kill_in_the_second_run_nothing_is_left(world):
    world.keep_decoding()
    world.take()

    assert world.kept.bytes_of(image().id) == 0
    world.result.unlink()
    world.side.unlink()
    world.kept.clean()

    assert world.left() == []


@pytest.mark.parametrize("left", [("keptside-data",), ("kept-data", "keptside-data"), ("kept-record",)])
def test_files_that_a_kill_has_left_between_two_steps_are_removed(world, left):
    world.keep_decoding()
    for path in world.cache.directory.iterdir():
        if not path.name.endswith(left):
            path.unlink()
    assert world.kept.bytes_of(image().id) == 0

    world.kept.clean()

    assert world.left() == []


def test_earlier_releases_remove_it_and_its_side_file(world):
    world.keep_decoding()
    record = world.place("kept-record")
    text = record.read_text()
    record.write_text(text[: text.index(', "decoding"')] + "}")  # as such a release reads it

    assert parse_temporary(world.place("keptside-data").name)[1] != KEPT  # removed at its start as of a dead process
    assert world.kept.take(image(), world.part) == 0
    assert world.left() == []


def test_it_counts_by_what_it_has_on_the_disk(tmp_path):
    occupied = (1 << 16) + (1 << 14)
    world = World(tmp_path, total_bytes=occupied + 10)
    world.keep(image(2))
    world.clock.advance(timedelta(hours=1))

    assert world.keep_decoding()
    assert world.numbers(1, 2) == [1, 2]
    assert world.kept.record_of(image().id).decoding.result.occupied_bytes == 1 << 16

    world.keep(image(3), received_bytes=11)
    assert world.numbers(1, 2, 3) == [3]


def test_what_is_too_much_alone_is_not_kept(tmp_path):
    world = World(tmp_path, total_bytes=1 << 16)

    assert world.keep_decoding() == 0

    assert world.kept.bytes_of(image().id) == 0
    assert not [name for name in world.left() if "kept" in name]


@pytest.mark.parametrize("changes", [{"digest": None}, {"size_bytes": None}])
def test_nothing_is_kept_that_could_not_be_verified(world, changes):
    assert world.keep_decoding(image(**changes)) == 0


def test_a_download_takes_its_place_and_the_reverse(world):
    world.keep_decoding(job="one")
    assert world.keep(image(), job="two") == 10
    assert len(world.left()) == 2
    assert world.keep_decoding(job="three")
    assert len(world.left()) == 3

    for job in ("one", "two"):
        world.kept.remove_of_job(job)
    assert world.take()


def test_a_job_that_is_cancelled_while_it_goes_on_wants_it_no_more(world):
    world.keep_decoding(job="one")
    with world.cache.locks.hold(world.cache.path_of(image().id).name, wait=lambda: None):
        world.take()
        world.kept.remove_of_job("one")
        world.kept.keep_decoding(image(), replace(STATE, received_bytes=70), world.result, world.side, "two")

    world.kept.remove_of_job("two")

    assert world.left() == []


@pytest.mark.parametrize(
    "change",
    [
        ('"inode": ', '"inode": -'),
        ('"occupied_bytes": ', '"occupied_bytes": "x", "x": '),
        ('"side": {', '"side": 7, "x": {'),
        ('"result": {', '"result": null, "x": {'),
        ('"decoding": {', '"decoding": 7, "x": {'),
    ],
)
def test_a_record_that_cannot_be_read_counts_as_none_and_its_data_is_removed(world, change):
    world.keep_decoding()
    record = world.place("kept-record")
    assert change[0] in record.read_text()
    record.write_text(record.read_text().replace(*change))

    assert world.take() is None
    assert world.kept.bytes_of(image().id) == 0
    world.kept.clean()

    assert world.left() == []
