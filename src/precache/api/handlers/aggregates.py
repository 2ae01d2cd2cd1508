"""Host aggregates as in Nova's API. Changes are for `[inventory] source = local`; caching images is for any source."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.job_requests import JobRequests, requested_orders
from precache.api.microversions import AGGREGATE_UUID
from precache.api.refusals import (
    AggregateNotEmpty,
    CannotRemoveHost,
    EmptyZone,
    IdNotInteger,
    ZoneOfHostDiffers,
    ZoneOfHostsDiffers,
)
from precache.core.aggregates import AVAILABILITY_ZONE, Aggregate
from precache.core.errors import AggregateHasHosts, AggregateHostNotFound, AggregateNotFound, HostNotFound
from precache.ports.clock import Clock
from precache.ports.inventory import AggregateChanges, AggregateQueries
from precache.rules.availability_zones import conflicting_zones

_LARGEST = 2**31 - 1  # the largest number that the column can have

_NUMBER = re.compile(r" *-?[0-9]+ *")  # stricter than Python's int(): no 1_0, +1 or digits of other scripts

JOB_ID_HEADER = "X-Precache-Job-Id"


class Aggregates:
    """One method per operation."""

    def __init__(
        self, *, queries: AggregateQueries, changes: AggregateChanges, requests: JobRequests, clock: Clock
    ) -> None:
        self._queries = queries
        self._changes = changes
        self._requests = requests
        self._clock = clock

    def index(self, call: Call) -> Answer:
        return Answer({"aggregates": [_view(each, call) for each in self._queries.list_aggregates()]})

    def show(self, call: Call) -> Answer:
        return _one(self._queries.get_aggregate(_aggregate_id(call)), call)

    def create(self, call: Call) -> Answer:
        fields = call.body["aggregate"]
        zone = fields.get("availability_zone")
        metadata = {} if zone is None else {AVAILABILITY_ZONE: zone}
        view = _view(self._changes.create_aggregate(fields["name"], metadata, self._clock.now()), call)
        # Nova omits these two fields only here.
        del view["hosts"], view["metadata"]
        return Answer({"aggregate": view})

    def update(self, call: Call) -> Answer:
        fields = call.body["aggregate"]
        aggregate = self._queries.get_aggregate(_aggregate_id(call))
        if "availability_zone" in fields:
            self._check_zone("update", aggregate, fields["availability_zone"])
        now = self._clock.now()
        if "name" in fields:
            aggregate = self._changes.rename_aggregate(aggregate.id, fields["name"].strip(), now)
        if "availability_zone" in fields:
            metadata = {AVAILABILITY_ZONE: fields["availability_zone"]}
            aggregate = self._changes.set_metadata(aggregate.id, metadata, now)
        return _one(aggregate, call)

    def delete(self, call: Call) -> Answer:
        aggregate_id = _aggregate_id(call)
        try:
            self._changes.delete_aggregate(aggregate_id)
        except AggregateHasHosts as error:
            raise AggregateNotEmpty(aggregate_id) from error
        return Answer()

    def add_host(self, call: Call) -> Answer:
        host = call.body["add_host"]["host"]
        aggregate = self._queries.get_aggregate(_aggregate_id(call))
        zone = aggregate.availability_zone
        if zone is not None and (conflicts := self._conflicting_zones(aggregate, zone, (host,))):
            raise ZoneOfHostDiffers(aggregate.id, conflicts)
        return _one(self._changes.add_host(aggregate.id, host, self._clock.now()), call)

    def remove_host(self, call: Call) -> Answer:
        host = call.body["remove_host"]["host"]
        aggregate_id = _aggregate_id(call)
        try:
            return _one(self._changes.remove_host(aggregate_id, host, self._clock.now()), call)
        except (AggregateNotFound, AggregateHostNotFound, HostNotFound) as error:
            raise CannotRemoveHost(host, aggregate_id) from error

    def set_metadata(self, call: Call) -> Answer:
        """Merge the metadata in. Removing a key that is not there is no error in Nova: the port is not asked."""
        wanted = call.body["set_metadata"]["metadata"]
        aggregate = self._queries.get_aggregate(_aggregate_id(call))
        if AVAILABILITY_ZONE in wanted:
            self._check_zone("update metadata of", aggregate, wanted[AVAILABILITY_ZONE])
        metadata = {key: value for key, value in wanted.items() if value is not None or key in aggregate.metadata}
        return _one(self._changes.set_metadata(aggregate.id, metadata, self._clock.now()), call)

    def cache_images(self, call: Call) -> Answer:
        """Store a job for these images on every host of the aggregate, if every check has passed."""
        aggregate_id = _aggregate_id(call)
        orders = requested_orders(call)
        job = self._requests.for_aggregate(call, orders, self._queries.get_aggregate(aggregate_id))
        # Clients do not follow the Location of a 202.
        return Answer(status=202, headers={JOB_ID_HEADER: job.id, "Location": f"{call.base_url}/v1/jobs/{job.id}"})

    def _check_zone(self, doing: str, aggregate: Aggregate, zone: str | None) -> None:
        """Raise EmptyZone, or ZoneOfHostsDiffers if the aggregate's hosts are in another zone already."""
        if not zone:
            raise EmptyZone(doing, aggregate.id, aggregate.name)
        if conflicts := self._conflicting_zones(aggregate, zone, aggregate.hosts):
            raise ZoneOfHostsDiffers(doing, aggregate.id, conflicts)

    def _conflicting_zones(self, aggregate: Aggregate, zone: str, hosts: tuple[str, ...]) -> list[str]:
        others = (each for each in self._queries.list_aggregates() if each.id != aggregate.id)
        return conflicting_zones(zone, hosts, others)


def _aggregate_id(call: Call) -> int:
    """Return the id as a number; blanks around it and a minus pass, as in Nova.

    Raises IdNotInteger, or AggregateNotFound for a number that no aggregate can have.
    """
    text = call.params["aggregate_id"]
    if _NUMBER.fullmatch(text) is None:
        raise IdNotInteger
    try:
        aggregate_id = int(text)
    except ValueError as error:  # thousands of digits, which Python refuses to read
        raise IdNotInteger from error
    if abs(aggregate_id) > _LARGEST:
        raise AggregateNotFound(aggregate_id)
    return aggregate_id


def _one(aggregate: Aggregate, call: Call) -> Answer:
    return Answer({"aggregate": _view(aggregate, call)})


def _view(aggregate: Aggregate, call: Call) -> dict[str, Any]:
    """Render the aggregate as Nova does, including the fields for deleted ones, which are never shown."""
    view = {
        "id": aggregate.id,
        "name": aggregate.name,
        "availability_zone": aggregate.availability_zone,
        "hosts": list(aggregate.hosts),
        "metadata": dict(aggregate.metadata),
        "created_at": _nova_instant(aggregate.created_at),
        "updated_at": _nova_instant(aggregate.updated_at),
        "deleted": False,
        "deleted_at": None,
    }
    if call.microversion >= AGGREGATE_UUID:
        view["uuid"] = aggregate.uuid
    return view


def _nova_instant(instant: datetime | None) -> str | None:
    """Return the instant as Nova does: in UTC with microseconds, without a time zone."""
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
