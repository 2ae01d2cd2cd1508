"""Whether a job may run now."""

from __future__ import annotations

from datetime import datetime

from precache.core.stopping import StopReason


def stop_reason(cancel_requested_at: datetime | None, pause_requested_at: datetime | None) -> StopReason | None:
    """Return why operators want the job stopped; None if they do not."""
    if cancel_requested_at is not None:
        return StopReason.CANCELLED
    return None if pause_requested_at is None else StopReason.PAUSED
