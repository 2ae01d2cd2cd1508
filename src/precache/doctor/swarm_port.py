"""On a host: whether its compute can serve pieces of images to other hosts, at an address by which these reach it."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Iterator

from precache.config.load import Config
from precache.config.swarm import SwarmSettings
from precache.doctor.findings import Finding, ok, warning
from precache.swarm.host_trust import certified_identity
from precache.wiring.swarm_address import family_of, own_address

_TIMEOUT_S = 2.0

_MOST_PORTS = 100
"""Of a long range; more than that are never in use."""

_ANY = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound to

_SET_ADDRESS = "set [swarm] address to the IP address of this host in the network of its site"


def check_swarm_port(config: Config) -> Iterator[Finding]:
    """Try the ports, and judge the address. Without either, the host gets images, but serves none to others."""
    yield _check_ports(config.swarm, config.host.host)
    yield _check_address(own_address(config), config.swarm.listen_address)


def _check_ports(swarm: SwarmSettings, host: str) -> Finding:
    first, last = swarm.ports
    for port in range(first, min(last, first + _MOST_PORTS) + 1):
        try:
            fault = _why_not_bound(swarm.listen_address, port)
        except OSError as error:
            return warning(
                f"no port can be opened on [swarm] listen_address {swarm.listen_address}: {error.strerror}",
                "set it to an address of this host, or remove it for all addresses",
            )
        if fault == 0:
            return ok(f"port {port} is free for pieces of images to other hosts")
        if fault == errno.EADDRINUSE and _serves_as(swarm.listen_address, port) == host:
            return ok(f"the compute of this host serves pieces of images at port {port}")
    return warning(
        f"other programs use all of [swarm] ports {first}-{last}: this host gets images, but serves none to others",
        "set [swarm] ports to free ones, for this host and in the firewalls of its site",
    )


def _why_not_bound(address: str, port: int) -> int:
    """Return 0 if the port is free, else why not, as in `errno`. Raises OSError if the address is not this host's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
                return error.errno
            raise
    return 0


def _serves_as(address: str, port: int) -> str:
    """Return the host that the certificate of the server at this port names; empty for another kind of server.

    The server sends its certificate before it refuses this client, which has none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
    try:
        with (
            socket.create_connection((target, port), _TIMEOUT_S) as plain,
            context.wrap_socket(plain) as sock,
        ):
            identity = certified_identity(sock)
    except OSError:
        return ""
    return identity.host if identity else ""


def _check_address(address: str, listen_address: str) -> Finding:
    if not address:
        return warning("it is not known by which address other hosts reach this one", _SET_ADDRESS)
    try:
        found = socket.getaddrinfo(address, None, family_of(listen_address), socket.SOCK_STREAM)
    except OSError as error:
        return warning(f"other hosts are told to reach this one at {address}: {error.strerror}", _SET_ADDRESS)
    return judge_address(address, {str(entry[4][0]) for entry in found}, listen_address)


def judge_address(address: str, resolved: set[str], listen_address: str) -> Finding:
    """Compare what others are told with where the compute listens. resolved: the IP addresses of `address`."""
    parsed = [ipaddress.ip_address(each.partition("%")[0]) for each in resolved]
    if any(each.is_loopback or each.is_unspecified or each.is_link_local or each.is_multicast for each in parsed):
        return warning(
            f"other hosts are told to reach this one at {address}, where only this host reaches itself", _SET_ADDRESS
        )
    if listen_address not in _ANY and listen_address not in resolved:
        return warning(
            f"other hosts are told to reach this one at {address}, but it listens on {listen_address} alone",
            "set [swarm] address and listen_address to the same address",
        )
    if not any(_is_own(each) for each in resolved):
        return warning(
            f"other hosts are told to reach this one at {address}, which is no address of this host",
            f"{_SET_ADDRESS}; it is right only if another machine passes connections on to this one",
        )
    return ok(f"other hosts reach this one at {address}")


def _is_own(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
