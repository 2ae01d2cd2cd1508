"""A host's part in swarms, from the configuration."""

from __future__ import annotations

from precache.background.thread_priority import ThreadPriority
from precache.compute.renew_certificate import RenewCertificate
from precache.compute.swarm_member import HostInSwarm
from precache.config.load import Config
from precache.fetch.fetcher import Fetcher
from precache.fetch.rate_limits import RateLimits
from precache.imagecache.served_entries import ServedEntries
from precache.ports.clock import Clock
from precache.ports.swarm_planner import SwarmPlanner
from precache.swarm.host_check import HostCheck
from precache.swarm.host_trust import HostTrust
from precache.swarm.pieces_client import PiecesClient
from precache.swarm.pieces_request import ServingLimits
from precache.swarm.pieces_server import PiecesServer
from precache.swarm.swarm_fetcher import SwarmFetcher
from precache.swarm.swarm_host import SwarmHost
from precache.wiring.swarm_address import own_address, with_port


def build_swarm_member(
    *,
    config: Config,
    host: str,
    cell: str,
    fetcher: Fetcher,
    planner: SwarmPlanner,
    clock: Clock,
    rates: RateLimits,
    entries: ServedEntries,
) -> tuple[SwarmFetcher, HostInSwarm]:
    """Return what fetches images for the virt driver, and the host's part in swarms, not started.

    fetcher: of the image service. cell: empty on a bus. rates: of the tasks. entries: of the cache.
    """
    swarm = config.swarm
    trust = HostTrust(host=host, cell=cell, clock=clock)
    priority = ThreadPriority(swarm.nice, swarm.io_class)
    limits = ServingLimits(
        max_connections=swarm.max_connections,
        upload_rate=lambda: swarm.upload_bytes_per_s or None,
        priority=priority,
    )
    server = PiecesServer(trust=trust, address=swarm.listen_address, ports=swarm.ports, limits=limits)

    def address() -> str:
        """Return where other hosts reach the server; empty while it does not listen."""
        own = own_address(config) if server.port else ""
        return with_port(own, server.port) if own else ""

    swarm_fetcher = SwarmFetcher(
        host=SwarmHost(
            name=host,
            cell=cell,
            address=address,
            fetcher=fetcher,
            planner=planner,
            trust=trust,
            server=server,
            client=PiecesClient(trust=trust, rate_now=lambda: swarm.download_bytes_per_s or None, priority=priority),
            clock=clock,
            rates=rates,
        ),
        entries=entries,
        serve_for=swarm.serve_s,
    )
    return swarm_fetcher, HostInSwarm(
        fetcher=swarm_fetcher,
        server=server,
        renewal=RenewCertificate(trust=trust, cell=cell, planner=planner, clock=clock),
        check=HostCheck(trust=trust, address=address),
    )
