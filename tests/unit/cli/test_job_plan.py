"""`precache job create --dry-run`: what it sends, and how it shows the plan."""

from __future__ import annotations

from typing import Any

import pytest

from precache.cli.commands.job_plan import duration
from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, Reply, StubService

CREATE = ("job", "create", "--image", "debian-12", "--aggregate", "web", "--dry-run")


def group(cell: str, site: str, **fields: Any) -> dict[str, Any]:
    hosts = {"ready": 206, "incomplete": 285, "unsupported": 0, "down": 8, "unknown": 1}
    return {
        "cell": cell,
        "site": site,
        "host_count": 500,
        "hosts": hosts,
        "lacking_space": 3,
        "bytes_to_move": 300 << 30,
        "image_service_bytes": 1 << 30,
        "transfer": "swarm",
        "transfer_reason": "the job says so",
        "seconds": 3700.5,
        "rate_bytes_per_s": 50 << 20,
        "measured_tasks": 400,
        "measured_jobs": 4,
        "images": [{"image": DEBIAN, "held": 206, "held_by": ["cmp-1"], "missing": 285}],
        **fields,
    }


def notes(count: int, more: int, **fields: Any) -> dict[str, Any]:
    hosts = [{"host": f"cmp-{number}", "cell": "cell1", "site": "paris", **fields} for number in range(count)]
    return {"hosts": hosts, "more": more}


PLAN: dict[str, Any] = {
    "operation": "cache",
    "host_count": 1000,
    "task_count": 1000,
    "hosts": {"ready": 412, "incomplete": 570, "unsupported": 0, "down": 16, "unknown": 2},
    "bytes_to_move": 600 << 30,
    "image_service_bytes": 2 << 30,
    "held_bytes": 412 << 31,
    "images": [
        {
            "image": DEBIAN,
            "name": "debian-12",
            "size_bytes": 1 << 30,
            "virtual_size_bytes": 2 << 30,
            "held": 412,
            "held_bytes": 412 << 31,
            "missing": 570,
        }
    ],
    "estimate": {
        "seconds": 7384.0,
        "reason": "",
        "measured_tasks": 812,
        "measured_jobs": 4,
        "hosts_at_once": 50,
        "begins_at": "2026-12-04T20:00:00.000000Z",
        "ends_at": "2026-12-04T22:03:04.000000Z",
        "meets_deadline": True,
    },
    "groups": [group("cell1", "paris"), group("cell1", "oslo", seconds=None)],
    "lacking_space": notes(6, 0, needed_bytes=3 << 30, free_bytes=4 << 30, promised_bytes=2 << 30, reserve_bytes=0),
    "down": notes(16, 0),
    "unknown": notes(2, 0, reason="it did not answer within 5 seconds"),
    "unsupported": notes(0, 0),
}


@pytest.fixture(autouse=True)
def planning(service: StubService) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(200, {"plan": PLAN})


def test_the_whole_request_is_sent_with_the_wish_for_a_plan(run: Run, service: StubService) -> None:
    ran = run(*CREATE, "--name", "friday", "--rate-limit", "20M", "--idempotency-key", "k")

    (asked,) = service.asked
    assert (ran.code, asked.method, asked.path, asked.query) == (0, "POST", "/v1/jobs", {"dry_run": "true"})
    assert asked.body == {
        "name": "friday",
        "images": [{"image": "debian-12"}],
        "target": {"aggregates": ["web"]},
        "rate_limit_bytes_per_s": 20_000_000,
    }
    assert asked.headers["idempotency-key"] == "k"


def test_json_has_the_plan_as_the_service_gave_it(run: Run) -> None:
    shown = run(*CREATE, "-f", "json").json

    times = {name: shown.pop(name) for name in ("begins_at", "ends_at", "meets_deadline")}
    assert shown == PLAN
    assert times == {name: PLAN["estimate"][name] for name in times}


def test_a_table_for_a_thousand_hosts_is_short(run: Run) -> None:
    ran = run(*CREATE, "--max-width", "110")

    lines = ran.out.splitlines()
    assert len(lines) < 45
    for text in (
        "412 ready, 570 incomplete, 16 down, 2 unknown",
        "debian-12 (1.0 GiB): on 412 hosts, missing on 570 hosts",
        "600.0 GiB",
        "2.0 GiB",
        "about 2 h 3 min, by 812 downloads of 4 earlier jobs; 50 hosts at once",
        "can be met",
        "cmp-0: needs 3.0 GiB, 4.0 GiB free, 2.0 GiB promised to other images",
        "and 1 more",
        "and 11 more",
        "cmp-1: it did not answer within 5 seconds",
    ):
        assert text in ran.out
    assert "unsupported" not in ran.out
    [oslo] = [line for line in lines if line.startswith("| cell1")][1:]
    assert [word.strip() for word in oslo.strip("| ").split("|")][:5] == ["cell1", "oslo", "500", "206", "285"]
    assert "| swarm " in run(*CREATE, "--max-width", "200").out


def test_one_is_no_plural(run: Run, service: StubService) -> None:
    ones = {"measured_tasks": 1, "measured_jobs": 1, "hosts_at_once": 1}
    images = [PLAN["images"][0] | {"held": 1, "missing": 1}]
    plan = PLAN | {"estimate": PLAN["estimate"] | ones, "images": images}
    service.replies["POST", "/v1/jobs"] = Reply(200, {"plan": plan})

    ran = run(*CREATE, "--max-width", "110")

    assert "on 1 host, missing on 1 host" in ran.out
    assert "by 1 download of 1 earlier job; 1 host at once" in ran.out


def test_an_unknown_time_says_why(run: Run, service: StubService) -> None:
    estimate = PLAN["estimate"] | {"seconds": None, "ends_at": None, "reason": "no download was measured in cell1"}
    service.replies["POST", "/v1/jobs"] = Reply(200, {"plan": PLAN | {"estimate": estimate}})

    assert "unknown: no download was measured in cell1" in run(*CREATE, "--max-width", "110").out


def test_a_single_group_has_no_table_of_its_own(run: Run, service: StubService) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(200, {"plan": PLAN | {"groups": PLAN["groups"][:1]}})

    assert "lacking_space | bytes_to_move" not in run(*CREATE).out
    assert "paris" in run(*CREATE, "-c", "groups").out


def test_each_choice_of_a_transfer_says_why_and_for_which_sites(run: Run, service: StubService) -> None:
    small = group("cell2", "", transfer="direct", transfer_reason="2 hosts can pass images on")
    groups = [*(group("cell1", f"site{number}") for number in range(6)), small, group("cell3", "lab", transfer=None)]
    service.replies["POST", "/v1/jobs"] = Reply(200, {"plan": PLAN | {"groups": groups}})

    shown = run(*CREATE, "--max-width", "200").out

    assert "| swarm in site0, site1, site2, site3, site4, 1 more: the job says so " in shown
    assert "| direct in cell2: 2 hosts can pass images on " in shown
    assert "lab:" not in shown
    service.replies["POST", "/v1/jobs"] = Reply(200, {"plan": PLAN | {"groups": groups[:1]}})
    assert "swarm in site0: the job says so" in run(*CREATE).out


def test_columns_can_be_chosen(run: Run) -> None:
    assert run(*CREATE, "-f", "value", "-c", "bytes_to_move").out == f"{600 << 30}\n"
    assert "There is no column tasks" in run(*CREATE, "-c", "tasks").err


def test_there_is_no_job_to_wait_for(run: Run, service: StubService) -> None:
    ran = run(*CREATE, "--wait")

    assert (ran.code, service.asked) == (2, [])
    assert "--dry-run makes no job for which --wait could wait" in ran.err


def test_a_plan_without_an_answer_says_nothing_of_a_request_that_was_accepted(run: Run, service: StubService) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(503, {"error": {"message": "No conductor can ask", "code": "x"}})

    ran = run(*CREATE)

    assert (ran.code, "No conductor can ask" in ran.err) == (3, True)
    assert "accepted" not in ran.err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (754, "12 min 34 s"),
        (3600, "1 h"),
        (7384, "2 h 3 min"),
        (86400 * 2 + 3600 * 4 + 59, "2 d 4 h"),
    ],
)
def test_a_time_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
