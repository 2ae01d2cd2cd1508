"""Waiting for a job, with a clock that only advances in `pause`."""

from __future__ import annotations

from typing import Any

import pytest

from precache.cli.errors import RequestRefused, ServiceUnreachable
from precache.cli.wait.follow import WaitResult, follow, pause_for
from precache.cli.wait.snapshot import Snapshot
from tests.unit.cli.stub_service import job, task


class ScriptedJobs:
    """Returns one state after another; an error in the script is raised."""

    def __init__(self, *script: str | Exception) -> None:
        self._script = list(script)

    def get(self, job_id: str) -> dict[str, Any]:
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(step, Exception):
            raise step
        return job(step)

    def tasks(self, job_id: str) -> list[dict[str, Any]]:
        return [task("cmp-1")]


class Notes:
    def __init__(self) -> None:
        self.states: list[str] = []
        self.silences: list[str] = []

    def show(self, snapshot: Snapshot) -> None:
        self.states.append(snapshot.state)

    def silence(self, message: str) -> None:
        self.silences.append(message)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


AWAY = ServiceUnreachable("it is down", "is the address right?")


def followed(
    jobs: ScriptedJobs, notes: Notes, clock: Clock | None = None, timeout_s: float | None = None
) -> WaitResult:
    clock = clock or Clock()
    return follow(jobs, "x", view=notes, clock=clock, pause=clock.pause, timeout_s=timeout_s)  # type: ignore[arg-type]


def test_every_look_is_shown_and_the_final_one_ends_it() -> None:
    notes = Notes()

    end = followed(ScriptedJobs("queued", "running", "succeeded"), notes)

    assert (end.timed_out, end.snapshot.state) == (False, "succeeded")
    assert notes.states == ["queued", "running", "succeeded"]


def test_a_service_that_is_down_for_a_while_does_not_end_the_wait() -> None:
    notes = Notes()

    end = followed(ScriptedJobs("running", AWAY, AWAY, AWAY, "succeeded"), notes)

    assert end.snapshot.state == "succeeded"
    assert notes.silences == ["it is down"] * 3


def test_a_service_that_stays_down_ends_it_after_a_minute() -> None:
    clock = Clock()

    with pytest.raises(ServiceUnreachable):
        followed(ScriptedJobs("running", AWAY), Notes(), clock)

    assert 60 <= clock.now < 70


def test_a_minute_of_silence_is_counted_from_the_last_answer() -> None:
    script: list[str | Exception] = ["running", *[AWAY] * 100, "running", *[AWAY] * 100, "succeeded"]

    assert followed(ScriptedJobs(*script), Notes()).snapshot.state == "succeeded"


def test_no_first_answer_ends_it_at_once() -> None:
    clock = Clock()

    with pytest.raises(ServiceUnreachable):
        followed(ScriptedJobs(AWAY), Notes(), clock)

    assert clock.now == 0


def test_a_refusal_ends_it_at_once() -> None:
    with pytest.raises(RequestRefused):
        followed(ScriptedJobs("running", RequestRefused("gone", 404)), Notes())


def test_the_timeout_is_kept_to_the_second_and_has_a_last_look() -> None:
    clock, notes = Clock(), Notes()

    end = followed(ScriptedJobs("running"), notes, clock, timeout_s=3.0)

    assert end.timed_out
    assert clock.now == pytest.approx(3.0)
    assert end.snapshot.state == "running"


def test_a_state_of_a_newer_service_is_final_once_the_job_is_finished() -> None:
    assert not Snapshot({"state": "paused", "finished_at": None}, []).is_final
    assert Snapshot({"state": "expired", "finished_at": "2026-01-01T00:00:00Z"}, []).is_final


@pytest.mark.parametrize(("tasks", "seconds"), [(0, 0.5), (500, 0.5), (2000, 2.0), (100_000, 5.0)])
def test_large_jobs_are_looked_at_less_often(tasks: int, seconds: float) -> None:
    assert pause_for(tasks) == seconds
