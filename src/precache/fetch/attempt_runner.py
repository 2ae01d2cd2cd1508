"""Runs attempts to fetch an image: transfer and conversion in parallel, and what stays on the host after a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TypeVar

from precache.background.task_group import TaskGroup
from precache.background.threads import call_in_thread
from precache.core.errors import Stopped
from precache.core.images import Image, ImageId
from precache.core.jobs import Phase
from precache.core.stopping import StopReason
from precache.core.work_context import current_work
from precache.fetch.arriving_image import ArrivingImage
from precache.fetch.attempt import Attempt, keeps_data
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.kept_decoding import hash_of
from precache.fetch.limited_stream import LimitedStream, no_bytes
from precache.fetch.rate_limits import RateLimits
from precache.fetch.resumable_hash import ResumableHash
from precache.fetch.resume import ResumingStream
from precache.fetch.sparse_file import WriteAt
from precache.fetch.transfer import Transfer
from precache.imagecache.kept_downloads import KeptDownloads
from precache.imagecache.kept_record import DecodingState
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource
from precache.ports.image_signatures import ImageSignatures
from precache.ports.progress import Watcher, note_decoder
from precache.sandbox import Sandbox

T = TypeVar("T")

POLL_SECONDS = 0.1
"""How often the watcher is called, and therefore how soon it can stop everything, even while no data arrives."""

_CUT_SECONDS = 1.0
"""How long a paused transfer may take to write what it has received; a pause has two seconds for all."""

_INTERRUPT_SECONDS = 0.5
"""How long a decoding may then take to end what it does with one block."""


@contextmanager
def _keeping(attempt: Attempt, arriving: ArrivingImage, transfer: Transfer) -> Iterator[None]:
    """Keep what was received if the block ends by an error that leaves it on the host."""
    try:
        yield
    except BaseException as error:
        kept = attempt.staging.kept
        if kept and keeps_data(error, attempt.kept_bytes):
            work = current_work() if isinstance(error, Stopped) and error.reason is StopReason.PAUSED else None
            job = work.job_id if work else None
            if arriving.is_decoding:
                _keep_decoding(attempt, arriving, transfer, kept, job)
            else:
                kept.keep(attempt.record, attempt.download, arriving.kept_bytes, job)
        raise


def _keep_decoding(
    attempt: Attempt, arriving: ArrivingImage, transfer: Transfer, kept: KeptDownloads, job: str | None
) -> None:
    hash_state = transfer.hash_state(arriving.arrived_bytes)
    if attempt.target is not None and hash_state is not None and arriving.settle():
        state = DecodingState(
            decoder=attempt.decoder, received_bytes=arriving.arrived_bytes, hash_state=hash_state.decode()
        )
        kept.keep_decoding(attempt.record, state, attempt.target, attempt.side, job)


class AttemptRunner:
    """Runs attempts: transfer and conversion in parallel. For several threads, with different images."""

    def __init__(
        self,
        *,
        images: ImageSource,
        clock: Clock,
        rules: FetchRules,
        write_at: WriteAt,
        sandbox: Sandbox,
        signatures: ImageSignatures | None,
        rates: RateLimits,
    ) -> None:
        self._images, self._clock, self._rules = images, clock, rules
        self._write_at = write_at
        self._sandbox = sandbox
        self._signatures = signatures
        self._rates = rates

    def run(self, attempt: Attempt) -> str:
        """Return what has decoded the image when its files are complete, verified, inspected and on the disk.

        The watcher learns what has decoded it also if it fails. What an error leaves on the host is kept then.
        Raises as `Fetcher.fetch`, OSError of the disk, NotStreamable.
        """
        record = attempt.record
        # Before the first byte, as in Nova: an image without a signature need not be downloaded at all.
        signatures = self._signatures
        signature = watched(lambda: signatures.begin(record), record.id, attempt.watch) if signatures else None
        group = TaskGroup(record.id)
        with ArrivingImage(
            attempt, group=group, rules=self._rules, write_at=self._write_at, sandbox=self._sandbox
        ) as arriving:
            transfer = Transfer(
                image=record,
                stream=self._stream(attempt),
                sink=arriving,
                signature=signature,
                kept=arriving.kept_file,
                kept_bytes=0 if attempt.resumed else attempt.kept_bytes,
                resumable_hash=_resumable_hash(attempt),
            )
            try:
                with _keeping(attempt, arriving, transfer):
                    report = _progress(record, transfer, attempt.watch)
                    _run(transfer, arriving, group, report, attempt.kept_bytes)
                    arrived = arriving.arrived_bytes
                    attempt.watch(Phase.PUBLISHING, arrived, arrived)
                arriving.complete()
            finally:
                if arriving.decoded_by:
                    note_decoder(attempt.watch, arriving.decoded_by)
            return arriving.decoded_by

    def _stream(self, attempt: Attempt) -> LimitedStream:
        delta = attempt.delta
        stream = ResumingStream(
            images=delta or self._images,
            image=attempt.record,
            clock=self._clock,
            retries=self._rules.retries,
            least_rate=self._rules.least_rate,
            offset_bytes=attempt.kept_bytes,
            on_received=attempt.on_received,
        )
        free_bytes = (lambda: delta.local_bytes) if delta else no_bytes
        return LimitedStream(stream, limit=self._rates.of(attempt.order), clock=self._clock, free_bytes=free_bytes)


def watched(ask: Callable[[], T], image: ImageId, watch: Watcher) -> T:
    """Return what `ask` returns. If `watch` raises, do not wait for `ask`: its service may not answer."""
    answer = call_in_thread(ask, name=f"ask-{image[:8]}")
    while not wait([answer], POLL_SECONDS).done:
        watch(Phase.WAITING, 0, 0)
    return answer.result()


def _run(
    transfer: Transfer, arriving: ArrivingImage, group: TaskGroup, report: Callable[[], None], kept_bytes: int
) -> None:
    """Return when the image is downloaded, verified and converted; raise the first failure of any part.

    The parts run in parallel. In both cases every thread and process of them has ended when this returns. If the
    failure keeps what was received, it is in the file then.
    """
    report()
    try:
        transfer.start(group)
        arriving.start()
        while not group.wait(POLL_SECONDS):
            report()
    except BaseException as error:
        if keeps_data(error, kept_bytes):
            _end_softly(transfer, arriving)
        raise
    finally:
        transfer.stop()
        group.join()


def _end_softly(transfer: Transfer, arriving: ArrivingImage) -> None:
    """Receive no more, and have what was received on the disk, so far as there is time for that."""
    is_written = transfer.cut(_CUT_SECONDS)
    if not is_written:
        arriving.interrupt()
        is_written = transfer.wait_for_sink(_INTERRUPT_SECONDS)
    if is_written:
        arriving.settle()


def _resumable_hash(attempt: Attempt) -> ResumableHash | None:
    if attempt.why_qemu_img is not None:
        return None
    return hash_of(attempt.record, attempt.resumed.state if attempt.resumed else None)


def _progress(record: Image, transfer: Transfer, watch: Watcher) -> Callable[[], None]:
    """Return a function that reports to `watch` how much of the image was received."""

    def report() -> None:
        phase = Phase.CONVERTING if transfer.is_verified else Phase.DOWNLOADING
        watch(phase, transfer.received_bytes, record.size_bytes or 0)

    return report
