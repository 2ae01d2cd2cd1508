"""[swarm]: hosts of a site pass an image on to each other."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration
from precache.core.orders import MOST_BYTES_PER_S

_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  other hosts of the site connect to it, with certificates
_PORTS = "8785-8794"

OPTIONS = [
    cfg.StrOpt(
        "transfer",
        default="auto",
        choices=["auto", "direct", "swarm"],
        help="How hosts get images, unless the job says otherwise. direct: each from the image service. swarm: one "
        "host of each site from the image service, the others from each other. auto: swarm for sites where a job has "
        "at least min_hosts hosts, else direct.",
    ),
    cfg.DictOpt(
        "site_transfer",
        default={},
        help="The same for single sites, such as `edge1:direct,edge2:swarm`.",
    ),
    cfg.IntOpt("min_hosts", default=3, min=2, help="The fewest hosts of a job in one site for which auto means swarm."),
    cfg.DictOpt(
        "site_parents",
        default={},
        help="From which other site a site may receive images, such as `edge1:region1,edge2:region1`: one host of "
        "edge1 then receives an image from a host of region1 that has it or receives it, and asks the image service "
        "only if there is none.",
    ),
    cfg.IntOpt(
        "hosts_at_once",
        default=500,
        min=1,
        help="Most hosts that a conductor calls at the same time for transfers by swarm. These hosts do not count for "
        "[image_cache] precache_concurrency, because they do not load the image service.",
    ),
    cfg.IntOpt(
        "attestations",
        default=1,
        min=1,
        max=2,
        help="How many hosts of a site fetch and convert an image, each by itself, and must agree before any other "
        "host publishes it.",
    ),
    cfg.IntOpt(
        "certificate_hours",
        default=4,
        min=1,
        max=168,
        help="Hours for which a host's certificate is valid; it is renewed after half of them.",
    ),
    cfg.StrOpt(
        "listen_address",
        default=_ANY_ADDRESS,
        help="IP address on which a host serves pieces to other hosts.",
    ),
    cfg.StrOpt(
        "address",
        default="",
        help="IP address or name by which other hosts of the site reach this one. Default: the address from which it "
        "reaches its message bus.",
    ),
    cfg.StrOpt(
        "ports",
        default=_PORTS,
        help="The port on which a host serves pieces, or a range of which it takes the first free one.",
    ),
    cfg.IntOpt("max_connections", default=8, min=1, help="Most hosts that this host serves at the same time."),
    cfg.IntOpt(
        "upload_bytes_per_s",
        default=0,
        min=0,
        max=MOST_BYTES_PER_S,
        help="Most bytes per second that this host sends to other hosts. 0 means no limit.",
    ),
    cfg.IntOpt(
        "download_bytes_per_s",
        default=0,
        min=0,
        max=MOST_BYTES_PER_S,
        help="Most bytes per second that this host receives from other hosts. 0 means no limit.",
    ),
    cfg.IntOpt(
        "serve_s",
        default=300,
        min=0,
        help="Seconds for which a host goes on to serve an image after it has published it. It is not evicted from "
        "the cache meanwhile.",
    ),
    cfg.IntOpt("nice", default=10, min=0, max=19, help="Nice value of the threads that serve and receive pieces."),
    cfg.StrOpt(
        "io_class",
        default="best-effort",
        choices=["best-effort", "idle"],
        help="Class of input and output of these threads, as of ionice.",
    ),
]

_MODES = ("auto", "direct", "swarm")

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class SwarmSettings:
    """site_transfer: mode by site. site_parents: by site, the site that it may receive from. ports: first and last."""

    transfer: str
    site_transfer: dict[str, str]
    min_hosts: int
    site_parents: dict[str, str]
    hosts_at_once: int
    attestations: int
    certificate_hours: int
    listen_address: str
    address: str
    ports: tuple[int, int]
    max_connections: int
    upload_bytes_per_s: int
    download_bytes_per_s: int
    serve_s: timedelta
    nice: int
    io_class: str

    @property
    def changed_place(self) -> list[str]:
        """Return which options of where a host serves pieces do not have their defaults."""
        defaults = {"listen_address": _ANY_ADDRESS, "address": "", "ports": _ports(_PORTS)}
        return [option for option, default in defaults.items() if getattr(self, option) != default]


def _parse(values: Any) -> SwarmSettings:
    for site, mode in values.site_transfer.items():
        if mode not in _MODES:
            raise InvalidConfiguration(f"[swarm] site_transfer has {site}:{mode}; use auto, direct or swarm")
    for site in values.site_parents:
        _check_tree(site, values.site_parents)
    if not _is_ip_address(values.listen_address):
        raise InvalidConfiguration(
            f"[swarm] listen_address = {values.listen_address!r} is not an IP address; give one of this host, or "
            "0.0.0.0 or :: for all"
        )
    if values.address and not _is_ip_address(values.address) and not _HOST_NAME.fullmatch(values.address):
        raise InvalidConfiguration(
            f"[swarm] address = {values.address!r} is neither an IP address nor the name of a host; give it without a "
            "scheme and without a port, such as 192.0.2.7"
        )
    return settings_of(SwarmSettings, values, ports=_ports(values.ports))


def _check_tree(site: str, parents: dict[str, str]) -> None:
    seen = [site]
    while (parent := parents.get(seen[-1])) is not None:
        if parent in seen:
            raise InvalidConfiguration(f"[swarm] site_parents leads from {site} in a circle: {' > '.join(seen)}")
        seen.append(parent)


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        ports = int(first), int(last if dash else first)
    except ValueError:
        ports = 0, 0
    if not 1 <= ports[0] <= ports[1] <= 65_535:
        raise InvalidConfiguration(f"[swarm] ports = {text!r} is no port from 1 to 65535 or range such as 8785-8794")
    return ports


GROUP = OptionGroup(
    "swarm",
    "Hosts of a site pass images on to each other, so that each image crosses the uplink of the site once.",
    OPTIONS,
    _parse,
)
