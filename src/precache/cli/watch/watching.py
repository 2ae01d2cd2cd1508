"""Waits for jobs as `--wait` does, but by their events, and with a screen for thousands of hosts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from io import StringIO
from typing import Any

from precache.cli.client import JsonObject
from precache.cli.wait.follow import WaitResult
from precache.cli.wait.plain import PlainView
from precache.cli.wait.snapshot import TaskView
from precache.cli.wait.waiting import JobWaiter, is_live
from precache.cli.watch.follow_events import EventFollower, WatchView
from precache.cli.watch.job_model import JobModel
from precache.core.errors import PrecacheError


class JobWatcher(JobWaiter):
    """A waiter with another view. hosts: returns all hosts, for their sites; called only for a terminal."""

    def __init__(self, *args: Any, hosts: Callable[[], list[JsonObject]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hosts = hosts

    def _watched(self, job_id: str) -> WaitResult:
        with self._view() as view:
            return EventFollower(
                self._jobs, job_id, view=view, clock=time.monotonic, pause=time.sleep, timeout_s=self._left_s()
            ).run()

    def _view(self) -> AbstractContextManager[WatchView]:
        if is_live(self._stderr, self._is_quiet):
            from precache.cli.watch.live import LiveWatch  # importing rich takes 100 ms, so only for a terminal

            return LiveWatch(stream=self._stderr, site_of=self._site_of())
        stream = StringIO() if self._is_quiet else self._stderr
        return nullcontext(_PlainWatch(PlainView(stream=stream, labels=self._labels, clock=time.monotonic)))

    def _site_of(self) -> Callable[[TaskView], str]:
        """Return the function from a task to the site of its host, or else to its cell."""
        try:
            hosts = self._hosts()
        except PrecacheError:  # for example the caller may not see hosts
            hosts = []
        sites = {str(host.get("name")): str(host.get("site") or host.get("cell") or "") for host in hosts}
        return lambda task: sites.get(task.host) or task.cell


class _PlainWatch:
    """Writes lines for a pipe: for each change of the job, and for each failure."""

    def __init__(self, view: PlainView) -> None:
        self._view = view

    def show(self, model: JobModel) -> None:
        self._view.show(model.snapshot())

    def silence(self, message: str) -> None:
        self._view.silence(message)
