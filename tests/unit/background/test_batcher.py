"""Progress and heartbeats of many hosts are written together, the latest of each."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from precache.adapters.inventory_memory import MemoryInventory
from precache.background.batcher import MOST_ITEMS, Batcher
from precache.core.errors import StoreUnavailable
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.jobs import Phase, TaskProgress
from precache.wiring.progress import progress_batcher

IMAGE = parse_image_id("00000000-0000-0000-0000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = timedelta(seconds=10)


class Notes:
    """Keeps the batches that it is given."""

    def __init__(self):
        self.batches = []

    def note(self, items):
        self.batches.append(list(items))


def beats_batcher(write):
    return Batcher(
        write=write,
        key=lambda beat: (beat.host, beat.cell),
        source=lambda beat: beat.cell,
        interval=timedelta(hours=1),
        what="heartbeats",
    )


def test_only_the_latest_report_on_a_task_is_written():
    notes = Notes()
    batcher = progress_batcher(notes.note, interval=timedelta(hours=1))
    for done in (1, 2, 3):
        batcher.add(TaskProgress("job", "host", IMAGE, Phase.DOWNLOADING, done, 3))

    batcher.flush()
    batcher.flush()

    assert notes.batches == [[TaskProgress("job", "host", IMAGE, Phase.DOWNLOADING, 3, 3)]]


def test_heartbeats_of_many_hosts_are_passed_on_together_the_latest_of_each():
    notes = Notes()
    batcher = beats_batcher(notes.note)
    early, late = (Heartbeat("a", "cell1", "fake", NOW + timedelta(seconds=n), "1.0") for n in range(2))
    other = Heartbeat("b", "cell1", "fake", NOW, "1.0")
    for beat in (early, other, late):
        batcher.add(beat)

    batcher.flush()

    assert sorted(notes.batches[0], key=lambda beat: beat.host) == [late, other]
    assert len(notes.batches) == 1


def test_what_was_gathered_is_written_before_the_end():
    inventory = MemoryInventory()
    batcher = beats_batcher(inventory.store_heartbeats)
    batcher.start()
    batcher.add(Heartbeat("a", "cell1", "fake", NOW))

    batcher.stop(PATIENCE)

    assert [host.name for host in inventory.list_hosts()] == ["a"]


@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), RuntimeError("a bug")])
def test_progress_that_cannot_be_stored_has_no_other_effect(caplog, trouble):
    class Away:
        def note(self, progress):
            raise trouble

    batcher = progress_batcher(Away().note, interval=timedelta(hours=1))
    batcher.start()
    batcher.add(TaskProgress("job", "host", IMAGE, Phase.DOWNLOADING, 1, 3))

    batcher.stop(PATIENCE)

    assert "failed" in caplog.text
    assert "and dropped 1 of them" in caplog.text


def test_a_flood_of_reports_is_cut_off_and_what_was_known_is_still_brought_up_to_date(caplog):
    notes = Notes()
    batcher = progress_batcher(notes.note, interval=timedelta(hours=1))
    for number in range(MOST_ITEMS + 7):
        batcher.add(TaskProgress(f"job {number}", "host", IMAGE, Phase.DOWNLOADING, 1, 3))
    batcher.add(TaskProgress("job 0", "host", IMAGE, Phase.DOWNLOADING, 2, 3))

    batcher.flush()

    [batch] = notes.batches
    assert len(batch) == MOST_ITEMS
    assert batch[0].bytes_done == 2
    assert "7 reports on the progress of tasks from cell  were dropped: more came in than may wait" in caplog.text


def test_a_flooded_cell_pushes_out_nothing_of_others_and_casts_no_doubt_on_them():
    wall, notes = Wall(), Notes()
    batcher = Batcher(
        write=notes.note, key=str, source=lambda item: item[:5], interval=timedelta(hours=1), what="items", now=wall
    )
    wall.now_s += 10
    for number in range(MOST_ITEMS + 1):
        batcher.add(f"cell1 {number}")
    batcher.add("cell2 1")

    batcher.flush()
    wall.now_s += 5
    batcher.add("cell1 again")  # there is room once more
    batcher.flush()

    first, second = notes.batches
    assert (len(first), first[-1], second) == (MOST_ITEMS + 1, "cell2 1", ["cell1 again"])
    assert batcher.lossless_for_s("cell1") == 5
    assert batcher.lossless_for_s("cell2") == 15


class Wall:
    """A clock that a test sets."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def test_it_is_known_for_how_long_no_item_was_lost():
    class Leaves:
        is_away = False

        def note(self, items):
            if self.is_away:
                raise StoreUnavailable("gone")

    store, wall = Leaves(), Wall()
    batcher = Batcher(write=store.note, key=str, source=str.lower, interval=timedelta(hours=1), what="items", now=wall)

    wall.now_s += 10
    batcher.add("one")
    batcher.flush()
    assert batcher.lossless_for_s("one") == 10

    store.is_away = True
    batcher.add("two")
    batcher.flush()
    wall.now_s += 3
    assert batcher.lossless_for_s("one") == 3


def test_a_batcher_that_was_halted_may_have_lost_items():
    wall, flushed = Wall(), threading.Semaphore(0)
    interval = timedelta(seconds=0.01)
    batcher = Batcher(
        write=lambda items: flushed.release(), key=str, source=str.lower, interval=interval, what="items", now=wall
    )
    batcher.start()
    for item in ("one", "two"):  # the second comes after an hour in which nothing ran
        batcher.add(item)
        assert flushed.acquire(timeout=10)
        wall.now_s += 3600
    batcher.add("three")
    assert flushed.acquire(timeout=10)

    assert batcher.lossless_for_s("one") == 0
    batcher.stop(PATIENCE)


def test_the_items_of_a_source_may_be_bounded_by_their_size():
    notes = Notes()
    batcher = Batcher(write=notes.note, key=len, size=len, most=10, interval=timedelta(hours=1), what="texts")

    for text in ("a" * 6, "b" * 6, "c" * 4, "d"):
        batcher.add(text)
    batcher.flush()
    batcher.add("e" * 10)
    batcher.flush()

    assert notes.batches == [["b" * 6, "c" * 4], ["e" * 10]]
