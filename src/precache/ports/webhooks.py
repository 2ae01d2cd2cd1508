"""Sends notices to URLs."""

from __future__ import annotations

from typing import Protocol

from precache.core.job_notices import Delivery


class Webhooks(Protocol):
    def post(self, delivery: Delivery) -> None:
        """Send it, signed; return when the receiver has accepted it. Blocks for a bounded time.

        Raises WebhookFailed.
        """
        ...
