"""Compute hosts: list, show, force down and delete hosts, and cache images on one host."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from precache.api.calls import Answer, Call
from precache.api.handlers.cache_views import cache_view, named_entries
from precache.api.handlers.job_requests import JobRequests, find_host, requested_orders
from precache.api.handlers.pages import MOST_ITEMS, page
from precache.api.handlers.views import JobViews, rfc3339
from precache.core.errors import HostNotFound
from precache.core.hosts import Host
from precache.core.names import is_name
from precache.ports.cache_inventory import CacheQueries
from precache.ports.clock import Clock
from precache.ports.inventory import HostChanges, HostQueries, HostRemoval


class Hosts:
    """One method per operation."""

    def __init__(
        self,
        *,
        queries: HostQueries,
        changes: HostChanges,
        removal: HostRemoval,
        caches: CacheQueries,
        requests: JobRequests,
        views: JobViews,
        clock: Clock,
        service_down_time: timedelta,
    ) -> None:
        self._queries = queries
        self._changes = changes
        self._removal = removal
        self._caches = caches
        self._requests = requests
        self._views = views
        self._clock = clock
        self._service_down_time = service_down_time

    def index(self, call: Call) -> Answer:
        """List hosts by name, a page at a time: `marker` is the last name of the page before."""

        def items(limit: int) -> list[Host]:
            return self._matching(call.query, limit)

        return page(call, "hosts", "/v1/hosts", items=items, view=self._view, marker=lambda host: host.name)

    def show(self, call: Call) -> Answer:
        host = find_host(self._queries, call.params["host_name"])
        cache = self._caches.find_caches([host.name]).get(host.name)
        images = self._caches.find_images(named_entries(cache)) if cache else {}
        return Answer({"host": self._view(host) | {"cache": cache_view(cache, images)}})

    def cache(self, call: Call) -> Answer:
        """Store a job for this host alone, as for an aggregate."""
        orders = requested_orders(call)
        job = self._requests.for_host(call, orders, find_host(self._queries, call.params["host_name"]).name)
        return Answer(
            {"job": self._views.job(job)}, status=202, headers={"Location": f"{call.base_url}/v1/jobs/{job.id}"}
        )

    def update(self, call: Call) -> Answer:
        host = self._changes.set_forced_down(_host_name(call), call.body["forced_down"])
        return Answer({"host": self._view(host)})

    def delete(self, call: Call) -> Answer:
        self._removal.delete_host(_host_name(call), self._service_down_time)
        return Answer(status=204)

    def _matching(self, query: Mapping[str, Any], limit: int) -> list[Host]:
        """Return up to `limit` hosts that match all filters of the query, after its marker."""
        marker, found = query.get("marker"), list[Host]()
        only = {key: query[key] for key in ("cell", "state", "driver") if key in query}
        while len(found) < limit:
            # Whether a host is up depends on the time, and possibly on Nova: read pages, and filter here.
            batch = self._queries.list_hosts(limit=MOST_ITEMS if only else limit, marker=marker)
            found += [host for host in batch if only.items() <= self._view(host).items()]
            if not only or len(batch) < MOST_ITEMS:
                break
            marker = batch[-1].name
        return found[:limit]

    def _view(self, host: Host) -> dict[str, Any]:
        is_up = host.is_up(self._service_down_time)
        return {
            "name": host.name,
            "cell": host.cell,
            "site": host.site or None,
            "state": "up" if is_up else "down",
            "release": host.release or None,
            "rpc_version": host.rpc_version or None,
            "forced_down": host.forced_down,
            "driver": host.driver,
            "last_seen": rfc3339(host.last_seen),
        }


def _host_name(call: Call) -> str:
    """Return the name in the path. Raises HostNotFound for a text that cannot be a host's name."""
    name = call.params["host_name"]
    if not is_name(name):
        raise HostNotFound(name)
    return name
