"""The part of a conductor that compares the cached images with the image service."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from datetime import timedelta

from precache.adapters.duties_sql import SqlDuties
from precache.adapters.images_wrapped import Failover
from precache.adapters.inventory_sql import SqlImageStatuses
from precache.adapters.sql import Database
from precache.background.cancel_token import CancelToken
from precache.background.periodic_task import PeriodicTask
from precache.conductor.check_images import CheckImages
from precache.conductor.held_duty import HeldDuty
from precache.config.load import Config
from precache.core.stopping import StopReason

_log = logging.getLogger(__name__)

NEW_IMAGES_INTERVAL = timedelta(seconds=20)
"""How soon the image service is asked for an image that is new in the caches."""

PATIENCE = timedelta(seconds=4)
"""How long a stop waits for a running request."""


def start_image_statuses(
    *, config: Config, database: Database, images: Failover | None, owner: str, at_stop: ExitStack
) -> None:
    """Start to compare, if [inventory] image_status_interval is not 0.

    images: None without credentials. owner: of the duty, which only one process has. at_stop: gets the callbacks for
    the end.
    """
    interval = config.inventory.image_status_interval
    if not interval:
        return
    if images is None:
        _log.info(
            "The status of cached images in the image service stays unknown: [service_user] has no credentials, and "
            "[glance] endpoint_override is not set"
        )
        return
    stop = CancelToken()
    # Longer than the interval: so one conductor compares, as long as it lives.
    lease = 2 * interval + config.conductor.lease
    duty = HeldDuty(duties=SqlDuties(database=database), name="image statuses", owner=owner, lease=lease)
    statuses = SqlImageStatuses(database=database)
    check = CheckImages(duty=duty, statuses=statuses, images=images, stop=stop, interval=interval)
    at_stop.callback(duty.give_up)
    what = "Comparing the cached images with the image service"
    pause = min(interval, NEW_IMAGES_INTERVAL)
    task = PeriodicTask(action=check, interval=pause, delay=pause, what=what)
    task.start()
    at_stop.callback(task.stop, PATIENCE)
    at_stop.callback(stop.cancel, StopReason.SHUTDOWN)
