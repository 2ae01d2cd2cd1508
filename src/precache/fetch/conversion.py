"""What happens to a download beside its arrival: it is inspected, and where asked for converted, while it arrives."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from precache.core.errors import ConversionFailed, UnsafeImage
from precache.core.images import Image
from precache.fetch.arriving_file import ArrivingFile
from precache.fetch.crew import Crew
from precache.fetch.inspect import HEAD_CHUNK_BYTES, Inspection, inspect
from precache.fetch.nbd_export import NbdExport
from precache.fetch.qemu_img import ImageInfo, NativeAioUnavailable, Output, Part, QemuImg
from precache.fetch.sparse_file import create_empty
from precache.rules.conversion import RAW, part_size
from precache.rules.qemu_probe import HEAD_BYTES, probe

T = TypeVar("T")

VMDK_TYPES = ("streamOptimized", "monolithicSparse")
"""The kinds of VMDK that hold all their data themselves; Nova's own default."""


CUT_OFF = "it is cut off: it refers to data behind its end at {} bytes; upload it again, whole"


class Conversion:
    """One image's inspection and conversion. `run` is the work of one thread of the crew."""

    def __init__(
        self,
        *,
        image: Image,
        arriving: ArrivingFile,
        target: Path | None,
        qemu_img: QemuImg,
        direct: bool,
        crew: Crew,
        make_room: Callable[[int], None],
        vmdk_types: Collection[str] = VMDK_TYPES,
    ) -> None:
        """target: where the raw result goes; None to keep the download as it is.

        direct: whether to write it past the page cache.

        make_room: called with the size of the result once the header has told it; raises NotEnoughSpace.
        """
        self._image, self._arriving, self._target = image, arriving, target
        self._qemu_img, self._crew, self._vmdk_types = qemu_img, crew, vmdk_types
        self._make_room = make_room
        self._output = Output.DIRECT_NATIVE if direct else Output.CACHED

    def run(self) -> None:
        """Return when the content is known to be what it is said to be, and the target, if any, is complete.

        Raises UnsafeImage as soon as it is known, ConversionFailed only when the download has proved to be what the
        image service promised: damaged bytes are the cause of more failures than damaged images.
        Also NotEnoughSpace, OSError for a full disk, Abandoned.
        """
        inspection = inspect(self._image, self._arriving.chunks(HEAD_CHUNK_BYTES))
        if self._target is not None:
            self._make_room(inspection.virtual_size_bytes or 0)
        try:
            if inspection.qemu_format != RAW:
                self._check(self._info(inspection))
            if self._target is not None:
                self._convert(self._target, inspection)
        except ConversionFailed:
            self._arriving.wait_for_end()
            raise

    def _convert(self, target: Path, inspection: Inspection) -> None:
        size = inspection.virtual_size_bytes or 0
        create_empty(target, size)
        done = 0
        while done < size:
            # While bytes still come, part by part; what is left when all are there, at once.
            part = Part(done, size - done if self._arriving.is_complete else part_size(size, done))
            self._convert_part(part, target, inspection)
            done += part.size
        found = _format_of_file(target)
        if found != RAW:
            # A disk inside the disk: whoever opened the entry without a given format would follow its references.
            raise UnsafeImage(self._image.id, f"Converted to raw, but format is now {found}")

    def _info(self, inspection: Inspection) -> ImageInfo:
        def info(connection: socket.socket) -> ImageInfo:
            return self._qemu_img.info(connection, inspection.qemu_format)

        return self._served(info, inspection)

    def _convert_part(self, part: Part, target: Path, inspection: Inspection) -> None:
        def convert(connection: socket.socket) -> None:
            self._qemu_img.convert(connection, inspection.qemu_format, part, target, self._output)

        try:
            self._served(convert, inspection)
        except NativeAioUnavailable:
            self._output = Output.DIRECT
            self._served(convert, inspection)

    def _check(self, info: ImageInfo) -> None:
        rule = _broken_rule(info, self._vmdk_types)
        if rule is not None:
            raise UnsafeImage(self._image.id, rule)

    def _served(self, run: Callable[[socket.socket], T], inspection: Inspection) -> T:
        size, cluster = self._arriving.wait_for_size(), inspection.cluster_bytes
        ours, theirs = socket.socketpair()
        # By the rule of `qemu-img check`: the last cluster may be cut, a further one is lost. qemu-img itself would
        # convert what is lost to zeros, and nobody would ever know.
        missing_from = None if cluster is None else size + cluster
        export = NbdExport(arriving=self._arriving, size_bytes=size, connection=ours, missing_from=missing_from)
        self._crew.start("export", export.serve)
        with theirs:
            try:
                return run(theirs)
            except ConversionFailed as error:
                if export.misses_data:
                    raise ConversionFailed(self._image.id, CUT_OFF.format(size)) from error
                raise


def _format_of_file(path: Path) -> str:
    """Return the format that qemu would take a file for if it were left to guess."""
    with path.open("rb") as file:
        return probe(file.read(HEAD_BYTES))


def _broken_rule(info: ImageInfo, vmdk_types: Collection[str]) -> str | None:
    """Give Nova's words for the first rule that the image breaks in qemu-img's eyes; None if it breaks none."""
    if info.backing_file is not None:
        return f"fmt={info.format} backed by: {info.backing_file}"
    if info.data_file is not None:
        return f"fmt={info.format} has data-file: {info.data_file}"
    if info.format == "vmdk" and info.vmdk_type not in vmdk_types:
        return f"Invalid VMDK create-type specified: {info.vmdk_type}"
    return None
