"""A seeder offers the pieces of its file while it is made: those that a child has are those of the entry."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from precache.core.relays import PIECE_BYTES
from precache.fetch.fetch_rules import FetchRules
from precache.imagecache.verification.content_digest import content_digest
from precache.swarm.news import Cursor
from precache.swarm.relay_file import RelayFile
from precache.swarm.seeding import Seeding
from precache.swarm.wire import HashBatch
from tests.swarm_files import RELAY
from tests.swarm_hosts import SwarmHosts
from tests.unit.fetch.throttled import DISK, KINDS, MIB, PATIENCE_S, ThrottledImages, make_image
from tests.unit.fetch.world import World, record_of
from tests.waiting import wait_until

SWARM = SwarmHosts()
SEEDER, HOST = SWARM.host("seeder"), SWARM.host("host")


class Child:
    """Copies what the seeder offers. received: set when a piece has come."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.received = threading.Event()
        self.files: list[RelayFile] = []
        self.withdrawn: list[RelayFile] = []
        self.batches: list[HashBatch] = []
        self._threads: list[threading.Thread] = []

    def offer(self, offered: RelayFile) -> None:
        copy = RelayFile(self._directory / f"copy-{len(self.files)}", HOST, RELAY)
        copy.allow_signers([SEEDER.public_key])
        self.files.append(copy)
        self._threads.append(threading.Thread(target=self._copy, args=(offered, copy)))
        self._threads[-1].start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _copy(self, offered: RelayFile, copy: RelayFile) -> None:
        cursor, buffer = Cursor(), memoryview(bytearray(PIECE_BYTES))
        while not copy.is_whole:
            news = offered.wait_for_news(cursor, PATIENCE_S)
            if news.is_closed or not news.entries:
                return
            cursor = news.cursor
            for entry in news.entries:
                if isinstance(entry, HashBatch):
                    self.batches.append(entry)
                    copy.add_hashes(entry)
                elif length := offered.read_into(entry, buffer):
                    copy.add_piece(entry, buffer[:length])
                    self.received.set()


@pytest.fixture
def child(tmp_path: Path):
    child = Child(tmp_path)
    yield child
    child.join()


def seeding(child: Child) -> Seeding:
    return Seeding(relay=RELAY, trust=SEEDER, offer=child.offer, withdraw=child.withdrawn.append)


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_has_pieces_before_the_download_has_ended_and_in_the_end_the_entry(
    tmp_path: Path, child: Child, kind: str
) -> None:
    data, world = make_image(tmp_path, kind), World(tmp_path / "cache")
    record = record_of(data, KINDS[kind][0], **({"size_bytes": None} if kind == "unknown size" else {}))
    images: list[ThrottledImages] = []

    def wrap(source):
        # Without a size nothing can be offered before the end.
        held_from = len(data) - MIB if record.size_bytes else len(data) + 1
        images.append(ThrottledImages(source, child.received, held_from))
        return images[0]

    with seeding(child) as seeded:
        rules = FetchRules(force_raw_images=KINDS[kind][2])
        entry = world.fetch(data, KINDS[kind][0], record=record, wrap=wrap, rules=rules, final_parts=seeded)
        root = seeded.finish(lambda: None)
    child.join()

    assert images[0].was_news
    assert root == content_digest(entry) == child.files[0].root()
    assert child.files[0].is_whole
    assert child.files[0].path.read_bytes() == entry.read_bytes()
    assert not child.withdrawn
    assert len(child.batches) >= 2 or kind == "unknown size"


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_pieces_of_a_damaged_download_are_withdrawn(tmp_path: Path, child: Child, kind: str) -> None:
    data, world = make_image(tmp_path, kind), World(tmp_path / "cache")
    where = data.index(DISK[2 * MIB + 4096 : 2 * MIB + 8192])

    with seeding(child) as seeded:
        world.fetch(
            data, kind, wrap=lambda images: ThrottledImages(images, child.received, len(data) - MIB, where),
            final_parts=seeded,
        )  # fmt: skip
        root = seeded.finish(lambda: None)
    child.join()

    damaged, sound = child.files
    assert len(child.withdrawn) == 1
    assert not damaged.is_whole
    assert sound.path.read_bytes() == DISK
    assert sound.root() == root


def test_a_fetch_that_fails_is_withdrawn(tmp_path: Path, child: Child) -> None:
    data, world = make_image(tmp_path, "raw"), World(tmp_path / "cache")

    held = threading.Event()

    def stop_when_offered(*_: object) -> None:
        if child.received.is_set():
            held.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), seeding(child) as seeded:
        world.fetch(
            data, "raw", wrap=lambda images: ThrottledImages(images, held, len(data) - MIB),
            watch=stop_when_offered, final_parts=seeded,
        )  # fmt: skip

    assert len(child.withdrawn) == 1
    assert not any(thread.name.startswith("seed-") for thread in threading.enumerate())


@pytest.mark.parametrize("is_fetched_again", [True, False])
def test_a_file_that_was_hashed_to_its_end_is_withdrawn_too(tmp_path: Path, child: Child, is_fetched_again) -> None:
    """A conversion can end before its download proves to be damaged."""
    for name in ("damaged", "sound"):
        (tmp_path / name).write_bytes(name.encode() * PIECE_BYTES)

    with seeding(child) as seeded:
        announce(seeded, tmp_path / "damaged")
        wait_until(lambda: not any(thread.name.startswith("seed-") for thread in threading.enumerate()))
        if is_fetched_again:
            seeded.restarted()
            announce(seeded, tmp_path / "sound")
            assert seeded.finish(lambda: None) == content_digest(tmp_path / "sound")

    (withdrawn,) = child.withdrawn
    assert withdrawn.path == tmp_path / "damaged"
    assert withdrawn.wait_for_news(Cursor(), 0).is_closed


def announce(seeded: Seeding, path: Path) -> None:
    size = path.stat().st_size
    seeded.began(path, size)
    seeded.is_final_up_to(size)


def test_a_wait_for_the_end_can_be_ended(tmp_path: Path, child: Child) -> None:
    (tmp_path / "file").write_bytes(bytes(PIECE_BYTES))

    def stop() -> None:
        raise KeyboardInterrupt

    with seeding(child) as seeded:
        seeded.began(tmp_path / "file", PIECE_BYTES)
        with pytest.raises(KeyboardInterrupt):
            seeded.finish(stop)

    assert len(child.withdrawn) == 1
