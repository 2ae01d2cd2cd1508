"""`precache job pause`, `resume`, `retry` and `set` against a real HTTP server."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import JOB_ID, Reply, StubService, job

OTHER = "0f6f2c9e-7b1a-4d53-9f0c-2b6c7a1d0e12"
STATES = {"pause": "paused", "resume": "queued", "retry": "queued"}


def accepted(state: str, **fields: object) -> Reply:
    return Reply(202, {"job": job(state) | fields})


@pytest.mark.parametrize(("action", "state"), STATES.items())
def test_every_job_is_steered_and_shown(run: Run, service: StubService, action: str, state: str) -> None:
    for job_id in (JOB_ID, OTHER):
        service.replies["POST", f"/v1/jobs/{job_id}/{action}"] = accepted(state, id=job_id, retry_count=1)

    ran = run("job", action, JOB_ID, OTHER, JOB_ID, "-f", "json")

    assert (ran.code, ran.err) == (0, "")
    assert [(one["id"], one["state"]) for one in ran.json] == [(JOB_ID, state), (OTHER, state)]
    assert [(asked.path, asked.body) for asked in service.asked] == [
        (f"/v1/jobs/{JOB_ID}/{action}", None),
        (f"/v1/jobs/{OTHER}/{action}", None),
    ]


@pytest.mark.parametrize("action", STATES)
def test_a_job_that_is_refused_does_not_keep_the_others(run: Run, service: StubService, action: str) -> None:
    ended = {"code": "precache.job.ended", "message": f"Job {OTHER} has ended as failed"}
    service.replies["POST", f"/v1/jobs/{OTHER}/{action}"] = Reply(409, {"error": ended})
    service.replies["POST", f"/v1/jobs/{JOB_ID}/{action}"] = accepted("queued")

    ran = run("job", action, OTHER, JOB_ID, "-f", "value", "-c", "id")

    assert (ran.code, ran.out) == (1, f"{JOB_ID}\n")
    assert ran.err == f"precache: Job {OTHER} has ended as failed\nprecache: Requested: {JOB_ID}\n"


def test_options_are_changed_and_the_job_is_shown(run: Run, service: StubService) -> None:
    service.replies["PATCH", f"/v1/jobs/{JOB_ID}"] = Reply(200, {"job": job("running") | {"parallelism": 50}})

    ran = run(
        "job", "set", JOB_ID, "--parallelism", "50", "--rate-limit", "none", "--deadline", "none",
        "--window", "sat 22:00-06:00", "-f", "json",
    )  # fmt: skip

    assert (ran.code, ran.json["parallelism"]) == (0, 50)
    assert [asked.body for asked in service.asked] == [
        {
            "parallelism": 50,
            "rate_limit_bytes_per_s": None,
            "deadline": None,
            "window": {"days": ["sat"], "from": "22:00", "to": "06:00", "time_zone": "UTC"},
        }
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "There is nothing to change; give at least one option, such as --priority 90"),
        (("--priority", "101"), "priority must be a whole number from 0 to 100"),
        (("--rate-limit", "0"), "'0' is not a whole number of bytes"),
        (("--retries", "2"), "unrecognized arguments: --retries 2"),
    ],
)
def test_a_change_that_cannot_be_is_not_sent(
    run: Run, service: StubService, words: tuple[str, ...], message: str
) -> None:
    ran = run("job", "set", JOB_ID, *words)

    assert (ran.code, service.asked) == (2, [])
    assert message in ran.err


def test_a_table_of_a_job_has_only_the_options_that_are_set(run: Run, service: StubService) -> None:
    window = {"days": ["mon", "tue"], "from": "02:00", "to": "05:00", "time_zone": "Europe/Paris"}
    options = {"priority": 50, "window": window, "canary": {"percent": 10}, "jitter_s": 0, "reason": "", "retries": 0}
    service.replies["PATCH", f"/v1/jobs/{JOB_ID}"] = Reply(200, {"job": job("waiting") | options | {"aggregate": None}})

    table, exact = (run("job", "set", JOB_ID, "--priority", "50", "-f", form) for form in ("table", "json"))

    assert "mon,tue 02:00-05:00 Europe/Paris" in table.out
    assert "percent=10" in table.out
    rows = {line.split("|")[1].strip() for line in table.out.splitlines() if line.startswith("|")}
    assert not rows & {
        "jitter_s",
        "reason",
        "retries",
        "due_at",
        "parallelism",
        "notify_url",
        "aggregate",
        "aggregate_id",
    }
    assert not rows & {"name", "host", "image_names", "rate_bytes_per_s", "eta_s", "by_image", "started_at", "counts"}
    assert (exact.json["window"], exact.json["due_at"], exact.json["retries"]) == (window, None, 0)
