"""The certificate of a host for swarms: it is asked for at the start, and again after half of its time."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from precache.background.periodic_task import PeriodicTask
from precache.core.errors import ClockWrong, ConductorUnreachable, PrecacheError, RelayRefused
from precache.ports.clock import Clock
from precache.ports.swarm_planner import SwarmPlanner
from precache.swarm.host_trust import HostTrust

_log = logging.getLogger(__name__)

LOOK_INTERVAL = timedelta(seconds=1)
"""Between two looks whether it is time to ask."""

FIRST_PAUSE = timedelta(seconds=2)
"""Before the first attempt, with the spread: by then a conductor has usually stored the first heartbeat. And after the
first failure; each later pause is twice as long."""

LONGEST_PAUSE = timedelta(minutes=5)
"""Between two attempts."""

WANTED_PAUSE = timedelta(seconds=5)
"""Between two attempts while an image waits for the certificate."""

SILENT_FOR = timedelta(minutes=1)
"""After the start. A host often asks before its first heartbeat is stored, or before a conductor runs."""

SPREAD = 0.1
"""Of the time until the renewal, so that hosts that started together do not ask together."""


class RenewCertificate:
    """The regular work that keeps the certificate of `trust` valid. Call `start`, and `stop` at the end.

    A host without a certificate takes part in no swarm. It logs the reason once.
    spread: returns a number from 0 to 1, at random.
    """

    def __init__(
        self,
        *,
        trust: HostTrust,
        cell: str,
        planner: SwarmPlanner,
        clock: Clock,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._trust, self._cell, self._planner, self._clock, self._spread = trust, cell, planner, clock, spread
        self._began_at = clock.uptime()
        self._next_at, self._pause = self._began_at + self._spread_over(FIRST_PAUSE), FIRST_PAUSE
        self._wanted_at = self._next_at
        self._renew_at: datetime | None = None
        self._is_reason_told = False
        self._task = PeriodicTask(
            action=self.run, interval=LOOK_INTERVAL, what="The renewal of the certificate of", of=trust.host
        )

    def start(self) -> None:
        self._task.start()

    def ask_to_stop(self) -> None:
        self._task.ask_to_stop()

    def stop(self, patience: timedelta) -> None:
        self._task.stop(patience)

    def run(self) -> None:
        """Ask for a certificate if it is time to."""
        next_at = min(self._next_at, self._wanted_at) if self._trust.is_asked_for else self._next_at
        if self._clock.uptime() < next_at or not self._is_due():
            return
        try:
            given = self._planner.certify(self._trust.host, self._cell, self._trust.signing_request())
            self._trust.install(given)
        except PrecacheError as error:
            self._failed(error)
            return
        self._succeeded()

    def _is_due(self) -> bool:
        if self._renew_at is None or not self._trust.is_certified or self._trust.is_asked_for:
            return True
        return self._clock.now() >= self._renew_at

    def _spread_over(self, pause: timedelta) -> timedelta:
        return pause * (1 + self._spread()) / 2

    def _succeeded(self) -> None:
        is_first = self._renew_at is None
        if (half := self._trust.renew_at) is not None:
            self._renew_at = half + (half - self._clock.now()) * SPREAD * self._spread()
        if (is_first or self._is_reason_told) and (identity := self._trust.identity) is not None:
            _log.info(
                "Host %s has a certificate for site %s; it can get images from other hosts",
                identity.host,
                identity.site,
            )
        self._pause, self._is_reason_told = FIRST_PAUSE, False
        self._next_at = self._clock.uptime()
        self._wanted_at = self._next_at + self._spread_over(WANTED_PAUSE)

    def _failed(self, error: PrecacheError) -> None:
        """Wait longer after each failure. Log the reason once, when the host has no certificate any more."""
        now = self._clock.uptime()
        self._next_at = now + self._spread_over(self._pause)
        self._wanted_at = now + self._spread_over(WANTED_PAUSE)
        reason = error.reason if isinstance(error, RelayRefused | ConductorUnreachable) else str(error)
        self._trust.note_refusal(reason)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        is_early = now - self._began_at < SILENT_FOR and not isinstance(error, ClockWrong)
        if self._trust.is_certified or self._is_reason_told or is_early:
            _log.debug("Host %s got no certificate: %s", self._trust.host, error)
            return
        self._is_reason_told = True
        _log.warning(
            "Host %s takes part in no swarm until it has a certificate, for which it asks again: %s",
            self._trust.host,
            reason,
        )
