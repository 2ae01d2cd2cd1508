"""The cells: whether their secrets can be decrypted, their buses reached, their computes be up; pinned messages."""

from __future__ import annotations

from collections.abc import Iterator

from precache.adapters.bus_oslo import CACHE_IMAGES_SINCE
from precache.config.load import Config
from precache.core.cells import Cell
from precache.doctor.buses import reach_buses
from precache.doctor.database import read_cells, read_hosts_with_heartbeats
from precache.doctor.examine import TIMEOUT_S
from precache.doctor.findings import Finding, failed, ok, skipped, warning
from precache.rules.rpc_versions import understands

CELLS_TIMEOUT_S = 2 * TIMEOUT_S + 1  # the database first, then all buses at once


def check_cells(config: Config) -> Iterator[Finding]:
    """Decrypt every cell's URL and send a message over each bus."""
    cells = read_cells(config)
    if not any(cell.transport_url for cell in cells):
        yield warning(
            "no cell has a message bus, so no host can be called",
            "register the cells: precache cell create NAME --transport-url URL",
        )
    buses = [(f"cell {cell.name}: ", cell.transport_url) for cell in cells if cell.transport_url]
    yield from reach_buses(config, buses)
    for cell in cells:
        if cell.transport_url is None:
            yield warning(
                f"cell {cell.name} has no message bus, so its hosts cannot be called",
                f"give it one: precache cell create {cell.name} --transport-url URL",
            )


def check_computes(config: Config) -> Iterator[Finding]:
    """Check which cells have computes that are up."""
    cells, hosts = read_cells(config), read_hosts_with_heartbeats(config)
    if not cells:
        yield skipped("there is no cell yet")
    for cell in cells:
        of_cell = [host for host in hosts if host.cell == cell.name]
        up = sum(host.is_up(config.host.service_down_time) for host in of_cell)
        yield ok(f"cell {cell.name}: {up} of {len(of_cell)} computes are up") if up else _silent(cell, config)


def _silent(cell: Cell, config: Config) -> Finding:
    seconds = config.host.service_down_time.total_seconds()
    return warning(
        f"cell {cell.name}: no compute sent a heartbeat in the last {seconds:.0f} seconds",
        "start `precache serve compute` on its hosts, with the transport URL of this cell, and `precache serve "
        "conductor`, which receives the heartbeats",
    )


_LIFT_IT = "when all hosts run this release, remove the option and restart the conductors"


def check_pins(config: Config) -> Iterator[Finding]:
    """Report a pin: newer messages are not sent."""
    pin = config.upgrade_levels.compute
    if pin is None:
        yield skipped("[upgrade_levels] compute is not set: each host is called in the newest version that it knows")
    elif understands(pin, CACHE_IMAGES_SINCE):
        yield warning(
            f"[upgrade_levels] compute pins the messages to hosts at version {pin}: a request that needs a newer one "
            "ends as error on every host",
            _LIFT_IT,
        )
    else:
        yield failed(
            f"[upgrade_levels] compute pins the messages to hosts at version {pin}, but caching images needs "
            f"{CACHE_IMAGES_SINCE}: every task ends as error",
            f"set it to {CACHE_IMAGES_SINCE}, or remove it, and restart the conductors",
        )
