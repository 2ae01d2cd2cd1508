"""Permits to call hosts: several conductors keep one limit, also when one of them dies."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from precache.core.host_calls import CallLimits, HostCall, JobCalls, Place
from precache.core.job_options import JobOptions
from precache.core.jobs import JobState
from precache.rules.permit_exchange import WISH_TIME
from tests.contract.job_values import LEASE, NOW, SECOND, claim, new_job
from tests.waiting import wait_until

LONGEST_CALL = timedelta(minutes=30)
ROOM = 100


def host(number, cell="cell1", site="cell1"):
    return HostCall(f"host-{number}", Place(cell, site))


HOSTS = tuple(host(number) for number in range(20))


class Conductor:
    """One conductor and the permits that it knows of."""

    def __init__(self, stores, permits, name):
        self.stores, self.permits, self.name = stores, permits, name
        self.claims, self.held, self.wanted, self.priorities = {}, {}, {}, {}

    def claim(self, wanted=HOSTS, at=None):
        job = claim(self.stores, self.name, at or self.stores.clock.now())
        self.claims[job.id], self.priorities[job.id] = job.claim, job.options.priority
        self.held[job.id], self.wanted[job.id] = (), tuple(wanted)
        return job.id

    def exchange(self, **options):
        """Return the new permits by job, each by the name of its host."""
        calls = [
            JobCalls(
                each, self.priorities[job], self.held[job], self.wanted[job], **{"room": ROOM} | options
            )
            for job, each in self.claims.items()
        ]  # fmt: skip
        given = self.permits.exchange(calls)
        for job, hosts in ((each.job_id, hosts) for each, hosts in given.items()):
            self.held[job] += tuple(hosts)
            self.wanted[job] = tuple(call for call in self.wanted[job] if call not in hosts)
        return {each.job_id: [call.host for call in hosts] for each, hosts in given.items() if hosts}

    def gives_back(self, job, count):
        self.held[job] = self.held[job][count:]


@pytest.fixture
def permits(stores):
    return stores.permits(CallLimits(hosts=3), LONGEST_CALL)


@pytest.fixture
def one(stores, permits):
    return Conductor(stores, permits, "one")


@pytest.fixture
def two(stores, permits):
    return Conductor(stores, permits, "two")


def jobs(stores, *priorities):
    for number, priority in enumerate(priorities, start=1):
        stores.intake.add(new_job(number, options=JobOptions(priority=priority)))


def names(*numbers):
    return [f"host-{number}" for number in numbers]


def test_a_job_gets_permits_up_to_the_limit_and_more_when_it_returns_some(stores, one):
    jobs(stores, 50)
    job = one.claim()

    assert one.exchange() == {job: names(0, 1, 2)}
    assert one.exchange() == {}
    one.gives_back(job, 2)
    assert one.exchange() == {job: names(3, 4)}


def test_two_conductors_together_keep_the_limit(stores, one, two):
    jobs(stores, 50, 50)
    mine, yours = one.claim(HOSTS[:2]), two.claim()
    one.exchange()

    assert two.exchange() == {yours: names(0)}
    one.gives_back(mine, 2)
    assert two.exchange() == {}
    one.exchange()
    assert two.exchange() == {yours: names(1, 2)}


def test_room_is_left_for_a_job_with_a_higher_priority_of_another_conductor(stores, one, two):
    jobs(stores, 60, 50)
    high, low = one.claim(HOSTS[:2]), two.claim()
    assert two.exchange() == {low: names(0, 1, 2)}
    assert one.exchange() == {}
    two.gives_back(low, 2)

    assert two.exchange() == {}
    assert one.exchange() == {high: names(0, 1)}
    two.gives_back(low, 1)
    assert two.exchange() == {low: names(3)}


def test_no_room_is_left_for_what_a_conductor_cannot_call(stores, one, two):
    jobs(stores, 60, 50)
    one.claim()
    low = two.claim()
    two.exchange()
    one.exchange(room=0)
    two.gives_back(low, 1)

    assert two.exchange() == {low: names(3)}


def test_jobs_of_two_conductors_have_equal_shares_whenever_they_ask(stores, one, two):
    jobs(stores, 50, 50)
    mine, yours = one.claim(), two.claim()
    one.exchange()
    two.exchange()  # from now on the others know what it wants

    one.gives_back(mine, 2)

    assert one.exchange() == {mine: names(3)}
    assert two.exchange() == {yours: names(0)}


def test_what_a_conductor_wants_is_left_to_others_if_it_does_not_come_for_some_seconds(stores, one, two):
    jobs(stores, 60, 50)
    high, low = one.claim(), two.claim()
    two.exchange()
    two.gives_back(low, 2)
    two.wanted[low] = ()
    two.exchange()
    assert one.exchange() == {high: names(0, 1)}  # and it wants more
    two.gives_back(low, 1)
    two.wanted[low] = HOSTS

    assert two.exchange() == {}
    stores.clock.set(NOW + WISH_TIME)
    assert two.exchange() == {low: names(0)}


def test_permits_of_a_dead_conductor_count_until_its_job_is_taken_over_which_inherits_them(stores, one, two):
    jobs(stores, 50, 50)
    job, other = one.claim(), two.claim()
    one.exchange()
    stores.clock.set(NOW + 2 * LEASE)
    two.wanted[other] = HOSTS
    assert two.exchange() == {}

    assert two.claim(HOSTS[1:], NOW + 2 * LEASE) == job

    assert two.exchange() == {job: names(0, 1, 2)}
    assert two.exchange() == {}
    two.gives_back(job, 1)
    assert two.exchange() == {other: names(0)}


def test_inherited_permits_may_exceed_the_room_of_the_conductor(stores, one, two):
    jobs(stores, 50)
    job = one.claim()
    one.exchange()
    two.claim(at=NOW + LEASE)

    assert two.exchange(room=0) == {job: names(0, 1, 2)}
    two.gives_back(job, 2)
    assert two.exchange(room=0) == {}


def test_permits_of_a_job_that_none_takes_over_count_as_long_as_a_call_may_take(stores, one, two):
    jobs(stores, 50, 50)
    one.claim()
    other = two.claim()
    one.exchange()
    stores.clock.set(NOW + LONGEST_CALL - SECOND)
    too_early = two.exchange()
    stores.clock.set(NOW + LONGEST_CALL)

    assert (too_early, two.exchange()) == ({}, {other: names(0, 1, 2)})


def test_a_long_call_keeps_its_permit_while_the_lease_is_held(stores, one, two):
    jobs(stores, 50, 50)
    job, _ = one.claim(), two.claim()
    one.exchange()
    stores.clock.set(NOW + LONGEST_CALL)
    assert stores.leases.extend([one.claims[job]], LEASE) == []

    assert two.exchange() == {}


def test_a_released_job_with_permits_is_claimed_beyond_the_slots(stores, one, two):
    if stores.database is None:
        pytest.skip("permits in memory end with their process")
    jobs(stores, 50, 50)
    job = one.claim()
    one.exchange()
    stores.claims.release(one.claims[job])

    assert claim(stores, "two", least_priority=51).id == job
    assert claim(stores, "two", least_priority=51) is None


def test_no_permit_outlives_a_process_that_was_alone(stores, one, two):
    if stores.database is None:
        pytest.skip("permits in memory end with their process")
    jobs(stores, 50, 50)
    one.claim()
    one.exchange()
    stores.claims.release_all()

    other = two.claim()

    assert two.exchange() == {other: names(0, 1, 2)}


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.PAUSED, JobState.SUCCEEDED])
def test_after_the_end_of_a_claim_permits_can_only_be_returned(stores, one, two, state):
    jobs(stores, 50, 50)
    job, other = one.claim(), two.claim()
    one.exchange()
    if state.is_final:
        stores.claims.finish(one.claims[job], state)
    else:
        stores.claims.release(one.claims[job], state=state)
    one.gives_back(job, 1)

    assert one.exchange() == {}
    assert two.exchange() == {other: names(0)}
    one.gives_back(job, 2)
    assert one.exchange() == {}
    assert two.exchange() == {other: names(1, 2)}


def test_the_last_owner_of_a_job_returns_inherited_permits_also_after_its_end(stores, one, two):
    jobs(stores, 50, 50)
    job = one.claim()
    other = two.claim()
    one.exchange()
    stores.clock.set(NOW + LEASE)
    stores.leases.extend([two.claims[other]], LEASE)
    two.claim((), NOW + LEASE)
    stores.claims.finish(two.claims[job], JobState.CANCELLED)

    assert two.exchange() == {other: names(0, 1, 2)}


def test_a_conductor_that_has_lost_its_job_gets_nothing_and_changes_nothing(stores, one, two):
    jobs(stores, 50)
    job = one.claim()
    one.exchange()
    two.claim(at=NOW + LEASE)
    two.exchange()
    one.gives_back(job, 3)

    assert one.exchange() == {}
    two.held[job] = two.held[job][:2]
    assert two.exchange() == {job: names(3)}


def test_the_limits_of_cells_and_sites(stores, one):
    one.permits = stores.permits(CallLimits(hosts_per_cell=3, hosts_per_site=2), LONGEST_CALL)
    jobs(stores, 50)
    north = [host(f"n{number}", "cell1", "north") for number in range(4)]
    south = [host(f"s{number}", "cell1", "south") for number in range(4)]
    other = [host(f"o{number}", "cell2", "cell2") for number in range(4)]
    job = one.claim([*north, *south, *other])

    (given,) = one.exchange().values()

    assert sorted(given) == ["host-n0", "host-n1", "host-o0", "host-o1", "host-s0"]
    one.gives_back(job, 0)
    assert one.exchange(most_per_site=1) == {}


def test_the_same_exchange_again_gives_as_much(stores, one):
    jobs(stores, 50)
    job = one.claim()
    one.exchange()
    one.held[job], one.wanted[job] = (), HOSTS  # the answer was lost

    assert one.exchange() == {job: names(0, 1, 2)}


class Transfers:
    """What the hosts really do: counts how many are at work, whoever called them."""

    def __init__(self):
        self._lock = threading.Lock()
        self.now, self.most, self.done = set(), 0, set()

    def begin(self, job, call):
        with self._lock:
            self.now.add((job, call.host))
            self.most = max(self.most, len(self.now))

    def end(self, job, call):
        with self._lock:
            self.now.discard((job, call.host))
            self.done.add((job, call.host))


def test_three_conductors_that_race_keep_a_limit_of_ten_also_while_one_dies(stores):
    limit, wanted = 10, tuple(host(number) for number in range(30))
    permits, transfers = stores.permits(CallLimits(hosts=limit), LONGEST_CALL), Transfers()
    jobs(stores, 50, 50, 50)
    conductors = [Conductor(stores, permits, name) for name in ("one", "two", "three")]
    first_jobs = [conductor.claim(wanted) for conductor in conductors]
    is_dead, failures = threading.Event(), []

    def work(conductor, may_die):
        try:
            for _ in range(10_000):
                if not any(conductor.wanted.values()) and not any(conductor.held.values()):
                    break
                before = dict(conductor.held)
                conductor.exchange(room=6)
                for job, held in conductor.held.items():
                    for call in held[len(before[job]) :]:
                        transfers.begin(job, call)
                if may_die and transfers.done:
                    is_dead.set()
                    return  # its hosts go on
                for job in conductor.claims:
                    ended, conductor.held[job] = conductor.held[job][:2], conductor.held[job][2:]
                    for call in ended:
                        transfers.end(job, call)
            conductor.exchange()
        except Exception as error:  # noqa: BLE001  raised in the test's thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(each, each.name == "three")) for each in conductors]
    for thread in threads:
        thread.start()
    wait_until(is_dead.is_set)
    at_work = {(job, name) for job, name in transfers.now if job == first_jobs[2]}
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert at_work <= transfers.now
    assert transfers.most <= limit

    heir = conductors[0]
    stores.clock.set(NOW + LEASE)
    stores.leases.extend([heir.claims[first_jobs[0]], conductors[1].claims[first_jobs[1]]], LEASE)
    left = tuple(call for call in wanted if (first_jobs[2], call.host) not in transfers.done)
    assert heir.claim(left, NOW + LEASE) == first_jobs[2]
    work(heir, may_die=False)

    assert failures == []
    assert transfers.most == limit
    assert transfers.now == set()
    assert transfers.done == {(job, call.host) for job in first_jobs for call in wanted}


def test_hosts_by_swarm_have_a_room_of_their_own_which_all_conductors_see(stores, one, two):
    jobs(stores, 50, 60)
    bulk = one.claim()
    calls = JobCalls(one.claims[bulk], 60, swarm_wanted=HOSTS[:2], swarm_room=5)
    two.claim()

    first = one.permits.exchange([calls])[one.claims[bulk]]
    late = JobCalls(one.claims[bulk], 60, held=tuple(first), swarm_wanted=HOSTS[2:4], swarm_room=1)

    assert [call.host for call in first] == [call.host for call in HOSTS[:2]]
    assert len(two.exchange(room=2)) == 1  # of the limit of three
    two.held = dict.fromkeys(two.held, ())
    one.permits.exchange([late])
    assert two.exchange(room=2) == {}  # the wish of the higher priority comes first
