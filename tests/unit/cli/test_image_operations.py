"""`precache image pin`, `unpin`, `verify` and `purge`: what they send, and what they show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, Reply, StubService, job, task


@pytest.fixture(autouse=True)
def accepting(service: StubService) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(202, {"job": job("queued") | {"operation": "pin"}})


@pytest.mark.parametrize(
    ("words", "operation", "options"),
    [
        (["pin"], "pin", {}),
        (["pin", "--keep-for", "7d"], "pin", {"keep_for_s": 604_800}),
        (["pin", "--keep-until", "2036-01-01T02:00:00+02:00"], "pin", {"keep_until": "2036-01-01T00:00:00Z"}),
        (["unpin"], "unpin", {}),
        (["verify"], "verify", {}),
        (["purge"], "purge", {}),
        (["purge", "--even-pinned"], "purge", {"even_pinned": True}),
    ],
)
def test_the_operation_is_sent_with_its_options_for_each_image(
    run: Run, service: StubService, words: list[str], operation: str, options: dict[str, Any]
) -> None:
    ran = run("image", words[0], "debian-12", DEBIAN, *words[1:], "--aggregate", "web", "--exclude-host", "cmp-9")

    assert (ran.code, service.asked[-1].path) == (0, "/v1/jobs")
    assert service.asked[-1].body == {
        "operation": operation,
        "images": [{"image": "debian-12", **options}, {"image": DEBIAN, **options}],
        "target": {"aggregates": ["web"], "exclude_hosts": ["cmp-9"]},
    }


def test_the_options_of_a_job_apply_to_an_operation(run: Run, service: StubService) -> None:
    run("image", "verify", "debian-12", "--cell", "cell1", "--rate-limit", "50M", "--canary", "2", "--name", "friday")

    assert service.asked[-1].body == {
        "operation": "verify",
        "images": [{"image": "debian-12"}],
        "target": {"cells": ["cell1"]},
        "name": "friday",
        "rate_limit_bytes_per_s": 50_000_000,
        "canary": {"hosts": 2},
    }


def test_job_create_takes_every_operation_and_its_options(run: Run, service: StubService) -> None:
    run("job", "create", "--operation", "purge", "--image", "debian-12", "--host", "cmp-1", "--even-pinned")

    assert service.asked[-1].body == {
        "operation": "purge",
        "images": [{"image": "debian-12", "even_pinned": True}],
        "target": {"hosts": ["cmp-1"]},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("image", "pin", "debian-12", "--keep-until", "tomorrow"), "keep_until must be a time with its zone"),
        (
            ("image", "pin", "debian-12", "--keep-until", "2036-01-01T00:00:00"),
            "keep_until must be a time with its zone",
        ),
        (
            ("image", "pin", "d", "--keep-for", "7d", "--keep-until", "2036-01-01T00:00:00Z"),
            "not allowed with argument",
        ),
        (("image", "pin", "debian-12", "--even-pinned"), "--even-pinned"),
        (("image", "purge", "debian-12", "--rate-limit", "20M"), "--rate-limit"),
        (("image", "pin", "debian-12", "--job-rate-limit", "20M"), "--job-rate-limit"),
        (("job", "create", "--operation", "erase", "--image", "debian-12"), "erase"),
        (("image", "purge", "debian-12", "--dry-run", "--wait"), "--dry-run makes no job"),
    ],
)
def test_what_the_operation_does_not_take_sends_nothing(
    run: Run, service: StubService, words: tuple[str, ...], message: str
) -> None:
    ran = run(*words, "--host", "cmp-1")

    assert ran.code == 2
    assert message in ran.err
    assert service.asked == []


def test_an_image_in_use_is_a_failure_with_the_disks_as_the_reason(run: Run, service: StubService) -> None:
    reason = "in use by 1 disk: /var/lib/nova/instances/7f3c/disk"
    service.frames = [("failed", [task("cmp-1", outcome="in_use", reason=reason)])]

    ran = run("image", "purge", "debian-12", "--host", "cmp-1", "--wait")

    assert ran.code == 5
    assert f"in_use: {reason}" in ran.err
    assert service.asked[-1].path.startswith(f"/v1/jobs/{JOB_ID}")


def test_jobs_are_listed_by_their_operation(run: Run, service: StubService) -> None:
    run("job", "list", "--operation", "purge", "--operation", "verify")

    assert service.asked[-1].query["operation"] == ["purge", "verify"]
