"""`precache serve conductor`: runs jobs over the message bus of every cell."""

from __future__ import annotations

import socket
import uuid
from contextlib import ExitStack
from datetime import timedelta

from precache.adapters.bus_oslo import (
    CACHE_IMAGES_SINCE,
    CLEAN_SINCE,
    DESCRIBE_SINCE,
    END_TIMES_SINCE,
    LATER_OPTIONS_SINCE,
    OPERATIONS_SINCE,
    OPTIONS_SINCE,
    RPC_VERSION,
    SWARM_SINCE,
    OsloNotifier,
    SurveyListener,
    WakeListener,
    open_bus,
)
from precache.adapters.bus_oslo.bus import Bus
from precache.adapters.clock_system import SystemClock
from precache.adapters.notifier_log import LogNotifier
from precache.adapters.sql import Database, Limits
from precache.adapters.swarm_authority import SqlAuthorityKeys, StoredAuthority
from precache.conductor.clean_host import CleanHost
from precache.conductor.work_loop import WorkLoop
from precache.config.load import Config
from precache.core.errors import InvalidConfiguration
from precache.ports.notifier import Notifier
from precache.ports.swarm_planner import SwarmPlanner
from precache.rules.group_by_cell import RpcRequirement
from precache.rules.rpc_versions import is_newer
from precache.wiring.cells import Cells, build_cells
from precache.wiring.conductor_loop import conductor_loop
from precache.wiring.databases import configured_database, current_database
from precache.wiring.host_survey import host_survey
from precache.wiring.image_statuses import start_image_statuses
from precache.wiring.inventory import Inventory, configured_inventory
from precache.wiring.notices import start_notices
from precache.wiring.purge import start_purge
from precache.wiring.relays import relay_planner
from precache.wiring.service_user import image_service_of_conductor, service_session, warn_if_refused
from precache.wiring.sites import start_sites

PATIENCE = timedelta(seconds=6)
"""How long each part may take to stop."""


class ConductorProcess:
    """A conductor. `start` returns the machine's name; after `stop` another conductor continues the jobs.

    Both raise only errors of core/errors. Call `stop` after a failed start, too.
    """

    def __init__(self, *, config: Config) -> None:
        self._config = config
        self._stops = ExitStack()

    def start(self) -> str:
        _check_pin(self._config.upgrade_levels.compute)
        database = current_database(self._config)
        self._stops.callback(database.close)
        # With connections of its own: an extension of a lease waits neither for a busy connection nor long for a lock.
        prompt = configured_database(self._config, Limits.for_leases(self._config.conductor.lease))
        self._stops.callback(prompt.close)
        notifier = self._notifier()
        owner = f"{socket.gethostname()}:{uuid.uuid4()}"
        start_notices(config=self._config, database=database, notifier=notifier, owner=owner, at_stop=self._stops)
        start_purge(config=self._config, database=database, owner=owner, at_stop=self._stops)
        session = service_session(self._config)
        if self._config.inventory.is_from_nova:  # otherwise no service is called with these credentials
            warn_if_refused(session)
        inventory = configured_inventory(self._config, database, session)
        start_sites(
            config=self._config, database=database, aggregates=inventory.aggregates, owner=owner, at_stop=self._stops
        )
        start_image_statuses(
            config=self._config,
            database=database,
            images=image_service_of_conductor(self._config, session),
            owner=owner,
            at_stop=self._stops,
        )
        cells = build_cells(config=self._config, database=database, prompt=prompt, at_stop=self._stops)
        cells.start(self._planner(database, inventory, cells, owner))
        bus = self._open_bus()
        loop = self._build_loop(database, prompt, cells, notifier, bus, inventory)
        self._stops.callback(loop.stop, PATIENCE)
        if bus is not None:
            self._listen(WakeListener(bus=bus, name=socket.gethostname(), wake=loop.wake))
        loop.start()
        # The loop is stopped first: a call that breaks after that is repeated later and is not an error.
        self._stops.callback(loop.ask_to_stop)
        return socket.gethostname()

    def stop(self) -> None:
        self._stops.close()

    def _notifier(self) -> Notifier:
        wanted = self._config.notifications
        if not wanted.transport_urls:
            return LogNotifier()
        notifier = OsloNotifier(
            conf=self._config.oslo,
            transport_urls=wanted.transport_urls,
            topics=wanted.topics,
            exchange=wanted.exchange,
        )
        notifier.start()
        self._stops.callback(notifier.stop, PATIENCE)
        return notifier

    def _build_loop(
        self,
        database: Database,
        prompt: Database,
        cells: Cells,
        notifier: Notifier,
        bus: Bus | None,
        inventory: Inventory,
    ) -> WorkLoop:
        """Return the loop, not started; from now on, questions of the API are answered. bus: that of the API."""
        config = self._config
        gateway, listening_for_s = cells.gateway, cells.listening_for_s
        if bus is not None:
            survey = host_survey(
                config=config,
                hosts=inventory.hosts,
                caches=gateway,
                requirement=RpcRequirement(needed=DESCRIBE_SINCE, pin=config.upgrade_levels.compute),
                swarm_since=SWARM_SINCE,
                listening_for_s=listening_for_s,
                at_stop=self._stops,
            )
            cleaning = CleanHost(
                hosts=inventory.hosts,
                caches=gateway,
                service_down_time=config.host.service_down_time,
                requirement=RpcRequirement(needed=CLEAN_SINCE, pin=config.upgrade_levels.compute),
                listening_for_s=listening_for_s,
            )
            name = socket.gethostname()
            self._listen(SurveyListener(bus=bus, name=name, survey=survey, cleaning=cleaning))
        return conductor_loop(
            config=config,
            database=database,
            leases=prompt,
            inventory=inventory,
            gateway=gateway,
            notifier=notifier,
            requirement=RpcRequirement(
                needed=CACHE_IMAGES_SINCE,
                pin=config.upgrade_levels.compute,
                for_options=OPTIONS_SINCE,
                for_later_options=LATER_OPTIONS_SINCE,
                for_end_times=END_TIMES_SINCE,
                for_operations=OPERATIONS_SINCE,
            ),
            swarm_since=SWARM_SINCE,
            listening_for_s=listening_for_s,
            at_stop=self._stops,
        )

    def _planner(self, database: Database, inventory: Inventory, cells: Cells, owner: str) -> SwarmPlanner:
        """Return what answers hosts that take part in swarms."""
        config = self._config
        authority = StoredAuthority(
            keys=SqlAuthorityKeys(database=database, keys=config.database.encryption_keys),
            clock=SystemClock(),
            certificate_lifetime=timedelta(hours=config.swarm.certificate_hours),
        )
        authority.check()
        # With connections of its own: hosts that ask do not wait for the work of jobs, nor that for them.
        relays = configured_database(config, Limits.for_hosts())
        self._stops.callback(relays.close)
        return relay_planner(
            config=config,
            database=relays,
            hosts=inventory.hosts,
            gateway=cells.gateway,
            authority=authority,
            owner=owner,
            listening_for_s=cells.listening_for_s,
            at_stop=self._stops,
        )

    def _open_bus(self) -> Bus | None:
        """Return the bus of API and conductors; None without one: the loop then looks for jobs at intervals."""
        if self._config.bus.transport_url is None:
            return None
        bus = open_bus(self._config.oslo, self._config.bus.transport_url)
        self._stops.callback(bus.close)
        return bus

    def _listen(self, listener: WakeListener | SurveyListener) -> None:
        listener.start()
        self._stops.callback(listener.stop, PATIENCE)


def _check_pin(pin: str | None) -> None:
    if pin is not None and is_newer(pin, RPC_VERSION):
        raise InvalidConfiguration(
            f"[upgrade_levels] compute = {pin} is newer than what this release speaks, {RPC_VERSION}; set it to the "
            "version of the oldest compute, or remove it"
        )
