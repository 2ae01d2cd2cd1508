"""What a host reports of its cache, and that nothing is missed when reports are lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precache.core.cache_entries import Alarm, AlarmKind, CacheSpace
from precache.rules.cache_changes import MOST_ENTRIES, CacheState, ReportSeries
from precache.rules.report_order import next_update
from tests.contract.cache_values import NOW, entry, entry_of

SPACE = CacheSpace(total_bytes=1000, free_bytes=400)


def state(*numbers, **fields):
    entries = tuple(each if not isinstance(each, int) else entry(each) for each in numbers)
    return CacheState(**{"entries": entries, "space": SPACE} | fields)


@pytest.fixture
def series():
    return ReportSeries("cmp-1", "cell1", "boot")


def test_the_first_report_is_a_full_one(series):
    report = series.changes(state(2, 1), NOW)

    assert report.is_full
    assert [each.entry for each in report.entries] == sorted(map(entry_of, (1, 2)))
    assert (report.host, report.cell, report.boot_id, report.at, report.sequence) == ("cmp-1", "cell1", "boot", NOW, 1)


def test_without_a_change_there_is_no_report(series):
    series.full(state(1), NOW)

    assert series.changes(state(1), NOW) is None


def test_changes_are_all_since_the_last_full_report(series):
    series.full(state(1, 2, 3, 4, 5, 6, 7, 8), NOW)
    first = series.changes(state(1, 2, 3, 4, 5, 6, 7, 8, 9), NOW)
    second = series.changes(state(1, 2, 3, 4, 5, 6, 7, entry(8, disks=1)), NOW)
    third = series.changes(state(1, 2, 3, 4, 5, 6, 7, 8), NOW)

    assert [(each.sequence, each.base) for each in (first, second, third)] == [(2, 1), (3, 1), (4, 1)]
    assert ({each.entry for each in first.entries}, first.gone) == ({entry_of(9)}, ())
    assert ({each.entry for each in second.entries}, second.gone) == ({entry_of(8)}, (entry_of(9),))
    assert ([each.disks for each in third.entries], third.gone) == ([None], (entry_of(9),))


def test_when_most_entries_have_changed_everything_is_reported(series):
    series.full(state(1, 2, 3), NOW)

    assert series.changes(state(1, entry(2, disks=1), entry(3, disks=1)), NOW).is_full


def test_after_a_report_that_was_not_sent_everything_is_reported(series):
    series.full(state(1, 2, 3, 4), NOW)
    series.lose()

    assert series.changes(state(1, 2, 3, 4), NOW).is_full


@pytest.mark.parametrize(
    ("fields", "is_reported"),
    [
        ({"space": replace(SPACE, free_bytes=391)}, False),
        ({"space": replace(SPACE, free_bytes=389)}, True),
        ({"space": replace(SPACE, promised_bytes=20)}, True),
        ({"space": replace(SPACE, used_bytes=20)}, False),
        ({"space": replace(SPACE, reserve_bytes=1)}, True),
        ({"space": None}, True),
        ({"alarms": (Alarm(AlarmKind.MISSING, "", None, "gone", NOW),)}, True),
        ({"cache_id": "other"}, True),
        ({"unsupported": "images_type is rbd"}, True),
    ],
    ids=str,
)
def test_of_the_rest_only_what_matters_is_reported_at_once(series, fields, is_reported):
    series.full(state(1, 2, 3), NOW)

    report = series.changes(state(1, 2, 3, **fields), NOW)

    assert (report is not None) is is_reported
    if report is not None:
        assert (report.entries, report.gone) == ((), ())


def test_small_changes_of_the_free_space_add_up(series):
    series.full(state(1, 2, 3), NOW)

    reports = [series.changes(state(1, 2, 3, space=replace(SPACE, free_bytes=400 - 4 * step)), NOW) for step in (1, 2)]
    assert reports == [None, None]
    assert series.changes(state(1, 2, 3, space=replace(SPACE, free_bytes=388)), NOW) is not None


def test_of_a_very_large_cache_the_first_entries_and_the_number_of_the_others_are_reported(series):
    most = [entry(0, entry=f"{number:040x}") for number in range(MOST_ENTRIES + 3)]

    report = series.full(state(*reversed(most)), NOW)
    after = series.changes(state(*most[1:]), NOW)

    assert ([each.entry for each in report.entries], report.unlisted) == ([e.entry for e in most[:MOST_ENTRIES]], 3)
    assert ([each.entry for each in after.entries], after.gone) == ([most[MOST_ENTRIES].entry], (most[0].entry,))
    assert after.unlisted == 2


CONTENTS = st.frozensets(st.integers(1, 12)).map(sorted)


@given(st.lists(st.tuples(CONTENTS, st.booleans(), st.booleans()), min_size=1), st.randoms(use_true_random=False))
def test_the_receiver_has_what_the_host_has_whatever_is_lost_after_the_full_report(course, chance):
    """Each step: what the cache holds, whether the report is lost, whether it is a full one. The last one arrives."""
    series, stored, held = ReportSeries("cmp-1", "", "boot"), None, {}
    is_base_stored = False
    for place, (numbers, is_lost, is_full) in enumerate(course):
        current = state(*(entry(number, disks=chance.choice([0, 1])) for number in numbers))
        report = (series.full if is_full else series.changes)(current, NOW)
        if report is None:
            continue
        is_lost = is_lost and place < len(course) - 1
        is_base_stored = not is_lost if report.is_full else is_base_stored
        update = None if is_lost else next_update(stored, [report])
        if update is None:
            continue
        stored = update.stored
        held = dict(update.entries) if update.is_full else {**held, **update.entries}
        held = {name: each for name, each in held.items() if name not in update.gone}
        if is_base_stored:
            assert held == {each.entry: each for each in current.entries}
