"""The steps of one fetch: read the image's record, check the space, transfer and convert in parallel, flush to disk.

After a failure no file, thread or process is left. The caller renames the result, removes the files that are not kept,
and ensures that one image is fetched only once at a time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from precache.background.task_group import TaskGroup
from precache.background.threads import call_in_thread
from precache.core.cache_contents import ImageSize
from precache.core.errors import (
    ConversionFailed,
    DigestMismatch,
    ImageNotActive,
    ImageTooLong,
    NoImageData,
    SignatureRefused,
    UnsafeImage,
    UnusableImage,
)
from precache.core.images import Image, ImageId
from precache.core.jobs import Phase
from precache.core.orders import ImageOrder, OrderOptions
from precache.core.work_context import current_work
from precache.fetch.attempt import Attempt, keeping, keeps_data
from precache.fetch.conversion import VMDK_TYPES, Conversion
from precache.fetch.inspect import UNSUPPORTED
from precache.fetch.limited_stream import LimitedStream
from precache.fetch.rate_limits import RateLimits
from precache.fetch.resume import ResumingStream
from precache.fetch.space import DOWNLOAD, RESULT, SpaceCheck
from precache.fetch.sparse_file import SparseFile, WriteAt, flush
from precache.fetch.transfer import Transfer
from precache.imagecache.entry_records import FROM_IMAGE_SERVICE, EntryRecord
from precache.imagecache.qemu_img import QemuImg, QemuImgLimits
from precache.imagecache.space_ledger import SpaceLedger, allocated_bytes
from precache.imagecache.staging import Fetched, Staging
from precache.ports.clock import Clock
from precache.ports.image_service import ImageSource
from precache.ports.image_signatures import ImageSignatures
from precache.ports.progress import Watcher
from precache.rules.admission import check_uncompressed
from precache.rules.conversion import RAW, is_cached_as_is, is_converted, qemu_format
from precache.rules.space import FileSizes, space_needed_for_all
from precache.rules.throughput import MinThroughput
from precache.sandbox import Sandbox

_log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECONDS = 0.1
"""How often the watcher is called, and therefore how soon it can stop everything, even while no data arrives."""


_CUT_SECONDS = 1.0
"""How long a paused transfer may take to write what it has received; a pause has two seconds for all."""

_DAMAGED = (DigestMismatch, ImageTooLong)
_MAY_BE_DAMAGED = (*_DAMAGED, UnsafeImage, UnusableImage, ConversionFailed, SignatureRefused)
"""Errors about the data. If a part of it was kept from an earlier fetch, that part may be damaged."""


@dataclass(frozen=True, slots=True)
class FetchRules:
    """The settings of the host's configuration for fetching.

    force_raw_images: convert to raw; else the cache stores the download as it is.
    deep_inspection: inspect the content before qemu-img reads it; if False, only qemu-img's own output is checked.
    retries: how many attempts in a row may bring no new byte before an interrupted transfer fails.
    least_rate: the lowest rate at which a transfer may continue.
    refetches: how often data with a wrong digest is removed and fetched again.
    reserves_whole_disk: ask for free space for the whole converted disk, holes included; else for the download only.
    vmdk_types: the create-types that are accepted.
    """

    force_raw_images: bool = True
    deep_inspection: bool = True
    retries: int = 3
    least_rate: MinThroughput = field(default_factory=MinThroughput)
    refetches: int = 1
    reserves_whole_disk: bool = True
    vmdk_types: Collection[str] = VMDK_TYPES
    qemu_img: QemuImgLimits = field(default_factory=QemuImgLimits)


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
        self._write_at = write_at
        self._sandbox = sandbox or Sandbox()
        self._signatures = signatures
        self._rates = rates or RateLimits()

    def fetch(self, order: ImageOrder, staging: Staging, watch: Watcher) -> Fetched:
        """Return the complete, verified and inspected file (raw if so configured), and the download that it was made
        from.

        An image that is ordered `as_is` is only checked for content that tools would open as a disk format.

        The data is verified against the image's digest. An image without a digest is accepted with a warning, as in
        Nova: the image service has registered it from an external location and never read it.

        Raises ImageNotFound, ImageNotAuthorized, ImageNotActive, ImageCompressed, UnsafeImage, SignatureRefused,
        NotEnoughSpace, ConversionFailed, CacheUnusable; ImageServiceUnavailable, KeyManagerUnavailable,
        TransferInterrupted; DigestMismatch, NoImageData, ImageTooLong; and all that `watch` raises.
        """
        record = _watched(lambda: self._images.show(order.image), order.image, watch)
        _check(record, order.options)
        target = staging.path(RESULT) if self._is_converted(record.disk_format) else None
        download = staging.path(DOWNLOAD)
        ledger = staging.ledger or SpaceLedger(directory=staging.directory, clock=self._clock)
        kept_bytes = staging.kept.take(record, download) if staging.kept else 0
        with ledger.promise(staging.entry, staging.token, staging.make_room) as promise:
            space = SpaceCheck(
                image=record,
                ledger=ledger,
                promise=promise,
                sizes=self._sizes(ImageSize.of(record)),
                reserves_whole_disk=self._rules.reserves_whole_disk,
            )
            try:
                space.admit(kept_bytes)
                self._fetch_sound(Attempt(record, order, download, target, space, staging, watch, kept_bytes))
            except BaseException as error:
                promise.end()
                written = allocated_bytes(download, target)
                _remove(download, target)
                if staging.kept and not keeps_data(error, kept_bytes):
                    staging.kept.remove(staging.entry)
                if isinstance(error, OSError):
                    raise space.failure(error, written) from error
                raise
        return Fetched(target or download, download, _describe(record, is_converted=target is not None))

    def space_needed(self, images: Iterable[ImageSize]) -> int:
        sizes = [self._sizes(image) for image in images]
        return space_needed_for_all(sizes, reserves_whole_disk=self._rules.reserves_whole_disk)

    def _sizes(self, image: ImageSize) -> FileSizes:
        result_bytes = (image.virtual_size_bytes or 0) if self._is_converted(image.disk_format) else 0
        return FileSizes(image.size_bytes or UNKNOWN_SIZE_BYTES, result_bytes)

    def _is_converted(self, disk_format: str | None) -> bool:
        return is_converted(disk_format, self._rules.force_raw_images)

    def _fetch_sound(self, attempt: Attempt) -> None:
        remaining = self._rules.refetches
        while True:
            try:
                self._fetch_once(attempt)
            except _MAY_BE_DAMAGED as error:
                if attempt.kept_bytes and attempt.staging.kept:
                    # Its file may have been damaged since then. This is no attempt: the service was not asked for it.
                    attempt.staging.kept.remove(attempt.staging.entry)
                    attempt = replace(attempt, kept_bytes=0)
                elif isinstance(error, _DAMAGED) and remaining:
                    remaining -= 1
                else:
                    raise
                _log.warning("%s; fetching it again from the start", error)
                _remove(attempt.download, attempt.target)
                attempt.space.admit()
            else:
                return

    def _fetch_once(self, attempt: Attempt) -> None:
        record, download, target = attempt.record, attempt.download, attempt.target
        # Before the first byte, as in Nova: an image without a signature need not be downloaded at all.
        signatures = self._signatures
        signature = _watched(lambda: signatures.begin(record), record.id, attempt.watch) if signatures else None
        kept_bytes = attempt.kept_bytes
        stream = self._stream(record, attempt.order, kept_bytes)
        with SparseFile(download, direct=target is None, write_at=self._write_at, kept_bytes=kept_bytes) as file:
            transfer = Transfer(image=record, stream=stream, file=file, signature=signature, kept_bytes=kept_bytes)
            qemu_img = QemuImg(limits=self._rules.qemu_img, sandbox=self._sandbox)
            group = TaskGroup(record.id)
            conversion = Conversion(
                image=record,
                arriving=transfer.arriving,
                target=target,
                qemu_img=qemu_img,
                direct=file.can_be_direct,
                group=group,
                check_space=lambda result_bytes: attempt.space.admit_result(
                    result_bytes, transfer.arriving.arrived_bytes
                ),
                vmdk_types=self._rules.vmdk_types,
                deep_inspection=self._rules.deep_inspection and not attempt.order.options.as_is,
            )
            with keeping(attempt, transfer):
                _run(transfer, conversion, qemu_img, group, _progress(record, transfer, attempt.watch), kept_bytes)
                arrived = transfer.arriving.arrived_bytes
                attempt.watch(Phase.PUBLISHING, arrived, arrived)
            if target is None:
                _check_length(record, download, arrived)
                file.flush()
            else:
                _check_length(record, target, conversion.disk_bytes)
                flush(target)

    def _stream(self, record: Image, order: ImageOrder, offset_bytes: int) -> LimitedStream:
        stream = ResumingStream(
            images=self._images,
            image=record,
            clock=self._clock,
            retries=self._rules.retries,
            least_rate=self._rules.least_rate,
            offset_bytes=offset_bytes,
        )
        return LimitedStream(stream, limit=self._rates.of(order), clock=self._clock)


def _watched(ask: Callable[[], T], image: ImageId, watch: Watcher) -> T:
    """Return what `ask` returns. If `watch` raises, do not wait for `ask`: its service may not answer."""
    answer = call_in_thread(ask, name=f"ask-{image[:8]}")
    while not wait([answer], POLL_SECONDS).done:
        watch(Phase.WAITING, 0, 0)
    return answer.result()


def _run(
    transfer: Transfer,
    conversion: Conversion,
    qemu_img: QemuImg,
    group: TaskGroup,
    report: Callable[[], None],
    kept_bytes: int,
) -> None:
    """Return when the image is downloaded, verified and converted; raise the first failure of any part.

    The parts run in parallel. In both cases every thread and process of them has ended when this returns. If the
    failure keeps what was received, it is in the file then.
    """
    report()
    try:
        transfer.start(group)
        group.start("converter", conversion.run)
        while not group.wait(POLL_SECONDS):
            report()
    except BaseException as error:
        if keeps_data(error, kept_bytes):
            transfer.cut(_CUT_SECONDS)
        raise
    finally:
        transfer.stop()
        qemu_img.stop()
        group.join()


def _progress(record: Image, transfer: Transfer, watch: Watcher) -> Callable[[], None]:
    """Return a function that reports to `watch` how much of the image was received."""

    def report() -> None:
        phase = Phase.CONVERTING if transfer.arriving.is_complete else Phase.DOWNLOADING
        watch(phase, transfer.received_bytes, record.size_bytes or 0)

    return report


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


def _describe(image: Image, *, is_converted: bool) -> EntryRecord:
    """Return the record of the entry. A converted one has no digest yet: the image service's is of the download."""
    digest = str(image.digest or "")
    work = current_work()
    return EntryRecord(
        image=image.id,
        image_name=image.name,
        digest="" if is_converted else digest,
        source=FROM_IMAGE_SERVICE,
        source_digest=digest,
        format=RAW if is_converted else image.disk_format or "",
        requested_by=(work.job_id if work else None) or "",
    )


def _check_length(record: Image, result: Path, expected_bytes: int) -> None:
    """Raise UnusableImage unless the file is as long as the disk: later Nova trusts the entry's name."""
    found = result.stat().st_size
    if found != expected_bytes or not found:
        raise UnusableImage(record.id, f"the result has {found} bytes in place of the disk's {expected_bytes}")


def _remove(*paths: Path | None) -> None:
    for path in paths:
        if path is not None:
            path.unlink(missing_ok=True)
