"""The background purge of a conductor."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from precache.adapters.duties_sql import SqlDuties
from precache.adapters.jobs_sql import SqlJobPurge
from precache.adapters.sql import Database
from precache.background.cancel_token import CancelToken
from precache.background.periodic_task import PeriodicTask
from precache.conductor.held_duty import HeldDuty
from precache.conductor.purge_jobs import PurgeJobs
from precache.config.load import Config
from precache.core.stopping import StopReason

INTERVAL = timedelta(hours=1)
DELAY = timedelta(seconds=10)
PATIENCE = timedelta(seconds=4)
"""How long a stop waits for a running transaction."""


def start_purge(*, config: Config, database: Database, owner: str, at_stop: ExitStack) -> None:
    """Start to remove old jobs, if they are not kept for ever.

    owner: of the duty, which only one process has. at_stop: gets the callbacks for the end.
    """
    if config.jobs.keep is None:
        return
    stop = CancelToken()
    duty = HeldDuty(duties=SqlDuties(database=database), name="purge", owner=owner, lease=config.conductor.lease)
    purge = PurgeJobs(duty=duty, purge=SqlJobPurge(database=database), keep=config.jobs.keep, stop=stop)
    at_stop.callback(duty.give_up)
    task = PeriodicTask(action=purge, interval=INTERVAL, delay=DELAY, what="Removing old jobs")
    task.start()
    at_stop.callback(task.stop, PATIENCE)
    at_stop.callback(stop.cancel, StopReason.SHUTDOWN)
