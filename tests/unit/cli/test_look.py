"""What is asked of the service while a large job is waited for."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest

from precache.cli.client.pages import PAGE
from precache.cli.wait.follow import JobPoll, in_full
from precache.cli.wait.plain import PlainView
from precache.cli.wait.snapshot import Snapshot
from precache.cli.wait.wording import closing_report
from tests.unit.cli.stub_service import JOB_ID, job, task


class LargeJob:
    """A job of many tasks, of which one runs; it says what it was asked for."""

    def __init__(self, count: int, failed: int = 0) -> None:
        self.failed = failed
        self.count = count
        self.asked: list[tuple[int, dict[str, str]]] = []

    def every(self) -> list[dict[str, Any]]:
        running = [task("cmp-run", state="running", phase="downloading")]
        failed = [task(f"bad-{n}", outcome="error", reason="full") for n in range(self.failed)]
        return running + failed + [task(f"ok-{n}", outcome="cached") for n in range(self.count - 1 - self.failed)]

    def get(self, _job_id: str) -> dict[str, Any]:
        return job("running", *self.every())

    def tasks(self, _job_id: str, *, limit: int = 0, **only: str) -> list[dict[str, Any]]:
        self.asked.append((limit, only))
        found = [one for one in self.every() if all(one[name] == value for name, value in only.items())]
        return found[: limit or None]


def look_at(jobs: LargeJob) -> JobPoll:
    return JobPoll(jobs, JOB_ID)  # type: ignore[arg-type]


def test_a_job_that_fits_a_page_is_looked_at_whole() -> None:
    jobs = LargeJob(PAGE)

    seen = look_at(jobs).now()

    assert (seen.is_whole, len(seen.tasks)) == (True, PAGE)
    assert jobs.asked == [(0, {})]


def test_of_a_larger_one_only_what_runs_and_failed_is_asked_for_within_a_page() -> None:
    jobs = LargeJob(PAGE + 1, failed=300)

    seen = look_at(jobs).now()

    assert jobs.asked == [(100, {"outcome": "error"}), (PAGE, {"state": "running"})]
    assert (seen.task_count, seen.ended_count, seen.failure_count) == (PAGE + 1, PAGE, 300)
    assert seen.counts == {"cached": 700, "error": 300}
    assert [view.host for view in seen.running] == ["cmp-run"]
    assert len(seen.failures) == 100


def test_failures_are_asked_for_again_only_when_the_counts_have_changed() -> None:
    jobs = LargeJob(PAGE + 1, failed=2)
    look = look_at(jobs)
    look.now()
    jobs.asked.clear()

    unchanged = look.now()
    jobs.failed = 3
    changed = look.now()

    assert jobs.asked == [
        (PAGE, {"state": "running"}),
        (100, {"outcome": "error"}),
        (PAGE, {"state": "running"}),
    ]
    assert (len(unchanged.failures), len(changed.failures)) == (2, 3)


def test_the_result_has_all_tasks() -> None:
    jobs = LargeJob(PAGE + 5)

    seen = in_full(jobs, look_at(jobs).now())  # type: ignore[arg-type]

    assert (seen.is_whole, len(seen.tasks)) == (True, PAGE + 5)


def test_the_lines_on_a_large_job_are_few() -> None:
    stream = StringIO()
    view = PlainView(stream=stream, labels={}, clock=lambda: 0.0)
    jobs = LargeJob(PAGE + 1, failed=1)
    look = look_at(jobs)

    for _ in range(3):
        view.show(look.now())

    lines = stream.getvalue().splitlines()
    assert lines[0] == f"Job {JOB_ID} is running, 1001 tasks"
    assert lines[1] == "1000 of 1001 ended (999 cached, 1 error)"
    assert lines[2].startswith("bad-0: ")
    assert len(lines) == 3


@pytest.mark.parametrize(("failed", "more"), [(20, 0), (70, 50), (400, 380)])
def test_the_closing_report_counts_the_failures_that_it_does_not_list(failed: int, more: int) -> None:
    seen = look_at(LargeJob(PAGE + 1, failed=failed)).now()

    lines = closing_report(seen, {})

    assert lines[0].endswith(f"{PAGE - failed} cached, {failed} error")
    assert len(lines) == 21 + (more > 0)
    assert not more or lines[-1].startswith(f"  and {more} more")


def test_counts_of_a_whole_job_are_those_of_its_tasks() -> None:
    assert Snapshot(job("running"), [task("a", outcome="cached")]).counts == {"cached": 1}
