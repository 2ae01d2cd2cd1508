"""Brings images to this host through relays: from other hosts of the site, or for them from the image service.

Orders without `by_swarm` go straight to the fetcher of the image service.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from precache.background.log_exceptions import log_exceptions
from precache.background.threads import call_in_thread
from precache.core.cache_contents import ImageSize
from precache.core.errors import ConductorUnreachable
from precache.core.images import Image
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder
from precache.core.relays import Assignment, Form
from precache.core.work_context import current_work
from precache.fetch.attempt_runner import POLL_SECONDS, watched
from precache.imagecache.kept_downloads import KeptDownloads
from precache.imagecache.records.entry_record import EntryRecord
from precache.imagecache.served_entries import ServedEntries
from precache.imagecache.staging import Fetched, Staging
from precache.ports.progress import Watcher
from precache.swarm.cached_entry_offer import CachedEntryOffer
from precache.swarm.current_assignment import CurrentAssignment
from precache.swarm.host_pieces import HostPieces
from precache.swarm.relay_transfer import RelayTransfer
from precache.swarm.relay_work import CONDUCTORS_LOST_S, RelayWork
from precache.swarm.served_relays import ServedRelays
from precache.swarm.swarm_host import SwarmHost

_log = logging.getLogger(__name__)

_JOIN_AGAIN_S = 2.0


class SwarmFetcher:
    """The port `EntryFetcher`. Call `start` before the first fetch, and `stop` at the end. Thread-safe."""

    def __init__(self, *, host: SwarmHost, entries: ServedEntries, serve_for: timedelta) -> None:
        """entries: of the cache, learns which of them are served. serve_for: after an image was published."""
        self._host, self._entries = host, entries
        self._assignments: dict[str, CurrentAssignment] = {}
        self._lock = threading.Lock()
        self.served = ServedRelays(
            server=host.server,
            entries=entries,
            serve_for=serve_for,
            clock=host.clock,
            forget=self._forget,
            monotonic=host.monotonic,
        )

    def start(self) -> None:
        """Raises RuntimeError if the system can start no further thread."""
        self.served.start()

    def stop(self, patience: timedelta) -> None:
        """Serve nothing any more; the fetches have ended. Waits at most that long."""
        self.served.stop(patience)

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        """Fetch the image into a file of `staging` and return it, as `Fetcher.fetch` does.

        Raises also RelayRefused, RelayFailed, ConductorUnreachable, NoCertificate.
        """
        if not order.options.by_swarm:
            return self._host.fetcher.fetch(order, staging, watch)
        image = self._host.fetcher.look_up(order, watch)
        form = Form.RAW if self._host.fetcher.is_converted(image.disk_format) else Form.AS_IS
        self._wait_for_certificate(order, watch)
        first = self._join(image, form, staging, watch)
        relay = first.relay
        self.served.end(relay, "")  # its entry was removed, or it would not be fetched
        pieces = HostPieces(
            image=image,
            form=form,
            staging=staging,
            relay=relay,
            trust=self._host.trust,
            clock=self._host.clock,
            reserves_whole_disk=self._host.fetcher.reserves_whole_disk,
            base=order.options.base,
            entries=self._entries,
            open_file=self._host.open_file,
            clone=self._host.clone,
        )
        assignment = CurrentAssignment(first)
        with self._lock:
            self._assignments[relay] = assignment
        work = RelayWork(
            order=order,
            image=image,
            staging=staging,
            watch=watch,
            host=self._host,
            pieces=pieces,
            assignment=assignment,
        )
        try:
            fetched = RelayTransfer(work).run()
        except BaseException:
            self._forget(relay)
            raise
        if work.offered is not None:
            self.served.add(relay, work.offered, staging.directory / staging.entry, work.reports)
        return fetched

    def space_needed(self, images: Iterable[ImageSize], kept: KeptDownloads) -> int:
        return self._host.fetcher.space_needed(images, kept)

    def offer_cached(self, order: ImageOrder, entry: Path, record: EntryRecord | None) -> None:
        """Serve an entry that was in the cache already, if a conductor has signed what it is; do not wait."""
        if record is None or not record.form or self.served.is_served(entry):
            return
        offer = CachedEntryOffer(host=self._host, entry=entry, record=record, job_id=_job_id())
        call_in_thread(lambda: self._offer(offer, entry), name=f"offer-{order.image[:8]}")

    def _offer(self, offer: CachedEntryOffer, entry: Path) -> None:
        with log_exceptions(what="The offer of a cached image to other hosts", of=str(entry)):
            offered = offer.make(self.served.end)
            if offered is not None:
                file, assignment, reports = offered
                with self._lock:
                    self._assignments[file.relay] = assignment
                self.served.add(file.relay, file, entry, reports)

    def changed(self, assignment: Assignment) -> None:
        """Follow this assignment of a conductor, if the host takes part in this relay; do not wait."""
        with self._lock:
            current = self._assignments.get(assignment.relay)
        if current is not None:
            current.offer(assignment)

    def _wait_for_certificate(self, order: ImageOrder, watch: Watcher) -> None:
        """Wait for it, without loss for the deadline of the task: the process may have started a moment ago."""

        def note_wait(seconds: float) -> None:
            self._host.rates.of(order).note_wait(seconds)
            watch(Phase.WAITING, 0, 0)

        self._host.wait_for_certificate(note_wait)

    def _forget(self, relay: str) -> None:
        with self._lock:
            self._assignments.pop(relay, None)

    def _join(self, image: Image, form: Form, staging: Staging, watch: Watcher) -> Assignment:
        """Return the first assignment. Raises RelayRefused; ConductorUnreachable if none answers for minutes."""
        host = self._host
        have_bytes = staging.kept.bytes_of_pieces(image.id, form) if staging.kept else 0
        job_id = _job_id()

        def join() -> Assignment:
            # The address may have to be looked up, which can take long, so it belongs to what is watched.
            return host.planner.join(host.join_request(image.id, form, job_id, have_bytes))

        until = host.monotonic() + CONDUCTORS_LOST_S
        while True:
            try:
                return watched(join, image.id, watch)
            except ConductorUnreachable as error:
                if host.monotonic() >= until:
                    raise
                _log.warning(
                    "%s; host %s asks again for its place in the relay of image %s", error, host.name, image.id
                )
            again_at = host.monotonic() + _JOIN_AGAIN_S * (0.5 + host.share())
            while host.monotonic() < again_at:
                self._wait_briefly(watch)

    def _wait_briefly(self, watch: Watcher) -> None:
        """Wait some tenth of a second. Raises what the watcher raises."""
        watch(Phase.WAITING, 0, 0)
        self._host.nap(POLL_SECONDS)


def _job_id() -> str:
    work = current_work()
    return (work.job_id if work else None) or ""
