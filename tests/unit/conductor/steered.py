"""A job in memory that a test runs in a thread, whose hosts wait for the test, and whose clock the test sets."""

from __future__ import annotations

import threading
from datetime import timedelta

from precache.background.cancel_token import CancelToken
from precache.conductor.job_control import JobControl
from precache.core.errors import LeaseLost
from precache.core.hosts import Heartbeat
from precache.core.jobs import Outcome, TaskPaused, TaskResult
from precache.core.stopping import StopReason
from tests.played_host import PlayedHost
from tests.unit.conductor.cloud import Cloud
from tests.waiting import wait_until

PATIENCE_S = 10
LONG = timedelta(hours=1)


class SteeredHost:
    """Works on a request until the test lets it end, or its job is cancelled or paused. It notes what it is told.

    done: the images that it has when it is paused. kept: the bytes that it has of the others.
    """

    def __init__(self, *, done=(), kept=0, trouble=None):
        self.done, self.kept, self.trouble = done, kept, trouble
        self.told: list[str] = []
        self.rates: list[dict] = []
        self.requests = []
        self.is_busy = threading.Event()
        self._end = threading.Event()
        self._answer = Outcome.CACHED

    def process_images(self, request):
        self.requests.append(request)
        if request.is_paused or request.is_cancelled:
            self.told.append("ask")
            return self._results(request)
        self.told.append("cache")
        self._answer = Outcome.CACHED
        self._end.clear()
        self.is_busy.set()
        assert self._end.wait(PATIENCE_S)
        self.is_busy.clear()
        return self._results(request)

    def cancel_job(self, job_id, retry_count):
        self._stop("cancel", Outcome.CANCELLED)

    def pause_job(self, job_id, retry_count, call):
        self._stop("pause", None)

    def limit_job(self, job_id, rates, call):
        self.rates.append(dict(rates))

    def answer(self, outcome=Outcome.CACHED):
        """End the call that is running."""
        self._answer = outcome
        self._end.set()

    def _stop(self, message, answer):
        self.told.append(message)
        if self.trouble is not None:
            raise self.trouble
        self._answer = answer
        self._end.set()

    def _results(self, request):
        if self._answer is None:
            return [
                TaskResult(image, Outcome.CACHED, 9) if image in self.done else TaskPaused(image, self.kept)
                for image in request.images
            ]
        return [TaskResult(image, self._answer, 9) for image in request.images]


class SteeredJob:
    """A cloud whose hosts are SteeredHosts or answers, and the runs of its job in threads."""

    def __init__(self, hosts, **options):
        self.hosts = {name: host for name, host in hosts.items() if isinstance(host, SteeredHost)}
        calls = {name: getattr(host, "process_images", host) for name, host in hosts.items()}
        self.cloud = Cloud(calls, **{"concurrency": 4} | options)
        for name, host in self.hosts.items():
            self.join_host(name, host)
        self.jobs, self.clock = self.cloud.jobs, self.cloud.clock
        self.errors: list[Exception] = []
        self._runs: list[threading.Thread] = []
        self.control = JobControl(CancelToken())

    @property
    def job(self):
        return self.jobs.get("job")

    def join_host(self, name, host):
        played = PlayedHost(host.process_images, host.cancel_job, pause_job=host.pause_job, limit_job=host.limit_job)
        self.cloud.gateway.join(name, played)

    def advance(self, duration, *, down=()):
        """Advance the clock; all hosts but those in `down` send a heartbeat afterwards."""
        self.clock.advance(duration)
        self.beat(*(host for host in self.tasks() if host not in down))

    def beat(self, *names):
        known = self.cloud.inventory.find_hosts(list(names))
        now = self.clock.now()
        self.cloud.inventory.store_heartbeats([Heartbeat(name, known[name].cell, "fake", now, "1.0") for name in names])

    def tasks(self):
        return {task.host: task for task in self.jobs.list_tasks("job")}

    def start(self, owner="one", **options):
        """Claim the job and run it in a thread."""
        job = self.jobs.claim(owner, LONG)
        assert job is not None, self.job
        self.control = JobControl(CancelToken(), revision=job.revision)
        run = threading.Thread(target=self._run, args=(job, self.control, options), daemon=True)
        self._runs.append(run)
        run.start()

    def busy(self, *names):
        """Wait until these hosts are being called."""
        for name in names:
            assert self.hosts[name].is_busy.wait(PATIENCE_S), name

    def steer(self):
        """Do what the conductor's loop does about requests of operators."""
        job = self.job
        steering = self.jobs.steering([job.claim])[job.claim]
        self.control.revision = steering.revision
        if steering.stop is not None:
            self.control.work.cancel(steering.stop)

    def join(self):
        """Wait for the end of the run, and return the job."""
        self._runs[-1].join(PATIENCE_S)
        assert not self._runs[-1].is_alive()
        return self.job

    def finish(self):
        """Stop what still runs, at the end of a test."""
        for host in self.hosts.values():
            host.answer()
        self.control.stop.cancel(StopReason.SHUTDOWN)
        for run in self._runs:
            run.join(PATIENCE_S)

    def wait_until(self, holds):
        wait_until(holds, PATIENCE_S)

    def _run(self, job, control, options):
        try:
            patience = {"cancel_patience": LONG} | options
            self.cloud.conductor(write_interval=timedelta(milliseconds=20), **patience)(job, control)
        except LeaseLost as error:
            self.errors.append(error)
