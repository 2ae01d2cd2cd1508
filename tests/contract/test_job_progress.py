"""How far a job and its tasks are, as every store shows it: numbers of tasks, bytes, rates and the time left."""

import pytest

from precache.core.bytes_from import BytesFrom
from precache.core.job_changes import JobChange
from precache.core.jobs import HostPutBack, JobState, Outcome, Phase, TaskProgress, TaskResult, TaskState
from tests.contract.job_values import (
    DEBIAN,
    LEASE,
    NOW,
    SECOND,
    UBUNTU,
    asked,
    cancel,
    claim,
    ended,
    finish,
    held,
    job_id,
    new_job,
)

SIZES = {DEBIAN: 1000, UBUNTU: 500}


@pytest.fixture
def running(stores):
    """Two hosts of which one downloads Debian: 100 bytes in a second, then 100 more in another one."""
    stores.intake.add(new_job(hosts=["cmp-1", "cmp-2"], image_sizes=SIZES))
    claim(stores)
    asked(stores, "cmp-1", DEBIAN)
    for seconds in range(3):
        note(stores, 100 * seconds, at=NOW + seconds * SECOND)
    return stores


def note(stores, bytes_done, *, bytes_total=1000, at=NOW):
    stores.clock.set(at)
    report = TaskProgress(job_id(1), "cmp-1", DEBIAN, Phase.DOWNLOADING, bytes_done, bytes_total, "cell1")
    stores.progress.note([report])


def job(stores):
    return stores.queries.get(job_id(1))


def task(stores):
    """Return the task of Debian on the first host."""
    return next(each for each in stores.queries.list_tasks(job_id(1)) if (each.host, each.image) == ("cmp-1", DEBIAN))


def test_a_job_that_waits_has_all_its_bytes_to_move_and_no_rate(stores):
    stores.intake.add(new_job(hosts=["cmp-1", "cmp-2"], image_sizes=SIZES))

    progress = job(stores).progress
    assert (progress.task_states, progress.counts) == ({TaskState.WAITING: 4}, {})
    assert (progress.bytes_done, progress.bytes_total, progress.bytes_left) == (0, 3000, 3000)
    assert (progress.rate_bytes_per_s, progress.eta_s) == (None, None)
    assert [(each.image, each.size_bytes, each.progress.bytes_total) for each in job(stores).by_image] == [
        (UBUNTU, 500, 1000),
        (DEBIAN, 1000, 2000),
    ]


@pytest.mark.parametrize("action", ["cancel", "pause", "resume", "change"])
def test_the_answer_to_an_operator_has_the_rate_as_any_look_at_the_job(running, action):
    arguments = [JobChange({"priority": 60})] if action == "change" else []

    steered = getattr(running.steering, action)(job_id(1), *arguments)

    assert steered.progress.rate_bytes_per_s == 100
    assert steered == job(running)


def test_the_rate_is_measured_from_the_reports_and_gives_the_time_that_is_left(running):
    assert (task(running).reported_at, task(running).rate_bytes_per_s, task(running).eta_s) == (
        NOW + 2 * SECOND,
        100,
        8,
    )
    progress = job(running).progress
    assert progress.task_states == {TaskState.WAITING: 3, TaskState.RUNNING: 1}
    assert (progress.bytes_done, progress.bytes_left, progress.rate_bytes_per_s, progress.eta_s) == (200, 2800, 100, 28)
    ubuntu, debian = (each.progress for each in job(running).by_image)
    assert (ubuntu.rate_bytes_per_s, debian.rate_bytes_per_s, debian.eta_s) == (None, 100, 18)


def test_the_list_of_jobs_shows_the_same_as_the_job(running):
    assert running.queries.list_jobs() == [job(running)]


def test_a_rate_falls_while_nothing_arrives_and_is_unknown_when_the_host_is_silent(running):
    note(running, 200, at=NOW + 3 * SECOND)
    slower = task(running).rate_bytes_per_s
    running.clock.set(NOW + 8.1 * SECOND)

    assert 0 < slower < 100
    assert (task(running).rate_bytes_per_s, job(running).progress.rate_bytes_per_s) == (None, None)
    assert job(running).progress.eta_s is None


@pytest.mark.parametrize(
    "stop",
    [
        lambda stores: stores.claims.release(held(stores)),
        lambda stores: claim(stores, "other", NOW + 2 * LEASE),
        lambda stores: ended(stores, "cmp-1", TaskResult(DEBIAN, Outcome.ERROR)),
    ],
)
def test_a_task_that_runs_no_longer_has_no_rate(running, stop):
    stop(running)

    assert (task(running).reported_at, task(running).rate_bytes_per_s) == (None, None)


def test_the_rate_of_an_image_ends_when_its_host_goes_on_to_the_next_one(stores):
    stores.intake.add(new_job(hosts=["cmp-1", "cmp-2"], images=[DEBIAN, UBUNTU], image_sizes=SIZES))
    claim(stores)
    asked(stores, "cmp-1", DEBIAN, UBUNTU)
    for seconds in range(2):
        note(stores, 1000 * seconds, at=NOW + seconds * SECOND)
    for seconds in range(2, 4):
        stores.clock.set(NOW + seconds * SECOND)
        report = TaskProgress(job_id(1), "cmp-1", UBUNTU, Phase.DOWNLOADING, 10 * seconds, 500, "cell1")
        stores.progress.note([report])

    debian, ubuntu, *_ = stores.queries.list_tasks(job_id(1))
    assert (debian.state, debian.bytes_done, debian.rate_bytes_per_s) == (TaskState.RUNNING, 1000, None)
    assert ubuntu.rate_bytes_per_s == job(stores).progress.rate_bytes_per_s == 10
    assert stores.queries.list_hosts(job_id(1))[0].image == UBUNTU


def test_the_next_attempt_begins_without_the_rate_of_the_one_before(running):
    running.claims.release(held(running))
    claim(running, at=NOW + 10 * SECOND)
    asked(running, "cmp-1", DEBIAN, at=NOW + 10 * SECOND)
    note(running, 500, at=NOW + 11 * SECOND)

    assert (task(running).bytes_done, task(running).rate_bytes_per_s) == (500, None)


def test_the_tasks_always_add_up_and_ended_ones_count_what_they_moved(running):
    ended(running, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED, 1000), TaskResult(UBUNTU, Outcome.EXISTING))
    ended(running, "cmp-2", TaskResult(DEBIAN, Outcome.SKIPPED))

    progress = job(running).progress
    assert progress.task_states == {TaskState.WAITING: 1, TaskState.ENDED: 3}
    assert progress.counts == job(running).counts
    assert progress.counts == {Outcome.CACHED: 1, Outcome.EXISTING: 1, Outcome.SKIPPED: 1}
    assert (progress.bytes_done, progress.bytes_total, progress.bytes_left) == (1000, 1500, 500)


def test_the_totals_are_unknown_while_the_size_of_an_image_is_not_known(stores):
    stores.intake.add(new_job(hosts=["cmp-1"], images=[DEBIAN, UBUNTU], image_sizes={DEBIAN: 1000}))
    before = job(stores).progress
    claim(stores)
    ended(stores, "cmp-1", TaskResult(UBUNTU, Outcome.EXISTING))
    after = job(stores).progress

    assert (before.bytes_total, before.bytes_left) == (None, None)
    assert (after.bytes_total, after.bytes_left) == (1000, 1000)


def test_a_host_that_has_not_said_how_large_the_image_is_counts_with_its_size(running):
    note(running, 300, bytes_total=0, at=NOW + 3 * SECOND)

    assert job(running).progress.bytes_total == 3000


def test_an_image_that_its_host_is_done_with_has_nothing_left(running):
    done = TaskProgress(job_id(1), "cmp-1", DEBIAN, Phase.DONE, 200, 200, "cell1")
    stopped = job(running).progress.bytes_left
    asked(running, "cmp-2", DEBIAN, UBUNTU)
    existing = TaskProgress(job_id(1), "cmp-2", DEBIAN, Phase.DONE, 0, 0, "cell1")

    running.progress.note([done, existing])

    progress = job(running).progress
    assert (stopped, progress.bytes_left) == (2800, 1800)  # what failed counts with its size until the job goes on
    assert (progress.bytes_done, progress.bytes_total) == (200, 2000)
    assert task(running).rate_bytes_per_s is None
    second = running.queries.list_hosts(job_id(1))[1].progress
    assert (second.bytes_done, second.bytes_total, second.bytes_left) == (0, 500, 500)


def test_a_job_that_ended_keeps_its_numbers(running):
    ended(running, "cmp-1", TaskResult(DEBIAN, Outcome.ERROR), TaskResult(UBUNTU, Outcome.CACHED, 500))
    ended(running, "cmp-2", TaskResult(DEBIAN, Outcome.CACHED, 1000), TaskResult(UBUNTU, Outcome.CACHED, 500))
    finish(running, JobState.PARTLY_FAILED)

    progress = job(running).progress
    assert (progress.task_states, progress.bytes_left) == ({TaskState.ENDED: 4}, 0)
    assert (progress.bytes_done, progress.bytes_total) == (2200, 3000)


def test_a_job_that_is_cancelled_before_it_began_has_nothing_left(stores):
    stores.intake.add(new_job(image_sizes=SIZES))

    progress = cancel(stores).progress

    assert (progress.task_states, progress.counts) == ({TaskState.ENDED: 4}, {Outcome.CANCELLED: 4})
    assert (progress.bytes_total, progress.bytes_left) == (0, 0)


def test_what_decoded_an_image_is_stored_until_the_task_is_tried_again(running):
    failed = TaskResult(DEBIAN, Outcome.ERROR, 1000, "disk full", decoded_by="qemu-img (it is encrypted)")
    ended(running, "cmp-1", failed, TaskResult(UBUNTU, Outcome.CACHED, decoded_by="stream"))
    finish(running, JobState.FAILED)

    assert decoders(running) == {"qemu-img (it is encrypted)", "stream", ""}
    running.steering.retry(job_id(1))
    assert decoders(running) == {"stream", ""}


def decoders(stores):
    return {each.decoded_by for each in stores.queries.list_tasks(job_id(1))}


class TestSwarm:
    """Tasks by swarm: from which host and from where their bytes come."""

    FROM = BytesFrom(image_service=20, hosts=250, cache=30)

    @pytest.fixture
    def by_swarm(self, running):
        report = TaskProgress(job_id(1), "cmp-1", DEBIAN, Phase.DOWNLOADING, 300, 1000, "cell1", "cmp-2", self.FROM)
        running.progress.note([report])
        return running

    def test_a_report_says_from_which_host_and_from_where_the_bytes_come(self, by_swarm):
        assert (task(by_swarm).parent, task(by_swarm).bytes_from) == ("cmp-2", self.FROM)
        assert job(by_swarm).progress.bytes_from == self.FROM

    def test_a_report_without_a_parent_keeps_the_last_one(self, by_swarm):
        note(by_swarm, 900, at=NOW + 5 * SECOND)

        assert (task(by_swarm).parent, task(by_swarm).bytes_from) == ("cmp-2", self.FROM)

    def test_the_result_counts_in_the_job_beside_tasks_of_the_image_service(self, by_swarm):
        last = BytesFrom(image_service=20, hosts=950, cache=30)
        asked(by_swarm, "cmp-2", DEBIAN, UBUNTU)
        ended(by_swarm, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED, 1000, bytes_from=last))
        ended(by_swarm, "cmp-2", TaskResult(DEBIAN, Outcome.CACHED, 7))

        assert (task(by_swarm).parent, task(by_swarm).bytes_from) == ("cmp-2", last)
        together = BytesFrom(image_service=27, hosts=950, cache=30)
        assert job(by_swarm).progress.bytes_from == together
        finish(by_swarm, JobState.SUCCEEDED)
        assert job(by_swarm).progress.bytes_from == together  # counted again

    def test_another_attempt_begins_without_them(self, by_swarm):
        by_swarm.claims.release(held(by_swarm))

        assert (task(by_swarm).parent, task(by_swarm).bytes_from) == (None, BytesFrom())
        assert job(by_swarm).progress.bytes_from == BytesFrom()

    @pytest.mark.parametrize("is_failure", [False, True])
    def test_what_came_before_a_pause_or_a_failure_counts_too(self, by_swarm, is_failure):
        step = HostPutBack("cmp-1", {DEBIAN: 300}, NOW + 5 * SECOND, is_failure=is_failure)
        by_swarm.claims.record(held(by_swarm), [step])
        assert (task(by_swarm).bytes_done, task(by_swarm).bytes_from) == (300, self.FROM)
        assert job(by_swarm).progress.bytes_from == self.FROM

        asked(by_swarm, "cmp-1", DEBIAN, at=NOW + 6 * SECOND)
        self.note_again(by_swarm, BytesFrom(hosts=100))
        assert task(by_swarm).bytes_from == self.FROM + BytesFrom(hosts=100)

        last = BytesFrom(image_service=5, hosts=400)
        ended(by_swarm, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED, 405, bytes_from=last))
        assert (task(by_swarm).bytes_done, task(by_swarm).bytes_total) == (675, 675)
        assert task(by_swarm).bytes_from == self.FROM + last
        assert job(by_swarm).progress.bytes_from == self.FROM + last

    def test_an_attempt_that_another_conductor_continues_counts_once(self, by_swarm):
        step = HostPutBack("cmp-1", {DEBIAN: 300}, NOW + 5 * SECOND)
        by_swarm.claims.record(held(by_swarm), [step])
        asked(by_swarm, "cmp-1", DEBIAN, at=NOW + 6 * SECOND)
        self.note_again(by_swarm, BytesFrom(hosts=100))

        by_swarm.claims.release(held(by_swarm))

        assert task(by_swarm).bytes_from == self.FROM
        claim(by_swarm)
        asked(by_swarm, "cmp-1", DEBIAN, at=NOW + 7 * SECOND)
        self.note_again(by_swarm, BytesFrom(hosts=150))
        assert task(by_swarm).bytes_from == self.FROM + BytesFrom(hosts=150)

    def test_an_attempt_from_the_image_service_after_one_by_swarm_counts_there(self, by_swarm):
        step = HostPutBack("cmp-1", {DEBIAN: 300}, NOW + 5 * SECOND)
        by_swarm.claims.record(held(by_swarm), [step])
        asked(by_swarm, "cmp-1", DEBIAN, at=NOW + 6 * SECOND)

        ended(by_swarm, "cmp-1", TaskResult(DEBIAN, Outcome.CACHED, 700))

        assert task(by_swarm).bytes_from == self.FROM + BytesFrom(image_service=700)

    def note_again(self, stores, sources):
        report = TaskProgress(job_id(1), "cmp-1", DEBIAN, Phase.DOWNLOADING, 400, 1000, "cell1", "cmp-2", sources)
        stores.progress.note([report])
