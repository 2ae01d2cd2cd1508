"""The last events of a job, and positions in them."""

from hypothesis import given
from hypothesis import strategies as st

from precache.api.events.event_log import EventLog

ENOUGH = 10**9


def numbers_in(part):
    return [int(line.rpartition(b"-")[2]) for line in part.splitlines() if line.startswith(b"id: ")]


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(0, 300), st.integers(0, 100))
def test_a_reader_gets_every_event_after_its_position_or_is_told_that_some_are_gone(groups, most_bytes, position):
    log = EventLog("aa", most_bytes)
    for size in groups:
        log.append(*[("task", {})] * size)
    position = min(position, log.last)

    assert log.last == sum(groups)
    if position < log.dropped:
        assert log.number_of(log.id_of(position)) is None
        # Never those that were added last.
        assert position < log.last - (groups[-1] if groups else 0)
    else:
        part, last = log.after(position, ENOUGH)
        assert last == log.last
        assert numbers_in(part) == list(range(position + 1, log.last + 1))
        assert log.number_of(log.id_of(position)) == position


@given(st.lists(st.integers(1, 5), max_size=50), st.integers(0, 2000))
def test_the_log_is_bounded(groups, most_bytes):
    log = EventLog("aa", most_bytes)
    for size in groups:
        log.append(*[("task", {"reason": "x" * 50})] * size)

    assert len(log.after(log.dropped, ENOUGH)[0]) <= most_bytes + 5 * 120


def test_about_as_many_bytes_as_asked_for_come_at_once():
    log = EventLog("aa", ENOUGH)
    log.append(*[("task", {})] * 100)
    size = len(log.after(99, ENOUGH)[0])

    part, last = log.after(0, 10 * size)

    assert numbers_in(part) == list(range(1, last + 1))
    assert len(part) <= 11 * size


def test_an_id_of_another_log_is_not_known():
    log, other = EventLog("aa", ENOUGH), EventLog("bb", ENOUGH)
    for each in (log, other):
        each.append(("task", {}))

    assert log.number_of(other.id_of(1)) is None
    assert log.number_of("aa-2") is None
