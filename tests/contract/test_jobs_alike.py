"""The memory store and the SQL stores behave identically.

The memory store counts the tasks of a job whenever it is asked, the SQL stores keep their numbers. So the comparison
after each step shows that the kept numbers are right, and that no step forgets them.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.sql import open_database
from precache.core.errors import PrecacheError
from precache.core.job_changes import JobChange
from precache.core.job_options import JobOptions
from precache.core.jobs import (
    Claim,
    HostAsked,
    HostEnded,
    HostPutBack,
    JobState,
    Outcome,
    Phase,
    TaskProgress,
    TaskResult,
)
from tests.contract.job_values import DEBIAN, LEASE, NOW, SECOND, UBUNTU, SetClock, claim, job_id, new_job
from tests.contract.stores import Stores, of_database

JOBS = st.sampled_from([1, 1, 2]).map(job_id)
OWNERS = st.sampled_from(["first", "first", "second"])
CLAIMS = st.builds(Claim, JOBS, OWNERS, st.sampled_from([1, 1, 1, 2, 3]))
HOSTS = st.sampled_from(["cmp-2", "cmp-2", "cmp-1", "cmp-9"])
CELLS = st.sampled_from(["a", "b"])
IMAGES = st.lists(st.sampled_from([DEBIAN, UBUNTU]), max_size=2)
TIMES = st.integers(0, 90).map(lambda seconds: NOW + seconds * SECOND)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.sampled_from([None, 50, 80]),
        "rate_limit_bytes_per_s": st.sampled_from([None, 7]),
        "deadline": st.none() | TIMES.map(datetime.isoformat),
        "window": st.sampled_from([None, {"from": "12:01", "to": "13:00"}]),
    },
)
RESULTS = st.lists(
    st.builds(TaskResult, st.sampled_from([DEBIAN, UBUNTU]), st.sampled_from(Outcome), st.integers(0, 9)), max_size=2
)
STEPS = st.builds(HostAsked, HOSTS, CELLS, st.sampled_from([(), (DEBIAN,), (UBUNTU, DEBIAN)]), TIMES) | st.builds(
    HostEnded, HOSTS, RESULTS.map(tuple), TIMES
)
STEPS |= st.builds(
    HostPutBack, HOSTS, st.dictionaries(st.sampled_from([DEBIAN, UBUNTU]), st.integers(0, 9)), TIMES, st.booleans()
)

PHASES = st.sampled_from([Phase.DOWNLOADING, Phase.DONE])


class JobsAlike(RuleBasedStateMachine):
    """Applies each step to both stores, and compares the results and the states."""

    empty_url: Callable[[], str]
    """Return the URL of an empty database, once it is no longer needed by the machine before."""

    def __init__(self):
        super().__init__()
        self.clock = SetClock()
        self.database = open_database(self.empty_url(), clock=self.clock, is_time_local=True)
        jobs = MemoryJobs(clock=self.clock)
        self.sql = of_database(self.database, self.clock)
        self.memory = replace(
            self.sql, intake=jobs, queries=jobs, steering=jobs, claims=jobs, leases=jobs, progress=jobs
        )

    def teardown(self):
        self.database.close()

    def both(self, step):
        assert answer(step, self.memory) == answer(step, self.sql)

    @initialize()
    def one_job_runs(self):
        # With random steps alone, most runs would never reach a claim.
        self.both(lambda s: s.intake.add(new_job(1, image_sizes={UBUNTU: 100})))
        self.both(lambda s: claim(s, "first"))

    @rule(number=st.integers(1, 2), created_at=TIMES, priority=st.integers(49, 51))
    def add(self, number, created_at, priority):
        options = JobOptions(priority=priority)
        self.both(lambda s: s.intake.add(new_job(number, created_at=created_at, options=options)))

    @rule(owner=OWNERS, now=TIMES, skip=st.sets(JOBS, max_size=1), least_priority=st.integers(50, 51))
    def claim(self, owner, now, skip, least_priority):
        self.both(lambda s: claim(s, owner, now, skip=skip, least_priority=least_priority))

    @rule(claims=st.lists(CLAIMS, max_size=3), now=TIMES)
    def extend(self, claims, now):
        self.clock.set(now)
        self.both(lambda s: s.leases.extend(claims, LEASE))

    @rule(claim=CLAIMS, state=st.sampled_from(JobState), due_at=st.none() | TIMES, now=TIMES)
    def release(self, claim, state, due_at, now):
        self.clock.set(now)
        self.both(lambda s: s.claims.release(claim, state=state, due_at=due_at, reason="it waits\n" * 40))

    @rule()
    def release_all(self):
        self.both(lambda s: s.claims.release_all())

    @rule(claim=CLAIMS, host=HOSTS, cell=CELLS, images=IMAGES, now=TIMES)
    def start(self, claim, host, cell, images, now):
        self.both(lambda s: s.claims.record(claim, [HostAsked(host, cell, tuple(images), now)]))

    @rule(claim=CLAIMS, host=HOSTS, results=RESULTS, now=TIMES)
    def end(self, claim, host, results, now):
        self.both(lambda s: s.claims.record(claim, [HostEnded(host, tuple(results), now)]))

    @rule(claim=CLAIMS, steps=st.lists(STEPS, max_size=4))
    def record(self, claim, steps):
        self.both(lambda s: s.claims.record(claim, steps))

    @rule(job=JOBS, host=HOSTS, cell=CELLS, images=IMAGES, phase=PHASES, done=st.integers(0, 9), now=TIMES)
    def note(self, job, host, cell, images, phase, done, now):
        self.clock.set(now)
        total = done if phase is Phase.DONE else 9
        reports = [TaskProgress(job, host, image, phase, done, total, cell) for image in images]
        self.both(lambda s: s.progress.note(reports))

    @rule(job=JOBS, now=TIMES)
    def cancel(self, job, now):
        self.clock.set(now)
        self.both(lambda s: s.steering.cancel(job))

    @rule(job=JOBS, action=st.sampled_from(["pause", "resume", "retry"]), now=TIMES)
    def steer(self, job, action, now):
        self.clock.set(now)
        self.both(lambda s: getattr(s.steering, action)(job))

    @rule(job=JOBS, change=CHANGES, now=TIMES)
    def change(self, job, change, now):
        self.clock.set(now)
        self.both(lambda s: s.steering.change(job, JobChange(change)))

    @rule(claims=st.lists(CLAIMS, max_size=3))
    def steering(self, claims):
        self.both(lambda s: s.leases.steering(claims))

    @rule(claim=CLAIMS, state=st.sampled_from(JobState), now=TIMES)
    def finish(self, claim, state, now):
        self.clock.set(now)
        self.both(lambda s: s.claims.finish(claim, state, "it ended"))

    @invariant()
    def they_show_the_same(self):
        self.both(lambda s: s.queries.list_jobs())
        self.both(lambda s: s.queries.list_tasks(job_id(1)))
        self.both(lambda s: s.queries.list_tasks(job_id(2)))
        self.both(lambda s: s.queries.list_hosts(job_id(1)))


@pytest.fixture
def empty_sqlite(sqlite_template, tmp_path):
    path = tmp_path / "precache.sqlite"
    return lambda: f"sqlite:///{shutil.copy(sqlite_template, path)}"


@pytest.fixture
def empty_postgresql(postgresql):
    postgresql.start()
    return postgresql.empty_url


@pytest.fixture
def empty_mariadb(mariadb):
    mariadb.start()
    return mariadb.empty_url


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("store", "tries"),
    [
        ("empty_sqlite", 8),
        pytest.param("empty_sqlite", 200, marks=pytest.mark.long),
        pytest.param("empty_postgresql", 5, marks=pytest.mark.external),
        pytest.param("empty_mariadb", 5, marks=pytest.mark.external),
    ],
)
def test_memory_and_sql_answer_alike_whatever_is_done_to_them(request, store, tries):
    machine = type("JobsAlikeOnSql", (JobsAlike,), {"empty_url": staticmethod(request.getfixturevalue(store))})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=tries,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Not shrunk: with a database in each try that takes minutes.
            phases=[Stage.reuse, Stage.generate],
        ),
    )


def answer(step, stores: Stores):
    """Return the result of the step, or the text of its error."""
    try:
        return step(stores)
    except PrecacheError as exc:
        return type(exc), str(exc)
