"""[DEFAULT]: this machine, its paths, and its heartbeats."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration
from precache.core.names import NAME_RULE, is_name

OPTIONS = [
    cfg.BoolOpt("debug", default=False, help="Log every step, not only results."),
    cfg.StrOpt(
        "host",
        sample_default="<name of this machine>",
        help="Name of this compute host, as in the inventory. Default: the machine's name.",
    ),
    cfg.StrOpt(
        "site",
        default="",
        help="Name of the local network that this compute host is in, such as an edge site. How many hosts of a site "
        "download at once can be limited. Default: the metadata precache_site of an aggregate with this host, else the "
        "name of its cell.",
    ),
    cfg.StrOpt(
        "instances_path",
        default="/var/lib/nova/instances",
        help="Directory of instances on this host; the image cache and its locks are below it. Must be the same as "
        "for nova-compute on this host.",
    ),
    cfg.BoolOpt(
        "force_raw_images",
        default=True,
        help="Convert images to raw when they are cached. Must be the same as for nova-compute on this host.",
    ),
    cfg.IntOpt("report_interval", default=10, min=1, help="Seconds between two heartbeats of a compute."),
    cfg.IntOpt(
        "service_down_time",
        default=60,
        min=2,
        help="Seconds without a heartbeat after which a host counts as down and is not called.",
    ),
]


@dataclass(frozen=True, slots=True)
class HostSettings:
    debug: bool
    host: str
    site: str
    instances_path: Path
    force_raw_images: bool
    report_interval: timedelta
    service_down_time: timedelta
    is_instances_path_chosen: bool = True


def _parse(values: Any) -> HostSettings:
    if values.service_down_time <= values.report_interval:
        raise InvalidConfiguration(
            f"[DEFAULT] service_down_time ({values.service_down_time} s) must be longer than report_interval "
            f"({values.report_interval} s), because otherwise every host counts as down between two heartbeats"
        )
    if values.host and not is_name(values.host):
        raise InvalidConfiguration(
            f"[DEFAULT] host = {values.host!r} can be in no aggregate; a host's name is of {NAME_RULE}"
        )
    if values.site and not is_name(values.site):
        raise InvalidConfiguration(f"[DEFAULT] site = {values.site!r} is not a name of {NAME_RULE}")
    if not Path(values.instances_path).is_absolute():
        raise InvalidConfiguration(f"[DEFAULT] instances_path must be an absolute path, not {values.instances_path!r}")
    return settings_of(HostSettings, values, host=values.host or socket.gethostname())


GROUP = OptionGroup(None, "", OPTIONS, _parse)
