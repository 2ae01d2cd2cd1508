"""A host receives an image from other hosts of its site: from its parent, or from a spare if that is lost."""

from __future__ import annotations

import logging
from dataclasses import replace

from precache.core.errors import NotEnoughSpace, PeerLost, RelayFailed, RelayRefused, WrongPiece
from precache.core.jobs import Phase
from precache.core.relays import Assignment, ReportKind
from precache.fetch.fetcher import describe
from precache.fetch.sparse_file import flush
from precache.imagecache.records.entry_record import FROM_HOSTS
from precache.imagecache.staging import Fetched
from precache.swarm.parent_stream import ParentStream
from precache.swarm.relay_work import CONDUCTORS_LOST_S, HashesInDoubt, RelayWork
from precache.swarm.route import Route

_log = logging.getLogger(__name__)

RETRY_PAUSE_S = 0.05
"""Between two connections. Without a pause the hosts that lost a parent would fill the queue of another one."""

_LOOK_S = 0.05
"""Between two looks at a stream that runs."""

_MOST_DOUBTS = 10
_DOUBT_PAUSE_S = 0.2
"""How often a host begins again with the hashes, before it gives the relay up, and the growth of the pauses before.

Its parent may have to do the same first."""


class FromHosts:
    """The receipt of one image, over all assignments."""

    def __init__(self, work: RelayWork) -> None:
        self._work = work
        self._stream: ParentStream | None = None
        self._doubts = 0
        self._contradicted: set[str] = set()
        self._refused_since_s: float | None = None

    @property
    def is_complete(self) -> bool:
        """Return whether the file has every piece, and agrees with the root that a conductor has signed.

        Raises HashesInDoubt if it has every piece and does not agree.
        """
        file = self._work.pieces.file
        if file is None or not file.is_whole or not file.root_text:
            return False
        if not file.agrees:
            raise HashesInDoubt
        return True

    def receive(self, assignment: Assignment) -> None:
        """Receive as assigned, until the file is complete or the host is to do something else.

        Raises HashesInDoubt; RelayFailed, RelayRefused, ConductorUnreachable, NotEnoughSpace, CacheUnusable, OSError
        of the disk; what the watcher raises.
        """
        work, route = self._work, Route(assignment)
        reason, may_repeat = "", False
        while (peer := route.next(may_repeat=may_repeat)) is not None:
            may_repeat = False
            try:
                if self._receive_from(route):
                    return
                reason = "it ended before everything was sent"
            except PeerLost as error:
                reason = error.reason
                may_repeat = self._is_accepted and not error.is_silent
            except WrongPiece as error:
                reason = error.reason
                self._note_wrong(error)
            except RelayRefused as error:
                self._wait_for_certificate(error, assignment)
                return
            except NotEnoughSpace:
                self.end()
                if not work.pieces.give_up_base():
                    raise
                _log.info("Image %s is received as a whole, so that an older one can make room", work.image.id)
                work.offer(work.pieces.open(work.check))
                return
            finally:
                self.end()
            _log.info("Host %s: image %s from %s ended: %s", work.host.name, work.image.id, peer.host, reason)
            if not route.follow(work.follow()):
                return
            work.pause(RETRY_PAUSE_S)
        parent = route.assignment.parent.host if route.assignment.parent else ""
        work.reports.send(ReportKind.LOST_PARENT, parent=parent, lost=tuple(route.lost), reason=reason)
        work.wait_for_change(route.assignment)

    def begin_again(self) -> None:
        """Forget all hashes: a seeder has signed some of another file, such as of a download that was damaged.

        Raises RelayFailed if that has not helped before; OSError; as `RelayWork.check`.
        """
        work = self._work
        self._doubts += 1
        if self._doubts > _MOST_DOUBTS:
            raise RelayFailed(work.image.id, "the hashes that its seeders have signed are not of one file")
        _log.warning("The hashes of image %s are not all of one file; they are requested again", work.image.id)
        work.offer(work.pieces.reopen())
        work.pause(self._doubts * _DOUBT_PAUSE_S)

    def finish(self) -> Fetched:
        """Return the complete file, on the disk. Raises UnsafeImage, UnusableImage, OSError."""
        work, file = self._work, self._work.pieces.open(self._work.check)
        work.note_progress(Phase.PUBLISHING, file.have_bytes, file.size_bytes or 0)
        fetcher = work.host.fetcher
        fetcher.check_result(work.image, work.order, file.path)
        flush(file.path)
        work.pieces.end_promise()
        work.reports.send(ReportKind.COMPLETE)
        record = describe(work.image, is_converted=fetcher.is_converted(work.image.disk_format))
        record = replace(record, digest=file.root(), source=FROM_HOSTS)
        return Fetched(file.path, record, work.bytes_from)

    def end(self) -> None:
        """End the present stream; harmless if there is none."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
            if stream.is_accepted:
                self._refused_since_s = None
            self._work.received_bytes += stream.received_bytes
            self._work.stream_bytes = 0

    def _receive_from(self, route: Route) -> bool:
        """Receive from the present host of the route; return whether that has ended as it should."""
        work, peer = self._work, route.peer
        assert peer is not None  # noqa: S101
        file = work.pieces.use_base(work.check)
        if file is not work.offered:
            work.offer(file)
            work.follow()
        stream = self._stream = ParentStream(
            client=work.host.client,
            peer=peer,
            ticket=route.assignment.ticket,
            into=file,
            before_pieces=work.pieces.admit,
            limit=work.host.rates.of(work.order),
            monotonic=work.host.monotonic,
        )
        work.parent, work.offered_bytes = peer.host, 0
        stream.start()
        looked_at_s = work.host.monotonic()
        while not stream.wait(_LOOK_S):
            looked_at_s, since_s = work.host.monotonic(), looked_at_s
            if stream.keeps_pace:
                work.note_wait(looked_at_s - since_s)
            if not route.follow(work.follow()) or self.is_complete:
                return True
            work.version = route.assignment.version
            if stream.is_slow():
                work.reports.send(ReportKind.SLOW)
            work.offered_bytes, work.rate_bytes_per_s = stream.offered_bytes, stream.lag.rate_bytes_per_s
            work.stream_bytes = stream.received_bytes
            work.pieces.admit()
            work.note_progress(Phase.DOWNLOADING, file.have_bytes, file.size_bytes or 0)
        return self.is_complete

    def _note_wrong(self, error: WrongPiece) -> None:
        """Report the host, unless its hashes contradict earlier ones for the first time: then those may be wrong."""
        if error.is_contradiction and error.peer not in self._contradicted:
            self._contradicted.add(error.peer)
            raise HashesInDoubt from error
        _log.warning("%s", error)
        self._work.reports.send(ReportKind.WRONG_PIECE, parent=error.peer)

    def _wait_for_certificate(self, error: RelayRefused, assignment: Assignment) -> None:
        """Wait, because this host has no certificate at this moment; raise the error if that lasts."""
        now_s = self._work.host.monotonic()
        if self._refused_since_s is None:
            _log.warning("%s; it waits", error)
            self._refused_since_s = now_s
        if now_s - self._refused_since_s > CONDUCTORS_LOST_S:
            raise error
        self._work.wait_for_change(assignment)

    @property
    def _is_accepted(self) -> bool:
        return self._stream is not None and self._stream.is_accepted
