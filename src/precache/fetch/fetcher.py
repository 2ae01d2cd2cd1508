"""The steps of one fetch: look the image up, check the space, make attempts until one is sound, describe the result.

After a failure no file, thread or process is left. The caller renames the result, and ensures that one
image is fetched only once at a time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from precache.core.cache_contents import ImageSize
from precache.core.errors import (
    ImageNotActive,
    NoImageData,
    Stopped,
    Unavailable,
    UnsafeImage,
)
from precache.core.images import Image
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.relays import Form
from precache.core.stopping import StopReason
from precache.core.work_context import current_work
from precache.fetch.attempt import Attempt, keeps_data, remove_files
from precache.fetch.attempt_runner import AttemptRunner, watched
from precache.fetch.delta import DeltaImages, piece_digests
from precache.fetch.fetch_rules import FetchRules
from precache.fetch.final_parts import FinalParts
from precache.fetch.inspect import UNSUPPORTED
from precache.fetch.kept_decoding import decoder_of, put_back, sizes_with_kept, take_decoding
from precache.fetch.rate_limits import RateLimits
from precache.fetch.received_bytes import ReceivedBytes
from precache.fetch.result_check import check_as_is, check_converted
from precache.fetch.sound_attempts import run_until_sound
from precache.fetch.space import DOWNLOAD, RESULT, SIDE, SpaceCheck
from precache.fetch.sparse_file import WriteAt
from precache.fetch.stream_choice import is_streamed, needs_no_download, why_qemu_img
from precache.imagecache.bases import lineage_of, open_base
from precache.imagecache.kept_downloads import KeptDownloads
from precache.imagecache.kept_record import KeptDownloadRecord
from precache.imagecache.records.entry_record import FROM_IMAGE_SERVICE, EntryRecord
from precache.imagecache.records.entry_records import EntryRecords
from precache.imagecache.space.disk_usage import allocated_by
from precache.imagecache.space.space_ledger import Promise, SpaceLedger
from precache.imagecache.staging import Fetched, Staging
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource
from precache.ports.image_signatures import ImageSignatures
from precache.ports.progress import Watcher
from precache.rules.admission import check_uncompressed
from precache.rules.conversion import RAW, is_cached_as_is, is_converted, qemu_format
from precache.rules.space import FileSizes, space_needed_for_all
from precache.sandbox import Sandbox

_log = logging.getLogger(__name__)

UNKNOWN_SIZE_BYTES = 1  # counts for an image without a size: where nothing fits, it does not fit either

NOT_AS_IS = "it is the kernel or ramdisk of another image, which cannot have disk format {}; use aki, ari or raw"


class Fetcher:
    """Fetches images to this host. Several threads may use it at once, for different images."""

    def __init__(
        self,
        *,
        images: ImageSource,
        clock: Clock,
        rules: FetchRules | None = None,
        write_at: WriteAt = os.pwrite,
        sandbox: Sandbox | None = None,
        signatures: ImageSignatures | None = None,
        rates: RateLimits | None = None,
    ) -> None:
        """signatures: checks the signature of every image; None to accept unsigned images.

        rates: the limits of downloads while they run; None for those of the orders.

        sandbox: restricts qemu-img.

        write_at: writes to the file. Tests pass a function that acts as a full disk."""
        self._images, self._clock, self._rules = images, clock, rules or FetchRules()
        self._verifies = signatures is not None
        self._runner = AttemptRunner(
            images=images,
            clock=clock,
            rules=self._rules,
            write_at=write_at,
            sandbox=sandbox or Sandbox(),
            signatures=signatures,
            rates=rates or RateLimits(),
        )

    def look_up(self, order: ImageOrder, watch: Watcher) -> Image:
        """Return the image as the image service describes it, if it can be cached here.

        Raises ImageNotFound, ImageNotAuthorized, ImageNotActive, ImageCompressed, UnsafeImage, NoImageData,
        ImageServiceUnavailable; what `watch` raises.
        """
        record = watched(lambda: self._images.show(order.image), order.image, watch)
        _check(record, order.options)
        return record

    def is_converted(self, disk_format: str | None) -> bool:
        """Return whether the cache keeps images of this format as raw disks; else as they are."""
        return is_converted(disk_format, self._rules.force_raw_images)

    def check_result(self, image: Image, order: ImageOrder, path: Path) -> None:
        """Check the format of an entry that another host has made of the image, as if it had been made here.

        Raises UnsafeImage, UnusableImage, OSError.
        """
        if self.is_converted(image.disk_format):
            check_converted(image, path)
        else:
            check_as_is(image, path, deep=self._rules.deep_inspection and not order.options.as_is)

    @property
    def reserves_whole_disk(self) -> bool:
        """Return whether space is required for a whole disk, holes included."""
        return self._rules.reserves_whole_disk

    def fetch(
        self,
        order: ImageOrder,
        staging: Staging,
        watch: Watcher,
        final_parts: FinalParts | None = None,
        received: ReceivedBytes | None = None,
    ) -> Fetched:
        """Return the complete, verified and inspected file (raw if so configured). No other file is left.

        An image that is ordered `as_is` is only checked for content that tools would open as a disk format.

        The data is verified against the image's digest. An image without a digest is accepted with a warning, as in
        Nova: the image service has registered it from an external location and never read it.

        final_parts: told which part of the entry is final, while the rest is being made. What it has kept of the image
            stays after an error that the next attempt may not meet.
        received: counts what is received, also for an attempt that fails.

        Raises ImageNotFound, ImageNotAuthorized, ImageNotActive, ImageCompressed, UnsafeImage, SignatureRefused,
        NotEnoughSpace, ConversionFailed, CacheUnusable; ImageServiceUnavailable, KeyManagerUnavailable,
        TransferInterrupted; DigestMismatch, NoImageData, ImageTooLong; and all that `watch` raises.
        """
        record = self.look_up(order, watch)
        received = received or ReceivedBytes()
        ledger = staging.ledger or SpaceLedger(directory=staging.directory, clock=self._clock)
        with ledger.promise(staging.entry, staging.token, staging.make_room) as promise, ExitStack() as closing:
            attempt = self._first_attempt(record, order, staging, watch, ledger, promise)
            try:
                attempt.space.admit(attempt.kept_bytes)
                if attempt.target is None:
                    received.delta = self._delta(attempt, closing)
                observed = replace(attempt, final_parts=final_parts, on_received=received.add, delta=received.delta)
                decoded_by = run_until_sound(self._runner, observed, refetches=self._rules.refetches)
            except BaseException as error:
                promise.end()
                written = allocated_by(attempt.download, attempt.target, attempt.side)
                _clean_up(attempt, error, is_retried=final_parts is not None and _may_be_resumed(error))
                if isinstance(error, OSError):
                    raise attempt.space.failure(error, written) from error
                raise
        remove_files(attempt.side, None if attempt.target is None else attempt.download)
        described = describe(record, is_converted=attempt.target is not None)
        return Fetched(attempt.target or attempt.download, described, received.bytes_from, decoded_by)

    def space_needed(self, images: Iterable[ImageSize], kept: KeptDownloads) -> int:
        sizes = [self._remaining_sizes(image, kept.record_of(image.image)) for image in images]
        return space_needed_for_all(sizes, reserves_whole_disk=self._rules.reserves_whole_disk)

    def offer_cached(self, order: ImageOrder, entry: Path, record: EntryRecord | None) -> None:
        """Do nothing: other hosts fetch the image themselves."""

    def _sizes(self, image: ImageSize) -> FileSizes:
        result_bytes = (image.virtual_size_bytes or 0) if self.is_converted(image.disk_format) else 0
        is_streamed = needs_no_download(image.disk_format, rules=self._rules, verifies_signatures=self._verifies)
        is_known = image.size_bytes is not None
        return FileSizes(image.size_bytes or UNKNOWN_SIZE_BYTES, result_bytes, is_streamed=is_streamed and is_known)

    def _remaining_sizes(self, image: ImageSize, kept: KeptDownloadRecord | None) -> FileSizes:
        sizes = self._sizes(image)
        return sizes if kept is None else sizes_with_kept(sizes, kept, decoder=self._decoder_of(image.disk_format))

    def _decoder_of(self, disk_format: str | None) -> str | None:
        """Return which decoder goes on with what is kept of images of this format; None if qemu-img reads them."""
        if not is_streamed(disk_format, rules=self._rules, verifies_signatures=self._verifies):
            return None
        return decoder_of(disk_format, is_deep=self._rules.deep_inspection)

    def _first_attempt(
        self, record: Image, order: ImageOrder, staging: Staging, watch: Watcher, ledger: SpaceLedger, promise: Promise
    ) -> Attempt:
        """Return the attempt that goes on with what is kept of the image."""
        download = staging.path(DOWNLOAD)
        decoder = self._decoder_of(record.disk_format)
        resumed = None if decoder is None else take_decoding(record, staging, decoder=decoder)
        kept_bytes, why = 0, None
        if resumed is not None:
            kept_bytes = resumed.state.received_bytes
        else:
            kept_bytes = staging.kept.take(record, download) if staging.kept else 0
            why = why_qemu_img(record, rules=self._rules, verifies_signatures=self._verifies, kept_bytes=kept_bytes)
        sizes = self._sizes(ImageSize.of(record))
        space = SpaceCheck(
            image=record,
            ledger=ledger,
            promise=promise,
            sizes=replace(sizes, is_streamed=resumed is not None or (sizes.is_streamed and why is None)),
            reserves_whole_disk=self._rules.reserves_whole_disk,
            allocated=lambda kind: allocated_by(staging.path(kind)),
        )
        return Attempt(
            record=record,
            order=order,
            download=download,
            target=staging.path(RESULT) if self.is_converted(record.disk_format) else None,
            space=space,
            staging=staging,
            watch=watch,
            side=staging.path(SIDE),
            why_qemu_img=why,
            decoder=decoder or "",
            kept_bytes=kept_bytes,
            resumed=resumed,
        )

    def _delta(self, attempt: Attempt, closing: ExitStack) -> DeltaImages | None:
        """Return what takes from an older image in the cache; None if there is none, or no digests of the pieces.

        The digests are not trusted: an image that could not be verified afterwards is fetched as a whole.
        """
        record, staging = attempt.record, attempt.staging
        if record.digest is None or not record.pieces:
            return None
        records = EntryRecords(directory=staging.directory, clock=self._clock)
        new = lineage_of(describe(record, is_converted=False))
        base = open_base(staging.directory, records, new, attempt.order.options.base)
        if base is None:
            return None
        closing.enter_context(base)
        digests = watched(lambda: piece_digests(self._images, record), record.id, attempt.watch)
        if digests is None:
            return None
        _log.info("Image %s: what agrees with image %s in the cache is not requested", record.id, base.image)
        return DeltaImages(self._images, record, digests, base)


def _clean_up(attempt: Attempt, error: BaseException, *, is_retried: bool) -> None:
    """Remove the files of a fetch that has failed. What is kept of the image stays if the next one can use it.

    is_retried: the work goes on soon, with what is kept.
    """
    stays = keeps_data(error, attempt.kept_bytes)
    if attempt.resumed and stays:
        put_back(attempt.record, attempt.staging, attempt.resumed)
    remove_files(attempt.download, attempt.target, attempt.side)
    if attempt.staging.kept and not is_retried and not stays:
        attempt.staging.kept.remove(attempt.staging.entry)


def _may_be_resumed(error: BaseException) -> bool:
    """Return whether the work goes on later: with the next start of the process, or when a service answers again."""
    return isinstance(error, Unavailable) or (isinstance(error, Stopped) and error.reason is StopReason.SHUTDOWN)


def _check(record: Image, options: OrderOptions) -> None:
    if not record.is_active:
        raise ImageNotActive(record.id, record.status)
    check_uncompressed(record)
    if qemu_format(record.disk_format) is None:
        raise UnsafeImage(record.id, UNSUPPORTED)
    if options.as_is and not is_cached_as_is(record.disk_format):
        raise UnsafeImage(record.id, NOT_AS_IS.format(record.disk_format))
    if record.size_bytes == 0:
        raise NoImageData(record.id)
    if record.digest is None:
        _log.warning("Image %s has neither a hash nor a checksum: its data cannot be verified", record.id)


def describe(image: Image, *, is_converted: bool) -> EntryRecord:
    """Return the record of the entry. A converted one has no digest yet: the image service's is of the download."""
    digest = str(image.digest or "")
    work = current_work()
    return EntryRecord(
        image=image.id,
        image_name=image.name,
        image_family=image.family,
        digest="" if is_converted else digest,
        source=FROM_IMAGE_SERVICE,
        source_digest=digest,
        format=RAW if is_converted else image.disk_format or "",
        form=Form.RAW if is_converted else Form.AS_IS,
        requested_by=(work.job_id if work else None) or "",
    )
