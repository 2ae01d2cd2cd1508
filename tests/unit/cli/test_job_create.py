"""`precache job create`: what it sends, and what it shows."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, Reply, StubService, job, task

TARGET = {"aggregates": [], "cells": ["cell1"], "hosts": [], "exclude_hosts": ["cmp-9"]}
ACCEPTED = job("queued") | {"aggregate": None, "name": "friday", "target": TARGET}


@pytest.fixture(autouse=True)
def accepting(service: StubService) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(202, {"job": ACCEPTED})


def test_every_option_is_sent_as_it_was_given(run: Run, service: StubService) -> None:
    ran = run(
        "job", "create", "--name", "friday", "--image", "debian-12", "--image", DEBIAN,
        "--aggregate", "web", "--aggregate", "7", "--cell", "cell1", "--host", "cmp-1", "--host", "cmp-2",
        "--exclude-host", "cmp-9", "--rate-limit", "20M", "--priority", "80",
    )  # fmt: skip

    (asked,) = service.asked
    assert (ran.code, asked.method, asked.path) == (0, "POST", "/v1/jobs")
    assert asked.body == {
        "name": "friday",
        "images": [{"image": "debian-12"}, {"image": DEBIAN}],
        "target": {
            "aggregates": ["web", "7"],
            "cells": ["cell1"],
            "hosts": ["cmp-1", "cmp-2"],
            "exclude_hosts": ["cmp-9"],
        },
        "rate_limit_bytes_per_s": 20_000_000,
        "priority": 80,
    }


def test_an_image_has_the_priority_that_is_given_for_it(run: Run, service: StubService) -> None:
    ran = run(
        "job", "create", "--image", "a=1", "--image", DEBIAN, "--image", "ubuntu-24", "--cell", "cell1",
        "--image-priority", "a=1=0", "--image-priority", f"{DEBIAN}=100", "--priority", "80",
    )  # fmt: skip

    assert ran.code == 0
    assert service.asked[-1].body == {
        "images": [{"image": "a=1", "priority": 0}, {"image": DEBIAN, "priority": 100}, {"image": "ubuntu-24"}],
        "target": {"cells": ["cell1"]},
        "priority": 80,
    }


@pytest.mark.parametrize(("text", "keep_for_s"), [("60", 60), ("12h", 43_200), ("7d", 604_800), ("3660d", 316_224_000)])
def test_every_image_is_kept_for_the_time_that_is_given(
    run: Run, service: StubService, text: str, keep_for_s: int
) -> None:
    ran = run(
        "job", "create", "--image", "debian-12", "--image", DEBIAN, "--cell", "cell1", "--keep-for", text,
        "--image-priority", "debian-12=80",
    )  # fmt: skip

    assert ran.code == 0
    assert service.asked[-1].body == {
        "images": [
            {"image": "debian-12", "priority": 80, "keep_for_s": keep_for_s},
            {"image": DEBIAN, "keep_for_s": keep_for_s},
        ],
        "target": {"cells": ["cell1"]},
    }


def test_every_image_has_the_base_that_is_given(run: Run, service: StubService) -> None:
    ran = run("job", "create", "--image", "debian-12", "--cell", "cell1", "--base", DEBIAN.upper())

    assert ran.code == 0
    assert service.asked[-1].body["images"] == [{"image": "debian-12", "base": DEBIAN}]


@pytest.mark.parametrize(
    ("priorities", "message"),
    [
        (["debian-12"], "'debian-12' is not of the form IMAGE=N, such as debian-12=80"),
        (["=80"], "'=80' is not of the form IMAGE=N, such as debian-12=80"),
        (["debian-12="], "'debian-12=' is not of the form IMAGE=N, such as debian-12=80"),
        (["debian-12=high"], "'debian-12=high' is not of the form IMAGE=N"),
        (["debian-12=-1"], "'debian-12=-1' is not of the form IMAGE=N"),
        (["debian-12=\N{ARABIC-INDIC DIGIT THREE}"], "is not of the form IMAGE=N"),
        (["debian-12=101"], "priority must be a whole number from 0 to 100, not 101"),
        (["ubuntu-24=80"], "--image-priority names 'ubuntu-24', but no --image does; give the image as in --image"),
        (["debian-12=80", "debian-12=80"], "--image-priority is given twice for the same image; leave one out"),
    ],
)
def test_a_wrong_priority_of_an_image_sends_nothing(
    run: Run, service: StubService, priorities: list[str], message: str
) -> None:
    options = [f"--image-priority={each}" for each in priorities]

    ran = run("job", "create", "--image", "debian-12", "--cell", "cell1", *options)

    assert (ran.code, service.asked) == (2, [])
    assert message in ran.err


def test_an_idempotency_key_is_sent_as_a_header(run: Run, service: StubService) -> None:
    words = ("job", "create", "--image", "debian-12", "--cell", "cell1")

    run(*words, "--idempotency-key", "rollout-1")
    run(*words)

    assert [asked.headers.get("idempotency-key") for asked in service.asked] == ["rollout-1", None]


def test_what_is_not_given_is_not_sent(run: Run, service: StubService) -> None:
    assert run("job", "create", "--image", "debian-12", "--cell", "cell1").code == 0

    assert service.asked[-1].body == {"images": [{"image": "debian-12"}], "target": {"cells": ["cell1"]}}


def test_the_accepted_job_is_shown_with_its_name_and_target(run: Run) -> None:
    words = ("job", "create", "--image", "debian-12", "--cell", "cell1", "--exclude-host", "cmp-9")

    exact, table = run(*words, "-f", "json"), run(*words)

    assert (exact.json["id"], exact.json["name"], exact.json["target"]) == (JOB_ID, "friday", TARGET)
    assert "tasks" not in exact.json
    assert "cells: cell1" in table.out
    assert "exclude hosts: cmp-9" in table.out
    assert "aggregates:" not in table.out


def test_of_a_long_target_a_table_shows_the_first_names(run: Run, service: StubService) -> None:
    hosts = [f"cmp-{number}" for number in range(10_000)]
    service.replies["POST", "/v1/jobs"] = Reply(202, {"job": ACCEPTED | {"target": TARGET | {"hosts": hosts}}})

    ran = run("job", "create", "--image", "debian-12", "--cell", "cell1")

    assert "hosts: cmp-0, cmp-1, cmp-2, cmp-3, cmp-4 and 9995 more" in ran.out


@pytest.mark.parametrize(("state", "outcome", "code"), [("succeeded", "cached", 0), ("failed", "error", 5)])
def test_with_wait_it_ends_as_the_job_does(run: Run, service: StubService, state: str, outcome: str, code: int) -> None:
    service.frames = [("running", [task("cmp-1")]), (state, [task("cmp-1", outcome=outcome)])]

    ran = run("job", "create", "--image", "debian-12", "--host", "cmp-1", "--wait", "--all", "-f", "json")

    assert (ran.code, ran.json["state"], ran.json["tasks"][0]["outcome"]) == (code, state, outcome)


def test_a_refusal_of_the_service_is_shown_as_it_comes(run: Run, service: StubService) -> None:
    message = "Compute hosts a, b could not be found."
    error = {"code": "precache.target.host_not_found", "message": message, "names": ["a", "b"], "more": 0}
    service.replies["POST", "/v1/jobs"] = Reply(400, {"error": error})

    ran = run("job", "create", "--image", "debian-12", "--host", "a", "--host", "b")

    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err


def test_a_target_is_for_the_service_to_judge(run: Run, service: StubService) -> None:
    run("job", "create", "--image", "debian-12")

    assert service.asked[-1].body["target"] == {}


@pytest.mark.parametrize(
    "words",
    [
        ("--cell", "cell1"),
        ("--image", "debian-12", "--cell", "cell1", "--rate-limit", "0"),
        ("--image", "debian-12", "--cell", "cell1", "--timeout", "5"),
        ("--image", "debian-12", "--cell", "cell1", "--all"),
        ("--image", "debian-12", "--cell", "cell1", "--priority", "101"),
        ("--image", "debian-12", "cell1"),
        ("--image", "debian-12", "--cell", "cell1", "--idempotency-key", ""),
        ("--image", "debian-12", "--cell", "cell1", "--idempotency-key", "a b"),
        ("--image", "debian-12", "--cell", "cell1", "--idempotency-key", "\N{SNOWMAN}"),
        ("--image", "debian-12", "--cell", "cell1", "--idempotency-key", "x" * 256),
    ],
)
def test_a_wrong_command_line_sends_nothing(run: Run, service: StubService, words: tuple[str, ...]) -> None:
    assert run("job", "create", *words).code == 2

    assert service.asked == []
