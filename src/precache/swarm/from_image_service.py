"""A host's turn to fetch an image from the image service, for itself and for the other hosts of its relay."""

from __future__ import annotations

import logging
from dataclasses import replace

from precache.core.errors import NotEnoughSpace, RelayFailed
from precache.core.jobs import Phase
from precache.core.relays import Assignment, ReportKind, Source
from precache.fetch.received_bytes import ReceivedBytes
from precache.imagecache.staging import Fetched
from precache.ports.progress import note_decoder
from precache.ports.swarm_trust import RootStatement
from precache.rules.relay_lag import RelayLag
from precache.swarm.relay_file import RelayFile
from precache.swarm.relay_work import RelayWork
from precache.swarm.seeding import Seeding

_log = logging.getLogger(__name__)

ATTESTED_WITHIN_S = 60.0
"""How long a host that has the image waits for another one to attest it. That one may be called only after this one."""


class Reassigned(Exception):
    """The host is no longer to fetch from the image service. Never leaves this package."""


class FromImageService:
    """The fetch of one image, whose parts are offered as they become final.

    Also the ports `Watcher` and `DecodingWatcher`, for the fetcher."""

    def __init__(self, work: RelayWork) -> None:
        self._work = work
        self._seeded: RelayFile | None = None
        self._uplink = RelayLag(work.host.monotonic())
        self._received, self._earlier = ReceivedBytes(), work.fetched

    def fetch(self) -> Fetched:
        """Return the file when a conductor has signed that the digest which this host found is its root.

        If no other host attests the digest within a minute, return it nevertheless: it is what the image service has.
        Raises Reassigned if the host is to do something else; RelayFailed, and all that `Fetcher.fetch` raises.
        """
        work = self._work
        work.pieces.end_promise()
        try:
            return self._fetch()
        except NotEnoughSpace:
            if not work.pieces.allocated_bytes:
                raise
        _log.info("The pieces of image %s that came from other hosts are removed to make room", work.image.id)
        work.pieces.discard()
        work.offer(work.pieces.open(work.check))
        return self._fetch()

    def _fetch(self) -> Fetched:
        work, host = self._work, self._work.host
        try:
            with Seeding(relay=work.relay, trust=host.trust, offer=self._offer, withdraw=self._withdraw) as seeding:
                self._received, self._earlier = ReceivedBytes(), work.fetched
                fetched = host.fetcher.fetch(work.order, work.staging, self, seeding, self._received)
                root = seeding.finish(work.check)
            return self._attest(fetched, root)
        except BaseException:
            self._count()
            if self._seeded is not None:
                self._withdraw(self._seeded)
            raise

    def _attest(self, fetched: Fetched, root: str) -> Fetched:
        work, size = self._work, fetched.entry.stat().st_size
        self._count()
        work.reports.send(ReportKind.COMPLETE, root=root)
        signed = self._wait_for_root()
        if signed is None:
            _log.info("Host %s publishes image %s, which no other host has attested yet", work.host.name, work.image.id)
        elif (signed.root, signed.size_bytes) != (root, size):
            reason = f"this host found {root} of {size} bytes, and others {signed.root} of {signed.size_bytes}"
            raise RelayFailed(work.image.id, reason)
        work.note_sources()
        return replace(fetched, record=replace(fetched.record, digest=root), bytes_from=work.bytes_from)

    def _wait_for_root(self) -> RootStatement | None:
        """Return what a conductor has signed; None if conductors answer, and still wait for another host."""
        work = self._work
        until = work.host.monotonic() + ATTESTED_WITHIN_S
        while (signed := self._signed_root(assignment := work.follow())) is None:
            if work.host.monotonic() >= until and not work.reports.silent_for_s:
                return None
            work.wait_for_change(assignment)
        return signed

    def _signed_root(self, assignment: Assignment) -> RootStatement | None:
        signed = self._work.host.trust.read_root(assignment.root) if assignment.root else None
        return signed if signed is not None and signed.relay == self._work.relay else None

    def _offer(self, file: RelayFile) -> None:
        self._seeded = file
        # If this process is killed, the host goes on with what it has, as one that receives from others.
        self._work.pieces.keep(file.path, file.size_bytes or 0)
        self._work.offer(file)

    def _withdraw(self, file: RelayFile) -> None:
        """Offer what came from other hosts, in place of a file that is void."""
        if self._seeded is file:
            self._seeded = None
            if self._work.pieces.file is not None:
                self._work.offer(self._work.pieces.file)
        file.close()

    def _count(self) -> None:
        """Note what came from the image service until now, damaged and given up downloads included."""
        self._work.fetched = self._earlier + self._received.bytes_from

    def note_decoder(self, decoded_by: str) -> None:
        note_decoder(self._work.watch, decoded_by)

    def __call__(self, phase: Phase, bytes_done: int, bytes_total: int) -> None:
        self._count()
        if self._work.follow().source is not Source.IMAGE_SERVICE:
            raise Reassigned
        if phase is Phase.DOWNLOADING:  # later the bytes are of the conversion, or stand still
            self._uplink.note(self._work.host.monotonic(), bytes_done)
            self._work.rate_bytes_per_s = self._uplink.rate_bytes_per_s
        self._work.note_progress(phase, bytes_done, bytes_total)
