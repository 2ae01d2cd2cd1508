"""[swarm]: what is refused when a process starts, and what is read."""

import pytest

from precache.config.load import load_config
from precache.config.swarm import SwarmSettings
from precache.core.errors import InvalidConfiguration


def swarm(directory, line: str) -> SwarmSettings:
    file = directory / "precache.conf"
    file.write_text(f"[swarm]\n{line}\n")
    return load_config([file]).swarm


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ports = 8785-", "'8785-' is no port"),
        ("ports = 8794-8785", "is no port"),
        ("ports = 0", "is no port"),
        ("listen_address = foo", "'foo' is not an IP address"),
        ("listen_address = 192.0.2.7:8785", "is not an IP address"),
        ("address = http://192.0.2.7/", "without a scheme and without a port"),
        ("address = cmp-7:8785", "without a scheme and without a port"),
        ("site_transfer = edge1:often", "edge1:often; use auto"),
        ("site_parents = a:b,b:a", "in a circle"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_option(tmp_path, line, message):
    with pytest.raises(InvalidConfiguration, match=message) as refused:
        swarm(tmp_path, line)

    assert f"[swarm] {line.split()[0]}" in str(refused.value)


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "cmp-7", "cmp-7.edge1.example."])
def test_an_address_may_be_a_name(tmp_path, address):
    assert swarm(tmp_path, f"address = {address}").address == address


@pytest.mark.parametrize(("text", "ports"), [("8785", (8785, 8785)), ("8785-8794", (8785, 8794)), ("1 - 2", (1, 2))])
def test_a_port_or_a_range_of_ports(tmp_path, text, ports):
    assert swarm(tmp_path, f"ports = {text}").ports == ports
