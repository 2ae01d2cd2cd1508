"""The options of a job on the command line."""

from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.stub_service import Reply, StubService, job

CREATE = ("job", "create", "--image", "debian-12", "--cell", "cell1")


@pytest.fixture(autouse=True)
def accepting(service: StubService) -> None:
    service.replies["POST", "/v1/jobs"] = Reply(202, {"job": job("queued")})


@pytest.mark.parametrize(
    ("flag", "text", "field", "value"),
    [
        ("--priority", "0", "priority", 0),
        ("--priority", "100", "priority", 100),
    ],
)
def test_an_option_is_sent_as_its_field(
    run: Run, service: StubService, flag: str, text: str, field: str, value: object
) -> None:
    assert run(*CREATE, flag, text).code == 0

    assert service.asked[-1].body == {
        "images": [{"image": "debian-12"}],
        "target": {"cells": ["cell1"]},
        field: value,
    }


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("--priority", "101", "priority must be a whole number from 0 to 100, not 101"),
        ("--priority", "high", "priority must be a whole number from 0 to 100, not 'high'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_before_anything_is_sent(
    run: Run, service: StubService, flag: str, text: str, message: str
) -> None:
    ran = run(*CREATE, f"{flag}={text}")

    assert (ran.code, service.asked) == (2, [])
    assert f"argument {flag}: {message}" in ran.err
