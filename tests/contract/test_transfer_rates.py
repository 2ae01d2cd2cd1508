"""The rates of recent downloads, on every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from precache.core.bytes_from import BytesFrom
from precache.core.job_options import JobOptions
from precache.core.jobs import HostAsked, HostEnded, JobState, Outcome, TaskResult
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.transfer_rates import MeasuredRate
from tests.contract.job_values import DEBIAN, NOW, UBUNTU, claim, finish, held, new_job

MIB = 1 << 20


def run(stores, number, results, *, state=JobState.SUCCEEDED, **fields):
    """Have a job run whose hosts end with these results. results: (cell, seconds, outcome, bytes) by host."""
    at = NOW + timedelta(hours=number)
    stores.intake.add(new_job(number, hosts=results, created_at=at, **{"images": [DEBIAN]} | fields))
    claim(stores, at=at)
    for host, (cell, seconds, outcome, moved) in results.items():
        moved, sources = (moved, None) if isinstance(moved, int) else (moved.image_service + moved.hosts, moved)
        result = TaskResult(DEBIAN, outcome, moved, "", at, at + timedelta(seconds=seconds), bytes_from=sources)
        asked, ended = HostAsked(host, cell, (DEBIAN,), at), HostEnded(host, (result,), at)
        stores.claims.record(held(stores, number), [asked, ended])
    if state is not None:
        finish(stores, state, at + timedelta(minutes=1), job=number)


def test_there_are_no_rates_before_the_first_job(stores):
    assert stores.rates.recent_rates() == {}


def test_the_downloads_of_each_cell_are_summed_over_jobs(stores):
    run(stores, 1, {"a": ("one", 2, Outcome.CACHED, 10 * MIB), "b": ("two", 4, Outcome.CACHED, 10 * MIB)})
    run(stores, 2, {"a": ("one", 3, Outcome.CACHED, 5 * MIB)}, state=JobState.PARTLY_FAILED)

    rates = stores.rates.recent_rates()

    assert rates == {"one": MeasuredRate(15 * MIB, 5.0, 2, 2), "two": MeasuredRate(10 * MIB, 4.0, 1, 1)}
    assert rates["one"].bytes_per_s == 3 * MIB


def test_by_swarm_only_the_host_that_fetched_the_image_counts(stores):
    seeder, others = BytesFrom(image_service=10 * MIB), BytesFrom(hosts=40 * MIB, image_service=MIB)
    run(stores, 1, {"a": ("one", 2, Outcome.CACHED, seeder), "b": ("one", 3, Outcome.CACHED, others)})

    assert stores.rates.recent_rates() == {"one": MeasuredRate(10 * MIB, 2.0, 1, 1)}


@pytest.mark.parametrize(
    ("cell", "seconds", "outcome", "moved"),
    [
        ("one", 2, Outcome.EXISTING, 0),
        ("one", 2, Outcome.ERROR, MIB),
        ("one", 0, Outcome.CACHED, MIB),
        ("one", -5, Outcome.CACHED, MIB),
        ("one", 2, Outcome.CACHED, 0),
    ],
)
def test_what_is_no_whole_download_with_a_duration_does_not_count(stores, cell, seconds, outcome, moved):
    run(stores, 1, {"a": (cell, seconds, outcome, moved)})

    assert stores.rates.recent_rates() == {}


def test_a_job_that_still_runs_does_not_count(stores):
    run(stores, 1, {"a": ("one", 2, Outcome.CACHED, MIB)}, state=None)

    assert stores.rates.recent_rates() == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"orders": (ImageOrder(DEBIAN, OrderOptions(rate_limit_bytes_per_s=MIB)),)},
        {"options": JobOptions(job_rate_limit_bytes_per_s=MIB)},
    ],
)
def test_a_download_with_a_limit_shows_no_rate_of_the_network(stores, fields):
    run(stores, 1, {"a": ("one", 2, Outcome.CACHED, MIB)}, **fields)

    assert stores.rates.recent_rates() == {}


def test_an_image_without_a_limit_counts_beside_one_with_a_limit(stores):
    orders = (ImageOrder(DEBIAN), ImageOrder(UBUNTU, OrderOptions(rate_limit_bytes_per_s=1)))
    run(stores, 1, {"a": ("one", 2, Outcome.CACHED, MIB)}, state=None, orders=orders)
    at = NOW + timedelta(hours=2)
    slow = TaskResult(UBUNTU, Outcome.CACHED, MIB, "", at, at + timedelta(seconds=90))
    stores.claims.record(held(stores, 1), [HostAsked("a", "one", (UBUNTU,), at), HostEnded("a", (slow,), at)])
    finish(stores, JobState.SUCCEEDED, at)

    assert stores.rates.recent_rates() == {"one": MeasuredRate(MIB, 2.0, 1, 1)}


def test_only_the_newest_jobs_count(stores):
    for number in range(1, 26):
        run(stores, number, {"a": (f"cell{number}", 1, Outcome.CACHED, MIB)})

    assert set(stores.rates.recent_rates()) == {f"cell{number}" for number in range(6, 26)}


def test_a_large_job_is_sampled_over_all_of_its_hosts(stores):
    hosts = {f"cmp-{number}": ("one" if number < 2000 else "two", 1, Outcome.CACHED, MIB) for number in range(2500)}
    at = NOW
    stores.intake.add(new_job(1, hosts=hosts, images=[DEBIAN], created_at=at))
    claim(stores, at=at)
    result = TaskResult(DEBIAN, Outcome.CACHED, MIB, "", at, at + timedelta(seconds=1))
    steps = [HostAsked(host, cell, (DEBIAN,), at) for host, (cell, *_) in hosts.items()]
    steps += [HostEnded(host, (replace(result),), at) for host in hosts]
    stores.claims.record(held(stores), steps)
    finish(stores, JobState.SUCCEEDED, at)

    rates = stores.rates.recent_rates()

    assert set(rates) == {"one", "two"}
    assert rates["one"].bytes_per_s == rates["two"].bytes_per_s == MIB
    assert sum(rate.tasks for rate in rates.values()) >= 800
