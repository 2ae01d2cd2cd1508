"""The offer of an entry that was in the cache before its host was asked for the image.

The host joins the relay as one that has every piece. What it has counts only if a conductor has signed what the file
is, because a seeder of this relay has fetched it from the image service: an entry is never believed on the word of the
host that has it. If nothing is signed yet the host leaves the relay again, so that it takes no turn at the image
service from others.

The hashes of the pieces are not stored. They are made when the first other host asks, and only then is the file read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from precache.background.log_exceptions import log_exceptions
from precache.background.threads import call_in_thread
from precache.core.errors import ConductorUnreachable, NoCertificate, PieceRefused, RelayRefused, Stopped
from precache.core.relays import Form, RelayReport, ReportKind
from precache.imagecache.os_errors import explain
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.verification.content_digest import TREE_SHA256, ContentHash
from precache.ports.swarm_trust import RootStatement, SwarmTrust
from precache.swarm.current_assignment import CurrentAssignment
from precache.swarm.news import Cursor, News
from precache.swarm.relay_file import RelayFile
from precache.swarm.relay_reports import RelayReports, RelayState
from precache.swarm.swarm_host import SwarmHost
from precache.swarm.wire import DIGEST_BYTES, HashBatch

_log = logging.getLogger(__name__)

_NOT_SIGNED = "it has the image, but no conductor has signed yet what it is"
_DIFFERENT = "its entry of the image is not the file of this relay"
_UNREADABLE = "its entry of the image is gone, or cannot be read"

Offered = tuple[RelayFile, CurrentAssignment, RelayReports]


class CachedEntryOffer:
    """One entry of the cache of this host, and the record of it."""

    def __init__(self, *, host: SwarmHost, entry: Path, record: EntryRecord, job_id: str) -> None:
        self._host, self._entry, self._record, self._job_id = host, entry, record, job_id

    def make(self, end: Callable[[str, str], object]) -> Offered | None:
        """Join the relay and serve the entry; return what is served, None if it is not.

        end: called with the relay and the reason if the entry turns out to be another file, or cannot be read.
        Raises OSError if it is gone before the host has joined.
        """
        host, size = self._host, self._entry.stat().st_size
        try:
            host.wait_for_certificate(lambda _seconds: None)
        except NoCertificate as error:
            _log.info("The cached image %s is not offered to other hosts: %s", self._record.image, error.message)
            return None
        request = host.join_request(self._record.image, Form(self._record.form), self._job_id, size)
        try:
            first = host.planner.join(request)
        except (ConductorUnreachable, RelayRefused) as error:
            _log.info("The cached image %s is not offered to other hosts: %s", self._record.image, error)
            return None
        signed = host.trust.read_root(first.root) if first.root else None
        if first.root and signed is None:
            host.trust.ask_for_certificate()  # it may be signed by an authority that is new
        if signed is None or not self._can_be(signed, first.relay, size):
            self._leave(first.relay, first.version, _NOT_SIGNED if signed is None else _DIFFERENT)
            return None
        try:
            file = EntryFile(self._entry, host.trust, first.root, signed, end)
        except OSError as error:
            _log.info("The cached image %s is not offered to other hosts: %s", self._record.image, explain(error))
            self._leave(first.relay, first.version, _UNREADABLE)
            return None
        assignment = CurrentAssignment(first)
        state = RelayState(have_bytes=size, size_bytes=size, version=first.version)
        reports = RelayReports(
            host=host.name, planner=host.planner, assignment=assignment, state=lambda: state, share=host.share
        )
        reports.start()
        reports.end_regular()
        host.server.offer(first.relay, file)
        reports.send(ReportKind.COMPLETE, root=signed.root)
        return file, assignment, reports

    def _can_be(self, signed: RootStatement, relay: str, size_bytes: int) -> bool:
        """Return whether the entry can be this file, as far as its record says."""
        digest = self._record.digest
        is_other = digest.startswith(f"{TREE_SHA256}:") and digest != signed.root
        return (signed.relay, signed.size_bytes) == (relay, size_bytes) and not is_other

    def _leave(self, relay: str, version: int, reason: str) -> None:
        report = RelayReport(relay=relay, host=self._host.name, kind=ReportKind.LEFT, version=version, reason=reason)
        try:
            self._host.planner.report(report)
        except (ConductorUnreachable, RelayRefused) as error:
            _log.info("Host %s could not report that it leaves a relay: %s", self._host.name, error)


class EntryFile(RelayFile):
    """An entry whose pieces are hashed when the first host asks for them.

    end: called with the relay and the reason if the content is not what the conductor has signed, or cannot be read.
    """

    def __init__(
        self, path: Path, trust: SwarmTrust, root: str, signed: RootStatement, end: Callable[[str, str], object]
    ) -> None:
        super().__init__(path, trust, signed.relay, writable=False)
        self._signed, self._end = signed, end
        self._is_asked = False
        self.set_root(root)

    def wait_for_news(self, cursor: Cursor, timeout_s: float) -> News:
        with self._changed:
            is_first, self._is_asked = not self._is_asked, True
        if is_first:
            call_in_thread(self._hash_all, name=f"hash-{self.relay[:8]}")
        return super().wait_for_news(cursor, timeout_s)

    def _hash_all(self) -> None:
        with log_exceptions(what="Hashing an entry for other hosts", of=str(self.path)):
            first = 0

            def add(digests: bytes) -> None:
                nonlocal first
                self.add_local(first, digests)
                self.add_hashes(HashBatch(self._signed.size_bytes, first, digests))
                first += len(digests) // DIGEST_BYTES

            try:
                with ContentHash(self.path, lambda _hashed, _read: self._check_open(), on_digests=add) as content:
                    content.digest()
            except Stopped:
                return
            except PieceRefused as error:
                _log.error(
                    "The entry %s is not the file that the conductors have signed (%s), and is not served to other "
                    "hosts; verify the image on this host",
                    self.path,
                    error.reason,
                )
                self._end(self.relay, _DIFFERENT)
            except OSError as error:
                # Without this, hosts would wait for pieces that never come.
                _log.error(
                    "The entry %s cannot be read (%s), and is not served to other hosts", self.path, explain(error)
                )
                self._end(self.relay, _UNREADABLE)

    def _check_open(self) -> None:
        if self._closed:
            raise Stopped("Hashing an entry for other hosts")
