"""The inspection of a download and, if requested, its conversion, both while the data arrives."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from precache.background.task_group import TaskGroup
from precache.core.errors import ConversionFailed, UnsafeImage, UnusableImage
from precache.core.images import Image
from precache.fetch.final_parts import FinalParts
from precache.fetch.growing_file import GrowingFile
from precache.fetch.inspect import HEAD_CHUNK_BYTES, Inspection, inspect
from precache.fetch.nbd_export import NbdExport
from precache.fetch.qemu_commands import ImageInfo, Output, Part, convert_part, read_image_info
from precache.fetch.result_check import check_converted
from precache.fetch.sparse_file import create_empty, truncate_to
from precache.imagecache.qemu_img import NativeAioUnavailable, QemuImg, QemuImgFailed
from precache.imagecache.space.disk_usage import allocated_by
from precache.rules.conversion import RAW, announced_part_size, part_size
from precache.rules.disk_formats import Content, is_truncated, why_unusable

T = TypeVar("T")

VMDK_TYPES = ("streamOptimized", "monolithicSparse")
"""The kinds of VMDK that hold all their data in one file; Nova's default."""

EMPTY_DISK = "it holds a disk of 0 bytes, from which nothing can boot; upload another image in its place"

TOO_LARGE = "it holds a disk of {} bytes, which is more than a file may have in the file system of {}"

TRUNCATED = "it is truncated: it refers to data beyond its end at {} bytes; upload the whole image again"


class Conversion:
    """One image's inspection and conversion. `run` is the work of one thread of the group."""

    def __init__(
        self,
        *,
        image: Image,
        arriving: GrowingFile,
        target: Path | None,
        qemu_img: QemuImg,
        direct: bool,
        group: TaskGroup,
        check_space: Callable[[int], None],
        vmdk_types: Collection[str] = VMDK_TYPES,
        deep_inspection: bool = True,
        final_parts: FinalParts | None = None,
    ) -> None:
        """target: path of the raw result; None to keep the download as it is.

        direct: whether to write the result past the page cache.

        check_space: called with the size of the result as soon as qemu-img has reported it; raises NotEnoughSpace.

        final_parts: told of each part of the result, which are small then.
        """
        self._image, self._arriving, self._target = image, arriving, target
        self._qemu_img, self._group, self._vmdk_types = qemu_img, group, vmdk_types
        self._check_space = check_space
        self._deep_inspection = deep_inspection
        self._final_parts = final_parts
        self._output = _output(direct=direct, small_parts=final_parts is not None)
        self.disk_bytes = 0
        """Size of the disk in the image as qemu reports it: the only valid size of a converted result. Set by `run`."""

    def run(self) -> None:
        """Return when the content has passed the inspection and the target, if any, is complete.

        Raises UnsafeImage at once; ConversionFailed only after the whole download has been verified, because damaged
        transfers are more frequent than damaged images. Also raises NotEnoughSpace, OSError for a full disk, Abandoned.
        """
        # An inspector may keep what it reads from: without this the file would stay open until the garbage collection.
        with closing(self._arriving.chunks(HEAD_CHUNK_BYTES)) as chunks:
            inspection = inspect(self._image, chunks, deep=self._deep_inspection)
        with self._arriving.reader() as read:
            self._run(inspection, Content(size_bytes=self._arriving.wait_for_size(), read=read))

    def _run(self, inspection: Inspection, content: Content) -> None:
        reason = why_unusable(self._image.disk_format, content)
        if reason is not None:
            raise UnusableImage(self._image.id, reason)
        try:
            if inspection.qemu_format != RAW:
                info = self._info(inspection)
                self._check(info)
                self.disk_bytes = info.virtual_size_bytes
            self._check_end(content, is_converted=self._target is not None)
            if self._target is not None:
                self._convert(self._target, self.disk_bytes, inspection)
        except ConversionFailed:
            self._arriving.wait_for_end()
            self._check_end(content, is_converted=False)
            raise

    def _check_end(self, content: Content, *, is_converted: bool) -> None:
        """Raise UnusableImage or ConversionFailed if the verified image refers to data beyond its end."""
        if is_truncated(self._image.disk_format, content, is_converted=is_converted):
            self._arriving.wait_for_end()
            kind = UnusableImage if self._target is None else ConversionFailed
            raise kind(self._image.id, TRUNCATED.format(content.size_bytes))

    def _convert(self, target: Path, size: int, inspection: Inspection) -> None:
        self._create(target, size)
        self._check_space(size)
        if self._final_parts is None:
            self._convert_large_parts(target, size, inspection)
        else:
            self._convert_announced(target, size, inspection, self._final_parts)
        truncate_to(target, size)
        check_converted(self._image, target)
        if self._final_parts is not None:
            self._final_parts.is_final_up_to(size)

    def _convert_large_parts(self, target: Path, size: int, inspection: Inspection) -> None:
        done = 0
        while done < size:
            # Part by part while data arrives; the rest in one part when the download is complete.
            part = Part(done, size - done if self._arriving.is_complete else part_size(size, done))
            self._convert_part(part, target, inspection)
            done += part.size

    def _convert_announced(self, target: Path, size: int, inspection: Inspection, final_parts: FinalParts) -> None:
        """Convert small parts to the end, and announce each but the last one, which is complete when it is checked."""
        final_parts.began(target, size)
        download_bytes = self._arriving.wait_for_size()
        part, written, done = 0, 0, 0
        while done < size:
            part = min(announced_part_size(download_bytes, part, written), size - done)
            before = allocated_by(target)
            self._convert_part(Part(done, part), target, inspection)
            written = allocated_by(target) - before
            done += part
            if done < size:
                final_parts.is_final_up_to(done)

    def _info(self, inspection: Inspection) -> ImageInfo:
        def info(connection: socket.socket) -> ImageInfo:
            return read_image_info(self._qemu_img, connection, inspection.qemu_format, self._is_arriving)

        return self._served(info, inspection)

    def _create(self, target: Path, size: int) -> None:
        try:
            create_empty(target, size)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise UnusableImage(self._image.id, TOO_LARGE.format(size, target.parent)) from error

    def _convert_part(self, part: Part, target: Path, inspection: Inspection) -> None:
        def convert(connection: socket.socket) -> None:
            qemu_format, output = inspection.qemu_format, self._output
            convert_part(self._qemu_img, connection, qemu_format, part, target, output, self._is_arriving)

        try:
            self._served(convert, inspection)
        except NativeAioUnavailable:
            self._output = Output.DIRECT
            self._served(convert, inspection)

    def _check(self, info: ImageInfo) -> None:
        rule = _broken_rule(info, self._vmdk_types)
        if rule is not None:
            raise UnsafeImage(self._image.id, rule)
        if not info.virtual_size_bytes:
            raise UnusableImage(self._image.id, EMPTY_DISK)

    def _served(self, run: Callable[[socket.socket], T], inspection: Inspection) -> T:
        size = self._arriving.wait_for_size()
        server_end, client_end = socket.socketpair()
        export = NbdExport(
            arriving=self._arriving, size_bytes=size, connection=server_end, cluster_bytes=inspection.cluster_bytes
        )
        self._group.start("export", export.serve)
        with client_end:
            try:
                return run(client_end)
            except QemuImgFailed as error:
                if isinstance(error, NativeAioUnavailable) and not export.misses_data:
                    raise
                reason = TRUNCATED.format(size) if export.misses_data else str(error)
                raise ConversionFailed(self._image.id, reason) from error

    def _is_arriving(self) -> bool:
        return not self._arriving.is_complete


def _output(*, direct: bool, small_parts: bool) -> Output:
    """Return how the result is written.

    With native asynchronous writes, a process needs 40 ms to end: the kernel takes its context down. For many small
    parts that is more than all the rest.
    """
    if not direct:
        return Output.CACHED
    return Output.DIRECT if small_parts else Output.DIRECT_NATIVE


def _broken_rule(info: ImageInfo, vmdk_types: Collection[str]) -> str | None:
    """Return Nova's message for the first rule that the image breaks by qemu-img's output, or None."""
    if info.backing_file is not None:
        return f"fmt={info.format} backed by: {info.backing_file}"
    if info.data_file is not None:
        return f"fmt={info.format} has data-file: {info.data_file}"
    if info.format == "vmdk" and info.vmdk_type not in vmdk_types:
        return f"Invalid VMDK create-type specified: {info.vmdk_type}"
    return None
