"""Sends the notices of jobs as notifications, and stores what is to be sent to URLs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from precache.conductor.held_duty import HeldDuty
from precache.core.job_notices import JobNotice, NewDelivery
from precache.ports.job_notices import NoticeOutbox
from precache.ports.notifier import Notification, Notifier
from precache.rules.job_payloads import job_payload, webhook_body
from precache.rules.quiet_notices import without_looks

_log = logging.getLogger(__name__)

BATCH = 100
CAPACITY = 100_000
"""The most notices that are kept while the brokers are down, some hundred bytes each."""

PASSES_PER_LOOK = 60
"""How often it is checked that there are not too many."""

SEND_WITHIN = timedelta(seconds=2)
"""How long one pass waits for the brokers: a stop of the process waits for the pass."""

Receivers = Callable[[JobNotice], Sequence[str]]
"""Returns the URLs that are told of a notice."""


class SendNotices:
    """One pass, to be repeated every second. For one thread.

    A notice is removed after all brokers have it, so it is sent again if this process dies in between.
    receivers: None if there are no webhooks.
    """

    def __init__(
        self,
        *,
        duty: HeldDuty,
        outbox: NoticeOutbox,
        notifier: Notifier,
        origin: str,
        receivers: Receivers | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self._duty, self._outbox, self._notifier = duty, outbox, notifier
        self._publisher_id = f"precache-conductor:{origin}"
        self._receivers = receivers
        self._capacity = capacity
        self._emitted: list[int] = []  # not known to be sent yet
        self._passes = 0

    def __call__(self) -> None:
        """Send what there is, as far as the brokers take it. Raises StoreUnavailable."""
        if not self._duty.is_held():
            return
        if self._passes % PASSES_PER_LOOK == 0:
            self._drop_oldest()
        self._passes += 1
        if self._receivers is not None:
            self._store_deliveries(self._receivers)
        while self._duty.is_held() and self._send_some():
            pass

    def _drop_oldest(self) -> None:
        dropped = self._outbox.keep_newest(self._capacity)
        if dropped:
            _log.error(
                "%i notices of jobs were dropped, because more than %i wait for the message buses of [notifications]",
                dropped, self._capacity,
            )  # fmt: skip

    def _store_deliveries(self, receivers: Receivers) -> None:
        while wanted := self._worth_sending(self._outbox.without_deliveries(BATCH)):
            new = [
                NewDelivery(notice.number, url, webhook_body(notice, self._publisher_id))
                for notice in wanted
                for url in receivers(notice)
            ]
            self._outbox.add_deliveries([notice.number for notice in wanted], new)

    def _worth_sending(self, notices: Sequence[JobNotice]) -> Sequence[JobNotice]:
        """Remove those that are no news; return those that are to be sent now."""
        found = without_looks(notices)
        if found.drop:
            self._outbox.remove([notice.number for notice in found.drop])
        return found.send

    def _send_some(self) -> bool:
        """Send one batch; return whether there may be another one."""
        if not self._finish_batch():
            return False
        notices = self._outbox.oldest(BATCH)
        is_full = len(notices) == BATCH
        if self._receivers is None:
            notices = list(self._worth_sending(notices))
            _log_unserved(notices)
        else:
            # The others came since, or are not worth sending yet; they have no deliveries.
            notices = [notice for notice in notices if notice.has_deliveries]
        for notice in notices:
            self._notifier.emit(Notification(notice.event.type, self._publisher_id, job_payload(notice)))
        self._emitted = [notice.number for notice in notices]
        return self._finish_batch() and bool(notices) and is_full

    def _finish_batch(self) -> bool:
        """Return whether all that was emitted is sent and removed. While it is not, nothing is emitted again."""
        if self._emitted:
            if not self._notifier.wait_until_sent(SEND_WITHIN):
                return False
            self._outbox.remove(self._emitted)
            self._emitted = []
        return True


def _log_unserved(notices: Sequence[JobNotice]) -> None:
    """Log the notices whose URL is not told, because only the API has the configuration for webhooks."""
    for notice in notices:
        if notice.job.options.notify_url is not None:
            _log.error(
                "Notice %s (%s) is not sent to the notify_url of its job: this conductor has no [notifications] "
                "webhook_urls, which the API has; set it here, too",
                notice.id, notice.event,
            )  # fmt: skip
