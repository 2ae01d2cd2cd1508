"""A job that a test changes, and the real HTTP server that sends its events."""

from collections import Counter
from contextlib import contextmanager
from datetime import timedelta

from precache.adapters.jobs_memory import MemoryJobs
from precache.api.events.feed import JobFeed
from precache.api.handlers.views import JobViews
from precache.api.identity import noauth
from precache.core.jobs import (
    HostAsked,
    HostEnded,
    NewJob,
    Outcome,
    Phase,
    TaskProgress,
    TaskResult,
)
from precache.core.orders import ImageOrder
from precache.rules.listen_address import ListenAddress
from precache.wiring.http.server import HttpServer
from tests.http.world import DEBIAN, DOCUMENT, UBUNTU, World

JOB = "aaaaaaaa-0000-4000-8000-000000000003"
EVENTS = f"/v1/jobs/{JOB}/events"
LEASE = timedelta(minutes=1)


class CountingJobs(MemoryJobs):
    """Counts the reads of followers; `failure` is raised by the next ones."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.reads = Counter()
        self.failure = None

    def snapshots(self, job_ids):
        self.reads["snapshots"] += 1
        if self.failure:
            raise self.failure
        return super().snapshots(job_ids)

    def ended_places(self, job_id, outcomes):
        self.reads["ended_places"] += 1
        return super().ended_places(job_id, outcomes)

    def tasks_at(self, job_id, places):
        self.reads["tasks_at"] += 1
        return super().tasks_at(job_id, places)


class Followed:
    """A job that a test changes, and the server that sends its events. The test says when the store is read."""

    def __init__(self, *, limits=None, tls_files=None, hosts=("cmp1", "cmp2", "cmp3"), clock=None):
        world = World()
        self.jobs = CountingJobs(clock=world.clock)
        self.now = world.clock.now()
        options = {} if clock is None else {"monotonic": clock}
        self.feed = JobFeed(store=self.jobs, views=JobViews(DOCUMENT), limits=limits, is_ticking=False, **options)
        stores = dict.fromkeys(("intake", "queries", "steering"), self.jobs)
        self.app = noauth(world.undocumented("noauth", feed=self.feed, **stores))
        self.server = HttpServer(address=ListenAddress("127.0.0.1", 0), threads=4, tls_files=tls_files)
        self.url = self.server.bind()
        self.server.start({"/": self.app})
        self.jobs.add(
            NewJob(
                id=JOB,
                hosts=hosts,
                orders=(ImageOrder(DEBIAN), ImageOrder(UBUNTU)),
                requested_by="alice",
                request_id="req-1",
                created_at=self.now,
            )
        )
        self.claim = self.jobs.claim("conductor", LEASE).claim

    def ask(self, *hosts):
        self.jobs.record(self.claim, [HostAsked(host, "cell1", (DEBIAN, UBUNTU), self.now) for host in hosts])

    def progress(self, host, done, total=100):
        self.jobs.note([TaskProgress(JOB, host, DEBIAN, Phase.DOWNLOADING, done, total, "cell1")])

    def end(self, host, outcome=Outcome.CACHED, images=(DEBIAN, UBUNTU), reason=""):
        results = tuple(TaskResult(image, outcome, reason=reason) for image in images)
        self.jobs.record(self.claim, [HostEnded(host, results, self.now)])

    def look(self):
        self.feed.look()


@contextmanager
def serving(**kwargs):
    followed = Followed(**kwargs)
    try:
        yield followed
    finally:
        followed.feed.stop()
        followed.server.stop(timedelta(seconds=5))
