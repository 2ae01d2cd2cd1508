"""The hosts that are called later."""

from datetime import UTC, datetime, timedelta

from precache.conductor.host_queue import HostQueue
from precache.core.hosts import Host

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def host(name, cell="cell1"):
    return Host(name, cell, "fake", forced_down=False, last_seen=NOON)


def names(by_cell):
    return {cell: [each.name for each in hosts] for cell, hosts in by_cell.items()}


def test_hosts_are_taken_when_they_are_due_in_the_order_of_their_times():
    queue = HostQueue()
    for name, cell, wait in (("a", "cell1", 2), ("b", "cell2", 2), ("c", "cell1", 1), ("d", "cell1", 3)):
        queue.put(host(name, cell), NOON + wait * SECOND)

    assert names(queue.take(NOON)) == {}
    assert names(queue.take(NOON + 2 * SECOND)) == {"cell1": ["c", "a"], "cell2": ["b"]}
    assert len(queue) == 1


def test_a_host_with_two_images_that_failed_is_taken_once_at_the_later_time():
    queue = HostQueue()
    for wait in (2, 3, 1):
        queue.put(host("a"), NOON + wait * SECOND)

    assert len(queue) == 1
    assert names(queue.take(NOON + 2 * SECOND)) == {}
    assert names(queue.take(NOON + 3 * SECOND)) == {"cell1": ["a"]}
    assert names(queue.take(NOON + 9 * SECOND)) == {}
