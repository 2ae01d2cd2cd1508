"""Message buses: each must accept a test message, which checks broker, virtual host, user and password."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from precache.adapters.bus_oslo import open_bus
from precache.config.load import Config
from precache.core.errors import BusUnavailable, InvalidConfiguration
from precache.doctor.examine import TIMEOUT_S, run_concurrently
from precache.doctor.findings import Finding, failed, failure, ok, skipped, warning

_NO_RECEIVER = "precache-doctor"
_SILENT = failed(f"the message bus does not answer within {TIMEOUT_S:.0f} seconds", "check that the broker runs")


def check_own_bus(config: Config) -> Iterator[Finding]:
    """Check that the bus of this process accepts messages: a compute's, or the one for wake-ups."""
    if config.bus.transport_url is None:
        yield skipped("[DEFAULT] transport_url is not set: conductors look for new jobs by themselves")
    else:
        yield reach_bus(config, config.bus.transport_url)


def check_computes_bus(config: Config) -> Iterator[Finding]:
    """Check that the bus of the compute's cell, which is required, accepts messages."""
    yield reach_bus(config, config.bus.require_transport_url())


def check_notifications(config: Config) -> Iterator[Finding]:
    """Check that the buses for notifications accept them."""
    urls = config.notifications.transport_urls
    if not urls:
        yield skipped("[notifications] transport_urls is empty: jobs are announced in the log only")
    yield from reach_buses(config, [("", url) for url in urls])


def reach_buses(config: Config, buses: Sequence[tuple[str, str]]) -> list[Finding]:
    """Return a finding for each (owner, transport URL), with the owner in front."""
    found = run_concurrently([(partial(reach_bus, config, url), TIMEOUT_S) for _, url in buses])
    return [
        replace(finding or _SILENT, found=f"{owner}{(finding or _SILENT).found}")
        for finding, (owner, _) in zip(found, buses, strict=True)
    ]


def reach_bus(config: Config, transport_url: str) -> Finding:
    """Send a message without a receiver."""
    try:
        bus = open_bus(config.oslo, transport_url)
    except InvalidConfiguration as error:
        return failure(error)
    try:
        bus.cast(_NO_RECEIVER, "ping", {})
    except BusUnavailable as error:
        return failure(error)
    finally:
        bus.close()
    if bus.tls_weakness is not None:
        doubt, advice = bus.tls_weakness
        return warning(f"the message bus {bus.place} takes messages, but {doubt}", advice)
    return ok(f"the message bus {bus.place} takes messages")
