"""All checks run, whatever becomes of one of them."""

import threading

import pytest

from precache.core.errors import StoreUnavailable
from precache.doctor.examine import Check, examine, run_concurrently
from precache.doctor.findings import ok


def well(config):
    yield ok("well")


def away(config):
    yield ok("so far")
    raise StoreUnavailable("connection refused")


def buggy(config):
    raise KeyError("hunter2")


def test_findings_come_in_the_order_of_the_checks_with_failures_among_them():
    found = examine(None, [Check("a", away), Check("b", buggy), Check("c", well)])

    assert [(name, str(finding.status)) for name, finding in found] == [("a", "failed"), ("b", "failed"), ("c", "ok")]
    assert found[0][1].found == "The database is not available: connection refused"
    assert "hunter2" not in found[1][1].found


def test_a_bug_of_a_check_is_passed_to_the_callback():
    bugs = []

    examine(None, [Check("a", away), Check("b", buggy)], bugs.append)

    assert [repr(bug) for bug in bugs] == ["KeyError('hunter2')"]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied", "/etc/x"), "/etc/x: Permission denied"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError("timed out"), "timed out"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_an_error_of_the_system_without_a_path_is_reported_without_one(error, told):
    def look(config):
        raise error

    [(_, finding)] = examine(None, [Check("refused", look)])

    assert finding.found == told


def test_a_check_that_does_not_end_is_a_failure_and_the_others_are_reported():
    release = threading.Event()

    def silent(config):
        release.wait(60)
        yield ok("at last")

    found = examine(None, [Check("silent", silent, timeout_s=0.05), Check("well", well)])
    release.set()

    assert [str(finding.status) for _, finding in found] == ["failed", "ok"]
    assert "no answer within" in found[0][1].found


def test_calls_are_made_at_the_same_time():
    both_there = threading.Barrier(2, timeout=30)

    def call():
        both_there.wait()
        return True

    assert run_concurrently([(call, 30), (call, 30)]) == [True, True]
