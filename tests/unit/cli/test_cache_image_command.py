"""`precache aggregate cache image` and what its exit code says."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, UBUNTU, Reply, StubService, job, task

POST = "/compute/v2.1/os-aggregates/1/images"


def test_names_and_ids_become_the_ids_of_the_request(run: Run, service: StubService) -> None:
    ran = run("aggregate", "cache", "image", "web", "ubuntu-24", DEBIAN.upper().replace("-", ""), "-f", "json")

    (asked,) = [asked for asked in service.asked if asked.method == "POST"]
    assert ran.code == 0
    assert (asked.path, asked.body) == (POST, {"cache": [{"id": UBUNTU}, {"id": DEBIAN}]})
    assert asked.headers["x-openstack-nova-api-version"] == "2.81"
    assert ran.json["id"] == JOB_ID


def test_an_image_may_have_a_colon_in_its_name(run: Run, service: StubService) -> None:
    service.images[0]["name"] = "in:debian:12"

    assert run("aggregate", "cache", "image", "web", "in:debian:12").code == 0


def test_an_image_may_be_named_like_an_id(run: Run, service: StubService) -> None:
    looks_like_an_id = "00000000-0000-0000-0000-00000000000a"
    service.images.append(service.image("11111111-1111-1111-1111-111111111111", looks_like_an_id))

    run("aggregate", "cache", "image", "web", looks_like_an_id)

    assert service.asked[-2].body == {"cache": [{"id": "11111111-1111-1111-1111-111111111111"}]}


def test_an_image_name_that_several_have_is_refused_with_their_ids(run: Run, service: StubService) -> None:
    service.images.append(service.image("11111111-1111-1111-1111-111111111111", "debian-12"))
    service.page_size = 1

    ran = run("aggregate", "cache", "image", "web", "debian-12")

    assert ran.code == 1
    assert f"give the id of one: {DEBIAN}, 11111111-1111-1111-1111-111111111111" in ran.err
    assert service.requests("POST") == []


def test_an_unknown_image_stops_everything(run: Run, service: StubService) -> None:
    ran = run("aggregate", "cache", "image", "web", "debian-12", "nothing")

    assert ran.code == 1
    assert "No image has the name or id 'nothing'" in ran.err
    assert service.requests("POST") == []


@pytest.mark.parametrize(
    ("state", "outcomes", "code"),
    [
        ("succeeded", ["cached", "existing"], 0),
        ("partly_failed", ["cached", "error"], 4),
        ("failed", ["error", "skipped"], 5),
        ("cancelled", ["cached", "cancelled"], 6),
    ],
)
def test_the_exit_code_after_waiting_says_how_the_job_ended(
    run: Run, service: StubService, state: str, outcomes: list[str], code: int
) -> None:
    ended = [task(f"cmp-{n}", outcome=outcome, reason=f"why {outcome}") for n, outcome in enumerate(outcomes)]
    service.frames = [("queued", [task("cmp-0"), task("cmp-1")]), (state, ended)]

    ran = run("aggregate", "cache", "image", "web", "debian-12", "--wait", "--all", "-f", "json")

    assert ran.code == code
    assert ran.json["state"] == state
    assert [one["outcome"] for one in ran.json["tasks"]] == outcomes
    assert f"Job {JOB_ID} {state}: " in ran.err


def test_a_wait_ends_with_what_failed_unless_all_is_asked_for(run: Run, service: StubService) -> None:
    ended = [task("cmp-1", outcome="cached"), task("cmp-2", outcome="error", reason="disk full")]
    service.frames = [("partly_failed", ended)]
    words = ("aggregate", "cache", "image", "web", "debian-12", "--wait")

    table, full, machine = run(*words), run(*words, "--all"), run(*words, "-f", "json")

    assert "cmp-2" in table.out
    assert "1 cached, 1 error" in table.out
    assert "cmp-1" not in table.out
    assert "requested_by" not in table.out
    assert "cmp-1" in full.out
    assert "requested_by" in full.out
    assert [one["host"] for one in machine.json["tasks"]] == ["cmp-2"]


def test_all_without_a_wait_is_refused(run: Run, service: StubService) -> None:
    ran = run("aggregate", "cache", "image", "web", "debian-12", "--all")

    assert (ran.code, service.asked) == (2, [])
    assert "--all says what --wait shows" in ran.err


@pytest.mark.parametrize("phase", ["downloading", "verifying"])
def test_progress_goes_to_stderr_one_line_per_change(run: Run, service: StubService, phase: str) -> None:
    half = {"state": "running", "phase": phase, "bytes_done": 512 * 1024, "bytes_total": 1024 * 1024}
    service.frames = [
        ("queued", [task("cmp-1"), task("cmp-2")]),
        ("running", [task("cmp-1", **half | {"bytes_done": 1024}), task("cmp-2")]),
        ("running", [task("cmp-1", **half), task("cmp-2")]),
        ("running", [task("cmp-1", **half), task("cmp-2")]),
        (
            "partly_failed",
            [
                task("cmp-1", outcome="cached", bytes_done=1024 * 1024),
                task("cmp-2", outcome="error", reason="disk full"),
            ],
        ),
    ]

    ran = run("aggregate", "cache", "image", "web", "debian-12", "--wait", "-f", "json")

    assert ran.err.splitlines() == [
        f"Job {JOB_ID} is queued, 2 tasks",
        f"Job {JOB_ID} is running, 2 tasks",
        f"cmp-1: debian-12: {phase}, 1.0 KiB of 1.0 MiB",
        f"cmp-1: debian-12: {phase}, 512.0 KiB of 1.0 MiB",
        "cmp-1: debian-12: cached, 1.0 MiB",
        "cmp-2: debian-12: error: disk full",
        f"Job {JOB_ID} partly_failed: 1 cached, 1 error",
        "  cmp-2: debian-12: error: disk full",
    ]


def test_quiet_waits_without_output(run: Run) -> None:
    ran = run("-q", "aggregate", "cache", "image", "web", "debian-12", "--wait", "-f", "value", "-c", "state")

    assert (ran.code, ran.out, ran.err) == (0, "succeeded\n", "")


def test_a_wait_that_lasts_too_long_ends_with_seven_and_clean_json(run: Run, service: StubService) -> None:
    service.frames = [("running", [task("cmp-1", state="running")])]

    ran = run("aggregate", "cache", "image", "web", "debian-12", "--wait", "--timeout", "0.01", "-f", "json")

    assert ran.code == 7
    assert ran.json["state"] == "running"
    assert f"job {JOB_ID} continues. Show it with: precache job show {JOB_ID}" in ran.err


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon"])
def test_an_invalid_timeout_is_a_usage_error(run: Run, service: StubService, timeout: str) -> None:
    assert run("aggregate", "cache", "image", "web", "debian-12", "--wait", f"--timeout={timeout}").code == 2
    assert service.asked == []


def test_a_wrong_column_costs_nothing(run: Run, service: StubService) -> None:
    ran = run("aggregate", "cache", "image", "web", "debian-12", "--wait", "-c", "colour")

    assert ran.code == 2
    assert "There is no column colour" in ran.err
    assert service.asked == []


def test_nova_itself_takes_the_request_without_a_job(run: Run, service: StubService) -> None:
    service.gives_job_id = False

    plain = run("aggregate", "cache", "image", "web", "debian-12", "-f", "json")
    waiting = run("aggregate", "cache", "image", "web", "debian-12", "--wait")

    assert (plain.code, plain.json["id"], plain.json["images"]) == (0, None, [DEBIAN])
    assert waiting.code == 1
    assert "no jobs to wait for" in waiting.err


def test_an_accepted_request_is_reported_even_if_the_job_cannot_be_looked_at(run: Run, service: StubService) -> None:
    service.replies["GET", f"/v1/jobs/{JOB_ID}"] = Reply(503, {"error": {"message": "busy"}})

    ran = run("aggregate", "cache", "image", "web", "debian-12", "-f", "json")

    assert (ran.code, ran.json["id"]) == (0, JOB_ID)


def test_a_table_shows_the_tasks_below_the_job(run: Run, service: StubService) -> None:
    service.frames = [("failed", [task("cmp-1", outcome="error", reason="no \x1b]0;route\x07 to\nhost")])]

    ran = run("aggregate", "cache", "image", "web", "debian-12", "--wait")

    assert ran.code == 5
    assert "| state  | failed" in ran.out
    assert r"no \x1b]0;route\x07 to host" in ran.out
    assert "\x1b" not in ran.out + ran.err


def test_json_keeps_what_the_service_said(run: Run, service: StubService) -> None:
    service.frames = [("failed", [task("cmp-1", outcome="error", reason="a\x1bb\né")])]

    out = run("aggregate", "cache", "image", "web", "debian-12", "--wait", "-f", "json").out

    assert json.loads(out)["tasks"][0]["reason"] == "a\x1bb\né"


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["aggregate", "cache", "image", "web"], {"aggregates": ["1"]}),
        (["host", "cache", "image", "cmp-1"], {"hosts": ["cmp-1"]}),
    ],
)
def test_a_rate_limit_makes_it_the_native_request(run: Run, service: StubService, words, target) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(202, {"job": job("queued")})

    ran = run(*words, "debian-12", "--rate-limit", "20M", "-f", "json")

    (asked,) = [asked for asked in service.asked if asked.method == "POST"]
    body = {"images": [{"image": DEBIAN}], "target": target, "rate_limit_bytes_per_s": 20_000_000}
    assert (ran.code, asked.path, asked.body) == (0, "/v1/jobs", body)
    assert ran.json["id"] == JOB_ID


@pytest.mark.parametrize("rate", ["0", "-1", "20 M", "20m", "1.5M", "fast", "", "1001G"])
def test_an_invalid_rate_is_refused(run: Run, service: StubService, rate: str) -> None:
    ran = run("aggregate", "cache", "image", "web", "debian-12", f"--rate-limit={rate}")

    assert ran.code == 2
    assert service.requests("POST") == []
