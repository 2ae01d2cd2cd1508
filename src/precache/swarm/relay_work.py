"""What the work on one image in a relay has in common, wherever the image comes from: assignment, reports and waits."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from precache.core.bytes_from import NO_BYTES, BytesFrom
from precache.core.errors import ConductorUnreachable, HashesDiffer, PieceRefused, RelayFailed
from precache.core.images import Image
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.core.relays import Assignment, ReportKind, Source
from precache.fetch.attempt_runner import POLL_SECONDS
from precache.imagecache.staging import Staging
from precache.ports.progress import Watcher, note_source
from precache.swarm.current_assignment import CurrentAssignment
from precache.swarm.host_pieces import HostPieces
from precache.swarm.relay_file import RelayFile
from precache.swarm.relay_reports import RelayReports, RelayState
from precache.swarm.swarm_host import CERTIFICATE_WAIT_S, SwarmHost

_log = logging.getLogger(__name__)

MOST_UNCOUNTED_S = 3600.0
"""For how long a host waits for others on one image without loss for its own deadline: as long as two hosts need, one
after the other, that fail by the default of [DEFAULT] long_rpc_timeout."""

CONDUCTORS_LOST_S = 300.0
"""How long a host that needs a new place goes on without an answer from any conductor."""


_SITE_WAIT_S = 10.0


class HashesInDoubt(Exception):
    """The hashes that this host knows are not all of one file. Never leaves this package."""


@dataclass(kw_only=True)
class RelayWork:
    """One image, one host, one attempt. For the thread of the task; `state` also for that of the reports.

    version, parent: of the assignment that is followed in fact, and the host that sends; empty if none does.
    rate_bytes_per_s, offered_bytes: for the reports.
    received_bytes: from other hosts, without the stream that runs; stream_bytes: of that one. fetched: what came with
        the image service's help.
    uncounted_s: for how long it has waited without loss for its deadline.
    """

    order: ImageOrder
    image: Image
    staging: Staging
    watch: Watcher
    host: SwarmHost
    pieces: HostPieces
    assignment: CurrentAssignment
    version: int = 0
    parent: str = ""
    rate_bytes_per_s: int = 0
    offered_bytes: int = 0
    received_bytes: int = 0
    stream_bytes: int = 0
    fetched: BytesFrom = NO_BYTES
    uncounted_s: float = 0.0
    offered: RelayFile | None = None
    reports: RelayReports = field(init=False)

    def __post_init__(self) -> None:
        self._unknown_since_s: float | None = None
        self._elsewhere_since_s: float | None = None
        self.relay = self.assignment.latest.relay
        self.version = self.assignment.latest.version
        self.reports = RelayReports(
            host=self.host.name,
            planner=self.host.planner,
            assignment=self.assignment,
            state=self.state,
            share=self.host.share,
            monotonic=self.host.monotonic,
        )

    def offer(self, file: RelayFile) -> None:
        """Offer this file to other hosts, in place of an earlier one."""
        self.offered = file
        self.host.server.offer(self.relay, file)

    def follow(self) -> Assignment:
        """Return the newest assignment, after what it has signed was noted.

        Raises RelayFailed if the relay has failed for good, RelayRefused, HashesInDoubt.
        """
        assignment = self.assignment.get()
        if assignment.failed:
            raise RelayFailed(self.image.id, assignment.failed)
        for file in {self.offered, self.pieces.file} - {None}:
            assert file is not None  # noqa: S101
            self._note_signed(file, assignment)
        return assignment

    def waits_for_certificate(self, assignment: Assignment) -> bool:
        """Return whether the host needs a new certificate, for which it has asked, before other hosts accept it.

        Either the authority was renewed, or the site of the host has changed; for that, it waits for seconds only.
        """
        if self._unknown_since_s is not None:
            return True
        if assignment.source is not Source.HOST or self.host.trust.is_in_site_of(assignment.ticket):
            self._elsewhere_since_s = None
            return False
        if self._elsewhere_since_s is None:
            self._elsewhere_since_s = self.host.monotonic()
            self.host.trust.ask_for_certificate()
            _log.info("The site of host %s has changed; it asks for a new certificate", self.host.name)
        return self.host.monotonic() - self._elsewhere_since_s < _SITE_WAIT_S

    def check(self) -> None:
        """Raise if the work is to stop, or the relay has failed."""
        self.follow()
        have_bytes, size_bytes = self._numbers()
        self.note_progress(Phase.WAITING, have_bytes, size_bytes)

    def note_progress(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        """Report to the watcher of the task how far this host is, and from where that came. Raises what it raises."""
        self.note_sources()
        self.watch(phase, bytes_done, bytes_total)

    def note_sources(self) -> None:
        interval = timedelta(seconds=self.assignment.latest.report_interval_s)
        note_source(self.watch, self.parent, self.bytes_from, interval)

    @property
    def bytes_from(self) -> BytesFrom:
        """Return from where the bytes of this attempt came until now."""
        others = BytesFrom(hosts=self.received_bytes + self.stream_bytes, cache=self.pieces.base_bytes)
        return self.fetched + others

    def pause(self, seconds: float) -> None:
        """Wait at most so long for a new assignment. The wait does not count for the deadline. Raises as `check`."""
        began_at = self.host.monotonic()
        self.assignment.wait(self.assignment.changes, seconds)
        self.note_wait(self.host.monotonic() - began_at)
        self.check()

    def note_wait(self, seconds: float) -> None:
        """Do not count these seconds for the deadline of the task, in which the host could do nothing.

        The host that fetches from the image service has a deadline, too. So this ends, unless one after another fails.
        """
        seconds = min(seconds, MOST_UNCOUNTED_S - self.uncounted_s)
        if seconds > 0:
            self.uncounted_s += seconds
            self.host.rates.of(self.order).note_wait(seconds)

    def wait_for_change(self, assignment: Assignment) -> None:
        """Wait until there is another assignment; if that takes long, report again, so that the answer is one.

        Raises as `check`; ConductorUnreachable.
        """
        until = self.host.monotonic() + assignment.retry_after_s * (0.5 + self.host.share())
        while self.assignment.latest == assignment and self.host.monotonic() < until:
            self.pause(POLL_SECONDS)
        if self.assignment.latest == assignment:
            self.reports.send(ReportKind.PROGRESS)
        if self.reports.silent_for_s > CONDUCTORS_LOST_S:
            raise ConductorUnreachable(f"none has for {CONDUCTORS_LOST_S:.0f} seconds")

    def state(self) -> RelayState:
        have_bytes, size_bytes = self._numbers()
        return RelayState(
            have_bytes=have_bytes,
            offered_bytes=self.offered_bytes,
            rate_bytes_per_s=self.rate_bytes_per_s,
            size_bytes=size_bytes,
            parent=self.parent,
            version=self.version,
        )

    def _numbers(self) -> tuple[int, int]:
        file = self.offered
        return (0, 0) if file is None else (file.have_bytes, file.size_bytes or 0)

    def _is_known(self, root: str) -> bool:
        """Return whether an authority that this host knows has signed this root.

        The authority may have been renewed, so the host asks for a new certificate. Raises RelayFailed if that does not
        help within a minute.
        """
        trust, now_s = self.host.trust, self.host.monotonic()
        if trust.read_root(root) is not None:
            self._unknown_since_s = None
            return True
        if self._unknown_since_s is None:
            self._unknown_since_s = now_s
            trust.ask_for_certificate()
            _log.info(
                "Host %s does not know the authority that has signed image %s, and asks for a new certificate",
                self.host.name,
                self.image.id,
            )
        if now_s - self._unknown_since_s >= CERTIFICATE_WAIT_S:
            reason = "no conductor that this host knows has signed the root of its file, also after a minute"
            raise RelayFailed(self.image.id, reason)
        return False

    def _note_signed(self, file: RelayFile, assignment: Assignment) -> None:
        file.allow_signers(assignment.signers)
        try:
            if assignment.root and self._is_known(assignment.root):
                file.set_root(assignment.root)
        except HashesDiffer as error:
            raise HashesInDoubt from error
        except PieceRefused as error:
            raise RelayFailed(self.image.id, error.reason) from error
