"""`precache host clean` lists what a host removes and what stays."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, Reply, StubService

CLEANING = {
    "host": "cmp-1",
    "dry_run": False,
    "policy": "age",
    "bytes": 3 << 30,
    "removed": [
        {
            "entry": "1" * 40,
            "image": DEBIAN,
            "name": "debian-12",
            "bytes": 3 << 30,
            "last_used": "2026-01-02T03:04:05Z",
            "reason": "unused for 26 h",
        }
    ],
    "kept": [
        {
            "entry": "2" * 40,
            "image": None,
            "name": None,
            "bytes": 9,
            "last_used": None,
            "reason": "in use by 1 disk: /a",
        }
    ],
}


@pytest.fixture(autouse=True)
def answer(service: StubService) -> None:
    service.replies["POST", "/v1/hosts/cmp-1/clean"] = Reply(200, {"cleaning": CLEANING})


def test_what_was_removed_and_what_stays_is_listed(run: Run) -> None:
    ran = run("host", "clean", "cmp-1")

    assert ran.code == 0
    assert ran.err == "precache: 1 image removed from cmp-1, 3.0 GiB; 1 kept\n"
    rows = [line.split("|") for line in ran.out.splitlines() if "|" in line]
    assert [row[1].strip() for row in rows] == ["name", "debian-12", "2" * 40]
    assert [row[4].strip() for row in rows] == ["action", "removed", "kept"]
    assert "in use by 1 disk: /a" in ran.out


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ([], {"dry_run": False, "all": False}),
        (["--dry-run", "--keep-days", "7"], {"dry_run": True, "all": False, "keep_days": 7}),
        (["--all"], {"dry_run": False, "all": True}),
    ],
)
def test_the_options_are_sent(run: Run, service: StubService, options: list[str], body: dict[str, object]) -> None:
    rows = run("host", "clean", "cmp-1", *options, "-f", "json").json

    assert [(row["image"], row["name"]) for row in rows] == [(DEBIAN, "debian-12"), (None, None)]
    assert service.asked[-1].body == body


def test_a_dry_run_says_what_would_be(run: Run) -> None:
    ran = run("host", "clean", "cmp-1", "--dry-run", "-f", "value", "-c", "action")

    assert (ran.out, ran.err) == (
        "would be removed\nkept\n",
        "precache: 1 image would be removed from cmp-1, 3.0 GiB; 1 kept\n",
    )


@pytest.mark.parametrize("options", [["--all", "--keep-days", "7"], ["--keep-days", "-1"], ["--keep-days", "week"]])
def test_options_that_make_no_sense_are_refused_before_any_request(
    run: Run, service: StubService, options: list[str]
) -> None:
    assert run("host", "clean", "cmp-1", *options).code == 2
    assert service.asked == []


@pytest.mark.parametrize(("status", "code"), [(409, 1), (404, 1), (503, 3)])
def test_a_refusal_and_an_unreachable_host_have_their_exit_codes(
    run: Run, service: StubService, status: int, code: int
) -> None:
    service.replies["POST", "/v1/hosts/cmp-1/clean"] = Reply(status, {"error": {"message": "Host cmp-1: no."}})

    ran = run("host", "clean", "cmp-1")

    assert ran.code == code
    assert "Host cmp-1: no." in ran.err


def test_a_host_that_is_down_is_no_failure_of_the_service(run: Run, service: StubService) -> None:
    fault = {"code": "precache.host.not_reached", "message": "Host cmp-1 was not asked to clean its cache: it is down"}
    service.replies["POST", "/v1/hosts/cmp-1/clean"] = Reply(503, {"error": fault})

    assert run("host", "clean", "cmp-1").err == f"precache: {fault['message']}\n"
