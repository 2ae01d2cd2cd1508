"""`precache job ...` against a real HTTP server."""

from __future__ import annotations

import csv
import io

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, Reply, StubService, job, task


def test_show_prints_the_job_and_every_task(run: Run, service: StubService) -> None:
    service.frames = [("failed", [task("cmp-1", outcome="error", reason="disk full", bytes_done=7)])]

    ran = run("job", "show", JOB_ID, "-f", "json")

    assert ran.code == 0
    assert (ran.json["state"], ran.json["aggregate"], ran.json["aggregate_id"]) == ("failed", "web", 1)
    assert ran.json["counts"] == {"error": 1}
    (told,) = ran.json["tasks"]
    assert (told["host"], told["image"], told["outcome"]) == ("cmp-1", DEBIAN, "error")
    assert (told["bytes_done"], told["reason"]) == (7, "disk full")


def test_a_table_of_tasks_shows_what_decoded_the_images_if_any_was_decoded(run: Run, service: StubService) -> None:
    by_qemu = task("cmp-1", outcome="cached", decoded_by="qemu-img (it is encrypted)")
    service.frames = [("succeeded", [by_qemu, task("cmp-2", outcome="existing")])]
    assert "qemu-img (it is encrypted)" in run("job", "show", JOB_ID).out

    service.frames = [("succeeded", [task("cmp-1", outcome="existing")])]
    assert "decoded_by" not in run("job", "show", JOB_ID).out


def test_show_with_wait_ends_as_the_job_ended(run: Run, service: StubService) -> None:
    service.frames = [("running", [task("cmp-1")]), ("failed", [task("cmp-1", outcome="error")])]

    assert run("job", "show", JOB_ID, "--wait", "-f", "value", "-c", "state").out == "failed\n"
    assert run("job", "show", JOB_ID, "--wait").code == 5


def test_a_time_limit_without_a_wait_is_refused_before_anything_is_sent(run: Run, service: StubService) -> None:
    for words in (("job", "show", JOB_ID), ("aggregate", "cache", "image", "web", "debian-12")):
        ran = run(*words, "--timeout", "5")

        assert (ran.code, ran.out) == (2, "")
        assert "give --wait" in ran.err
    assert service.asked == []


def test_a_task_that_does_not_run_has_no_phase(run: Run, service: StubService) -> None:
    service.frames = [("running", [task("cmp-1", state="running"), task("cmp-2", outcome="cached")])]

    rows = list(csv.DictReader(io.StringIO(run("job", "task", "list", JOB_ID, "-f", "csv").out)))

    assert [row["phase"] for row in rows] == ["waiting", ""]


def test_an_unknown_job_is_refused_with_the_message_of_the_service(run: Run) -> None:
    for argv in (("job", "show", "a/b?c"), ("job", "show", "a/b?c", "--wait"), ("job", "task", "list", "a/b?c")):
        ran = run(*argv)

        assert ran.code == 1
        assert "could not be found" in ran.err


def test_list_can_be_limited_to_a_state(run: Run, service: StubService) -> None:
    service.jobs = [job("running") | {"id": "one"}, job("failed") | {"id": "two"}]

    assert run("job", "list", "--state", "failed", "-f", "value", "-c", "id").out == "two\n"
    assert run("job", "list", "--state", "bogus").code == 2


def test_list_says_why_jobs_wait(run: Run, service: StubService) -> None:
    service.jobs = [job("waiting") | {"id": "one", "priority": 80, "reason": "Its window opens at 02:00."}]

    ran = run("job", "list", "-f", "value", "-c", "id", "-c", "priority", "-c", "reason")

    assert ran.out == "one\t80\tIts window opens at 02:00.\n"


def test_list_has_the_service_choose_and_sort(run: Run, service: StubService) -> None:
    ran = run(
        "job", "list", "--state", "running", "--state", "waiting", "--host", "cmp-1", "--image", "debian-12",
        "--aggregate", "edge", "--name", "friday", "--since", "2026-12-04", "--changed-since", "2026-12-05T01:00+01:00",
        "--sort", "priority:desc", "--limit", "20",
    )  # fmt: skip

    assert ran.code == 0
    assert service.asked[-1].query == {
        "state": ["running", "waiting"],
        "host": "cmp-1",
        "image": DEBIAN,
        "aggregate": "edge",
        "name": "friday",
        "since": "2026-12-04T00:00:00Z",
        "changed_since": "2026-12-05T00:00:00Z",
        "sort_key": "priority",
        "sort_dir": "desc",
        "limit": "20",
    }


@pytest.mark.parametrize("words", [("--sort", "luck"), ("--sort", "state:up"), ("--since", "soon")])
def test_list_refuses_what_it_cannot_send(run: Run, service: StubService, words: tuple[str, ...]) -> None:
    ran = run("job", "list", *words)

    assert ran.code == 2
    assert f"{words[1]!r} is not" in ran.err
    assert service.asked == []


def test_list_turns_pages_until_it_has_what_was_asked_for(run: Run, service: StubService) -> None:
    service.jobs = [job("succeeded") | {"id": f"job-{n}"} for n in range(1203)]

    assert len(run("job", "list", "--limit", "0", "-f", "value", "-c", "id").out.splitlines()) == 1203
    assert len(run("job", "list", "--limit", "700", "-f", "value", "-c", "id").out.splitlines()) == 700
    assert len(run("job", "list", "-f", "value", "-c", "id").out.splitlines()) == 50


@pytest.mark.parametrize("limit", ["-1", "x", "1.5", "1000000001", "9" * 20, "9" * 5000])
@pytest.mark.parametrize("words", [("job", "list"), ("job", "task", "list", JOB_ID)])
def test_a_limit_is_a_whole_number_of_some_size(run: Run, words: tuple[str, ...], limit: str) -> None:
    ran = run(*words, f"--limit={limit}")

    assert ran.code == 2
    assert "is not a whole number from 1 to 1000000000, or 0 for all" in ran.err


def test_a_job_of_one_task_is_announced_in_the_singular(run: Run, service: StubService) -> None:
    service.frames = [("running", [task("cmp-1")]), ("succeeded", [task("cmp-1", outcome="cached")])]

    assert f"Job {JOB_ID} is running, 1 task\n" in run("job", "show", JOB_ID, "--wait").err


def test_task_list_gives_csv_with_plain_numbers_and_no_none(run: Run, service: StubService) -> None:
    service.frames = [("running", [task("cmp-1", bytes_done=7), task("cmp-2", outcome="error", reason='a "b", c')])]

    rows = list(csv.DictReader(io.StringIO(run("job", "task", "list", JOB_ID, "-f", "csv").out)))

    assert [(row["host"], row["outcome"], row["bytes_done"], row["reason"]) for row in rows] == [
        ("cmp-1", "", "7", ""),
        ("cmp-2", "error", "0", 'a "b", c'),
    ]


def test_task_list_can_be_limited_to_an_outcome(run: Run, service: StubService) -> None:
    service.frames = [("failed", [task("cmp-1", outcome="error"), task("cmp-2", outcome="skipped")])]

    ran = run("job", "task", "list", JOB_ID, "--outcome", "skipped", "-f", "value", "-c", "host")

    assert ran.out == "cmp-2\n"


def test_task_list_can_be_limited_to_several_outcomes_and_to_tasks_with_a_reason(
    run: Run, service: StubService
) -> None:
    service.replies["GET", f"/v1/jobs/{JOB_ID}/tasks"] = Reply(200, {"tasks": [task("cmp-1", outcome="error")]})

    ran = run("job", "task", "list", JOB_ID, "--outcome", "error", "--outcome", "skipped", "--with-reason")

    assert ran.code == 0
    assert service.asked[-1].query == {"outcome": ["error", "skipped"], "has_reason": "true"}


def test_task_list_reads_all_pages(run: Run, service: StubService) -> None:
    service.page_size = 2
    service.frames = [("running", [task(f"cmp-{n}") for n in range(5)])]

    every = run("job", "task", "list", JOB_ID, "-f", "value", "-c", "host")
    some = run("job", "task", "list", JOB_ID, "--limit", "3", "-f", "value", "-c", "host")

    assert every.out.split() == [f"cmp-{n}" for n in range(5)]
    assert some.out.split() == ["cmp-0", "cmp-1", "cmp-2"]


def test_task_list_has_the_service_choose(run: Run, service: StubService) -> None:
    service.frames = [("failed", [task("cmp-1", outcome="error"), task("cmp-2", outcome="error")])]

    ran = run(
        "job", "task", "list", JOB_ID, "--outcome", "error", "--state", "ended", "--cell", "cell1",
        "--host", "cmp-2", "--image", "debian-12", "-f", "value", "-c", "host",
    )  # fmt: skip

    assert ran.out == "cmp-2\n"
    wanted = {"outcome": "error", "state": "ended", "cell": "cell1", "host": "cmp-2", "image": DEBIAN}
    assert service.asked[-1].query == wanted


def test_an_image_that_is_gone_is_still_found_in_the_tasks(run: Run, service: StubService) -> None:
    service.images = []

    assert run("job", "task", "list", JOB_ID, "--image", DEBIAN.upper(), "-f", "value", "-c", "host").out == "cmp-1\n"


def test_a_list_whose_pages_go_round_in_a_circle_ends(run: Run, service: StubService) -> None:
    links = [{"rel": "next", "href": "/v1/hosts?marker=cmp-1"}]
    service.replies["GET", "/v1/hosts"] = Reply(200, {"hosts": service.hosts, "hosts_links": links})

    ran = run("host", "list")

    assert ran.code == 3
    assert "go round in a circle" in ran.err


def test_one_job_can_be_csv_too(run: Run, service: StubService) -> None:
    (row,) = csv.DictReader(io.StringIO(run("job", "show", JOB_ID, "-f", "csv").out))

    assert (row["id"], row["images"], row["started_at"]) == (JOB_ID, f'["{DEBIAN}"]', "")


@pytest.mark.parametrize("form", ["json", "table", "csv", "yaml", "value", "shell"])
def test_every_format_shows_the_state(run: Run, form: str) -> None:
    ran = run("job", "show", JOB_ID, "-f", form, "-c", "state")

    assert ran.code == 0
    assert "succeeded" in ran.out
    assert "cmp-1" not in ran.out


def test_host_list_shows_each_host_and_has_the_service_choose(run: Run, service: StubService) -> None:
    host = {
        "host": "cmp-1", "cell": "east", "site": "shop-7", "state": "running", "image": DEBIAN, "phase": "downloading",
        "task_states": {"running": 1, "ended": 1}, "counts": {"cached": 1}, "bytes_done": 2**20, "bytes_total": 2**21,
        "rate_bytes_per_s": 2**20, "eta_s": 1, "attempts": 1, "reason": "",
    }  # fmt: skip
    service.replies["GET", f"/v1/jobs/{JOB_ID}/hosts"] = Reply(200, {"hosts": [host]})

    ran = run("job", "host", "list", JOB_ID, "--state", "running", "--site", "shop-7", "--cell", "east", "-f", "json")

    assert ran.json == [host]
    assert service.asked[-1].query == {"state": "running", "site": "shop-7", "cell": "east"}
    assert "1.0 MiB/s" in run("job", "host", "list", JOB_ID).out
