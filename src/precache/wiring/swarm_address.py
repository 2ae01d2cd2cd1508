"""The address by which other hosts of its site reach this one."""

from __future__ import annotations

import ipaddress
import socket

from precache.adapters.bus_oslo import bus_hosts
from precache.config.load import Config


def own_address(config: Config) -> str:
    """Return an IP address or a name: [swarm] address, else the address from which this host reaches its bus.

    Empty if there is no bus, or no way to it. Nothing is sent, but names are looked up.
    """
    if config.swarm.address or config.bus.transport_url is None:
        return config.swarm.address
    family = family_of(config.swarm.listen_address)
    for host, port in bus_hosts(config.oslo, config.bus.transport_url):
        if found := _address_towards(host, port, family):
            return found
    return ""


def with_port(address: str, port: int) -> str:
    """Return both as one text, such as `192.0.2.7:8785` or `[2001:db8::7]:8785`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def family_of(listen_address: str) -> socket.AddressFamily:
    """Return which addresses a server there has: one on `::` serves IPv4, too, so it is left open."""
    try:
        is_ipv4 = ipaddress.ip_address(listen_address).version == 4
    except ValueError:
        is_ipv4 = False
    return socket.AF_INET if is_ipv4 else socket.AF_UNSPEC


def _address_towards(host: str, port: int, family: socket.AddressFamily) -> str:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)
    except OSError:
        return ""
    for kind, _type, protocol, _name, address in found:
        try:
            # Without a packet: a datagram socket that is connected has the address of the route.
            with socket.socket(kind, socket.SOCK_DGRAM, protocol) as probe:
                probe.connect(address)
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return ""
