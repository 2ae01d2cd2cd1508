"""`precache job cancel` against a real HTTP server."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import JOB_ID, Reply, StubService, job, task

OTHER = "0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e12"
ENDED = Reply(409, {"error": {"code": "precache.job.ended", "message": f"Job {OTHER} has ended as failed"}})

RUNNING = ("running", [task("cmp-1", state="running"), task("cmp-2")])
CANCELLED = ("cancelled", [task("cmp-1", outcome="cached"), task("cmp-2", outcome="cancelled")])


def test_every_job_is_cancelled_and_shown(run: Run, service: StubService) -> None:
    service.jobs = [job("running") | {"id": OTHER}]
    service.frames = [RUNNING]

    ran = run("job", "cancel", JOB_ID, OTHER, JOB_ID, "-f", "json")

    assert (ran.code, ran.err) == (0, "")
    assert service.requests("POST") == [f"/v1/jobs/{JOB_ID}/cancel", f"/v1/jobs/{OTHER}/cancel"]
    assert [(one["id"], one["state"]) for one in ran.json] == [(JOB_ID, "running"), (OTHER, "running")]
    assert {one["cancel_requested_at"] for one in ran.json} == {"2026-01-02T03:04:06Z"}


def test_a_job_that_cannot_be_cancelled_does_not_keep_the_others(run: Run, service: StubService) -> None:
    service.replies["POST", f"/v1/jobs/{OTHER}/cancel"] = ENDED

    ran = run("job", "cancel", OTHER, "unknown", JOB_ID, "-f", "value", "-c", "id")

    assert (ran.code, ran.out) == (1, f"{JOB_ID}\n")
    assert f"precache: Job {OTHER} has ended as failed\n" in ran.err
    assert "precache: Job unknown could not be found." in ran.err
    assert ran.err.endswith(f"precache: Requested: {JOB_ID}\n")


def test_no_job_that_can_be_cancelled_leaves_no_result(run: Run, service: StubService) -> None:
    ran = run("job", "cancel", "unknown", "--wait", "-f", "json")

    assert (ran.code, ran.json) == (1, [])
    assert ran.err == "precache: Job unknown could not be found.\n"


def test_a_table_without_rows_is_nothing(run: Run) -> None:
    ran = run("job", "cancel", "unknown")

    assert (ran.code, ran.out) == (1, "")


def test_a_service_that_does_not_answer_is_not_asked_again(run: Run, service: StubService) -> None:
    service.replies["POST", f"/v1/jobs/{OTHER}/cancel"] = Reply(503, {"error": {"message": "busy"}})

    ran = run("job", "cancel", OTHER, JOB_ID)

    assert ran.code == 3
    assert f"Not tried: {JOB_ID}" in ran.err
    assert service.requests("POST") == [f"/v1/jobs/{OTHER}/cancel"]


class TestWait:
    def test_done_means_that_the_job_has_ended_as_cancelled(self, run: Run, service: StubService) -> None:
        service.frames = [RUNNING, RUNNING, CANCELLED]

        ran = run("job", "cancel", JOB_ID, "--wait", "-f", "json")

        assert ran.code == 0
        (ended,) = ran.json
        assert (ended["state"], ended["counts"]) == ("cancelled", {"cached": 1, "cancelled": 1})
        assert ran.err.splitlines()[0] == f"Job {JOB_ID} is being cancelled, 2 tasks"
        assert ran.err.splitlines()[-1] == f"Job {JOB_ID} cancelled: 1 cached, 1 cancelled"

    def test_a_host_that_did_not_confirm_is_named_with_the_reason(self, run: Run, service: StubService) -> None:
        silent = task("cmp-3", outcome="cancelled", reason="cmp-3 does not answer")
        service.frames = [("cancelled", [*CANCELLED[1], silent])]

        ran = run("job", "cancel", JOB_ID, "--wait")

        assert ran.code == 0
        assert ran.err.splitlines()[-2:] == [
            f"Job {JOB_ID} cancelled: 1 cached, 2 cancelled",
            "  cmp-3: debian-12: cancelled: cmp-3 does not answer",
        ]

    def test_all_jobs_are_asked_to_end_before_any_is_waited_for(self, run: Run, service: StubService) -> None:
        service.jobs = [job("running") | {"id": OTHER}]
        service.frames = [RUNNING, CANCELLED]

        ran = run("job", "cancel", JOB_ID, OTHER, "--wait", "-f", "value", "-c", "id", "-c", "state")

        assert (ran.code, ran.out) == (0, f"{JOB_ID}\tcancelled\n{OTHER}\tcancelled\n")
        assert [one.method for one in service.asked[:3]] == ["POST", "POST", "GET"]

    def test_a_job_that_ended_at_once_is_not_waited_for(self, run: Run, service: StubService) -> None:
        service.frames = [CANCELLED]

        ran = run("job", "cancel", JOB_ID, "--wait", "-f", "value", "-c", "state")

        assert (ran.code, ran.out) == (0, "cancelled\n")

    def test_a_job_that_ended_otherwise_is_reported(self, run: Run, service: StubService) -> None:
        service.frames = [RUNNING, ("succeeded", [task("cmp-1", outcome="cached")])]

        ran = run("job", "cancel", JOB_ID, "--wait", "-f", "value", "-c", "state")

        assert (ran.code, ran.out) == (1, "succeeded\n")
        assert f"precache: Job {JOB_ID} ended as succeeded, not as cancelled" in ran.err

    def test_a_time_limit_holds_for_all_jobs_together(self, run: Run, service: StubService) -> None:
        service.jobs = [job("running") | {"id": OTHER}]
        service.frames = [RUNNING]

        ran = run("job", "cancel", JOB_ID, OTHER, "--wait", "--timeout", "0.01", "-f", "value", "-c", "id")

        assert (ran.code, ran.out) == (7, f"{JOB_ID}\n{OTHER}\n")
        for job_id in (JOB_ID, OTHER):
            assert (
                f"Not ended after 0.01 s; job {job_id} is still being cancelled. Show it with: precache job show"
                in (ran.err)
            )

    def test_what_was_refused_decides_the_exit_code(self, run: Run, service: StubService) -> None:
        service.frames = [RUNNING, CANCELLED]

        ran = run("job", "cancel", "unknown", JOB_ID, "--wait", "-f", "value", "-c", "state")

        assert (ran.code, ran.out) == (1, "cancelled\n")

    def test_quiet_says_nothing(self, run: Run, service: StubService) -> None:
        service.frames = [RUNNING, CANCELLED]

        ran = run("-q", "job", "cancel", JOB_ID, "--wait", "-f", "value", "-c", "state")

        assert (ran.code, ran.out, ran.err) == (0, "cancelled\n", "")

    def test_a_time_limit_without_a_wait_is_refused_before_anything_is_sent(
        self, run: Run, service: StubService
    ) -> None:
        ran = run("job", "cancel", JOB_ID, "--timeout", "5")

        assert (ran.code, service.asked) == (2, [])
        assert "give --wait" in ran.err


def test_a_job_without_an_id_is_a_usage_error(run: Run, service: StubService) -> None:
    assert run("job", "cancel").code == 2
    assert service.asked == []


@pytest.mark.parametrize("form", ["table", "csv", "yaml", "json", "value"])
def test_every_format_shows_the_state(run: Run, service: StubService, form: str) -> None:
    service.frames = [CANCELLED]

    assert "cancelled" in run("job", "cancel", JOB_ID, "-f", form, "-c", "state").out


def test_a_wait_of_another_shows_that_the_job_is_being_cancelled(run: Run, service: StubService) -> None:
    service.cancelled.add(JOB_ID)
    service.frames = [RUNNING, CANCELLED]

    ran = run("job", "show", JOB_ID, "--wait", "-f", "value", "-c", "state")

    assert (ran.code, ran.out) == (6, "cancelled\n")
    assert f"Job {JOB_ID} is being cancelled, 2 tasks" in ran.err


def test_a_job_shows_when_it_was_asked_to_end(run: Run, service: StubService) -> None:
    service.cancelled.add(JOB_ID)
    service.frames = [RUNNING]

    assert run("job", "show", JOB_ID, "-f", "json").json["cancel_requested_at"] == "2026-01-02T03:04:06Z"
