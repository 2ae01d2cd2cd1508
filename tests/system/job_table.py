"""The table of actions on jobs of a deployment: what is sent for a job in each state, and how the job may end.

`Jobs` brings one job of each row into its state, sends the actions, and checks what an outsider sees of all of them:
the API's answers, the disks of the hosts, and the bytes that the image service has sent.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import requests

from tests.system.deployed import CONTENT, FINAL, Deployed
from tests.waiting import PATIENCE_S, wait_until

SPARE = "cmp-8"
"""The host that is killed before the actions, and comes back after them."""

FAR: dict[str, Any] = {"from": "00:00", "to": "00:01", "days": ["mon"], "time_zone": "Antarctica/Troll"}
"""A window that is open for a minute of a week."""

DEADLINE = timedelta(seconds=3)
"""Shorter than a lease: it passes before another conductor takes the job over."""

SUCCESSES = ("cached", "existing")
STOPPED = ("paused", "cancelled", "expired")
POLL_S = 0.2

CHANGES: dict[str, dict[str, Any]] = {
    "rate": {"rate_limit_bytes_per_s": 10**9, "parallelism": 3, "priority": 70},
    "window": {"window": None},
}


class Row(NamedTuple):
    """A job of two images for one host, which has the first image already.

    state: when the first action is sent. actions: sent at the same time, each twice: the last part of a path, or what
    is changed: `rate`, `deadline` (it is soon) or `window` (it is removed). ends: how it may end. then: the action
    when everything is over, for a job that is paused.
    """

    state: str
    actions: tuple[str, ...]
    ends: tuple[str, ...]
    host: str
    then: str = "resume"


TABLE = (
    Row("paused", ("resume",), ("succeeded",), "cmp-1"),
    Row("paused", ("cancel",), ("cancelled",), "cmp-2"),
    Row("paused", ("rate",), ("paused",), "cmp-3", "cancel"),
    Row("paused", ("deadline",), ("expired",), "cmp-4"),
    Row("paused", (), ("paused",), SPARE),
    Row("paused", ("resume", "cancel"), ("cancelled",), "cmp-5"),
    Row("cancelled", ("retry",), ("succeeded",), "cmp-6"),
    Row("running", ("cancel",), ("cancelled",), "cmp-1"),
    Row("running", ("pause",), ("paused",), "cmp-2"),
    Row("running", (), ("succeeded",), "cmp-3"),
    Row("running", ("deadline",), ("expired",), "cmp-4"),
    Row("running", ("rate",), ("succeeded",), "cmp-5"),
    Row("running", ("pause", "cancel"), ("cancelled",), "cmp-6"),
    Row("running", ("rate", "pause"), ("paused",), "cmp-7", "cancel"),
    Row("waiting", ("cancel",), ("cancelled",), "cmp-1"),
    Row("waiting", ("pause",), ("paused",), "cmp-2", "cancel"),
    Row("waiting", ("window",), ("succeeded",), "cmp-3"),
    Row("not_before", (), ("waiting",), "cmp-4", "cancel"),
    Row("not_before", ("pause", "cancel"), ("cancelled",), "cmp-5"),
    Row("down", ("cancel",), ("cancelled",), SPARE),
    Row("down", ("pause",), ("paused",), SPARE),
    Row("down", (), ("succeeded",), SPARE),
    Row("skipped", ("retry",), ("failed", "partly_failed", "succeeded"), SPARE),
    Row("queued", ("cancel",), ("cancelled",), "cmp-1"),
    Row("queued", ("pause",), ("paused",), "cmp-2"),
    Row("queued", ("rate",), ("succeeded",), "cmp-3"),
    Row("queued", ("deadline",), ("expired",), "cmp-4"),
)

OPTIONS: dict[str, dict[str, Any]] = {
    "waiting": {"window": FAR},
    "not_before": {"not_before": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
    "down": {"when_down": "wait"},
}
REACHED = {"not_before": ("waiting",), "down": ("waiting",), "skipped": ("failed", "partly_failed")}
"""The state that the API shows, where it has another name here."""


@dataclass
class Jobs:
    """One job of each row, by row.

    known: the image that all hosts have. seen: the outcome of each task that has ended, by job, how often it was
    retried, host and image. accepted: the actions that were answered with success. stopped_at_bytes: what the image
    service had sent when the job had stopped.
    """

    here: Deployed
    known: str
    ids: dict[Row, str] = field(default_factory=dict)
    images: dict[Row, str] = field(default_factory=dict)
    seen: dict[tuple[str, int, str, str], str] = field(default_factory=dict)
    accepted: set[tuple[Row, str]] = field(default_factory=set)
    stopped_at_bytes: dict[Row, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.token = self.here.token

    def create(self, *states: str) -> None:
        """Create the jobs of the rows in these states, and wait until they are in them."""
        rows = [row for row in TABLE if row.state in states]
        for row in rows:  # one by one: Glance answers some of many uploads at once with 500
            self.images[row] = self.here.cloud.glance.upload_image(CONTENT, visibility="public")
        self._each(self._create, rows)
        waiting_for_bytes = [row for row in rows if row.state in ("paused", "cancelled", "running")]
        wait_until(lambda: all(self.here.gate.sent[self.images[row]] for row in waiting_for_bytes))
        for row in waiting_for_bytes:
            wait_until(lambda row=row: self._task(row)["bytes_done"])
        for row in rows:
            if row.state in ("paused", "cancelled"):
                assert self.call(row, {"paused": "pause", "cancelled": "cancel"}[row.state]) == 202
        for row in rows:
            self.wait_for(row, REACHED.get(row.state, (row.state,)))

    def act(self, allowed: Iterable[int]) -> None:
        """Send every action of every job twice. A deadline is sent again until it is accepted in time."""
        sent = [(row, action) for row in self.ids for action in row.actions for _ in range(2)]
        with ThreadPoolExecutor(len(TABLE)) as threads:
            answers = list(threads.map(lambda each: self.call(*each), sent))
        for (row, action), status in zip(sent, answers, strict=True):
            if 200 <= status < 300:
                self.accepted.add((row, action))
            else:
                assert status in allowed, (row, action, status)

    def call(self, row: Row, action: str) -> int:
        """Send one request, and return the status of the answer; 0 if there is none."""
        path = f"/v1/jobs/{self.ids[row]}"
        try:
            if action == "deadline":
                return self._set_deadline(row, path)
            if action in CHANGES:
                return self.here.precache.call("PATCH", path, CHANGES[action], self.token).status_code
            return self.here.precache.call("POST", f"{path}/{action}", token=self.token).status_code
        except requests.ConnectionError:
            return 0

    def look(self) -> None:
        """Check that no task that had ended has changed."""
        self._each(self._look, self.ids)

    def wait_for_stops(self) -> None:
        """Wait until the jobs that are to stop have, and note how many bytes have been sent for them."""
        stopping = [row for row in self.ids if set(row.ends) <= set(STOPPED)]
        for row in stopping:
            # A job whose host has died during the transfer has ended already.
            self.wait_for(row, {*row.ends, *FINAL})
            self.stopped_at_bytes[row] = self.here.gate.sent[self.images[row]]

    def wait_for_ends(self) -> None:
        for row in self.ids:
            self.wait_for(row, {*row.ends, *FINAL})

    def check(self, *, has_lost_calls: bool) -> None:
        """Check the state of every job against the table, its counts, its tasks and the disk of its host.

        has_lost_calls: a call to a host may have failed, because the host or the broker was down for long.
        """
        self.look()
        for row in self.ids:
            is_called = row.state == "running" or "succeeded" in row.ends
            self._check(row, has_lost_calls and is_called)

    def finish(self) -> None:
        """Complete or cancel the jobs that have not ended, complete those that failed, and check them."""
        states = {row: self.show(row)["state"] for row in self.ids}
        last = {row: row.then for row, state in states.items() if state in ("paused", "waiting")}
        last |= {row: "retry" for row, state in states.items() if state in ("failed", "partly_failed")}
        for row, action in last.items():
            assert self.call(row, action) == 202, row
        for row, action in last.items():
            self.wait_for(row, ("cancelled",) if action == "cancel" else ("succeeded",))
            self._check_tasks(row, self.show(row))
        wait_until(lambda: not self.here.precache.litter())

    def cancel(self) -> None:
        """Cancel the jobs that have not ended."""
        for row in self.ids:
            assert self.call(row, "cancel") in (202, 409), row

    def show(self, row: Row) -> dict[str, Any]:
        shown: dict[str, Any] = self.here.precache.get(f"/v1/jobs/{self.ids[row]}", self.token)["job"]
        return shown

    def tasks(self, row: Row) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = self.here.precache.get(f"/v1/jobs/{self.ids[row]}/tasks", self.token)["tasks"]
        return tasks

    def wait_for(self, row: Row, states: Iterable[str]) -> None:
        until = time.monotonic() + PATIENCE_S
        while (shown := self.show(row))["state"] not in states:
            assert time.monotonic() < until, f"{row} does not reach {states}: {shown}"
            time.sleep(POLL_S)

    def _set_deadline(self, row: Row, path: str) -> int:
        """Set it once. It is in the past already if the request takes long on a busy machine; then set a later one."""
        status = 200
        while (row, "deadline") not in self.accepted:
            deadline = (datetime.now(UTC) + DEADLINE).isoformat()
            status = self.here.precache.call("PATCH", path, {"deadline": deadline}, self.token).status_code
            if status != 400:
                break
        return status

    def _each(self, act: Any, rows: Iterable[Row]) -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(act, rows))

    def _create(self, row: Row) -> None:
        images = [{"image": self.known}, {"image": self.images[row]}]
        body = {"images": images, "target": {"hosts": [row.host]}, **OPTIONS.get(row.state, {})}
        answer = self.here.precache.call("POST", "/v1/jobs", body, self.token)
        assert answer.status_code == 202, answer.text
        self.ids[row] = answer.json()["job"]["id"]

    def _task(self, row: Row) -> dict[str, Any]:
        [task] = [task for task in self.tasks(row) if task["image"] == self.images[row]]
        return task

    def _look(self, row: Row) -> None:
        # Nothing is retried meanwhile.
        retries = self.show(row)["retry_count"]
        for task in self.tasks(row):
            key = (self.ids[row], retries, task["host"], task["image"])
            assert task["outcome"] == self.seen.get(key, task["outcome"]), (row, key)
            if task["outcome"] is not None:
                self.seen[key] = task["outcome"]

    def _check(self, row: Row, may_have_failed: bool) -> None:
        shown = self.show(row)
        assert shown["state"] in (*row.ends, *(("failed", "partly_failed") if may_have_failed else ())), (row, shown)
        if shown["state"] in STOPPED:
            sent, stopped_at = self.here.gate.sent[self.images[row]], self.stopped_at_bytes[row]
            assert sent == stopped_at, (row, sent, stopped_at)
        for action in row.actions:
            # A pause that comes after a cancel is refused.
            assert (row, action) in self.accepted or "cancel" in row.actions, (row, action)
        if (row, "rate") in self.accepted:
            assert (shown["priority"], shown["parallelism"]) == (70, 3), row
        self._check_tasks(row, shown)

    def _check_tasks(self, row: Row, shown: dict[str, Any]) -> None:
        """Check that the outcomes add up and that the disk of the host agrees."""
        tasks, outcomes = self.tasks(row), Counter[str]()
        for task in tasks:
            if task["outcome"] is not None:
                outcomes[task["outcome"]] += 1
            has_image = task["outcome"] in SUCCESSES
            if task["image"] != self.known:
                entry = self.here.precache.entry(row.host, task["image"])
                assert entry.exists() == has_image, (row, task)
                assert not has_image or self.here.holds(row.host, task["image"], CONTENT), row
        assert len(tasks) == len(shown["images"]) == 2, row
        assert {outcome: count for outcome, count in shown["counts"].items() if count} == outcomes, row
        assert (outcomes.total() == len(tasks)) == (shown["state"] in FINAL), (row, shown)
        expected = {"cancelled": "cancelled", "expired": "expired"}.get(shown["state"])
        assert expected is None or outcomes[expected], (row, outcomes)
        # A host that was lost keeps what it has for a while: a retry goes on from there.
        may_keep = shown["state"] == "paused" or outcomes["error"]
        wait_until(lambda: not [path for path in self._litter(row) if not (may_keep and "-kept-" in path.name)])

    def _litter(self, row: Row) -> list[Path]:
        entry = self.here.precache.entry(row.host, self.images[row])
        return list(entry.parent.glob(f"{entry.name}*.precache-*"))
