"""Nova as the source of hosts and aggregates: whether it answers, and whether the names of hosts match."""

from __future__ import annotations

from collections.abc import Iterator

from precache.adapters.clock_system import SystemClock
from precache.adapters.inventory_nova import NovaAggregates, NovaHosts
from precache.adapters.inventory_sql import SqlHosts
from precache.config.load import Config
from precache.core.text import first_names
from precache.doctor.database import opened
from precache.doctor.findings import Finding, ok, skipped, warning
from precache.wiring.inventory import nova_api
from precache.wiring.service_user import service_session


def check_nova(config: Config) -> Iterator[Finding]:
    if not config.inventory.is_from_nova:
        yield skipped("[inventory] source is local: hosts and aggregates are Precache's own")
        return
    api = nova_api(config, service_session(config))
    aggregates = NovaAggregates(api=api).list_aggregates()
    with opened(config) as database:
        local_hosts = SqlHosts(database=database)
        hosts = NovaHosts(api=api, hosts=local_hosts, clock=SystemClock()).list_hosts()
        with_heartbeats = {host.name for host in local_hosts.list_hosts()}
    yield ok(f"Nova lists {len(aggregates)} aggregates and {len(hosts)} hosts")
    if without := [host.name for host in hosts if host.cell is None]:
        yield warning(
            f"on {len(without)} of Nova's hosts no Precache compute ever sent a heartbeat: {first_names(without)}",
            "start `precache serve compute` there; their tasks end as error",
        )
    if unknown := sorted(with_heartbeats - {host.name for host in hosts}):
        yield warning(
            f"{len(unknown)} computes are unknown to Nova: {first_names(unknown)}",
            "set [DEFAULT] host on them to the name that `openstack compute service list` shows",
        )
