"""[limits]: how many hosts download at once, and how fast, over all jobs and conductors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration
from precache.core.host_calls import CallLimits
from precache.core.orders import MOST_BYTES_PER_S

_RATES = (
    ("max_bytes_per_s", "max_hosts"),
    ("max_bytes_per_s_per_cell", "max_hosts_per_cell"),
    ("max_bytes_per_s_per_site", "max_hosts_per_site"),
)
"""Each limit of a rate, with the limit of hosts that share it."""

OPTIONS = [
    cfg.IntOpt(
        "max_hosts",
        default=0,
        min=0,
        help="Most hosts that cache images at the same time, over all jobs and conductors; [image_cache] "
        "precache_concurrency limits each conductor in addition. 0 means no limit.",
    ),
    cfg.IntOpt(
        "max_hosts_per_cell",
        default=0,
        min=0,
        help="The same for the hosts of each cell. 0 means no limit.",
    ),
    cfg.IntOpt(
        "max_hosts_per_site",
        default=0,
        min=0,
        help="The same for the hosts of each site ([DEFAULT] site). 0 means no limit.",
    ),
    cfg.IntOpt(
        "max_bytes_per_s",
        default=0,
        min=0,
        max=MOST_BYTES_PER_S,
        help="Most bytes per second from the image service for all jobs and conductors together: each host gets an "
        "equal share, this divided by max_hosts, which must be set. 0 means no limit.",
    ),
    cfg.IntOpt(
        "max_bytes_per_s_per_cell",
        default=0,
        min=0,
        max=MOST_BYTES_PER_S,
        help="The same for the hosts of each cell; needs max_hosts_per_cell. 0 means no limit.",
    ),
    cfg.IntOpt(
        "max_bytes_per_s_per_site",
        default=0,
        min=0,
        max=MOST_BYTES_PER_S,
        help="The same for the hosts of each site, such as an edge site behind a thin link; needs max_hosts_per_site. "
        "0 means no limit.",
    ),
]


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """The limits over all jobs and conductors; 0 for none. The same in all conductors."""

    max_hosts: int
    max_hosts_per_cell: int
    max_hosts_per_site: int
    max_bytes_per_s: int
    max_bytes_per_s_per_cell: int
    max_bytes_per_s_per_site: int

    @property
    def calls(self) -> CallLimits:
        return CallLimits(self.max_hosts, self.max_hosts_per_cell, self.max_hosts_per_site)

    @property
    def host_bytes_per_s(self) -> int | None:
        """Return the most bytes per second of each host: the lowest of its shares; None for no limit."""
        shares = (getattr(self, rate) // getattr(self, hosts) for rate, hosts in _RATES if getattr(self, rate))
        return min(shares, default=None)


def _parse(values: Any) -> LimitSettings:
    settings = settings_of(LimitSettings, values)
    for name, sharers in _RATES:
        rate, hosts = getattr(settings, name), getattr(settings, sharers)
        if rate and not hosts:
            raise InvalidConfiguration(
                f"[limits] {name} needs {sharers}: each host gets an equal share, so that the sum is never exceeded"
            )
        if rate and rate < hosts:
            raise InvalidConfiguration(
                f"[limits] {name} ({rate}) is less than one byte for each of {sharers} ({hosts}) hosts; raise it, or "
                f"lower {sharers}"
            )
    return settings


GROUP = OptionGroup(
    "limits",
    "How many hosts cache images at once, over all jobs and conductors. All conductors must have the same values.",
    OPTIONS,
    _parse,
)
