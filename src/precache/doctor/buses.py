"""Message buses: a message that nobody waits for is taken, so broker, virtual host, user and password are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from precache.adapters.bus_oslo import open_bus
from precache.config.load import Config
from precache.core.errors import BusUnavailable, InvalidConfiguration
from precache.doctor.examine import TIMEOUT_S, side_by_side
from precache.doctor.findings import Finding, failed, failure, ok, skipped, warning

_NOBODY = "precache-doctor"
_SILENT = failed(f"the message bus does not answer within {TIMEOUT_S:.0f} seconds", "see that the broker is there")


def look_at_own_bus(config: Config) -> Iterator[Finding]:
    """See that the bus of this process, a compute's or that of the wake-ups, takes messages."""
    if config.bus.transport_url is None:
        yield skipped("[DEFAULT] transport_url is not set: conductors look for new jobs by themselves")
    else:
        yield reach_bus(config, config.bus.transport_url)


def look_at_computes_bus(config: Config) -> Iterator[Finding]:
    """See that the compute's cell takes messages; here one is needed."""
    yield reach_bus(config, config.bus.require_transport_url())


def look_at_notifications(config: Config) -> Iterator[Finding]:
    """See that the buses for notifications take them."""
    urls = config.notifications.transport_urls
    if not urls:
        yield skipped("[notifications] transport_urls is empty: jobs are announced in the log only")
    yield from reach_buses(config, [("", url) for url in urls])


def reach_buses(config: Config, buses: Sequence[tuple[str, str]]) -> list[Finding]:
    """Return a finding for each (what it is of, transport URL), with what it is of in front."""
    found = side_by_side([(partial(reach_bus, config, url), TIMEOUT_S) for _, url in buses])
    return [
        replace(finding or _SILENT, found=f"{owner}{(finding or _SILENT).found}")
        for finding, (owner, _) in zip(found, buses, strict=True)
    ]


def reach_bus(config: Config, transport_url: str) -> Finding:
    """Send a message to nobody."""
    try:
        bus = open_bus(config.oslo, transport_url)
    except InvalidConfiguration as error:
        return failure(error)
    try:
        bus.cast(_NOBODY, "ping", {})
    except BusUnavailable as error:
        return failure(error)
    finally:
        bus.close()
    if bus.doubts is not None:
        doubt, advice = bus.doubts
        return warning(f"the message bus {bus.place} takes messages, but {doubt}", advice)
    return ok(f"the message bus {bus.place} takes messages")
