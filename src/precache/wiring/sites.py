"""The part of a conductor that reads the sites of hosts from the metadata of aggregates."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from precache.adapters.duties_sql import SqlDuties
from precache.adapters.inventory_sql import SqlHosts
from precache.adapters.sql import Database
from precache.background.periodic_task import PeriodicTask
from precache.conductor.held_duty import HeldDuty
from precache.conductor.note_sites import NoteSites
from precache.config.load import Config
from precache.ports.inventory import AggregateQueries

INTERVAL = timedelta(seconds=10)
"""How soon a change of the metadata counts."""

PATIENCE = timedelta(seconds=4)
"""How long a stop waits for a running transaction."""


def start_sites(
    *, config: Config, database: Database, aggregates: AggregateQueries, owner: str, at_stop: ExitStack
) -> None:
    """Start to read the metadata. owner: of the duty, which only one process has.

    at_stop: gets the callbacks for the end.
    """
    # Longer than the interval: so one conductor reads it, as long as it lives, and warns only once.
    lease = 2 * INTERVAL + config.conductor.lease
    duty = HeldDuty(duties=SqlDuties(database=database), name="sites", owner=owner, lease=lease)
    note_sites = NoteSites(duty=duty, aggregates=aggregates, sites=SqlHosts(database=database))
    at_stop.callback(duty.give_up)
    task = PeriodicTask(action=note_sites, interval=INTERVAL, delay=timedelta(), what="Reading the sites of aggregates")
    task.start()
    at_stop.callback(task.stop, PATIENCE)
