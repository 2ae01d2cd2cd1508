"""Which jobs every job store lists, in which order, and how its pages follow each other."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precache.core.job_lists import JobFilter, JobSort, JobSortKey
from precache.core.job_options import JobOptions
from precache.core.jobs import JobState
from precache.core.operations import Operation
from precache.core.targets import Target
from tests.contract.job_values import DEBIAN, NOW, SECOND, UBUNTU, cancel, claim, finish, job_id, new_job

MINUTE = 60 * SECOND


@pytest.fixture
def five(stores):
    """Return a store with five jobs: 1 failed and 2 succeeded, 3 runs, 4 waits in the queue, 5 was cancelled."""
    of_two = {"aggregate_id": 0, "aggregate_uuid": "", "aggregate_name": "", "target": Target(aggregates=("a", "7"))}
    one_host = {**of_two, "target": Target(hosts=("cmp-9",)), "for_host": "cmp-9"}
    more = {
        1: {"name": "friday"},
        2: {"images": [DEBIAN], "options": JobOptions(priority=70)},
        3: {**of_two, "name": "friday", "operation": Operation.PURGE},
        4: {**one_host, "hosts": ["cmp-9"], "options": JobOptions(priority=20)},
        5: {"aggregate_id": 8, "aggregate_name": "edge", "hosts": ["cmp-9", "cmp-1"]},
    }
    ends = {1: (JobState.FAILED, 30), 2: (JobState.SUCCEEDED, 20)}
    for number, fields in more.items():
        stores.intake.add(new_job(number, created_at=NOW + number * MINUTE, **fields))
    for _ in range(3):  # 2 has a higher priority, 1 and 3 are the oldest of the others
        claim(stores, at=NOW + 5 * MINUTE)
    for number, (state, minutes) in ends.items():
        finish(stores, state, NOW + minutes * MINUTE, job=number)
    cancel(stores, NOW + 10 * MINUTE, job=5)
    return stores


def listed(stores, only=None, **how):
    """Return the numbers of the listed jobs, in their order."""
    jobs = stores.queries.list_jobs(only=JobFilter(**only or {}), **how)
    return [int(job.id.replace("-", ""), 16) for job in jobs]


@pytest.mark.parametrize(
    ("only", "numbers"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"states": frozenset({JobState.RUNNING})}, [3]),
        ({"states": frozenset({JobState.FAILED, JobState.CANCELLED})}, [5, 1]),
        ({"states": frozenset({JobState.PAUSED})}, []),
        ({"operations": frozenset({Operation.PURGE, Operation.VERIFY})}, [3]),
        ({"operations": frozenset({Operation.CACHE})}, [5, 4, 2, 1]),
        ({"image": UBUNTU}, [5, 4, 3, 1]),
        ({"host": "cmp-9"}, [5, 4]),
        ({"host": "CMP-9"}, []),
        ({"aggregate": "edge"}, [5]),
        ({"aggregate": "8"}, [5]),
        ({"aggregate": "a"}, [3]),
        ({"aggregate": "7"}, [3, 2, 1]),  # the name of one, the id of another
        ({"aggregate": "0"}, []),
        ({"aggregate": 400 * "9"}, []),
        ({"name": "friday"}, [3, 1]),
        ({"since": NOW + 3 * MINUTE}, [5, 4, 3]),
        ({"changed_since": NOW + 10 * MINUTE}, [5, 3, 2, 1]),
        ({"changed_since": NOW + 25 * MINUTE}, [3, 1]),
        ({"name": "friday", "host": "cmp-1", "states": frozenset({JobState.RUNNING}), "aggregate": "a"}, [3]),
    ],
)
def test_a_list_has_the_jobs_that_meet_every_condition(five, only, numbers):
    assert listed(five, only) == numbers


@pytest.mark.parametrize(
    ("key", "numbers"),
    [
        (JobSortKey.CREATED_AT, [1, 2, 3, 4, 5]),
        (JobSortKey.PRIORITY, [4, 1, 3, 5, 2]),
        (JobSortKey.STATE, [5, 1, 4, 3, 2]),
        (JobSortKey.FINISHED_AT, [5, 2, 1, 3, 4]),
    ],
)
def test_a_list_is_sorted_both_ways_and_its_pages_join_without_gap(five, key, numbers):
    for is_descending, wanted in ((False, numbers), (True, numbers[::-1])):
        sort = JobSort(key=key, is_descending=is_descending)
        paged, marker = [], None
        while page := listed(five, sort=sort, limit=2, marker=marker):
            paged += page
            marker = job_id(page[-1])

        assert listed(five, sort=sort) == paged == wanted


def test_a_page_may_begin_after_a_job_that_the_filter_leaves_out(five):
    failed = {"states": frozenset({JobState.FAILED})}

    assert listed(five, failed, marker=job_id(3)) == [1]
    assert listed(five, failed, marker=job_id(1)) == []


INSTANTS = st.integers(0, 3).map(lambda minutes: NOW + minutes * MINUTE)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    created=st.lists(INSTANTS, min_size=1, max_size=6),
    key=st.sampled_from(JobSortKey),
    is_descending=st.booleans(),
    limit=st.integers(1, 3),
)
def test_pages_show_each_job_once_also_among_equals(stores, created, key, is_descending, limit):
    # The jobs of the examples before stay, so that the list grows.
    known = len(stores.queries.list_jobs())
    for number, created_at in enumerate(created, known + 1):
        stores.intake.add(new_job(number, hosts=[], created_at=created_at))
    sort, paged, marker = JobSort(key=key, is_descending=is_descending), [], None

    while page := listed(stores, sort=sort, limit=limit, marker=marker):
        paged += page
        marker = job_id(page[-1])

    assert paged == listed(stores, sort=sort)
    assert sorted(paged) == list(range(1, known + len(created) + 1))
