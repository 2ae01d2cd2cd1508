"""The way of one image to this host through a relay, by the assignments of the conductors, until the file is complete.

Nothing is decided here about other hosts. The file is complete when every piece agrees with its hash, and all hashes
together with the root that a conductor has signed. In doubt the host reports, and does what the answer says.
"""

from __future__ import annotations

from precache.core.errors import NotEnoughSpace, Stopped, Unavailable
from precache.core.relays import Assignment, Source
from precache.core.stopping import StopReason
from precache.fetch.attempt_runner import POLL_SECONDS
from precache.fetch.sound_attempts import ABOUT_THE_DATA
from precache.imagecache.staging import Fetched
from precache.ports.progress import note_decoder
from precache.swarm.from_hosts import FromHosts
from precache.swarm.from_image_service import FromImageService, Reassigned
from precache.swarm.relay_work import HashesInDoubt, RelayWork

_KEEPING = frozenset({StopReason.PAUSED, StopReason.SHUTDOWN})
"""Stops after which the pieces stay on the host. After a restart the task comes again, as after a kill."""


class RelayTransfer:
    """One image, one host, one attempt. `run` is called once, by the thread of the task."""

    def __init__(self, work: RelayWork) -> None:
        self._work = work
        self._from_hosts = FromHosts(work)

    def run(self) -> Fetched:
        """Return the complete file. Then it is still offered, and the reports still run.

        After an error nothing is offered, and the conductors learn that the host has left. Raises RelayFailed,
        RelayRefused, ConductorUnreachable, and all that `Fetcher.fetch` raises.
        """
        work = self._work
        work.reports.start()
        try:
            work.offer(work.pieces.open(work.check))
            fetched = self._follow()
        except BaseException as error:
            self._from_hosts.end()
            work.host.server.withdraw(work.relay)
            # What comes from hosts is what a seeder has verified: another error of this kind is of this host.
            is_faulty = isinstance(error, ABOUT_THE_DATA) and work.assignment.latest.source is Source.IMAGE_SERVICE
            work.reports.leave(str(error) or type(error).__name__, is_image_faulty=is_faulty)
            have_bytes = work.pieces.file.have_bytes if work.pieces.file else 0
            self._close(error)
            if isinstance(error, OSError):
                raise work.pieces.failure(error, have_bytes) from error
            raise
        work.reports.end_regular()
        work.pieces.end(keep_open=work.offered)
        return fetched

    def _follow(self) -> Fetched:
        while True:
            try:
                fetched = self._step(self._work.follow())
            except Reassigned:
                note_decoder(self._work.watch, "")  # from now on other hosts send the disk
                continue
            except HashesInDoubt:
                self._from_hosts.begin_again()
                continue
            if fetched is not None:
                return fetched

    def _step(self, assignment: Assignment) -> Fetched | None:
        """Do what the assignment says, and return the file if it is complete then."""
        if self._from_hosts.is_complete:
            return self._from_hosts.finish()
        if self._work.waits_for_certificate(assignment):  # other hosts would refuse this one
            self._work.pause(POLL_SECONDS)
            return None
        self._work.version, self._work.parent = assignment.version, ""
        match assignment.source:
            case Source.IMAGE_SERVICE:
                return FromImageService(self._work).fetch()
            case Source.HOST:
                self._from_hosts.receive(assignment)
            case Source.WAIT:
                self._work.wait_for_change(assignment)
        return None

    def _close(self, error: BaseException) -> None:
        """Close the file; what is in it stays on the host if the next attempt can use it."""
        is_stop = isinstance(error, Stopped) and (error.keeps_data or error.reason in _KEEPING)
        if is_stop or (isinstance(error, Unavailable) and not isinstance(error, NotEnoughSpace)):
            self._work.pieces.keep_again()
            self._work.pieces.close()
        else:
            self._work.pieces.discard()
