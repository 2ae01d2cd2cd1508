"""The parts of a conductor that send the notices of jobs: as notifications, and to URLs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

from precache.adapters.clock_system import SystemClock
from precache.adapters.duties_sql import SqlDuties
from precache.adapters.jobs_sql import SqlDeliveryQueue, SqlNoticeOutbox
from precache.adapters.sql import Database
from precache.adapters.webhooks_http import HttpWebhooks
from precache.background.daemon_pool import DaemonPool
from precache.background.periodic_task import PeriodicTask
from precache.conductor.deliver_notices import DeliverNotices
from precache.conductor.held_duty import HeldDuty
from precache.conductor.send_notices import Receivers, SendNotices
from precache.config.load import Config
from precache.config.notifications import WebhookSettings
from precache.core.job_notices import JobNotice
from precache.ports.notifier import Notifier
from precache.rules.webhook_urls import why_refused

INTERVAL = timedelta(seconds=1)
"""How long a notice may wait before it is sent."""

URLS_AT_ONCE = 8

PATIENCE = timedelta(seconds=4)
"""How long a stop waits for a running pass."""


def start_notices(*, config: Config, database: Database, notifier: Notifier, owner: str, at_stop: ExitStack) -> None:
    """Start to send notices. owner: of the duty, which only one process has. at_stop: gets the callbacks for the end.

    Raises InvalidConfiguration.
    """
    webhooks = config.notifications.webhooks
    outbox = SqlNoticeOutbox(database=database)

    def duty(name: str) -> HeldDuty:
        duties = SqlDuties(database=database)
        held = HeldDuty(duties=duties, name=name, owner=owner, lease=config.conductor.lease)
        at_stop.callback(held.give_up)  # before the task is registered, so that the task ends first
        return held

    send = SendNotices(
        duty=duty("notices"),
        outbox=outbox,
        notifier=notifier,
        origin=socket.gethostname(),
        receivers=_receivers(webhooks) if webhooks.is_used else None,
    )
    _start(send, "Sending notices of jobs", at_stop)
    if webhooks.is_used:
        pool = DaemonPool(URLS_AT_ONCE, name="webhook")
        at_stop.callback(partial(pool.shutdown, wait=False, cancel_futures=True))
        deliver = DeliverNotices(
            duty=duty("webhooks"),
            queue=SqlDeliveryQueue(database=database),
            webhooks=HttpWebhooks(
                key=webhooks.require_key(),
                clock=SystemClock(),
                timeout=webhooks.timeout,
                cafile=webhooks.cafile,
            ),
            pool=pool,
            why_refused=partial(_why_refused, webhooks),
            retry_for=webhooks.retry_for,
        )
        _start(deliver, "Delivering notices of jobs", at_stop)


def _start(action: Callable[[], None], what: str, at_stop: ExitStack) -> None:
    task = PeriodicTask(action=action, interval=INTERVAL, what=what)
    task.start()
    at_stop.callback(task.stop, PATIENCE)


def _receivers(settings: WebhookSettings) -> Receivers:
    def receivers(notice: JobNotice) -> Sequence[str]:
        for_all = settings.for_all if notice.event in settings.events else ()
        own = notice.job.options.notify_url
        return list(dict.fromkeys([*([] if own is None else [own]), *for_all]))

    return receivers


def _why_refused(settings: WebhookSettings, url: str) -> str | None:
    """Return why the URL must not be called: the configuration may have changed since the job was accepted."""
    if url in settings.for_all:
        return None
    return why_refused(url, settings.allowed, allow_http=settings.allow_http)
