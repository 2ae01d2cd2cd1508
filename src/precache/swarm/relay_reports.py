"""The reports of this host on one relay: what is wrong at once, and how far it is at intervals.

The answers are assignments.

A conductor may be down for a while: nothing here waits for it except the thread of the reports.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from precache.background.threads import start_thread
from precache.core.errors import ConductorUnreachable, RelayRefused
from precache.core.relays import RelayReport, ReportKind
from precache.ports.swarm_planner import SwarmPlanner
from precache.swarm.current_assignment import CurrentAssignment

_log = logging.getLogger(__name__)

_LAST_ATTEMPTS = 3
"""How often a host that leaves tries to report it. If no conductor gets it, they notice that the host is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayState:
    """How far the host is; the fields are those of `RelayReport`.

    version: of the assignment that the host follows in fact: with it, `parent` may be a spare to which the host has
        gone by itself. A newer one may have arrived.
    """

    have_bytes: int = 0
    offered_bytes: int = 0
    rate_bytes_per_s: int = 0
    size_bytes: int = 0
    parent: str = ""
    version: int = 0


class RelayReports:
    """Sends the reports of one relay in a thread of its own, from `start` until `leave` or `stop`. Thread-safe."""

    def __init__(
        self,
        *,
        host: str,
        planner: SwarmPlanner,
        assignment: CurrentAssignment,
        state: Callable[[], RelayState],
        share: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """assignment: gets the answers. state: called by the thread before each report; quick.

        share: returns a random number from 0 to 1, by which waits differ, so that many hosts do not report at once.
        monotonic: a clock, in seconds.
        """
        self._host, self._planner, self._assignment, self._state = host, planner, assignment, state
        self._share, self._monotonic = share, monotonic
        self._due: dict[ReportKind, dict[str, object]] = {}
        self._changed = threading.Condition()
        self._is_last = self._is_regular = False
        self._stopping = threading.Event()
        self._answered_at = monotonic()
        self._is_answered = True

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if the system can start no further thread."""
        self._is_regular = True
        start_thread(self._run, name=f"relay reports of {self._host}")

    def send(self, kind: ReportKind, *, parent: str = "", lost: tuple[str, ...] = (), root: str = "",
             reason: str = "", is_image_faulty: bool = False) -> None:  # fmt: skip
        """Send a report of this kind now, in place of one that was not sent yet; do not wait.

        It is repeated until a conductor has answered. parent: in place of that of the state, if not empty.
        """
        given: dict[str, object] = {"lost": lost, "root": root, "reason": reason, "is_image_faulty": is_image_faulty}
        if parent:
            given["parent"] = parent
        with self._changed:
            self._due[kind] = given
            self._changed.notify_all()

    def end_regular(self) -> None:
        """Send no further reports at intervals: the host is complete."""
        with self._changed:
            self._is_regular = False

    def leave(self, reason: str, *, is_image_faulty: bool = False) -> None:
        """Report that the host leaves the relay, and why, and end the thread then; do not wait.

        is_image_faulty: as of RelayReport.
        """
        with self._changed:
            self._due.clear()
            self._is_last = True
        self.send(ReportKind.LEFT, reason=reason, is_image_faulty=is_image_faulty)

    def stop(self) -> None:
        """End the thread without a further report; do not wait."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def silent_for_s(self) -> float:
        """Return for how many seconds no conductor has answered; 0 if the last report was answered."""
        return 0.0 if self._is_answered else self._monotonic() - self._answered_at

    def _run(self) -> None:
        pause_s = self._interval_s() * self._share()
        attempts = 0
        while (kind := self._next(pause_s)) is not None:
            with self._changed:
                given = self._due.pop(kind, {})
            if self._send(kind, given):
                pause_s, attempts = self._interval_s(), 0
                if kind is ReportKind.LEFT:
                    return
                continue
            attempts += 1
            if self._is_last and attempts >= _LAST_ATTEMPTS:
                return
            with self._changed:
                if kind is not ReportKind.PROGRESS and (not self._is_last or kind is ReportKind.LEFT):
                    self._due = {kind: self._due.pop(kind, given)} | self._due
            pause_s = self._interval_s()
            self._stopping.wait(self._retry_s() * (0.5 + self._share()))

    def _next(self, pause_s: float) -> ReportKind | None:
        """Return the kind of the next report when it is due; None if there is none any more."""
        until = self._monotonic() + pause_s
        with self._changed:
            while not self._stopping.is_set():
                if self._due:
                    return next(iter(self._due))
                left_s = until - self._monotonic()
                if self._is_regular and left_s <= 0:
                    return ReportKind.PROGRESS
                self._changed.wait(left_s if self._is_regular else None)
        return None

    def _send(self, kind: ReportKind, given: dict[str, object]) -> bool:
        """Send one report; return whether a conductor has answered."""
        state = self._state()
        report = RelayReport(
            relay=self._assignment.latest.relay,
            host=self._host,
            kind=kind,
            version=state.version,
            have_bytes=state.have_bytes,
            offered_bytes=state.offered_bytes,
            rate_bytes_per_s=state.rate_bytes_per_s,
            size_bytes=state.size_bytes,
            parent=state.parent,
        )
        try:
            answer = self._planner.report(replace(report, **given))  # type: ignore[arg-type]
        except RelayRefused as error:
            self._assignment.fail(error)
            self._stopping.set()
            return True
        except ConductorUnreachable as error:
            if self._is_answered:
                _log.warning("%s; the relay goes on, and host %s reports again", error, self._host)
            self._is_answered = False
            return False
        self._answered_at, self._is_answered = self._monotonic(), True
        self._assignment.offer(answer)
        return True

    def _interval_s(self) -> float:
        return self._assignment.latest.report_interval_s

    def _retry_s(self) -> float:
        return self._assignment.latest.retry_after_s
