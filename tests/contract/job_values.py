"""Jobs, times and images for the suites of the job store."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from precache.core.images import parse_image_id
from precache.core.jobs import Claim, HostAsked, HostEnded, NewJob
from precache.core.orders import ImageOrder

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LEASE = timedelta(seconds=30)
SECOND = timedelta(seconds=1)
DEBIAN = parse_image_id("70a599e0-31e7-49b7-b260-868f441e862b")
UBUNTU = parse_image_id("155d900f-4e14-4e4c-a73d-069cbf4541e6")


def job_id(number):
    return str(UUID(int=number))


def new_job(number=1, *, hosts=("cmp-2", "cmp-1"), images=(UBUNTU, DEBIAN), created_at=NOW, orders=None, **fields):
    """Return a job, by default with names that do not come in the order of the alphabet."""
    aggregate = {
        "aggregate_id": 7,
        "aggregate_uuid": "788608ec-ebdc-45c5-bc7f-e5f24ab92c80",
        "aggregate_name": "gruppe-\N{SNOWMAN}",
    }
    return NewJob(
        id=job_id(number),
        hosts=tuple(hosts),
        orders=tuple(map(ImageOrder, images)) if orders is None else orders,
        requested_by="admin",
        request_id="req-1",
        created_at=created_at,
        **aggregate | fields,
    )


def claim(stores, owner="me", at=NOW, **options):
    """Claim a job at an instant of the store's clock."""
    stores.clock.set(at)
    return stores.claims.claim(owner, LEASE, **options)


def held(stores, job=1, owner="me"):
    """Return the last claim of the job, as this owner would show it."""
    return Claim(job_id(job), owner, stores.queries.get(job_id(job)).lease_token)


def finish(stores, state, at=NOW, *, job=1, owner="me"):
    """End the job at an instant of the store's clock."""
    stores.clock.set(at)
    return stores.claims.finish(held(stores, job, owner), state)


def cancel(stores, at=NOW, *, job=1):
    """Request at an instant of the store's clock that the job is cancelled."""
    stores.clock.set(at)
    return stores.steering.cancel(job_id(job))


def since(stores, instant):
    """Return how long ago the instant was by the store's clock."""
    return stores.clock.now() - instant


def extend(stores, at=NOW, *, job=1, owner="me"):
    """Extend the lease of the job at an instant of the store's clock; return the claims that are lost."""
    stores.clock.set(at)
    return stores.leases.extend([held(stores, job, owner)], LEASE)


def asked(stores, host, *images, job=1, owner="me", cell="cell1", at=NOW):
    """Record that the host was asked for the images."""
    stores.claims.record(held(stores, job, owner), [HostAsked(host, cell, images, at)])


def ended(stores, host, *results, job=1, owner="me", at=NOW):
    """Record how tasks of the host ended."""
    stores.claims.record(held(stores, job, owner), [HostEnded(host, results, at)])


class SetClock:
    """The port `Clock`, at the instant that a test sets."""

    def __init__(self, now=NOW):
        self._now = now

    def set(self, now):
        self._now = now

    def now(self):
        return self._now
