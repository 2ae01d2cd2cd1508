"""A cloud in memory and a conductor for it, whose hosts do as a test says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property

from precache.adapters.clock_memory import MemoryClock
from precache.adapters.computes_inprocess import InProcessComputes
from precache.adapters.inventory_memory import MemoryInventory
from precache.adapters.jobs_memory import MemoryJobs
from precache.adapters.notifier_memory import MemoryNotifier
from precache.background.cancel_token import CancelToken
from precache.background.daemon_pool import DaemonPool
from precache.conductor.announce import Announcer
from precache.conductor.call_hosts import STOP_PATIENCE
from precache.conductor.call_scheduler import CallScheduler
from precache.conductor.choose_transfers import SwarmDispatch
from precache.conductor.job_control import JobControl
from precache.conductor.run_job import RunJob
from precache.conductor.stop_hosts import STOP_HOSTS_PATIENCE
from precache.core.hosts import Heartbeat
from precache.core.images import parse_image_id
from precache.core.job_options import DEFAULT_JOB_OPTIONS, Transfer
from precache.core.jobs import NewJob, Outcome, TaskResult
from precache.core.operations import Operation
from precache.core.orders import ImageOrder
from precache.core.transfer_rules import TransferRules
from precache.ports.compute_gateway import ImagesRequest
from precache.wiring.run_job import build_run_job
from tests.played_host import PlayedHost

FIRST = parse_image_id("00000000-0000-0000-0000-000000000001")
SECOND = parse_image_id("00000000-0000-0000-0000-000000000002")
DOWN_TIME = timedelta(seconds=60)
LEASE = timedelta(seconds=30)

BY_SWARM = SwarmDispatch(TransferRules(Transfer.SWARM))

Answer = Callable[[ImagesRequest], Sequence[TaskResult]]


def answers(outcome: Outcome) -> Answer:
    return lambda request: [TaskResult(image, outcome, bytes_moved=10) for image in request.images]


def raises(error: Exception) -> Answer:
    def compute(request: ImagesRequest) -> Sequence[TaskResult]:
        raise error

    return compute


class Cloud:
    """Two cells, an aggregate, and a conductor for them, all in memory."""

    def __init__(
        self,
        hosts: dict[str, Answer],
        *,
        images=(FIRST,),
        orders=None,
        concurrency=2,
        jobs=None,
        inventory=None,
        cells=None,
        caches=None,
        clock=None,
        options=DEFAULT_JOB_OPTIONS,
        operation=Operation.CACHE,
        swarm=None,
        swarm_concurrency=None,
        versions=None,
    ) -> None:
        self.swarm = swarm
        self.swarm_concurrency = swarm_concurrency or concurrency
        self.clock = clock or MemoryClock()
        self.options = options
        self.operation = operation
        self.jobs = jobs or MemoryJobs(clock=self.clock)
        self.inventory = inventory or MemoryInventory(clock=self.clock)
        self.notifier = MemoryNotifier()
        self.gateway = InProcessComputes()
        self.concurrency = concurrency
        self.pool = DaemonPool(concurrency + self.swarm_concurrency)
        self.messages = DaemonPool(8)
        for number, (name, compute) in enumerate(hosts.items()):
            self.inventory.store_heartbeats(
                [
                    Heartbeat(
                        name,
                        (cells or {}).get(name, f"cell{number % 2 + 1}"),
                        "fake",
                        self.clock.now(),
                        (versions or {}).get(name, "1.0"),
                        cache_id=(caches or {}).get(name, ""),
                    )
                ]
            )
            self.gateway.join(name, PlayedHost(compute))
        aggregate = self.inventory.create_aggregate("agg", {"availability_zone": "az"}, self.clock.now())
        for name in hosts:
            self.inventory.add_host(aggregate.id, name, self.clock.now())
        self.aggregate = aggregate
        self.add_job("job", hosts, images, orders)

    def add_job(self, name: str, hosts, images=(FIRST,), orders=None) -> None:
        aggregate = self.aggregate
        self.jobs.add(
            NewJob(
                id=name, operation=self.operation, aggregate_id=aggregate.id, aggregate_uuid=aggregate.uuid,
                aggregate_name="agg", aggregate_metadata=aggregate.metadata,
                hosts=tuple(hosts), orders=orders or tuple(map(ImageOrder, images)),
                requested_by="admin", request_id="req-1", created_at=self.clock.now(), options=self.options,
            )
        )  # fmt: skip

    @cached_property
    def scheduler(self) -> CallScheduler:
        return CallScheduler(
            pool=self.pool, concurrency=self.concurrency, swarm_concurrency=self.swarm_concurrency if self.swarm else 0
        )

    def conductor(
        self,
        *,
        listening_for_s=lambda _cell: math.inf,
        stop_patience=STOP_PATIENCE,
        cancel_patience=STOP_HOSTS_PATIENCE,
        **options,
    ) -> RunJob:
        return build_run_job(
            claims=self.jobs, queries=self.jobs, hosts=self.inventory, gateway=self.gateway,
            announcer=Announcer(notifier=self.notifier, origin="here"), clock=self.clock, scheduler=self.scheduler,
            messages=self.messages, service_down_time=DOWN_TIME, listening_for_s=listening_for_s,
            swarm=self.swarm, stop_patience=stop_patience, hosts_patience=cancel_patience, **options,
        )  # fmt: skip

    def run(self, *, owner="one", stop=None, work=None, **options) -> None:
        job = self.jobs.claim(owner, LEASE)
        assert job is not None
        self.run_claimed(job, stop, work, **options)

    def run_claimed(self, job, stop=None, work=None, **options) -> None:
        stop = stop or CancelToken()
        self.conductor(**options)(job, JobControl(stop, work, revision=job.revision))

    def outcomes(self) -> dict[str, list[Outcome | None]]:
        by_host: dict[str, list[Outcome | None]] = {}
        for task in self.jobs.list_tasks("job"):
            by_host.setdefault(task.host, []).append(task.outcome)
        return by_host

    def reason(self, host: str) -> str:
        return next(task.reason for task in self.jobs.list_tasks("job") if task.host == host)

    def cell_of(self, host: str) -> str | None:
        return self.inventory.find_hosts([host])[host].cell

    def events(self) -> list[str]:
        return [notification.event_type for notification in self.notifier.sent]
