"""What every job store does for conductors: one owner at a time, one outcome for each task."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from precache.core.errors import IllegalTransition, JobNotFound, LeaseLost, TaskNotFound
from precache.core.job_lists import JobFilter
from precache.core.job_options import JobOptions
from precache.core.jobs import (
    Claim,
    HostAsked,
    HostEnded,
    JobState,
    Outcome,
    Phase,
    TaskFilter,
    TaskProgress,
    TaskResult,
    TaskState,
)
from tests.contract.job_values import (
    DEBIAN,
    LEASE,
    NOW,
    SECOND,
    UBUNTU,
    asked,
    claim,
    ended,
    extend,
    finish,
    held,
    job_id,
    new_job,
)

FIRST, SECOND_IMAGE = UBUNTU, DEBIAN
CACHED = TaskResult(DEBIAN, Outcome.CACHED)
MICROSECOND = SECOND / 1_000_000


def test_a_claimed_job_runs_under_the_lease_of_its_owner(stores):
    stores.intake.add(new_job())

    job = claim(stores)

    assert job == stores.queries.get(job_id(1))
    assert (job.state, job.started_at, job.lease_owner, job.lease_until) == (
        JobState.RUNNING,
        NOW,
        "me",
        NOW + LEASE,
    )


def test_nothing_is_claimed_where_there_is_nothing_to_do(stores):
    stores.intake.add(new_job())
    claim(stores)
    finish(stores, JobState.SUCCEEDED)

    assert claim(stores, "me", NOW + 9 * LEASE) is None


def test_the_oldest_job_is_claimed_first(stores):
    for number, age in ((1, 1), (2, 3), (3, 3), (4, 0)):
        stores.intake.add(new_job(number, created_at=NOW - age * SECOND))

    assert [claim(stores).id for _ in range(4)] == [job_id(n) for n in (2, 3, 1, 4)]


def test_the_job_with_the_highest_priority_is_claimed_before_older_ones(stores):
    for number, priority in ((1, 50), (2, 60), (3, 60), (4, 0)):
        stores.intake.add(new_job(number, options=JobOptions(priority=priority)))

    assert [claim(stores).id for _ in range(4)] == [job_id(n) for n in (2, 3, 1, 4)]


def test_a_job_with_a_lower_priority_than_the_least_is_not_claimed(stores):
    stores.intake.add(new_job(1, options=JobOptions(priority=60)))

    assert claim(stores, least_priority=61) is None
    assert claim(stores, least_priority=60).id == job_id(1)


def test_second_claim_waits_until_lease_expires(stores):
    stores.intake.add(new_job())
    claim(stores, "first")

    too_early = claim(stores, "second", NOW + LEASE - MICROSECOND)
    in_time = claim(stores, "second", NOW + LEASE)

    assert too_early is None
    assert in_time.lease_owner == "second"


def test_an_owner_cannot_claim_the_job_that_it_already_holds(stores):
    stores.intake.add(new_job())
    claim(stores)

    assert claim(stores, "me", NOW + SECOND) is None


def test_an_expired_job_that_is_older_is_claimed_before_a_queued_one(stores):
    stores.intake.add(new_job(1))
    claim(stores, "dead")
    stores.intake.add(new_job(2, created_at=NOW + SECOND))

    assert claim(stores, "me", NOW + LEASE).id == job_id(1)


def test_a_takeover_puts_running_tasks_back_and_keeps_what_has_ended(stores):
    started(stores)
    ended(stores, "cmp-2", TaskResult(FIRST, Outcome.CACHED, 9))
    stores.progress.note([TaskProgress(job_id(1), "cmp-2", SECOND_IMAGE, Phase.DOWNLOADING, 5, 10, "cell1")])

    job = claim(stores, "second", NOW + LEASE)

    over, put_back, *untouched = stores.queries.list_tasks(job_id(1))
    assert (over.state, over.outcome, over.bytes_done) == (TaskState.ENDED, Outcome.CACHED, 9)
    assert (put_back.state, put_back.phase, put_back.started_at) == (TaskState.WAITING, Phase.WAITING, None)
    assert (put_back.bytes_done, put_back.bytes_total, put_back.attempts) == (0, 0, 1)
    assert all(task.attempts == 0 for task in untouched)
    assert job.started_at == NOW


def test_a_takeover_leaves_the_tasks_of_other_jobs_alone(stores):
    started(stores)
    stores.intake.add(new_job(2, hosts=["cmp-9"]))
    claim(stores, "dead")
    extend(stores, NOW + LEASE)

    taken = claim(stores, "second", NOW + LEASE)

    assert taken.id == job_id(2)
    assert [task.state for task in stores.queries.list_tasks(job_id(1))[:2]] == [TaskState.RUNNING] * 2


def test_an_extended_lease_holds_others_off(stores):
    stores.intake.add(new_job())
    claim(stores)

    extend(stores, NOW + LEASE - SECOND)

    assert claim(stores, "second", NOW + LEASE) is None
    assert stores.queries.get(job_id(1)).lease_until == NOW + 2 * LEASE - SECOND


def test_an_expired_lease_that_no_other_took_over_can_be_extended(stores):
    stores.intake.add(new_job())
    claim(stores)

    extend(stores, NOW + 5 * LEASE)

    assert claim(stores, "second", NOW + 5 * LEASE) is None


OWNER_STEPS = {
    "release": lambda claims, claim: claims.release(claim),
    "record asked": lambda claims, claim: claims.record(claim, [HostAsked("cmp-1", "cell1", (DEBIAN,), NOW)]),
    "record ended": lambda claims, claim: claims.record(claim, [HostEnded("cmp-1", (CACHED,), NOW)]),
    "check": lambda claims, claim: claims.check(claim),
    "look at what remains": lambda claims, claim: claims.remaining(claim),
    "finish": lambda claims, claim: claims.finish(claim, JobState.FAILED),
}


@pytest.mark.parametrize("step", OWNER_STEPS.values(), ids=OWNER_STEPS)
class TestEveryStepOfAnOwner:
    def test_is_lost_on_an_owner_that_was_replaced_and_changes_nothing(self, stores, step):
        stores.intake.add(new_job())
        first = claim(stores, "first").claim
        claim(stores, "second", NOW + LEASE)
        before = everything(stores)

        with pytest.raises(LeaseLost):
            step(stores.claims, first)

        assert everything(stores) == before

    def test_is_lost_on_an_owner_that_claimed_the_job_again_and_shows_its_old_claim(self, stores, step):
        stores.intake.add(new_job())
        before_the_outage = claim(stores).claim
        claim(stores, at=NOW + LEASE)
        before = everything(stores)

        with pytest.raises(LeaseLost):
            step(stores.claims, before_the_outage)

        assert everything(stores) == before

    def test_is_lost_on_a_job_without_an_owner(self, stores, step):
        stores.intake.add(new_job())

        with pytest.raises(LeaseLost):
            step(stores.claims, held(stores))

    def test_is_lost_on_a_job_that_is_finished(self, stores, step):
        stores.intake.add(new_job())
        claim(stores)
        finish(stores, JobState.SUCCEEDED)

        with pytest.raises(LeaseLost):
            step(stores.claims, held(stores))

        assert stores.queries.get(job_id(1)).state is JobState.SUCCEEDED

    def test_says_that_an_unknown_job_is_not_found(self, stores, step):
        with pytest.raises(JobNotFound):
            step(stores.claims, Claim(job_id(1), "me", 1))


def test_a_claim_that_is_held_passes_its_check_unchanged(stores):
    stores.intake.add(new_job())
    mine = claim(stores).claim
    before = everything(stores)

    stores.claims.check(mine)

    assert everything(stores) == before


def test_of_a_new_job_every_image_remains_on_every_host(stores):
    stores.intake.add(new_job())

    remaining = stores.claims.remaining(claim(stores).claim)

    assert remaining.hosts == ("cmp-2", "cmp-1")
    assert list(remaining.images.items()) == [("cmp-2", (UBUNTU, DEBIAN)), ("cmp-1", (UBUNTU, DEBIAN))]
    assert remaining.asked == {}


def test_after_a_takeover_what_has_ended_does_not_remain_and_who_was_asked_is_known(stores):
    stores.intake.add(new_job(hosts=["cmp-1", "cmp-2", "cmp-3", "cmp-4"]))
    claim(stores, "dead")
    for host in ("cmp-1", "cmp-2", "cmp-3"):
        asked(stores, host, UBUNTU, DEBIAN, owner="dead", cell=f"cell-of-{host}")
    ended(stores, "cmp-1", TaskResult(UBUNTU, Outcome.CACHED), TaskResult(DEBIAN, Outcome.ERROR), owner="dead")
    ended(stores, "cmp-2", TaskResult(UBUNTU, Outcome.CACHED), owner="dead")

    remaining = stores.claims.remaining(claim(stores, "heir", NOW + LEASE).claim)

    assert remaining.hosts == ("cmp-1", "cmp-2", "cmp-3", "cmp-4")
    assert list(remaining.images.items()) == [
        ("cmp-2", (DEBIAN,)), ("cmp-3", (UBUNTU, DEBIAN)), ("cmp-4", (UBUNTU, DEBIAN)),
    ]  # fmt: skip
    assert remaining.asked == {"cmp-2": "cell-of-cmp-2", "cmp-3": "cell-of-cmp-3"}


def test_of_a_job_without_hosts_nothing_remains(stores):
    stores.intake.add(new_job(hosts=[]))

    remaining = stores.claims.remaining(claim(stores).claim)

    assert (remaining.hosts, remaining.images, remaining.asked) == ((), {}, {})


def test_every_claim_of_a_job_has_a_greater_token(stores):
    stores.intake.add(new_job())

    tokens = [claim(stores, owner, NOW + number * LEASE).lease_token for number, owner in enumerate(("a", "a", "b"))]
    stores.claims.release(held(stores, owner="b"))
    tokens.append(claim(stores, at=NOW + 2 * LEASE).lease_token)

    assert tokens == [1, 2, 3, 4]


def test_a_claim_skips_the_jobs_that_the_conductor_still_runs(stores):
    for number in (1, 2):
        stores.intake.add(new_job(number, created_at=NOW + number * SECOND))
    claim(stores)

    after_an_outage = claim(stores, at=NOW + 2 * LEASE, skip=[job_id(1)])

    assert after_an_outage.id == job_id(2)
    assert claim(stores, at=NOW + 2 * LEASE, skip=[job_id(1), job_id(2)]) is None
    assert extend(stores, NOW + 2 * LEASE) == []


def test_leases_are_extended_together_and_those_that_are_lost_are_returned(stores):
    for number in (1, 2, 3, 4):
        stores.intake.add(new_job(number, created_at=NOW + number * SECOND))
    mine = [claim(stores).claim for _ in range(4)]
    finish(stores, JobState.SUCCEEDED, job=2)
    stores.clock.set(NOW + LEASE)
    stores.leases.extend([mine[0], mine[3]], LEASE)
    claim(stores, "other", NOW + LEASE)
    stores.clock.set(NOW + LEASE + SECOND)

    lost = stores.leases.extend([*mine, Claim(job_id(9), "me", 1)], LEASE)

    assert [one.job_id for one in lost] == [job_id(2), job_id(3), job_id(9)]
    until = {
        job.id: job.lease_until
        for job in stores.queries.list_jobs(only=JobFilter(states=frozenset({JobState.RUNNING})))
    }
    assert until == {
        job_id(1): NOW + 2 * LEASE + SECOND,
        job_id(4): NOW + 2 * LEASE + SECOND,
        job_id(3): NOW + 2 * LEASE,
    }
    assert stores.leases.extend([], LEASE) == []


def test_a_released_job_is_queued_again_with_its_running_tasks_waiting(stores):
    started(stores)

    stores.claims.release(held(stores))

    job = stores.queries.get(job_id(1))
    assert (job.state, job.lease_owner, job.lease_until, job.started_at) == (JobState.QUEUED, None, None, NOW)
    assert {task.state for task in stores.queries.list_tasks(job_id(1))} == {TaskState.WAITING}
    assert claim(stores, "second").id == job_id(1)


def test_release_all_gives_back_every_running_job_and_only_those(stores):
    for number in (1, 2, 3, 4):
        stores.intake.add(new_job(number, created_at=NOW + number * SECOND))
    for owner in ("first", "second", "third"):
        claim(stores, owner)
    asked(stores, "cmp-1", DEBIAN, job=2, owner="second")
    finish(stores, JobState.SUCCEEDED, owner="first")

    given_back = stores.claims.release_all()

    assert given_back == 2
    assert [job.state for job in stores.queries.list_jobs()] == [JobState.QUEUED] * 3 + [JobState.SUCCEEDED]
    assert {task.state for task in stores.queries.list_tasks(job_id(2))} == {TaskState.WAITING}
    assert stores.claims.release_all() == 0


def test_started_tasks_run_with_their_cell_and_one_attempt_more(stores):
    started(stores)

    of_host = stores.queries.list_tasks(job_id(1))[:2]
    assert [(task.state, task.cell, task.attempts, task.started_at) for task in of_host] == [
        (TaskState.RUNNING, "cell1", 1, NOW)
    ] * 2


def test_started_and_ended_tasks_no_longer_wait(stores):
    started(stores)
    ended(stores, "cmp-1", TaskResult(SECOND_IMAGE, Outcome.SKIPPED))

    waiting = [task for task in stores.queries.list_tasks(job_id(1)) if task.state is TaskState.WAITING]

    assert [(task.host, task.image) for task in waiting] == [("cmp-1", FIRST)]


def test_steps_of_many_hosts_are_recorded_together_in_their_order(stores):
    stores.intake.add(new_job())
    claim(stores)
    steps = [
        HostAsked("cmp-1", "cell1", (DEBIAN,), NOW),
        HostAsked("cmp-2", "cell2", (DEBIAN, UBUNTU), NOW),
        HostEnded("cmp-1", (CACHED, TaskResult(UBUNTU, Outcome.SKIPPED)), NOW + SECOND),
    ]

    stores.claims.record(held(stores), steps)

    assert [(task.host, task.cell, task.state, task.outcome) for task in stores.queries.list_tasks(job_id(1))] == [
        ("cmp-2", "cell2", TaskState.RUNNING, None),
        ("cmp-2", "cell2", TaskState.RUNNING, None),
        ("cmp-1", "cell1", TaskState.ENDED, Outcome.SKIPPED),
        ("cmp-1", "cell1", TaskState.ENDED, Outcome.CACHED),
    ]


def test_one_step_that_cannot_be_recorded_leaves_all_of_them_out(stores):
    started(stores)
    before = everything(stores)

    with pytest.raises(TaskNotFound):
        stores.claims.record(held(stores), [HostEnded("cmp-2", (CACHED,), NOW), HostEnded("cmp-9", (CACHED,), NOW)])

    assert everything(stores) == before


def test_steps_written_again_because_the_answer_was_lost_change_nothing(stores):
    stores.intake.add(new_job())
    claim(stores)
    steps = [
        HostAsked("cmp-1", "cell1", (DEBIAN, UBUNTU), NOW),
        HostAsked("cmp-2", "cell1", (DEBIAN,), NOW),
        HostEnded("cmp-1", (CACHED,), NOW + SECOND),
    ]
    stores.claims.record(held(stores), steps)
    before = everything(stores)

    stores.claims.record(held(stores), steps)

    assert everything(stores) == before


def test_a_task_that_runs_already_cannot_be_started_and_nothing_else_is_either(stores):
    stores.intake.add(new_job())
    claim(stores)
    asked(stores, "cmp-1", DEBIAN)
    before = everything(stores)

    with pytest.raises(IllegalTransition):
        asked(stores, "cmp-1", UBUNTU, DEBIAN, at=NOW + SECOND)

    assert everything(stores) == before


@pytest.mark.parametrize(("host", "image"), [("cmp-3", DEBIAN), ("cmp-1", "00000000-0000-0000-0000-000000000000")])
def test_a_task_that_the_job_does_not_have_is_not_found_and_nothing_is_changed(stores, host, image):
    stores.intake.add(new_job())
    claim(stores)
    before = everything(stores)

    with pytest.raises(TaskNotFound):
        asked(stores, host, DEBIAN, image)
    results = [TaskResult(DEBIAN, Outcome.CACHED), TaskResult(image, Outcome.CACHED)]
    with pytest.raises(TaskNotFound):
        ended(stores, host, *results)

    assert everything(stores) == before


def test_how_a_task_ended_is_kept_with_bytes_reason_and_the_times_of_the_host(stores):
    started(stores)
    result = TaskResult(FIRST, Outcome.ERROR, 2**40, "the disk is full: \N{SNOWMAN}" * 100, NOW + SECOND, NOW + LEASE)

    ended(stores, "cmp-2", result, at=NOW + 2 * LEASE)

    task = stores.queries.list_tasks(job_id(1))[0]
    assert (task.state, task.outcome, task.reason) == (TaskState.ENDED, Outcome.ERROR, result.reason)
    assert (task.bytes_done, task.bytes_total) == (2**40, 2**40)
    assert (task.started_at, task.finished_at) == (NOW + SECOND, NOW + LEASE)


def test_a_task_that_never_ran_can_end_and_finishes_at_the_given_time(stores):
    stores.intake.add(new_job())
    claim(stores)

    ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.SKIPPED, reason="down"))

    task = stores.queries.list_tasks(job_id(1))[3]
    assert (task.outcome, task.started_at, task.finished_at, task.attempts) == (Outcome.SKIPPED, None, NOW, 0)


def test_a_task_that_never_ran_gets_the_cell_of_its_host_when_it_ends(stores):
    stores.intake.add(new_job())
    held_claim = claim(stores).claim

    stores.claims.record(held_claim, [HostEnded("cmp-1", (TaskResult(DEBIAN, Outcome.SKIPPED),), NOW, "cell2")])

    cells = {task.host: task.cell for task in stores.queries.list_tasks(job_id(1), only=TaskFilter(image=DEBIAN))}
    assert cells == {"cmp-2": None, "cmp-1": "cell2"}


def test_a_task_that_ended_keeps_its_first_outcome(stores):
    started(stores)
    both = [TaskResult(FIRST, Outcome.CACHED, 9), TaskResult(FIRST, Outcome.ERROR, reason="twice in one message")]
    ended(stores, "cmp-2", *both)
    before = everything(stores)

    ended(stores, "cmp-2", TaskResult(FIRST, Outcome.ERROR, reason="late"), at=NOW + LEASE)

    assert everything(stores) == before
    assert stores.queries.list_tasks(job_id(1))[0].outcome is Outcome.CACHED


def test_a_job_counts_its_outcomes_while_it_runs_and_after(stores):
    started(stores)
    results = [TaskResult(FIRST, Outcome.CACHED), TaskResult(SECOND_IMAGE, Outcome.EXISTING)]
    ended(stores, "cmp-2", *results)
    running = stores.queries.get(job_id(1)).counts
    results = [TaskResult(FIRST, Outcome.CACHED), TaskResult(SECOND_IMAGE, Outcome.ERROR, reason="why")]
    ended(stores, "cmp-1", *results)

    finished = finish(stores, JobState.PARTLY_FAILED)

    assert running == {Outcome.CACHED: 1, Outcome.EXISTING: 1}
    assert finished.counts == {Outcome.CACHED: 2, Outcome.EXISTING: 1, Outcome.ERROR: 1}
    assert stores.queries.get(job_id(1)) == finished


def test_a_finished_job_has_its_time_and_no_lease(stores):
    stores.intake.add(new_job(hosts=[]))
    claim(stores)

    job = finish(stores, JobState.SUCCEEDED, NOW + SECOND)

    assert (job.state, job.finished_at, job.lease_owner, job.lease_until, job.counts) == (
        JobState.SUCCEEDED,
        NOW + SECOND,
        None,
        None,
        {},
    )


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_a_job_cannot_finish_in_a_state_that_is_not_final(stores, state):
    stores.intake.add(new_job())
    claim(stores)
    before = everything(stores)

    with pytest.raises(IllegalTransition):
        finish(stores, state)

    assert everything(stores) == before


def test_conductors_that_claim_at_once_never_get_the_same_job(stores):
    for number in range(1, 25):
        stores.intake.add(new_job(number, hosts=["cmp-1"], images=[DEBIAN]))
    claimed, together = [], threading.Barrier(6)

    def work(owner):
        together.wait()
        while (job := claim(stores, owner)) is not None:
            claimed.append((job.id, job.lease_owner == owner))

    in_threads(work, [f"conductor-{number}" for number in range(6)])

    assert sorted(claimed) == [(job_id(number), True) for number in range(1, 25)]


def test_threads_that_report_at_once_lose_no_outcome(stores):
    hosts = [f"cmp-{number}" for number in range(24)]
    stores.intake.add(new_job(hosts=hosts))
    claim(stores)
    together = threading.Barrier(6)

    def work(mine):
        together.wait()
        for host in mine:
            asked(stores, host, UBUNTU, DEBIAN)
            stores.progress.note([TaskProgress(job_id(1), host, DEBIAN, Phase.DOWNLOADING, 1, 2, "cell1")])
            results = [TaskResult(UBUNTU, Outcome.CACHED, 7), TaskResult(DEBIAN, Outcome.EXISTING)]
            ended(stores, host, *results)

    in_threads(work, [hosts[start::6] for start in range(6)])

    assert stores.queries.get(job_id(1)).counts == {Outcome.CACHED: 24, Outcome.EXISTING: 24}


def in_threads(work, arguments):
    """Run `work` on each argument in a thread of its own, and raise what one of them raised."""
    with ThreadPoolExecutor(len(arguments)) as threads:
        list(threads.map(work, arguments, timeout=60))


def started(stores):
    """Have job 1 run, with both tasks of its first host begun."""
    stores.intake.add(new_job())
    claim(stores)
    asked(stores, "cmp-2", FIRST, SECOND_IMAGE)


def everything(stores):
    return stores.queries.get(job_id(1)), stores.queries.list_tasks(job_id(1))
