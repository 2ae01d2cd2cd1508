"""The environments of conversations; a conversation names one under `fixtures`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gabbi.fixture import GabbiFixture

from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.inventory_nova import ForeignInventory
from precache.api.identity import noauth
from precache.core.errors import ConductorUnavailable, InventoryUnavailable, StoreUnavailable
from precache.core.hosts import Heartbeat
from precache.core.jobs import HostAsked, HostEnded, JobState, NewJob, Outcome, Phase, TaskProgress, TaskResult
from precache.core.orders import ImageOrder
from tests.http.cache_reports import report_caches
from tests.http.world import DEBIAN, UBUNTU, World

LEASE = timedelta(minutes=1)
FINISHED = "aaaaaaaa-0000-4000-8000-000000000001"
QUEUED = "aaaaaaaa-0000-4000-8000-000000000002"
RUNNING = "aaaaaaaa-0000-4000-8000-000000000003"


class Current:
    """The application of the conversation that runs now; one at a time in each process."""

    app: Any = None


def current_app() -> Any:
    """Return an application that passes requests on to the one of that moment."""

    def forward(environ: dict[str, Any], start_response: Any) -> Any:
        # The client decodes the path as UTF-8; a WSGI server hands it in as Latin-1.
        path = environ["PATH_INFO"].encode("utf-8").decode("latin-1")
        return Current.app({**environ, "PATH_INFO": path}, start_response)

    return forward


class Cloud(GabbiFixture):
    """Everything works; every caller is an administrator."""

    def start_fixture(self) -> None:
        Current.app = noauth(self.build(World()))

    def stop_fixture(self) -> None:
        Current.app = None

    def build(self, world: World) -> Any:
        return world.app


class Keystone(Cloud):
    """Callers are who the identity headers say; a conversation writes them as keystonemiddleware would."""

    def start_fixture(self) -> None:
        Current.app = World().app


class ImageServiceDown(Cloud):
    def build(self, world: World) -> Any:
        world.is_image_service_up = False
        return world.app_with()


class StoreDown(Cloud):
    """The database does not answer."""

    def build(self, world: World) -> Any:
        class Away:
            def __getattr__(self, name: str) -> Any:
                raise StoreUnavailable("connection refused")

        away = Away()
        stores = ("aggregates", "queries", "steering", "store", "intake", "hosts", "host_removal")
        return world.app_with(**dict.fromkeys(stores, away))


class ConductorDown(Cloud):
    """No conductor answers the API."""

    def build(self, world: World) -> Any:
        class NoSurvey:
            def ask(self, hosts: Any, images: Any) -> Any:
                raise ConductorUnavailable("none listens")

            clean = ask

        return world.app_with(survey=NoSurvey(), cleaning=NoSurvey())


class InventoryDown(Cloud):
    """The service that keeps hosts and aggregates does not answer."""

    def build(self, world: World) -> Any:
        class Away:
            def __getattr__(self, name: str) -> Any:
                raise InventoryUnavailable("http://nova/v2.1", "connection refused")

        away = Away()
        return world.app_with(aggregates=away, hosts=away)


class NovasInventory(Cloud):
    """Hosts and aggregates are Nova's."""

    def build(self, world: World) -> Any:
        foreign, heard = ForeignInventory(owner="Nova"), MemoryInventory(clock=world.clock)
        heard.store_heartbeats([Heartbeat("cmp3", "cell2", "libvirt", world.clock.now() - timedelta(minutes=5))])
        return world.app_with(aggregate_changes=foreign, host_changes=foreign, host_removal=heard)


class Defective(Cloud):
    """All list queries have a bug."""

    def build(self, world: World) -> Any:
        class Bug:
            def __getattr__(self, name: str) -> Any:
                raise RuntimeError("secret: hunter2")

        bug = Bug()
        return world.app_with(aggregates=bug, queries=bug, hosts=bug)


class WithJobs(Cloud):
    """One job has ended, partly failed, and a younger one waits."""

    def build(self, world: World) -> Any:
        for job_id in (FINISHED, QUEUED):
            world.jobs.add(_job(job_id, world))
            world.clock.advance(timedelta(seconds=1))
        now = world.clock.now()
        job = world.jobs.claim("conductor", LEASE)
        assert job is not None
        ends = {
            "cmp1": (TaskResult(DEBIAN, Outcome.CACHED, 4), TaskResult(UBUNTU, Outcome.EXISTING)),
            "cmp2": (
                TaskResult(DEBIAN, Outcome.ERROR, 2, "no space left in /cache"),
                TaskResult(UBUNTU, Outcome.CACHED),
            ),
            "cmp3": (TaskResult(DEBIAN, Outcome.SKIPPED), TaskResult(UBUNTU, Outcome.SKIPPED)),
        }
        for host, results in ends.items():
            steps = [HostAsked(host, "cell1", (DEBIAN, UBUNTU), now), HostEnded(host, results, now)]
            world.jobs.record(job.claim, steps)
        world.jobs.finish(job.claim, JobState.PARTLY_FAILED)
        return world.app


class WithThreads(WithJobs):
    """The server of the application has threads."""

    def build(self, world: World) -> Any:
        app = super().build(world)
        return lambda environ, start_response: app({**environ, "wsgi.multithread": True}, start_response)


class WithJobsInEveryState(WithJobs):
    """A third job runs beside the two."""

    def build(self, world: World) -> Any:
        # It is claimed before the job that is to stay queued is there.
        world.jobs.add(_job(RUNNING, world))
        world.jobs.claim("conductor", LEASE)
        return super().build(world)


class WithARunningJob(Cloud):
    """A host of the job has one of two images, and fetches the other."""

    def build(self, world: World) -> Any:
        world.jobs.add(_job(RUNNING, world))
        now = world.clock.now()
        job = world.jobs.claim("conductor", LEASE)
        assert job is not None
        world.jobs.record(job.claim, [HostAsked("cmp1", "cell1", (DEBIAN, UBUNTU), now)])
        for image, phase in ((DEBIAN, Phase.CONVERTING), (UBUNTU, Phase.DOWNLOADING)):
            world.jobs.note([TaskProgress(RUNNING, "cmp1", image, phase, 4, 8, "cell1")])
        cached = TaskResult(DEBIAN, Outcome.CACHED, 8)
        world.jobs.record(job.claim, [HostEnded("cmp1", (cached,), now)])
        return world.app


def _job(job_id: str, world: World) -> NewJob:
    return NewJob(
        id=job_id,
        aggregate_id=1,
        aggregate_uuid=world.inventory.get_aggregate(1).uuid,
        aggregate_name="edge",
        hosts=("cmp1", "cmp2", "cmp3"),
        orders=(ImageOrder(DEBIAN), ImageOrder(UBUNTU)),
        requested_by="alice",
        request_id="req-1",
        created_at=world.clock.now(),
    )


class WithCaches(Cloud):
    """cmp1 and cmp3 have reported what their caches hold."""

    def build(self, world: World) -> Any:
        report_caches(world)
        return world.app
