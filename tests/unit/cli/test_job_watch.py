"""The parts of `precache job watch`: reading events, the model of the job, the screen, and what happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from precache.cli.client.events import ServerEvent, read_events
from precache.cli.errors import JobDeleted, RequestRefused, ServiceUnreachable
from precache.cli.wait.follow import WaitResult
from precache.cli.wait.snapshot import TaskView
from precache.cli.watch.follow_events import EventFollower
from precache.cli.watch.groups import by_site, slowest
from precache.cli.watch.job_model import JobModel
from precache.cli.watch.picture import screen, shares
from tests.unit.cli.stub_service import DEBIAN, JOB_ID, UBUNTU, job, task

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sent(name: str, data: Any, number: int = 1) -> bytes:
    return f"id: r-{number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()


@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=5), st.lists(st.integers(0, 400)))
def test_events_are_read_alike_wherever_the_body_is_cut(data: list[dict[str, str]], cuts: list[int]) -> None:
    body = b"".join(b": heartbeat\n\n" + sent("task", each, number) for number, each in enumerate(data))
    places = sorted({0, *(cut for cut in cuts if cut < len(body)), len(body)})
    parts = [body[start:end] for start, end in pairwise(places)]

    found = [event for event in read_events(parts) if event.name]

    assert found == [ServerEvent("task", each, f"r-{number}") for number, each in enumerate(data)]


def test_an_event_that_is_not_complete_is_dropped() -> None:
    assert list(read_events([sent("end", {})[:-1]])) == []
    assert [event.name for event in read_events([b"retry: 2\n\n", sent("end", [1])])] == ["", ""]


class TestJobModel:
    def model(self, *tasks: dict[str, Any]) -> JobModel:
        model = JobModel()
        model.replace(job("running", *tasks) | {"by_image": [{"image": DEBIAN, "bytes_done": 1}]}, tasks, is_whole=True)
        return model

    def test_an_event_changes_only_what_it_names(self) -> None:
        model = self.model(task("cmp-1", state="running", phase="downloading", bytes_done=1, bytes_total=9))

        model.apply(ServerEvent("task", {"host": "cmp-1", "image": DEBIAN, "bytes_done": 5}), NOW)
        model.apply(ServerEvent("job", {"counts": {"error": 1}, "by_image": [{"image": UBUNTU, "bytes_done": 2}]}), NOW)

        (view,) = model.tasks
        assert (view.bytes_done, view.bytes_total, view.phase, view.name) == (5, 9, "downloading", "debian-12")
        assert model.job["counts"] == {"error": 1}
        assert model.job["state"] == "running"
        assert [(image["image"], image["bytes_done"]) for image in model.job["by_image"]] == [(DEBIAN, 1), (UBUNTU, 2)]

    def test_what_began_or_ended_last_comes_first(self) -> None:
        model = self.model(task("cmp-1"), task("cmp-2"))

        for host, change in (
            ("cmp-1", {"state": "running"}),
            ("cmp-1", {"bytes_done": 7}),
            ("cmp-2", {"state": "ended", "outcome": "existing"}),
        ):
            model.apply(ServerEvent("task", {"host": host, "image": DEBIAN} | change), NOW)

        assert [(each.task.host, each.task.state) for each in model.changes] == [
            ("cmp-2", "ended"),
            ("cmp-1", "running"),
        ]

    def test_events_that_are_not_known_change_nothing(self) -> None:
        model = self.model(task("cmp-1"))

        model.apply(ServerEvent("weather", {"state": "succeeded"}), NOW)

        assert model.job["state"] == "running"


@given(st.lists(st.integers(0, 30), max_size=6), st.integers(-3, 80))
def test_the_parts_of_the_screen_never_take_more_lines_than_there_are(wanted: list[int], lines: int) -> None:
    given_lines = shares(wanted, lines)

    assert sum(number + 1 for number in given_lines if number) <= max(0, lines)
    assert all(0 <= got <= want for got, want in zip(given_lines, wanted, strict=True))
    if sum(number + 1 for number in wanted if number) <= lines:
        assert given_lines == wanted


def a_thousand_hosts() -> JobModel:
    running = [
        task(f"run-{n}", state="running", phase="downloading", bytes_done=n, bytes_total=1000, rate_bytes_per_s=n)
        for n in range(400)
    ]
    failed = [task(f"bad-{n}", outcome="error", reason=f"[red]disk\x1b full {n}" * 9) for n in range(100)]
    model = JobModel()
    tasks = [*running, *failed, *(task(f"done-{n}", outcome="cached") for n in range(500))]
    model.replace(
        job("running", *tasks) | {"name": "friday", "rate_bytes_per_s": 2048, "eta_s": 90}, tasks, is_whole=True
    )
    for number in range(20):
        done = {"host": f"run-{number}", "image": DEBIAN, "state": "ended", "outcome": "cached"}
        model.apply(ServerEvent("task", done), NOW)
    return model


@pytest.mark.parametrize(("lines", "columns"), [(4, 20), (10, 60), (24, 80), (50, 200)])
def test_a_thousand_hosts_fit_on_one_screen(lines: int, columns: int) -> None:
    console = Console(width=columns, height=lines)

    with console.capture() as captured:
        console.print(screen(a_thousand_hosts(), site_of=lambda task: task.cell, lines=lines, note="it is down"))

    drawn = captured.get().splitlines()
    assert len(drawn) <= lines
    assert max(map(len, drawn)) <= columns
    assert drawn[-1].startswith("it is down")


def test_the_screen_shows_totals_failures_the_slowest_hosts_sites_and_changes() -> None:
    console = Console(width=120, height=60)

    with console.capture() as captured:
        console.print(screen(a_thousand_hosts(), site_of=lambda task: f"site-{task.host[0]}", lines=60))

    text = captured.get()
    assert f"Job {JOB_ID} friday running" in text
    assert "600 of 1000 ended (500 cached, 100 error)" in text
    assert "2.0 KiB/s, about 90 s left" in text
    assert "Failed: 100" in text
    assert r"error: [red]disk\x1b full" in text
    assert "Slowest of 380 running" in text
    assert "run-20 " in text
    assert "run-30 " not in text
    assert "site-b  100 of 100 ended  0 running    100 failed" in text
    assert "Last changes" in text
    assert "run-19 " in text


def test_the_slowest_hosts_come_first_and_those_that_wait_for_their_turn_last() -> None:
    def running(host: str, **fields: Any) -> TaskView:
        return TaskView(host=host, state="running", **{"phase": "downloading", "started_at": "1"} | fields)

    tasks = [
        running("turn", phase="waiting"),
        running("quick", rate_bytes_per_s=9),
        running("slow", rate_bytes_per_s=1),
        running("stalled", started_at="2"),
        running("stalled-longer"),
        TaskView(host="ended", state="ended", outcome="cached"),
    ]

    found = [task.host for task in slowest(tasks, 9)]

    assert found == ["stalled-longer", "stalled", "slow", "quick", "turn"]


def test_sites_with_failures_come_first_and_then_those_with_most_to_do() -> None:
    tasks = [TaskView(host=f"h{n}", cell="busy", state="waiting") for n in range(3)]
    tasks += [TaskView(cell="bad", outcome="error", bytes_done=5), TaskView(cell="done", outcome="cached")]
    tasks += [TaskView(cell="busy", state="running", rate_bytes_per_s=7)]

    groups = by_site(tasks, lambda task: task.cell)

    assert list(groups) == ["bad", "busy", "done"]
    assert (groups["busy"].tasks, groups["busy"].running, groups["busy"].rate_bytes_per_s) == (4, 1, 7)
    assert (groups["bad"].failed, groups["bad"].bytes_done) == (1, 5)


DOWN = ServiceUnreachable("it is down", "is the address right?")
BEGIN = ServerEvent("snapshot", {"job": job("running", task("cmp-1")), "tasks": [], "is_lost": False}, "r-1")
GONE_ON = ServerEvent("task", {"host": "cmp-1", "image": DEBIAN, "state": "running"}, "r-2")
END = ServerEvent("end", {"state": "succeeded", "counts": {"cached": 1}, "finished_at": "x"}, "r-3")


class ScriptedJobs:
    """Sends one list of events per connection; an error in the script is raised."""

    def __init__(self, *script: list[ServerEvent | Exception] | Exception | None) -> None:
        self._script = list(script)
        self.asked: list[str | None] = []
        self.polled = 0

    @contextmanager
    def follow(
        self, _job: str, *, last_event_id: str | None, timeout_s: float
    ) -> Iterator[Iterator[ServerEvent] | None]:
        assert timeout_s > 0
        self.asked.append(last_event_id)
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(step, Exception):
            raise step
        yield None if step is None else self._events(step)

    def _events(self, step: list[ServerEvent | Exception]) -> Iterator[ServerEvent]:
        for event in step:
            if isinstance(event, Exception):
                raise event
            yield event

    def get(self, _job: str) -> dict[str, Any]:
        self.polled += 1
        return job("succeeded")

    def tasks(self, _job: str, **_only: Any) -> list[dict[str, Any]]:
        return [task("cmp-1")]


class Notes:
    def __init__(self) -> None:
        self.states: list[str] = []
        self.silences: list[str] = []

    def show(self, model: JobModel) -> None:
        self.states.append(model.job["state"])

    def silence(self, message: str) -> None:
        self.silences.append(message)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


def followed(jobs: ScriptedJobs, notes: Notes, timeout_s: float | None = None) -> WaitResult:
    clock = Clock()
    follower = EventFollower(
        jobs,  # type: ignore[arg-type]
        JOB_ID,
        view=notes,
        clock=clock,
        pause=clock.pause,
        timeout_s=timeout_s,
    )
    return follower.run()


def test_the_end_of_the_job_ends_the_watch() -> None:
    notes = Notes()

    result = followed(ScriptedJobs([BEGIN, GONE_ON, END]), notes)

    assert (result.timed_out, result.snapshot.state, result.snapshot.counts) == (False, "succeeded", {"cached": 1})
    assert notes.states == ["running", "succeeded"]  # one task does not draw the screen again at once


def test_a_broken_connection_is_made_again_from_the_last_event() -> None:
    jobs, notes = ScriptedJobs([BEGIN, DOWN], DOWN, [], [GONE_ON], [END]), Notes()

    result = followed(jobs, notes)

    assert result.snapshot.state == "succeeded"
    assert jobs.asked == [None, "r-1", "r-1", "r-1", "r-2"]
    assert notes.silences == ["it is down", "it is down"]
    assert jobs.polled == 0


def test_a_service_that_stays_down_ends_the_watch_after_a_minute() -> None:
    jobs, notes = ScriptedJobs([BEGIN], DOWN), Notes()

    with pytest.raises(ServiceUnreachable):
        followed(jobs, notes)

    assert 10 < len(notes.silences) < 40


def test_a_job_that_ended_while_nobody_listened_is_read_once() -> None:
    jobs = ScriptedJobs([BEGIN], None)

    result = followed(jobs, Notes())

    assert (result.snapshot.state, jobs.polled) == ("succeeded", 1)


def test_a_service_without_events_is_polled() -> None:
    jobs, notes = ScriptedJobs(RequestRefused("The resource could not be found.", 404)), Notes()

    result = followed(jobs, notes)

    assert (result.snapshot.state, jobs.polled, notes.silences) == ("succeeded", 1, [])


def test_a_deleted_job_ends_the_watch() -> None:
    with pytest.raises(JobDeleted, match="no such job"):
        followed(ScriptedJobs([BEGIN, ServerEvent("deleted", {"message": "no such job"}, "r-2")]), Notes())


def test_a_database_that_is_down_is_shown() -> None:
    notes = Notes()

    followed(ScriptedJobs([BEGIN, ServerEvent("store", {"is_available": False, "message": "no database"}), END]), notes)

    assert notes.silences == ["no database"]


def test_a_time_limit_ends_the_watch() -> None:
    notes = Notes()

    result = followed(ScriptedJobs([BEGIN]), notes, timeout_s=5.0)

    assert result.timed_out
    assert result.snapshot.state == "running"
