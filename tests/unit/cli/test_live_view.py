"""What is drawn in a terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from precache.cli.wait.live import picture, shown
from precache.cli.wait.plain import PlainView
from precache.cli.wait.snapshot import Snapshot
from precache.cli.wait.wording import closing_report
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, job, task


def drawn(tasks: list[dict[str, Any]], rows: int, state: str = "running") -> str:
    console = Console(width=120, force_terminal=False, record=True, file=None)
    with console.capture() as captured:
        console.print(picture(Snapshot(job(state, *tasks), tasks), labels={DEBIAN: "debian-12"}, rows=rows))
    return captured.get()


def running(host: str) -> dict[str, Any]:
    return task(host, state="running", phase="downloading", bytes_done=512 * 1024, bytes_total=1024 * 1024)


def test_few_hosts_are_all_shown_with_bytes_phase_and_outcome() -> None:
    tasks = [running("cmp-1"), task("cmp-2", outcome="error", reason="[red]disk\x1b full"), task("cmp-3")]

    text = drawn(tasks, rows=20)

    assert len(text.splitlines()) == 5
    assert "1 of 3 ended (1 error)" in text
    assert "512.0 KiB of 1.0 MiB" in text
    assert "downloading" in text
    assert r"error: [red]disk\x1b full" in text
    assert "waiting" in text


def test_the_reason_of_a_success_is_shown_too() -> None:
    """Without it `unverifiable` says neither why, nor what to do."""
    ended = task("cmp-1", outcome="unverifiable", bytes_done=1024, reason="the next verify can compare")
    again = task("cmp-2", state="running", phase="verifying", reason="the first attempt failed")
    lines = StringIO()

    PlainView(stream=lines, labels={DEBIAN: "debian-12"}, clock=lambda: 0.0).show(
        Snapshot(job("running", ended, again), [ended, again])
    )

    assert lines.getvalue().splitlines()[1:] == [
        "cmp-1: debian-12: unverifiable, 1.0 KiB: the next verify can compare",
        "cmp-2: debian-12: verifying",
    ]
    assert "unverifiable: the next verify can compare" in drawn([ended], rows=20)


def test_of_many_hosts_only_the_running_ones_are_shown() -> None:
    tasks = [running(f"run-{n}") for n in range(8)] + [task(f"done-{n}", outcome="cached") for n in range(500)]

    text = drawn(tasks, rows=5)

    assert "500 of 508 ended (500 cached)" in text
    assert text.count("run-") == 5
    assert "done-" not in text
    assert "... and 3 more" in text


def test_the_picture_never_has_more_rows_than_there_is_room() -> None:
    tasks = [running(f"run-{n}") for n in range(30)]

    chosen, rest = shown(Snapshot(job("running", *tasks), tasks), 10)

    assert (len(chosen), rest) == (10, 20)


def test_the_closing_report_names_failures_up_to_a_limit() -> None:
    tasks = [task(f"cmp-{n}", outcome="error", reason="disk full") for n in range(100)]

    lines = closing_report(Snapshot(job("failed", *tasks), tasks), {})

    assert lines[0].endswith("failed: 100 error")
    assert len(lines) == 22
    assert "and 80 more: precache job task list" in lines[-1]


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_closing_report_leaves_out_tasks_that_were_cancelled_as_asked(is_whole: bool) -> None:
    silent = task("cmp-100", outcome="cancelled", reason="cmp-100 does not answer")
    tasks = [*(task(f"cmp-{n}", outcome="cancelled") for n in range(100)), silent]

    lines = closing_report(Snapshot(job("cancelled", *tasks), tasks, is_whole), {})

    assert lines[0].endswith("cancelled: 101 cancelled")
    assert lines[1:] == ["  cmp-100: debian-12: cancelled: cmp-100 does not answer"]


def test_a_job_that_was_asked_to_end_is_shown_as_being_cancelled() -> None:
    asked = {"cancel_requested_at": "2026-01-02T03:04:06Z"}

    def standing(state: str) -> str:
        return Snapshot(job(state) | asked, []).standing

    assert [standing(state) for state in ("running", "queued", "cancelled")] == ["being cancelled"] * 2 + ["cancelled"]


def test_a_job_that_was_asked_to_pause_is_shown_as_being_paused() -> None:
    asked = {"pause_requested_at": "2026-01-02T03:04:06Z"}

    def standing(state: str) -> str:
        return Snapshot(job(state) | asked, []).standing

    assert [standing(state) for state in ("running", "queued", "paused")] == ["being paused"] * 2 + ["paused"]
    assert Snapshot(job("running") | asked | {"cancel_requested_at": "x"}, []).standing == "being cancelled"


def test_why_a_job_waits_is_shown() -> None:
    snapshot = Snapshot(job("waiting", task("cmp-1")) | {"reason": "Its window opens at 02:00."}, [task("cmp-1")])
    stream, console = StringIO(), Console(width=200, force_terminal=False, file=None)

    PlainView(stream=stream, labels={}, clock=lambda: 0.0).show(snapshot)
    with console.capture() as captured:
        console.print(picture(snapshot, labels={}, rows=5))

    assert stream.getvalue().startswith(f"Job {JOB_ID} is waiting, 1 task: Its window opens at 02:00.\n")
    assert "Its window opens at 02:00." in captured.get().splitlines()[0]


def test_the_closing_report_says_why_the_job_ended_so() -> None:
    ended = job("expired", task("cmp-1", outcome="expired")) | {
        "reason": "The deadline passed: 0 of 1 hosts are ready."
    }

    lines = closing_report(Snapshot(ended, [task("cmp-1", outcome="expired")]), {})

    assert lines[0] == f"Job {JOB_ID} expired: 1 expired. The deadline passed: 0 of 1 hosts are ready."


def test_a_job_without_hosts_is_said_to_have_none() -> None:
    assert "there was no host to call" in closing_report(Snapshot(job("succeeded"), []), {})[0]
