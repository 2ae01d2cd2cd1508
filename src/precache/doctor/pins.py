"""What holds messages back while releases are mixed, and is easily left behind."""

from __future__ import annotations

from collections.abc import Iterator

from precache.adapters.bus_oslo import CACHE_IMAGES_SINCE
from precache.config.load import Config
from precache.doctor.findings import Finding, failed, skipped, warning
from precache.rules.rpc_versions import understands

_LIFT_IT = "when all hosts run this release, remove the option and restart the conductors"


def look_at_pins(config: Config) -> Iterator[Finding]:
    """Report a pin: what is newer than it is not sent."""
    pin = config.upgrade_levels.compute
    if pin is None:
        yield skipped("[upgrade_levels] compute is not set: each host is asked in the newest version that it knows")
    elif understands(pin, CACHE_IMAGES_SINCE):
        yield warning(
            f"[upgrade_levels] compute holds the messages to hosts at version {pin}: what needs a newer one ends as "
            "error on every host",
            _LIFT_IT,
        )
    else:
        yield failed(
            f"[upgrade_levels] compute holds the messages to hosts at version {pin}, but to ask for images takes "
            f"{CACHE_IMAGES_SINCE}: every task ends as error",
            f"set it to {CACHE_IMAGES_SINCE}, or remove it, and restart the conductors",
        )
