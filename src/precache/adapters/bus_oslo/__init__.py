"""The message bus: oslo.messaging over RabbitMQ, one bus for each cell. docs/protocol.md describes the messages."""

# This comes first, because the import of oslo_messaging decides which kind of threads it uses.
from precache.adapters.native_threads import use_native_threads

use_native_threads()

from precache.adapters.bus_oslo.bus import open_bus  # noqa: E402
from precache.adapters.bus_oslo.cell_buses import CellBuses  # noqa: E402
from precache.adapters.bus_oslo.compute_server import ComputeServer  # noqa: E402
from precache.adapters.bus_oslo.computes import OsloComputes  # noqa: E402
from precache.adapters.bus_oslo.conductor_server import ConductorServer  # noqa: E402
from precache.adapters.bus_oslo.notifications import OsloNotifier  # noqa: E402
from precache.adapters.bus_oslo.reports import BusReports  # noqa: E402
from precache.adapters.bus_oslo.survey import BusSurvey, SurveyListener  # noqa: E402
from precache.adapters.bus_oslo.swarm_planner import BusSwarmPlanner  # noqa: E402
from precache.adapters.bus_oslo.topics import (  # noqa: E402
    CACHE_IMAGES_SINCE,
    CLEAN_SINCE,
    DESCRIBE_SINCE,
    END_TIMES_SINCE,
    LATER_OPTIONS_SINCE,
    OPERATIONS_SINCE,
    OPTIONS_SINCE,
    RPC_VERSION,
    SWARM_SINCE,
)
from precache.adapters.bus_oslo.url import bus_hosts, bus_place  # noqa: E402
from precache.adapters.bus_oslo.wake import BusWake, WakeListener  # noqa: E402

__all__ = [
    "CACHE_IMAGES_SINCE",
    "CLEAN_SINCE",
    "DESCRIBE_SINCE",
    "END_TIMES_SINCE",
    "LATER_OPTIONS_SINCE",
    "OPERATIONS_SINCE",
    "OPTIONS_SINCE",
    "RPC_VERSION",
    "SWARM_SINCE",
    "BusReports",
    "BusSurvey",
    "BusSwarmPlanner",
    "BusWake",
    "CellBuses",
    "ComputeServer",
    "ConductorServer",
    "OsloComputes",
    "OsloNotifier",
    "SurveyListener",
    "WakeListener",
    "bus_hosts",
    "bus_place",
    "open_bus",
]
