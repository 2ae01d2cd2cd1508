"""What a fetch asks of qemu-img: what an image is, and its conversion, part by part.

The image is behind a connection that holds nothing but this one image.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from precache.imagecache.qemu_img import QemuImg, QemuImgFailed
from precache.rules.conversion import conversion_cpu_time

_CONNECTION = "{0}.driver=nbd,{0}.server.type=fd,{0}.server.str=0"
"""The image is a block device behind the socket that the process finds as its standard input.

{0}: the node's place in the tree of options."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What qemu-img reads in an image of a format. backing_file, data_file, vmdk_type: None if there is none."""

    format: str
    virtual_size_bytes: int
    backing_file: str | None = None
    data_file: str | None = None
    vmdk_type: str | None = None


class Output(Enum):
    """How the result is written: (qemu's cache mode, further option of the file).

    Past the page cache, as Nova does, where the file system can. The kernel's own asynchronous writes take half the
    processor time of qemu's threads, which shows with the many small writes of a compressed image: 3.0 in place of
    4.9 s for 1 GiB.
    """

    DIRECT_NATIVE = ("none", ",file.aio=native")
    DIRECT = ("none", "")
    CACHED = ("writeback", "")

    @property
    def cache(self) -> str:
        return self.value[0]

    @property
    def option(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a disk, in bytes that are multiples of a sector."""

    offset: int
    size: int


IsArriving = Callable[[], bool]
"""Whether bytes of the image are still to come; a run may have to wait for the transfer, which has its own limits."""


def read_image_info(
    qemu_img: QemuImg, connection: socket.socket, source_format: str, is_arriving: IsArriving
) -> ImageInfo:
    """Return what the image behind the connection is, which is closed.

    source_format: qemu's name for the format that it was found to have. Raises QemuImgFailed if it has not.
    """
    source = f"driver={source_format},{_CONNECTION.format('file')}"
    command = ["info", "--output=json", "--image-opts", source]
    try:
        return _parse_info(json.loads(qemu_img.run(command, connection=connection, is_waiting=is_arriving)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise QemuImgFailed("'qemu-img info' parsing failed.") from error


def convert_part(
    qemu_img: QemuImg,
    connection: socket.socket,
    source_format: str,
    part: Part,
    target: Path,
    output: Output,
    is_arriving: IsArriving,
) -> None:
    """Write one part of the disk behind the connection, which is closed, to the same place in `target`.

    target: a raw file that has its full length already and is zero in this part; zeros are not written.
    Raises NativeAioUnavailable, QemuImgFailed; OSError (ENOSPC) for a full disk.
    """
    section = f"driver=raw,offset={part.offset},size={part.size}"
    source = f"{section},file.driver={source_format},{_CONNECTION.format('file.file')}"
    sink = f"{section},file.driver=file,file.filename={_escaped(target)}{output.option}"
    # Out-of-order writes (-W): without them one slow read holds up all that have come in behind it.
    command = ["convert", "-W", "-t", output.cache, "-n", "--target-is-zero", "--image-opts", "--target-image-opts"]
    qemu_img.run(
        [*command, source, sink],
        cpu_time=conversion_cpu_time(part.size, qemu_img.limits.cpu_time),
        connection=connection,
        writable=(target,),
        is_waiting=is_arriving,
    )


def _escaped(path: Path) -> str:
    """Return the path as a value of qemu's options, in which a comma is doubled."""
    return str(path).replace(",", ",,")


def _parse_info(info: dict[str, Any]) -> ImageInfo:
    specific = info.get("format-specific", {}).get("data", {})
    return ImageInfo(
        format=info["format"],
        virtual_size_bytes=int(info["virtual-size"]),
        backing_file=info.get("backing-filename"),
        data_file=specific.get("data-file"),
        vmdk_type=specific.get("create-type"),
    )
