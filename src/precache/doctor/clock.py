"""Compares the clock of this machine with Keystone's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from keystoneauth1 import exceptions as ksa

from precache.config.load import Config
from precache.doctor.findings import Finding, ok, skipped, warning
from precache.wiring.service_user import service_session

TOLERABLE = timedelta(seconds=10)
"""Leases and heartbeats use the database's clock. The rest tolerates this: tokens expire after hours, and the
times of tasks are for people to read."""


def check_clock(config: Config) -> Iterator[Finding]:
    auth: Any = config.service_user.auth
    url = getattr(auth, "auth_url", None)
    if not url:
        yield skipped("there is no Keystone to compare the clock with")
        return
    try:
        answer = service_session(config).get(url, authenticated=False, raise_exc=False, log=False, connect_retries=0)
    except ksa.ClientException:
        yield skipped("Keystone could not be asked for the time")
        return
    yield compare_clocks(answer.headers.get("Date"), datetime.now(UTC), TOLERABLE)


def compare_clocks(date: str | None, now: datetime, tolerable: timedelta) -> Finding:
    """Compare the header Date of a response that has just arrived."""
    try:
        skew = abs(parsedate_to_datetime(date or "") - now)
    except (ValueError, TypeError):
        return skipped("Keystone does not say what time it is")
    if skew <= tolerable:
        return ok("the clock agrees with Keystone's")
    return warning(
        f"the clock differs from Keystone's by {skew.total_seconds():.0f} seconds; up to "
        f"{tolerable.total_seconds():.0f} are tolerated",
        "use NTP on both machines: the expiry of tokens and the times of tasks depend on it",
    )
