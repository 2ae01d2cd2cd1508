"""[DEFAULT] and [upgrade_levels]: the message buses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from oslo_config import cfg

from precache.config.options import OptionGroup, settings_of
from precache.core.errors import InvalidConfiguration

OPTIONS = [
    cfg.StrOpt(
        "transport_url",
        secret=True,
        help="Message bus of this process, such as rabbit://precache:PASSWORD@rabbit:5672/cell1, or, with several "
        "brokers, rabbit://precache:PASSWORD@rabbit1:5672,precache:PASSWORD@rabbit2:5672/cell1. For a compute: "
        "the bus of its cell. For API and conductor: the bus on which the API tells conductors of new jobs; "
        "without it a conductor looks for new jobs every [conductor] poll_interval.",
    ),
    cfg.IntOpt(
        "long_rpc_timeout",
        default=1800,
        min=1,
        help="Seconds that a host may take for all images of one job. The time for which a rate limit holds its "
        "downloads back does not count, nor the time for which it is busy with other jobs.",
    ),
    cfg.IntOpt(
        "call_monitor_timeout",
        default=60,
        min=4,
        help="Seconds without a sign of life after which a host that works on a job is given up. A broker restart "
        "that is shorter than this has no effect.",
    ),
]

UPGRADE_OPTIONS = [
    cfg.StrOpt(
        "compute",
        help="Pinned version of the messages to computes, such as 1.0, during an upgrade. A request that needs a "
        "newer version is not sent; its tasks end as error. Default: the newest version that each compute "
        "announces.",
    ),
]


@dataclass(frozen=True, slots=True)
class BusSettings:
    """The settings of one bus. transport_url is a secret, so `repr` omits it."""

    transport_url: str | None = field(repr=False)
    long_rpc_timeout: timedelta
    call_monitor_timeout: timedelta

    def require_transport_url(self) -> str:
        """Return the URL. Raises InvalidConfiguration if it is not set."""
        if self.transport_url is None:
            raise InvalidConfiguration(
                "[DEFAULT] transport_url is not set; give the URL of the cell's message bus, such as "
                "rabbit://precache:PASSWORD@rabbit:5672/cell1"
            )
        return self.transport_url


@dataclass(frozen=True, slots=True)
class UpgradeSettings:
    compute: str | None


def _parse(values: Any) -> BusSettings:
    if values.call_monitor_timeout > values.long_rpc_timeout:
        raise InvalidConfiguration(
            f"[DEFAULT] call_monitor_timeout ({values.call_monitor_timeout} s) must not be longer than "
            f"long_rpc_timeout ({values.long_rpc_timeout} s)"
        )
    return settings_of(BusSettings, values)


def _parse_upgrade(values: Any) -> UpgradeSettings:
    pin = values.compute or None
    if pin is not None and [part.isdigit() for part in pin.split(".")] != [True, True]:
        raise InvalidConfiguration(f"[upgrade_levels] compute must be a version such as 1.0, not {pin!r}")
    return UpgradeSettings(compute=pin)


GROUP = OptionGroup(None, "", OPTIONS, _parse)
UPGRADE_GROUP = OptionGroup(
    "upgrade_levels", "Pinned versions while releases are mixed.", UPGRADE_OPTIONS, _parse_upgrade
)
