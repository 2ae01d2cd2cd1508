"""[inventory] and [nova]: where hosts and aggregates come from, and how Nova is called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from oslo_config import cfg, types

from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration

LOCAL = "local"
NOVA = "nova"

OPTIONS = [
    cfg.StrOpt(
        "source",
        default=LOCAL,
        choices=[
            (LOCAL, "hosts register themselves by their heartbeats, aggregates are made through Precache's API"),
            (NOVA, "both are read from Nova's API with the credentials in [service_user]"),
        ],
        help="Where hosts and aggregates come from.",
    ),
    cfg.IntOpt(
        "image_status_interval",
        default=600,
        min=0,
        help="Seconds between two lists of the image service, by which one conductor finds out which of the cached "
        "images were deactivated or deleted. 0 never asks; their status is then unknown. Needs the credentials in "
        "[service_user], with the role admin for private images.",
    ),
]

NOVA_OPTIONS = [
    cfg.StrOpt(
        "endpoint_override",
        help="URL of Nova's compute API, such as http://controller:8774/v2.1. Default: from the catalogue.",
    ),
    cfg.StrOpt(
        "region_name", help="Region of the catalogue to take the compute API from. Default: that in [service_user]."
    ),
    cfg.ListOpt(
        "valid_interfaces",
        default=[],
        item_type=types.String(choices=["admin", "internal", "public"]),
        help="Interfaces of the catalogue to take the compute API from, the preferred one first. Default: those in "
        "[service_user].",
    ),
    cfg.IntOpt(
        "cache_time",
        default=3,
        min=0,
        max=300,
        help="Seconds for which the state of Nova's hosts is cached. Aggregates are read for each request, so that a "
        "host that was just added is not left out.",
    ),
    cfg.IntOpt("connect_timeout", default=5, min=1, help="Seconds to wait for a connection."),
    cfg.IntOpt(
        "read_timeout", default=30, min=1, help="Seconds without an answer after which Nova counts as unavailable."
    ),
]


@dataclass(frozen=True, slots=True)
class InventorySettings:
    """image_status_interval: zero to never ask the image service."""

    source: str
    image_status_interval: timedelta

    @property
    def is_from_nova(self) -> bool:
        return self.source == NOVA


@dataclass(frozen=True, slots=True)
class NovaSettings:
    """How Nova is called. region_name and valid_interfaces: None and empty to use those in [service_user]."""

    endpoint_override: str | None
    region_name: str | None
    valid_interfaces: tuple[str, ...]
    cache_time: timedelta
    connect_timeout: timedelta
    read_timeout: timedelta


def _parse_nova(values: Any) -> NovaSettings:
    endpoint = values.endpoint_override or None
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise InvalidConfiguration(f"[nova] endpoint_override must begin with http:// or https://, not {endpoint!r}")
    return settings_of(NovaSettings, values)


GROUP = OptionGroup("inventory", "Hosts and aggregates.", OPTIONS, partial(settings_of, InventorySettings))
NOVA_GROUP = OptionGroup("nova", "Nova's compute API. Used if [inventory] source is nova.", NOVA_OPTIONS, _parse_nova)
