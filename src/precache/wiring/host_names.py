"""Parses the hosts of the embedded service from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from precache.core.errors import InvalidConfiguration
from precache.core.names import NAME_RULE, is_name

DEFAULT_CELL = "cell1"
DEFAULT_DRIVER = "libvirt"


@dataclass(frozen=True, slots=True)
class EmbeddedHost:
    """One host of the embedded service: its cell, its name, its virt driver.

    instances_path: None for a directory in the state directory.
    """

    cell: str
    name: str
    driver: str = DEFAULT_DRIVER
    instances_path: Path | None = None


def parse_hosts(text: str) -> list[EmbeddedHost]:
    """Return the hosts in `cell:host[:driver],...`. Raises InvalidConfiguration, which names the invalid part."""
    hosts = [_parse_host(part.strip()) for part in text.split(",") if part.strip()]
    if not hosts:
        raise InvalidConfiguration("--hosts names no host; give cell:host, several with commas between them")
    names = [host.name for host in hosts]
    for name in names:
        if names.count(name) > 1:
            raise InvalidConfiguration(f"--hosts names {name} twice; a host belongs to one cell")
    return hosts


def _parse_host(part: str) -> EmbeddedHost:
    fields = part.split(":")
    if len(fields) not in (2, 3) or not all(is_name(field) for field in fields):
        raise InvalidConfiguration(f"--hosts: {part!r} is not cell:host or cell:host:driver, each of {NAME_RULE}")
    cell, name, driver = fields if len(fields) == 3 else (*fields, DEFAULT_DRIVER)
    return EmbeddedHost(cell, name, driver)
