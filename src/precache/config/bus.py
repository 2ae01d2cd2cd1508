"""[DEFAULT], [upgrade_levels] and [notifications]: the message buses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup
from precache.core.errors import InvalidConfiguration

OPTIONS = [
    cfg.StrOpt(
        "transport_url",
        secret=True,
        help="Message bus of this process, such as rabbit://precache:PASSWORD@rabbit:5672/cell1, or, with several "
        "brokers, rabbit://precache:PASSWORD@rabbit1:5672,precache:PASSWORD@rabbit2:5672/cell1. A compute: its cell's. "
        "API and conductor: the one on which the API wakes the conductor; without it a conductor looks for new jobs "
        "every [conductor] poll_interval.",
    ),
    cfg.IntOpt(
        "long_rpc_timeout",
        default=1800,
        min=1,
        help="Seconds that a host may take for all images of one job.",
    ),
    cfg.IntOpt(
        "call_monitor_timeout",
        default=60,
        min=4,
        help="Seconds without a sign of life of a host that works on a job, after which it is given up. A broker that "
        "restarts faster than this goes unnoticed.",
    ),
]

_BETWEEN_URLS = re.compile(r"[\s,'\"]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
"""A comma, or the end of a line, with a URL after it. Any other comma is between the brokers of one bus."""

UPGRADE_OPTIONS = [
    cfg.StrOpt(
        "compute",
        help="Version of the messages to computes, such as 1.0, to which conductors are held during an upgrade. What "
        "needs a newer one is not sent and is reported. Default: the newest that each compute announces.",
    ),
]

NOTIFICATION_OPTIONS = [
    cfg.ListOpt(
        "transport_urls",
        default=[],
        secret=True,
        help="Message buses that get the notifications aggregate.cache_images.*, in Nova's versioned format: URLs like "
        "that of [DEFAULT] transport_url, several separated by commas. One with several brokers is written as usual: "
        "rabbit://nova:PASSWORD@rabbit1:5672,nova:PASSWORD@rabbit2:5672/. Somebody should read them there, for the "
        "broker keeps what nobody takes. Default: none; they are in the log only.",
    ),
    cfg.ListOpt("topics", default=["versioned_notifications"], help="Topics to publish them on."),
    cfg.StrOpt("exchange", default="nova", help="Exchange to publish them on; Nova's, where its consumers listen."),
]


@dataclass(frozen=True, slots=True)
class BusSettings:
    """transport_url is a secret, which no representation shows."""

    transport_url: str | None = field(repr=False)
    long_rpc_timeout: timedelta
    call_monitor_timeout: timedelta

    def require_transport_url(self) -> str:
        """Return the URL. Raises InvalidConfiguration where there is none."""
        if self.transport_url is None:
            raise InvalidConfiguration(
                "[DEFAULT] transport_url is not set; give the URL of the cell's message bus, such as "
                "rabbit://precache:PASSWORD@rabbit:5672/cell1"
            )
        return self.transport_url


@dataclass(frozen=True, slots=True)
class UpgradeSettings:
    compute: str | None


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """transport_urls are secrets, which no representation shows."""

    transport_urls: tuple[str, ...] = field(repr=False)
    topics: tuple[str, ...]
    exchange: str


def _parse(values: Any) -> BusSettings:
    if values.call_monitor_timeout > values.long_rpc_timeout:
        raise InvalidConfiguration(
            f"[DEFAULT] call_monitor_timeout ({values.call_monitor_timeout} s) must not be longer than "
            f"long_rpc_timeout ({values.long_rpc_timeout} s)"
        )
    return BusSettings(
        transport_url=values.transport_url or None,
        long_rpc_timeout=timedelta(seconds=values.long_rpc_timeout),
        call_monitor_timeout=timedelta(seconds=values.call_monitor_timeout),
    )


def _parse_upgrade(values: Any) -> UpgradeSettings:
    pin = values.compute or None
    if pin is not None and [part.isdigit() for part in pin.split(".")] != [True, True]:
        raise InvalidConfiguration(f"[upgrade_levels] compute must be a version such as 1.0, not {pin!r}")
    return UpgradeSettings(compute=pin)


def _parse_notifications(values: Any) -> NotificationSettings:
    return NotificationSettings(_whole_urls(values.transport_urls), tuple(values.topics), values.exchange)


def _whole_urls(pieces: Sequence[str]) -> tuple[str, ...]:
    """Return the URLs that were cut at every comma: one of them has a comma between two brokers, too."""
    return tuple(url for url in _BETWEEN_URLS.split(",".join(pieces).strip(" ,'\"\n")) if url)


GROUP = OptionGroup(None, "", OPTIONS, _parse)
UPGRADE_GROUP = OptionGroup(
    "upgrade_levels", "What to hold back while releases are mixed.", UPGRADE_OPTIONS, _parse_upgrade
)
NOTIFICATION_GROUP = OptionGroup("notifications", "Who is told of jobs.", NOTIFICATION_OPTIONS, _parse_notifications)
