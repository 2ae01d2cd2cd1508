"""The swarms: whether two hosts of each site reach each other, and whether the key of their authority can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from precache.adapters.bus_oslo import SWARM_SINCE, OsloComputes, open_bus
from precache.adapters.swarm_authority import SqlAuthorityKeys, signing_key
from precache.config.load import Config
from precache.config.swarm import SwarmSettings
from precache.core.errors import InvalidConfiguration, PrecacheError, SecretUnreadable
from precache.core.hosts import Host
from precache.core.relays import Peer
from precache.core.swarm_checks import SwarmState
from precache.doctor.database import opened, read_cells, read_hosts_with_heartbeats
from precache.doctor.examine import TIMEOUT_S, run_concurrently
from precache.doctor.findings import Finding, ok, skipped, warning
from precache.rules.rpc_versions import understands

_STATE_WITHIN = timedelta(seconds=5)
_TRY_WITHIN = timedelta(seconds=10)
"""A host gives up another one that does not answer after some seconds for each step."""

PEERS_TIMEOUT_S = TIMEOUT_S + (_STATE_WITHIN + _TRY_WITHIN).total_seconds() + 2  # the database first

MOST_SITES = 50
"""More are not asked, because a user waits for the answer."""


class Asking(Protocol):
    def check_swarm(self, host: str, cell: str, peer: Peer | None, within: timedelta) -> SwarmState:
        """As of `OsloComputes`."""
        ...


def check_swarm_authority(config: Config) -> Iterator[Finding]:
    """Decrypt the keys. Raises SecretUnreadable."""
    with opened(config) as database:
        keys = SqlAuthorityKeys(database=database, keys=config.database.encryption_keys).list_keys()
    if not keys:
        yield skipped("no host has asked for a certificate yet, so there is no key of the swarms' authority")
        return
    key = signing_key(keys, datetime.now(UTC))
    yield ok(f"the key {key.name} of the swarms' authority signs, and is valid until {key.ends_at:%Y-%m-%d}")


def check_swarm_peers(config: Config) -> Iterator[Finding]:
    """Have two hosts of each site try each other's port."""
    try:
        urls = {cell.name: cell.transport_url for cell in read_cells(config) if cell.transport_url}
    except (SecretUnreadable, InvalidConfiguration):
        yield skipped("the transport URLs of the cells cannot be decrypted")
        return
    hosts = [host for host in read_hosts_with_heartbeats(config) if host.cell in urls]
    pairs = pairs_of_sites(hosts, config.host.service_down_time)
    if not pairs:
        yield skipped("no site has two hosts that are up and can take part in swarms")
        return
    with ExitStack() as ended:
        buses = {cell: open_bus(config.oslo, urls[cell]) for cell in {pair[0].cell or "" for pair in pairs}}
        for bus in buses.values():
            ended.callback(bus.close)
        computes = OsloComputes(
            buses=buses.__getitem__,
            long_rpc_timeout=_TRY_WITHIN,
            call_monitor_timeout=_TRY_WITHIN,
        )
        ended.callback(computes.stop)
        yield from examine_pairs(computes, pairs[:MOST_SITES], config.swarm)
    if len(pairs) > MOST_SITES:
        yield skipped(f"{len(pairs) - MOST_SITES} further sites were not checked")


def pairs_of_sites(hosts: Iterable[Host], service_down_time: timedelta) -> list[tuple[Host, Host]]:
    """Return two hosts of each site in which two are up and understand the messages of swarms."""
    able: dict[tuple[str, str], list[Host]] = {}
    for host in sorted(hosts, key=lambda each: (each.cell or "", each.site, each.name)):
        if host.cell and host.is_up(service_down_time) and understands(host.rpc_version, SWARM_SINCE):
            able.setdefault((host.cell, host.site), []).append(host)
    return [(found[0], found[1]) for found in able.values() if len(found) > 1]


def examine_pairs(asking: Asking, pairs: Sequence[tuple[Host, Host]], swarm: SwarmSettings) -> list[Finding]:
    """Return a finding for each pair that is well, and one for each fault of the others."""
    limit_s = (_STATE_WITHIN + _TRY_WITHIN).total_seconds() + 1
    found = run_concurrently([(partial(_examine, asking, pair, swarm), limit_s) for pair in pairs])
    return [
        finding
        for (one, two), findings in zip(pairs, found, strict=True)
        for finding in (findings if findings is not None else [_silent(one, two)])
    ]


def _examine(asking: Asking, pair: tuple[Host, Host], swarm: SwarmSettings) -> list[Finding]:
    one, two = pair
    try:
        states = _both(lambda host: asking.check_swarm(host.name, host.cell or "", None, _STATE_WITHIN), pair)
        if faults := [fault for host, state in zip(pair, states, strict=True) for fault in _faults(host, state)]:
            return faults
        peers = {one.name: Peer(two.name, states[1].address), two.name: Peer(one.name, states[0].address)}
        tried = _both(lambda host: asking.check_swarm(host.name, host.cell or "", peers[host.name], _TRY_WITHIN), pair)
    except PrecacheError as error:
        return [warning(f"site {one.site}: {error.message}", error.advice)]
    unreached = [
        _unreached(host, peers[host.name], state.unreached, swarm)
        for host, state in zip(pair, tried, strict=True)
        if state.unreached
    ]
    return unreached or [ok(f"site {one.site}: {one.name} and {two.name} reach each other's port")]


def _both(ask: Callable[[Host], SwarmState], pair: tuple[Host, Host]) -> list[SwarmState]:
    """Ask both at once. Raises what one of the calls raises."""
    found = run_concurrently([(partial(ask, host), _TRY_WITHIN.total_seconds() + 1) for host in pair])
    return [state if state is not None else SwarmState(unreached="no answer") for state in found]


def _faults(host: Host, state: SwarmState) -> Iterator[Finding]:
    if state.certified_until is None:
        yield warning(
            f"site {host.site}: {host.name} has no certificate, so it takes part in no swarm",
            f"the log of the compute on {host.name} has the reason; the check `swarm authority` must pass",
        )
    elif not state.address:
        yield warning(
            f"site {host.site}: {host.name} serves no pieces of images to other hosts",
            f"run precache doctor on {host.name}; the log of its compute has the reason",
        )


def _unreached(host: Host, peer: Peer, reason: str, swarm: SwarmSettings) -> Finding:
    port = int(peer.address.rpartition(":")[2])
    first, last = swarm.ports
    ports = f"{first}-{last}" if first <= port <= last and first != last else str(port)
    return warning(
        f"site {host.site}: {host.name} does not reach {peer.host} at {peer.address}: {reason}",
        f"let the hosts of a site reach TCP ports {ports} of each other, such as on {peer.host}: nft add rule inet "
        f"filter input tcp dport {ports} accept; or correct [swarm] address there",
    )


def _silent(one: Host, two: Host) -> Finding:
    return warning(
        f"site {one.site}: {one.name} and {two.name} did not answer in time",
        "check that their computes run, and that the message bus is not overloaded",
    )
